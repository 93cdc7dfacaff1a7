"""One class's way along its rows, slot by slot (contract matching.md A1, A2).

Capacity only shrinks, so that a row that was refused once stays refused and a walk never comes back. New nodes of a
place come in the order in which they are tried there: all classes share one list of them, each with its own mark.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.table import KEY_BITS, place_index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.routes import Route
    from autoscale_aks.planning.views import PartView

ELSEWHERE: Final = -1
"""Order of a bucket where the class cannot be."""
_BLOCK: Final = 32
"""Rows that are passed over together where none of them can have enough."""
_FEW: Final = 8
"""Rows that are sooner looked at one by one."""
_NEVER: Final = 1 << 62


@dataclass(slots=True)
class NewRows:
    """Rows of new nodes of a bucket on which the same classes may have room, in the order of their keys."""

    bucket: int
    left: Sequence[list[int]]
    """By dimension and row, what is left."""
    rows: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    bounds: list[list[int]] = field(default_factory=list)
    """By block and dimension, the most that any of its rows has left."""
    readers: int = 0
    """How many walks go along them."""

    def append(self, row: int, key: int, left: Sequence[int]) -> None:
        """A new row, of which so much will be left when somebody looks."""
        if len(self.rows) % _BLOCK:
            bound = self.bounds[-1]
            for dimension, amount in enumerate(left):
                bound[dimension] = max(bound[dimension], amount)
        else:
            self.bounds.append(list(left))
        self.rows.append(row)
        self.keys.append(key)

    def first(self, at: int, walk: Walk) -> int:
        """Index of the first row from `at` on that has room for a slot; their number when there is none."""
        rows, stop = self.rows, len(self.rows)
        while at < stop:
            block = at // _BLOCK
            bound = self.bounds[block]
            end = min(block * _BLOCK + _BLOCK, stop)
            for dimension, amount in walk.asks:
                if bound[dimension] < amount:
                    break
            else:
                found = rows[at:end]
                for column, amount in walk.needs:
                    found = [row for row in found if column[row] >= amount]
                if found:
                    return rows.index(found[0], at)
                if end - at > _BLOCK // 2:
                    self._look_again(block)
            at = end
        return stop

    def _look_again(self, block: int) -> None:
        rows = self.rows[block * _BLOCK : block * _BLOCK + _BLOCK]
        self.bounds[block] = [max(map(column.__getitem__, rows)) for column in self.left]


@dataclass(slots=True)
class _Way:
    """How far a class is along the new rows of a bucket, and the order of the first of them on its walk."""

    order: int
    new: NewRows
    position: int


@dataclass(slots=True)
class Walk:
    """Rows that the class could use when it began, and ways along new ones."""

    asks: tuple[tuple[int, int], ...]
    """Dimension, and what a slot takes of it."""
    needs: list[tuple[list[int], int]]
    """Column of what is left, and what a slot takes of it."""
    rows: list[int]
    orders: list[int]
    """Of the rows, as they are tried."""
    born: int
    """Rows from this one on appeared since it began."""
    first_orders: list[int]
    """By bucket, the order of the first new node there; ELSEWHERE where the class cannot be."""
    launchable: list[int]
    """Buckets that may get new nodes for it, best first."""
    launches: int = 0
    """How many of them are used up."""
    _position: int = 0
    _ways: list[_Way] = field(default_factory=list)
    """Best first."""

    def join(self, new: NewRows) -> None:
        """Go along the new rows of a bucket too, from those on that are yet to come."""
        order = self.first_orders[new.bucket]
        if order >= 0:
            insort(self._ways, _Way(order, new, len(new.rows)), key=_order)
            new.readers += 1

    def next_row(self, rest_of: Mapping[int, int]) -> int | None:
        """The first row that takes a slot; None when there is none. `rest_of` says what was split off a row: it
        follows at once."""
        order = self._pass_over(rest_of)
        best = self.rows[self._position] if order < _NEVER else None
        for way in self._ways:
            if way.order > order:
                break
            rows, at = way.new.rows, way.position
            stop = len(rows)
            while at < stop:
                row = rows[at]
                for column, amount in self.needs:
                    if column[row] < amount:
                        break
                else:
                    if way.order + way.new.keys[at] < order:
                        order, best = way.order + way.new.keys[at], row
                    break
                at += 1
                if stop - at > _FEW:
                    at = way.new.first(at, self)
            way.position = at
        return best

    def _pass_over(self, rest_of: Mapping[int, int]) -> int:
        """Come to the first row of the beginning that takes a slot; returns its order."""
        while self._position < len(self.rows):
            row = self.rows[self._position]
            for column, amount in self.needs:
                if column[row] < amount:
                    break
            else:
                return self.orders[self._position]
            if rest_of.get(row, -1) >= self.born:
                self.rows[self._position] = rest_of[row]
            else:
                self._position += 1
        return _NEVER


def begin(state: State, part: Part, route: Route, left: Sequence[list[int]]) -> Walk:
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
        first_orders=_first_orders(state, route, view).tolist(),
        launchable=route.launchable,
    )


def _first_orders(state: State, route: Route, view: PartView) -> Column:
    ranks = route.ranks[place_index(0) :]
    if not view.groups:
        return np.full(len(ranks), ELSEWHERE)
    allowed, kinds = ranks >= 0, view.groups[0].kinds
    if kinds is not None:
        allowed &= kinds[np.array([profile.kind.id for profile in state.space.empty], np.int64)]
    return np.where(allowed, ranks << KEY_BITS, ELSEWHERE)


def _order(way: _Way) -> int:
    return way.order
