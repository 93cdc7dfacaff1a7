"""Where the next single slot of a part goes, remembered from job to job (contract matching.md A1, A2).

Thirty thousand interleaved jobs would each look at every row. A part's usable rows are found once; capacity only
shrinks, so its cursor moves on and never comes back. Rows that others open or split off are looked at as they appear.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from autoscale_aks.planning.nodestate import EMPTY, OPEN

if TYPE_CHECKING:
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.views import PartView


@dataclass(slots=True)
class Cursor:
    """One part's way through the rows."""

    view: PartView
    ranks: Column
    rows: list[int]
    keys: list[int]
    position: int = 0
    seen: int = 0
    """How many of the state's `opened` rows were looked at."""
    later: list[tuple[int, int]] = field(default_factory=list)
    """Heap of (order, row): rows that appeared since."""

    def next_row(self, state: State) -> tuple[int, int] | None:
        """The first row that takes a slot, and how many one of its nodes takes; None when there is none."""
        self._look_at_new_rows(state)
        while True:
            from_later = self.later and (self.position >= len(self.rows) or self.later[0][0] < self.keys[self.position])
            if not from_later and self.position >= len(self.rows):
                return None
            row = self.later[0][1] if from_later else self.rows[self.position]
            slots = slots_on(self.view, state, row)
            if slots:
                return row, slots
            if from_later:
                heappop(self.later)
            else:
                self.position += 1

    def _look_at_new_rows(self, state: State) -> None:
        opened = state.opened
        while self.seen < len(opened):
            row = opened[self.seen]
            self.seen += 1
            rank = int(self.ranks[state.table.place[row]])
            if rank >= 0 and slots_on(self.view, state, row):
                heappush(self.later, (state.table.sort_key(row, rank), row))


def make_cursor(state: State, view: PartView, ranks: Column) -> Cursor:
    """A cursor over the rows that take the part now."""
    table = state.table
    capacity = view.capacity(table, 1)
    rows = table.in_order(np.flatnonzero(np.where(ranks[table.place[: table.size]] >= 0, capacity, 0)), ranks)
    return Cursor(view, ranks, rows.tolist(), table.sort_keys(rows, ranks).tolist(), seen=len(state.opened))


def slots_on(view: PartView, state: State, row: int) -> int:
    """Slots that one node of a row takes."""
    table = state.table
    if table.hold[row] != OPEN:
        return 0
    options = view.options_of(int(table.kind[row]))
    if len(options) != 1:
        return int(view.capacity_of(table, row)) if options else 0
    option = options[0]
    if (option.alternative.exclusive or option.alternative.exclusive_task) and table.tenant[row] != EMPTY:
        return 0
    slots = 1 if option.alternative.exclusive or option.alternative.exclusive_task else 1 << 30
    for dimension, amount in option.needs:
        fits = table.free[dimension].item(row) // amount
        if fits <= 0:
            return 0
        slots = min(slots, fits)
    return slots
