"""The demand report as one HTML file that needs nothing else: no network, no script from outside. Pure.

Templates, style and script come as values (`page_assets` of the command line reads them from the package). Everything
that is not ours is escaped by the template engine; the one script is named by its hash in the page's own content
security policy, so that nothing that a job is called can run, and nothing can be loaded from anywhere.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from autoscale_aks.reports.cost import rule_rows
from autoscale_aks.reports.fleet import CellState
from autoscale_aks.reports.page_jobs import list_jobs
from autoscale_aks.reports.page_shapes import bucket_bar, draw_chart, fill_bar, limit_bar
from autoscale_aks.reports.sentences import render_time
from autoscale_aks.reports.words import amount_text, counted, duration_text, price_text, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reports.changes import Changes
    from autoscale_aks.reports.figures import DemandReport
    from autoscale_aks.reports.fleet import Cell, Fill, FleetRow
    from autoscale_aks.reports.limits import LimitRow
    from autoscale_aks.reports.timeline import TimelinePoint

ASSETS: Final = ("page.html.j2", "parts.html.j2", "page.css", "page.js")
"""The files a page is made of, in `reports/page_files`."""

_SOME: Final = 4


def render_page(
    report: DemandReport,
    plan: Plan,
    assets: Mapping[str, str],
    *,
    subject: str = "",
    changes: Changes | None = None,
    timeline: Sequence[TimelinePoint] = (),
) -> str:
    """The page. `assets` are the texts of `ASSETS` by name; `subject` says whose cluster it is."""
    environment = Environment(
        loader=DictLoader(dict(assets)), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(_FILTERS)
    style, script = assets["page.css"], assets["page.js"]
    data, listed = list_jobs(report, plan)
    short = [row for row in report.limits if row.used or row.added or row.missing]
    return environment.get_template("page.html.j2").render(
        report=report,
        subject=subject,
        headline=headline(report),
        rules=() if plan.certificate is None else rule_rows(plan.certificate),
        contents=list(_contents(report, short, changes)),
        changes=changes,
        changed=[] if changes is None else list(_changed(changes)),
        bars=[(row, bucket_bar(row)) for row in report.buckets],
        limit_bars=[(row, limit_bar(row)) for row in sorted(short, key=_lack)],
        other_limits=len(report.limits) - len(short),
        states=[state for state in CellState if any(state in row.states for row in report.fleet)],
        each=max((cell.nodes for row in report.fleet for cell in row.cells), default=1),
        timeline=timeline,
        chart=draw_chart(timeline) if timeline else None,
        jobs_listed=listed,
        jobs_left_out=report.waiting_jobs - listed,
        style=Markup(style),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704  our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=Markup(data),  # noqa: S704  JSON in which nothing can end the element
    )


def _lack(row: LimitRow) -> tuple[bool, float]:
    """What lacks most first, by its share of the limit: cores, nodes and money are not to be compared otherwise."""
    return (not row.missing, -row.missing / max(row.limit, 1))


def headline(report: DemandReport) -> str:
    """The report in one sentence."""
    parts = []
    if report.machines:
        price = "" if report.price_per_hour is None else f" at ${price_text(report.price_per_hour)} an hour"
        parts.append(f"{counted(report.machines, 'machine')} would start{price}")
    if report.stopping:
        parts.append(f"{counted(report.stopping, 'machine')} would stop")
    if report.waiting_jobs:
        verb = "waits" if report.waiting_jobs == 1 else "wait"
        parts.append(f"{counted(report.waiting_jobs, 'job')} {verb} for something else")
    if not parts:
        return "Nothing starts, nothing stops, and no job waits without a place."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _contents(report: DemandReport, limits: Sequence[object], changes: Changes | None) -> Iterable[tuple[str, str]]:
    yield "summary", "Summary"
    for key, label, there in (
        ("next", "What helps", report.actions),
        ("changes", "Changes", changes),
        ("starts", "Would start", True),
        ("demand", "Demand", report.buckets),
        ("limits", "Limits", limits),
        ("nodes", "Nodes", report.fleet),
        ("stops", "Would stop", True),
        ("flights", "Under way", report.flights),
        ("headroom", "Headroom", report.room),
        ("prices", "Prices", True),
        ("waits", "Waiting", True),
        ("timeline", "Over time", True),
        ("notes", "Notes", report.notes or report.sources),
    ):
        if there:
            yield key, label


def _changed(changes: Changes) -> Iterable[tuple[str, object]]:
    for part, rows in (
        ("start", changes.starts), ("stop", changes.stops), ("under way", changes.in_flight),
        ("wait", changes.waits), ("figure", changes.figures),
    ):  # fmt: skip
        for row in rows:
            yield part, row


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _moment_text(at: float | None) -> str:
    return render_time(at).replace("T", " ").removesuffix(":00Z").removesuffix("Z") + " UTC" if at is not None else ""


def _figure(number: float | None) -> str:
    if number is None:
        return "?"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"


def _some(names: Sequence[str], in_all: int | None = None) -> str:
    shown = ", ".join(map(printable, names[:_SOME]))
    return shown + (" …" if (len(names) if in_all is None else in_all) > min(len(names), _SOME) else "")


def _states_text(row: FleetRow) -> str:
    return ", ".join(f"{count:,} {state.value}" for state, count in row.states.items())


def _cell_text(cell: Cell) -> str:
    names = printable(cell.first) if cell.nodes == 1 else f"{printable(cell.first)} … {printable(cell.last)}"
    many = "" if cell.nodes == 1 else f", {cell.nodes:,} machines"
    share = f"{cell.used:.0%} used" + (f", {cell.filled:.0%} with this plan" if cell.filled > cell.used else "")
    return f"{names}{many}: {cell.state.value}, {share}"


def _fill_text(fill: Fill) -> str:
    taken = amount_text(fill.used + fill.planned, is_size=fill.is_size)
    total = amount_text(fill.total, is_size=fill.is_size)
    return f"{taken} of {total} ({float((fill.used + fill.planned) / fill.total):.0%})"


def _shown(text: Any) -> Any:
    return text if isinstance(text, Markup) else printable(str(text))


def _breaking(text: Any) -> Markup:
    """A name that may be broken where its parts end, and reads and copies as it is."""
    marked = escape(_shown(text))
    return marked.replace("/", Markup("/<wbr>")).replace("_", Markup("_<wbr>"))


_FILTERS: Final[dict[str, Any]] = {
    "shown": _shown,
    "breaking": _breaking,
    "number": lambda number: f"{number:,}",
    "price": price_text,
    "share": lambda over: "" if over is None else f"{float(over):.3%}",
    "duration": duration_text,
    "counted": counted,
    "moment": render_time,
    "moment_text": _moment_text,
    "figure": _figure,
    "more": lambda number: "no limit" if number is None else f"{number:,}",
    "expected": lambda seconds: "overdue" if seconds == 0 else duration_text(seconds),
    "some": _some,
    "tenth": lambda share: min(10, round(share * 10)) if share < 0.05 or share >= 0.1 else 1,
    "states_text": _states_text,
    "cell_text": _cell_text,
    "fill_bar": fill_bar,
    "fill_text": _fill_text,
}
