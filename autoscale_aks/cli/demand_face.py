"""The demand report on a terminal: within its width whatever the names, colours only where they are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from autoscale_aks.cli.output import table
from autoscale_aks.reports.words import counted, duration_text, price_text, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from autoscale_aks.reports.changes import Changes
    from autoscale_aks.reports.figures import DemandReport, WaitRow

_MOST_NAMES = 5


def print_demand(report: DemandReport, out: Console) -> None:
    """The report for people."""
    out.print(
        f"{counted(report.slots, 'slot')} asked for by {counted(report.jobs, 'job record')}; "
        f"{report.placed_slots:,} placed. {report.ready_nodes:,} nodes ready, {report.in_flight_nodes:,} in flight."
    )
    _print_starts(report, out)
    _print_stops(report, out)
    _print_flights(report, out)
    _print_room(report, out)
    if report.waits:
        out.print()
        _print_waits(report.waits, out)
    _print_limits(report, out)
    _print_prices(report, out)
    for note in report.notes:
        out.print(Text(f"note: {printable(note)}", style="yellow"))


def _print_table(
    out: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()
) -> None:
    out.print()
    out.print(table(title, columns, [[printable(cell) for cell in row] for row in rows], right=right))


def _print_starts(report: DemandReport, out: Console) -> None:
    if not report.starts:
        out.print("Nothing to start.")
        return
    rows = [
        (row.bucket, f"{row.machines:,}", row.waves, f"{row.puts:,}", price_text(row.price_per_hour))
        for row in report.starts
    ]
    rows.append(("in all", f"{report.machines:,}", "", f"{report.puts:,}", price_text(report.price_per_hour)))
    columns = ("bucket", "machines", "waves (PUTs × machines)", "PUTs", "$/h")
    _print_table(out, "Would start", columns, rows, right=(1, 3, 4))
    bound = [(row.bucket, f"{row.more:,}", row.binding) for row in report.starts if row.more is not None]
    if bound:
        _print_table(out, "Room after that", ("bucket", "more", "by the limit"), bound, right=(1,))
    if report.cost_certificate:
        out.print(Text(printable(report.cost_certificate)))


def _print_stops(report: DemandReport, out: Console) -> None:
    if report.stops:
        rows = [
            (row.bucket, f"{row.machines:,}", row.cause, duration_text(row.idle_s), price_text(row.price_per_hour))
            for row in report.stops
        ]
        _print_table(out, "Would stop", ("bucket", "machines", "cause", "idle", "$/h"), rows, right=(1, 3, 4))


def _print_flights(report: DemandReport, out: Console) -> None:
    if report.flights:
        rows = [
            (
                row.bucket,
                row.stage,
                f"{row.machines:,}",
                duration_text(row.oldest_s),
                "overdue" if row.expected_s == 0 else duration_text(row.expected_s),
                duration_text(row.given_up_s),
            )
            for row in report.flights
        ]
        columns = ("bucket", "stage", "machines", "oldest", "ready in", "given up in")
        _print_table(out, "Under way", columns, rows, right=(2, 3, 4, 5))


def _print_room(report: DemandReport, out: Console) -> None:
    if report.room:
        rows = [
            (row.name, f"{row.placed:,} of {row.slots:,}", f"{row.machines:,}", price_text(row.price_per_hour),
             row.message)
            for row in report.room
        ]  # fmt: skip
        columns = ("room kept free", "slots", "machines for it", "$/h", "in the way")
        _print_table(out, "Headroom", columns, rows, right=(1, 2, 3))


def _print_waits(waits: Sequence[WaitRow], out: Console) -> None:
    out.print(Text("Waits", style="bold"))
    for row, following in zip(waits, [*waits[1:], None], strict=True):
        names = ", ".join(map(printable, row.examples)) + (" …" if row.jobs > len(row.examples) else "")
        _line(out, f"{row.code}: {counted(row.jobs, 'job')}, {counted(row.slots, 'slot')} ({names})", 2)
        _line(out, printable(row.message), 4)
        if row.next_action and (following is None or following.next_action != row.next_action):
            _line(out, f"next: {printable(row.next_action)}", 4, style="dim")


def _print_limits(report: DemandReport, out: Console) -> None:
    short = [row for row in report.limits if row.missing]
    if short:
        rows = [
            (row.title, f"{row.amount_text(row.limit)} {row.unit}",
             *map(row.amount_text, (row.used, row.added, row.missing)))
            for row in short
        ]  # fmt: skip
        columns = ("limit", "allows", "in use", "this plan", "missing")
        _print_table(out, "Too low for the queue", columns, rows, right=(1, 2, 3, 4))


def _print_prices(report: DemandReport, out: Console) -> None:
    parts = []
    if report.costs.running.per_hour:
        parts.append(f"running machines cost ${price_text(report.costs.running.per_hour)} an hour")
    for number, price, what in (
        (report.idle_nodes, report.costs.idle.per_hour, "idle"),
        (report.protected_nodes, report.costs.protected.per_hour, "protected"),
    ):
        if number:
            parts.append(f"{number:,} {what}: ${price_text(price)}")
    if parts:
        out.print()
        out.print(Text("; ".join(parts) + "."))


def print_changes(changes: Changes, out: Console) -> None:
    """What changed since an earlier report, for people."""
    since = f" since {changes.since}" if changes.since else ""
    out.print()
    if changes.is_empty:
        out.print(Text(printable(f"Nothing changed{since}."), style="bold"))
        return
    rows = [
        (what, one.key, _count(one.before), _count(one.now))
        for what, found in (("start", changes.starts), ("stop", changes.stops), ("under way", changes.in_flight),
                            ("wait", changes.waits))
        for one in found
    ]  # fmt: skip
    rows += [("figure", one.key, _figure(one.before), _figure(one.now)) for one in changes.figures]
    title = printable(f"Changed{since}")
    if rows:
        out.print(table(title, ("", "what", "then", "now"), [[printable(cell) for cell in row] for row in rows],
                        right=(2, 3)))  # fmt: skip
    else:
        out.print(Text(title, style="bold"))
    for words, names in (("wait now", changes.now_waiting), ("wait no longer", changes.no_longer_waiting)):
        if names:
            more = " …" if len(names) > _MOST_NAMES else ""
            shown = ", ".join(map(printable, names[:_MOST_NAMES]))
            _line(out, f"{words}: {counted(len(names), 'job')} ({shown}{more})", 2)


def _count(number: int) -> str:
    return f"{number:,}" if number else "–"


def _figure(number: float | None) -> str:
    if number is None:
        return "?"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"


def _line(out: Console, text: str, indent: int, style: str = "") -> None:
    out.print(Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, indent), expand=False))
