"""Tables and sentences on a terminal: 80 columns, colours only where they are wanted (`NO_COLOR`)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from autoscale_aks.cli.terminal import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from autoscale_aks.reports.demand import DemandReport

__all__ = ["console", "counted", "money", "print_demand", "print_json", "seconds", "table"]

WIDTH = 80


def console(*, stderr: bool = False) -> Console:
    """A console that is 80 columns wide where there is no terminal to ask."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDTH, highlight=False, soft_wrap=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Table:
    """A plain table; columns named in `right` hold numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index in right else "left", style=None, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def money(price: Fraction | None) -> str:
    """A price an hour; `?` when it is not known."""
    return "?" if price is None else f"{float(price):,.2f}"


def seconds(duration: float | None) -> str:
    """`95s`, or nothing."""
    return "" if duration is None else f"{duration:,.0f}s"


def print_demand(report: DemandReport, out: Console) -> None:
    """The demand report for people."""
    out.print(
        f"{counted(report.slots, 'slot')} asked for by {counted(report.jobs, 'job record')}; "
        f"{report.placed_slots:,} placed. {report.ready_nodes:,} nodes ready, {report.in_flight_nodes:,} in flight."
    )
    if report.starts:
        rows = [
            (row.bucket, f"{row.machines:,}", row.waves, f"{row.puts:,}", money(row.price_per_hour))
            for row in report.starts
        ]
        rows.append(("in all", f"{report.machines:,}", "", f"{report.puts:,}", money(report.price_per_hour)))
        out.print()
        columns = ("bucket", "machines", "waves (PUTs × machines)", "PUTs", "$/h")
        out.print(table("Would start", columns, rows, right=(1, 3, 4)))
    else:
        out.print("Nothing to start.")
    if report.stops:
        leaving = [(row.bucket, f"{row.machines:,}", row.cause, seconds(row.idle_s)) for row in report.stops]
        out.print()
        out.print(table("Would stop", ("bucket", "machines", "cause", "idle"), leaving, right=(1, 3)))
    if report.room:
        kept = [
            (row.name, f"{row.placed:,} of {row.slots:,}", f"{row.machines:,}", money(row.price_per_hour), row.message)
            for row in report.room
        ]
        out.print()
        columns = ("room kept free", "slots", "machines for it", "$/h", "in the way")
        out.print(table("Headroom", columns, kept, right=(1, 2, 3)))
    if report.waits:
        out.print()
        _print_waits(report, out)
    for note in report.notes:
        out.print(f"note: {note}", style="yellow", markup=False)


def _print_waits(report: DemandReport, out: Console) -> None:
    out.print(Text("Waits", style="bold"))
    for row, following in zip(report.waits, [*report.waits[1:], None], strict=True):
        names = ", ".join(row.examples) + (" …" if row.jobs > len(row.examples) else "")
        line = f"{row.code}: {counted(row.jobs, 'job')}, {counted(row.slots, 'slot')} ({names})"
        out.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
        out.print(Padding(Text(row.message), (0, 0, 0, 4), expand=False))
        if row.next_action and (following is None or following.next_action != row.next_action):
            out.print(Padding(Text(f"next: {row.next_action}", style="dim"), (0, 0, 0, 4), expand=False))


def counted(number: int, noun: str) -> str:
    """`1 slot`, `2 slots`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
