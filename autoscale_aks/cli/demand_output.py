"""The faces of the demand report that go to a file or to standard output: JSON, HTML, Markdown, CSV."""

from __future__ import annotations

import sys
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.cli.demand_face import print_changes, print_demand
from autoscale_aks.cli.output import WIDTH
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.reports.changes import check_report, compare, render_changes
from autoscale_aks.reports.document import demand_text, render_demand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reports.changes import Changes
    from autoscale_aks.reports.figures import DemandReport
    from autoscale_aks.reports.timeline import TimelinePoint

FORMATS: Final = ("table", "json", "html", "markdown", "csv")


class Face:
    """One report, ready to be written in any format."""

    def __init__(
        self, report: DemandReport, plan: Plan, *, subject: str = "", previous: dict[str, Any] | None = None
    ) -> None:
        self._report, self._plan, self._subject = report, plan, subject
        self._document: dict[str, Any] | None = None
        self.changes: Changes | None = None if previous is None else compare(previous, self.document)

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document, made once."""
        if self._document is None:
            self._document = render_demand(self._report, self._plan)
        return self._document

    def text(self, form: str, table: str | None, timeline: Callable[[], Sequence[TimelinePoint]]) -> str:
        """The report in a format that is not a terminal's."""
        if form == "json":
            changed = {} if self.changes is None else {"changes": render_changes(self.changes)}
            return demand_text({**self.document, **changed}) + "\n"
        if form == "html":
            return self._page(timeline())
        from autoscale_aks.reports.page import headline  # noqa: PLC0415  the template engine is only for this
        from autoscale_aks.reports.tables import csv_text, markdown_text, report_tables  # noqa: PLC0415

        if form == "csv":
            return csv_text(report_tables(self.document, [table or "starts"])[0])
        return markdown_text(report_tables(self.document, [table] if table else ()), headline(self._report))

    def _page(self, timeline: Sequence[TimelinePoint]) -> str:
        from autoscale_aks.reports.page import render_page  # noqa: PLC0415  the template engine is only for this

        return render_page(
            self._report, self._plan, page_assets(), subject=self._subject, changes=self.changes, timeline=timeline
        )

    def show(self, out: Console) -> None:
        """The report for people at a terminal."""
        print_demand(self._report, out)
        if self.changes is not None:
            print_changes(self.changes, out)


def page_assets() -> Mapping[str, str]:
    """The page's templates, style and script, as they are packaged."""
    from autoscale_aks.reports.page import ASSETS  # noqa: PLC0415  the template engine is only for this

    folder = resources.files("autoscale_aks.reports").joinpath("page_files")
    return {name: folder.joinpath(name).read_text(encoding="utf-8") for name in ASSETS}


def read_previous(path: Path | None) -> dict[str, Any] | None:
    """The earlier report to compare with. Raises InputError when it cannot be read or is no demand report."""
    if path is None:
        return None
    import json  # noqa: PLC0415

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError([Problem(str(path), f"cannot be read as JSON: {error}")]) from error
    return check_report(document, str(path))


def file_console(stream: Any) -> Console:
    """A console that writes plain text, 80 columns wide, to a file."""
    from rich.console import Console  # noqa: PLC0415

    return Console(file=stream, width=WIDTH, highlight=False, color_system=None, force_terminal=False)


def write(text: str, path: Path | None) -> None:
    """The text to a file or to standard output, whatever characters that can carry.

    Raises InputError when the file cannot be written.
    """
    if path is None:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError([Problem(str(path), f"cannot be written: {error.strerror or error}")]) from error
