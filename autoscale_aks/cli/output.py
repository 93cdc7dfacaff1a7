"""Tables and sentences on a terminal: 80 columns, colours only where they are wanted (`NO_COLOR`)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from autoscale_aks.cli.terminal import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from rich.console import Console
    from rich.table import Table

__all__ = ["console", "counted", "money", "print_json", "seconds", "table"]

WIDTH = 80


def console(*, stderr: bool = False) -> Console:
    """A console that is 80 columns wide where there is no terminal to ask."""
    from rich.console import Console  # noqa: PLC0415  what a program reads needs no layout

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDTH, highlight=False, soft_wrap=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Table:
    """A plain table; columns named in `right` hold numbers."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

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


def counted(number: int, noun: str) -> str:
    """`1 slot`, `2 slots`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
