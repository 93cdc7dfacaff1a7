"""Which rows of a place may still take work, and at most how much any node of it has left.

What is left only shrinks: a row that has less of something than every part asks takes no more work, and a bound found
once stays one until nodes are added.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Column: TypeAlias = Any
"""A numpy array."""

_NO_ROWS: Column = np.zeros(0, np.int64)


@dataclass(slots=True)
class PlaceIndex:
    """Rows by place, and by dimension the most that any node of a place has left. Places go by `place_index`."""

    least: Sequence[int]
    """By dimension, what every slot of every part takes at least."""
    bounds: list[Column]
    rows: dict[int, Column] = field(default_factory=dict)
    """Rows that may still take work, nodes by natural name. The columns are never changed, only replaced."""
    added: dict[int, list[int]] = field(default_factory=dict)
    """Rows of new nodes and rows that were split off, since `rows` was looked at."""

    def fork(self) -> PlaceIndex:
        """A copy on which placements can be tried."""
        added = {place: list(rows) for place, rows in self.added.items()}
        return PlaceIndex(self.least, [bound.copy() for bound in self.bounds], dict(self.rows), added)

    def load(self, places: Column, free: Sequence[Column], count: int) -> None:
        """Index live rows, given each row's place; rows of one place stand together. `count` places in all."""
        self.bounds = [np.full(count, -1, column.dtype) for column in free]
        if not len(places):
            return
        firsts = [0, *(np.flatnonzero(np.diff(places)) + 1).tolist()]
        numbers = np.arange(len(places))
        for first, stop in zip(firsts, [*firsts[1:], len(places)], strict=True):
            self.rows[int(places[first])] = numbers[first:stop]
        for bound, column in zip(self.bounds, free, strict=True):
            bound[places[firsts]] = np.maximum.reduceat(column, firsts)

    def add(self, row: int, place: int, free: Sequence[int | None]) -> None:
        """A new row of a place, and what each of its nodes has left."""
        self.added.setdefault(place, []).append(row)
        for dimension, amount in enumerate(free):
            bound = self._bound(dimension, place + 1)
            if amount is not None and amount > bound[place]:
                bound[place] = amount

    def extend(self, rows: Sequence[int], places: Sequence[int], free: Sequence[Column]) -> None:
        """`add` of many rows."""
        for row, place in zip(rows, places, strict=True):
            self.added.setdefault(place, []).append(row)
        for dimension, column in enumerate(free):
            np.maximum.at(self._bound(dimension, max(places) + 1), np.array(places), column)

    def rows_of(self, place: int, keys: Column) -> Column:
        """Rows of a place that may take work, nodes by natural name (`keys`)."""
        rows = self.rows.get(place, _NO_ROWS)
        added = self.added.pop(place, None)
        if added is not None:
            rows = np.concatenate([rows, np.array(added, np.int64)])
            order = keys[rows]
            if not bool((order[1:] >= order[:-1]).all()):
                rows = rows[np.argsort(order, kind="stable")]
            self.rows[place] = rows
        return rows

    def look(self, place: int, keys: Column, free: Sequence[Column]) -> None:
        """Look again what the rows of a place have left; those that can take nothing more are dropped."""
        rows = self.rows_of(place, keys)
        left = [column[rows] for column in free]
        alive: Column = None
        for least, column in zip(self.least, left, strict=True):
            if least:
                enough = column >= least
                alive = enough if alive is None else alive & enough
        if alive is not None and not alive.all():
            self.rows[place] = rows[alive]
            left = [column[alive] for column in left]
        for dimension, column in enumerate(left):
            self._bound(dimension, place + 1)[place] = max(column.tolist(), default=-1)

    def may_take(self, needs: Sequence[tuple[int, int]], count: int) -> Column:
        """Truth by place, of the first `count`: whether some node there may have that much of everything."""
        found = np.ones(count, bool)
        for dimension, amount in needs:
            found &= self._bound(dimension, count)[:count] >= amount
        return found

    def _bound(self, dimension: int, count: int) -> Column:
        """The bounds of a dimension, for so many places at least."""
        bound = self.bounds[dimension]
        if len(bound) < count:
            more = np.full(count + 8 - len(bound), -1, bound.dtype)
            bound = self.bounds[dimension] = np.concatenate([bound, more])
        return bound
