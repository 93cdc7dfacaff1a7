"""`azaks doctor`: everything a cycle depends on, looked at once, with the mend beside each trouble."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import click

from autoscale_aks.cli.main import DONE, IN_PART
from autoscale_aks.cli.options import config_option, quiet_option
from autoscale_aks.cli.rows import Column, Listing, print_rows, row_options, selected
from autoscale_aks.cli.terminal import is_coloured, printable, screen_width, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autoscale_aks.cli.rows import Row, RowChoice

_COLOURS: Final = {"ok": "32", "warn": "33", "fail": "1;31", "skipped": "2"}
_STATUS_WIDTH: Final = 8

LISTING: Final = Listing(
    verb="doctor",
    title="Checks",
    nothing="Nothing was checked.",
    columns=(
        Column(name="check", meaning="What was looked at."),
        Column(name="status", meaning="ok, skipped, warn or fail."),
        Column(name="says", title="", meaning="What was seen."),
        Column(name="fix", meaning="What to do about it."),
    ),
)


@click.command("doctor")
@config_option
@row_options(LISTING)
@quiet_option
def command(config_path: Path, choice: RowChoice, quiet: bool) -> int:
    """Check configuration, scheduler, ledger, cluster, rights and clock; each line ok, warn or fail, with the fix.

    Nothing is changed anywhere: the cloud sees only GETs. Exit status 0 when nothing fails, 1 otherwise. With --quiet
    only what warns or fails is shown.

    \b
    Example: azaks doctor -c autoscale.json
    azaks doctor -c autoscale.json --filter status=warn,fail --format markdown
    """
    from autoscale_aks.cli.logs import configure_logging  # noqa: PLC0415  --help needs none of these
    from autoscale_aks.cli.wiring import doctors_site  # noqa: PLC0415
    from autoscale_aks.config import load_config  # noqa: PLC0415
    from autoscale_aks.doctor import examine  # noqa: PLC0415
    from autoscale_aks.reports.doctor import Health, count_by_health, render_findings  # noqa: PLC0415

    config = load_config(config_path)
    configure_logging(config.logging)
    as_lines = choice.is_for_people and choice.columns is None and "doctor" not in config.default_columns
    findings = []
    with ExitStack() as stack:
        for finding in examine(doctors_site(config, stack)):
            findings.append(finding)
            if as_lines:
                write_lines(_lines(selected(_loud(render_findings([finding]), quiet=quiet), choice)))
    counts = count_by_health(findings)
    if as_lines:
        write_lines([", ".join(f"{number} {health.value}" for health, number in counts.items())])
    else:
        print_rows(LISTING, _loud(render_findings(findings), quiet=quiet), choice, config.default_columns)
    return IN_PART if counts[Health.FAIL] else DONE


def _loud(rows: list[dict[str, str]], *, quiet: bool) -> list[dict[str, str]]:
    return [row for row in rows if not quiet or row["status"] in {"warn", "fail"}]


def _lines(rows: list[Row]) -> Iterator[str]:
    """One check as it is done: its status, what was seen and, below, the fix."""
    import textwrap  # noqa: PLC0415

    indent = " " * _STATUS_WIDTH
    for row in rows:
        status = row["status"]
        shown = f"\x1b[{_COLOURS[status]}m{status}\x1b[0m" if is_coloured() else status
        fix = f"fix: {row['fix']}" if row["fix"] else ""
        for text, first in ((f"{row['check']}: {row['says']}", shown), (fix, "")):
            lead = first + " " * (_STATUS_WIDTH - len(status)) if first else indent
            for number, line in enumerate(textwrap.wrap(printable(text), screen_width() - _STATUS_WIDTH)):
                yield (indent if number else lead) + line
