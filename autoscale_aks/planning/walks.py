"""One class's way along its rows, slot by slot (contract matching.md A1, A2).

Capacity only shrinks, so that a row that was refused once stays refused and a walk never comes back. Rows that appear
behind it are put on its way where they still have room for the class.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from autoscale_aks.planning.table import KEY_BITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.routes import Route

ELSEWHERE = -1
"""Order of a bucket where the class cannot be."""


@dataclass(slots=True)
class Walk:
    """Rows that the class could use when it began, and new ones that had room for it."""

    asks: tuple[tuple[int, int], ...]
    """Dimension, and what a slot takes of it."""
    needs: list[tuple[list[int], int]]
    """Column of what is left, and what a slot takes of it."""
    rows: list[int]
    orders: list[int]
    """Of the rows, as they are tried."""
    born: int
    """Rows from this one on appeared since it began."""
    seen: int
    """How many of the common list of new rows were looked at."""
    first_orders: list[int]
    """By bucket, the order of the first new node there; ELSEWHERE where the class cannot be."""
    launchable: list[int]
    """Buckets that may get new nodes for it, best first."""
    launches: int = 0
    """How many of them are used up."""
    _position: int = 0
    _later: list[tuple[int, int]] = field(default_factory=list)
    """Heap of (order, row): new rows."""

    def next_row(self, rest_of: Mapping[int, int]) -> int | None:
        """The first row that takes a slot; None when there is none. `rest_of` says what was split off a row: it
        follows at once."""
        while True:
            from_later = self._later and (
                self._position >= len(self.rows) or self._later[0][0] < self.orders[self._position]
            )
            if from_later:
                row = self._later[0][1]
            elif self._position < len(self.rows):
                row = self.rows[self._position]
            else:
                return None
            for column, amount in self.needs:
                if column[row] < amount:
                    break
            else:
                return row
            if from_later:
                heappop(self._later)
            elif rest_of.get(row, -1) >= self.born:
                self.rows[self._position] = rest_of[row]
            else:
                self._position += 1

    def meet(self, row: int, bucket: int, key: int) -> None:
        """Put a new row on the way, of a bucket where the class may be."""
        heappush(self._later, (self.first_orders[bucket] + key, row))

    def look(self, new_rows: Sequence[int], facts: Mapping[int, tuple[int, int]]) -> None:
        """Put those of the common list on the way that have room now. `facts` says bucket and key of a row."""
        found = new_rows[self.seen :]
        self.seen = len(new_rows)
        for column, amount in self.needs:
            found = [row for row in found if column[row] >= amount]
        for row in found:
            bucket, key = facts[row]
            if self.first_orders[bucket] >= 0:
                self.meet(row, bucket, key)


def begin(state: State, part: Part, route: Route, left: Sequence[list[int]], new_rows: int) -> Walk:
    """A walk over all rows of the table that may take the part. `left` is what is left by dimension and row."""
    table, view = state.table, state.view(part)
    capacity = view.capacity(table, 1)
    here = np.where(route.ranks[table.place[: table.size]] >= 0, capacity, 0)
    rows = table.in_order(np.flatnonzero(here), route.ranks)
    return Walk(
        asks=view.needs,
        needs=[(left[dimension], amount) for dimension, amount in view.needs],
        rows=rows.tolist(),
        orders=table.sort_keys(rows, route.ranks).tolist(),
        born=table.size,
        seen=new_rows,
        first_orders=_first_orders(state, route, view.groups[0].kinds).tolist(),
        launchable=route.launchable,
    )


def _first_orders(state: State, route: Route, kinds: Column) -> Column:
    ranks = route.ranks[2:]
    allowed = ranks >= 0
    if kinds is not None:
        allowed &= kinds[np.array([profile.kind.id for profile in state.space.empty], np.int64)]
    return np.where(allowed, ranks << KEY_BITS, ELSEWHERE)
