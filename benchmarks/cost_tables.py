"""What a node can hold is worth at most so much, by a table: the second of the checker's three means.

A table has a cell for each amount of each dimension, in units of one or more. Where a unit is one, it is exact. Where
it is coarse, needs are rounded down, so that the table lets more in than the node does; therefore each slot pays for
all it needs of such a dimension as well. At any price no filling is worth more than what the table says beyond these
payments, and what the whole node comes to at that price (a Lagrangian relaxation).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.cost_bounds import Filling

_TRIED = 1000
"""Units at most that are compared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """How finely amounts are told apart, and what they cost where that is not exact."""

    units: Any
    """By dimension: what a cell stands for."""
    prices: Any
    """By dimension; nought where the unit is one."""

    @classmethod
    def priced(cls, units: Any, prices: Any) -> Grid:
        """At these prices, where a unit is not one."""
        return cls(units=units, prices=np.where(units > 1, prices, 0).astype(np.int64))

    def cells(self, left: Any) -> tuple[Any, ...]:
        """Where amounts stand in a table, by dimension."""
        return tuple(np.moveaxis(left // self.units, -1, 0))


def units_of(filling: Filling, most_cells: int) -> Any:
    """Units such that a table has no more cells; the dimension with most cells is made coarse first.

    Of those nearly as fine, that unit is taken of which needs are multiples most nearly.
    """
    units = np.where(filling.needs.any(axis=0), 1, filling.room + 1)
    while np.prod(filling.room // units + 1, dtype=float) > most_cells:
        units[np.argmax(filling.room // units)] *= 2
    for d in np.flatnonzero((units > 1) & (units <= filling.room)):
        needs = filling.needs[filling.needs[:, d] > 0, d]
        tried = units[d] + np.arange(0, units[d], -(-units[d] // _TRIED))
        lost = (needs % tried[:, None] / needs).mean(axis=1)
        units[d] = tried[lost.argmin()]
    return units


def last_table(filling: Filling, grid: Grid) -> Any:
    """By amounts: the most that items are worth beyond what they pay for."""
    table = np.zeros(filling.room // grid.units + 1, np.int64)
    for item in _entries(filling, grid):
        _add(table, *item)
    return table


def all_tables(filling: Filling, grid: Grid) -> list[Any]:
    """By number: the table of the items from this number on; the last one is of none."""
    tables = [np.zeros(filling.room // grid.units + 1, np.int64)]
    for item in reversed(_entries(filling, grid)):
        table = tables[-1]
        if item[1] > 0:
            table = table.copy()
            _add(table, *item)
        tables.append(table)
    return tables[::-1]


def _entries(filling: Filling, grid: Grid) -> list[tuple[list[int], int, int | None]]:
    """By item: cells it takes, what it is worth beyond what it pays, and how many there are; None: as many as fit."""
    beyond = filling.worth - filling.needs @ grid.prices
    fit = np.where(filling.needs > 0, filling.room // np.maximum(filling.needs, 1), filling.most.max() + 1).min(axis=1)
    cells = (filling.needs // grid.units).tolist()
    most = [
        None if there >= enough and steps[0] else there
        for there, enough, steps in zip(filling.most.tolist(), fit.tolist(), cells, strict=True)
    ]
    return list(zip(cells, beyond.tolist(), most, strict=True))


def _add(table: Any, needs: list[int], worth: int, most: int | None) -> None:
    """So many of an item: each on what is there already if as many as fit may be had, or else in pieces whose partial
    sums are all numbers up to it. Row by row, for rows stay in the processor's cache.
    """
    if worth <= 0:
        return
    if most is None:
        _add_rows(table, needs, worth, range(needs[0], len(table)))
        return
    fit = min([(extent - 1) // need for need, extent in zip(needs, table.shape, strict=True) if need], default=most)
    rest, piece = min(most, fit), 1
    while rest:
        count = min(piece, rest)
        rest, piece = rest - count, piece * 2
        steps = [need * count for need in needs]
        _add_rows(table, steps, worth * count, range(len(table) - 1, steps[0] - 1, -1))


def _add_rows(table: Any, steps: list[int], worth: int, rows: range) -> None:
    """One more of something in all of these rows, in this order: upwards it may be in a cell's base already."""
    _, high, wide = steps
    for row in rows:
        to, of = table[row, high:, wide:], table[row - steps[0], : table.shape[1] - high, : table.shape[2] - wide]
        np.maximum(to, of + worth, out=to)


def bound_by(filling: Filling, grid: Grid) -> tuple[int, Any]:
    """No filling of the node is worth more; and by item how many of it those worth more than `cost` have at most.

    A filling with so many of an item is worth these and what the table says of the room they leave.
    """
    table = last_table(filling, grid)
    most = np.zeros_like(filling.most)
    for item, (needs, worth, there) in enumerate(zip(filling.needs, filling.worth, filling.most.tolist(), strict=True)):
        count = np.arange(1, there + 1)
        left = filling.room - count[:, None] * needs
        hope = worth * count + left @ grid.prices + table[grid.cells(left)]
        is_short = np.append(hope <= filling.cost, True)
        most[item] = int(is_short.argmax())
    return int(table[-1, -1, -1]) + int(grid.prices @ filling.room), most


def best_priced(
    filling: Filling, units: Any, prices: Any, scales: tuple[float, ...], tries: int
) -> tuple[list[tuple[float, int]], Filling]:
    """Bounds by the scale of prices, the least first, and what of the filling they leave.

    The bound is convex in the scale: between scales that were tried it is no less than the lines through the others.
    """
    found: dict[float, int] = {}
    most = filling.most
    for _ in range(tries):
        scale = next((one for one in scales if one not in found), None)
        if scale is None:
            scale = _promising(sorted((at, float(bound - filling.cost)) for at, bound in found.items()))
        if scale is None:
            break
        found[scale], least = bound_by(filling, Grid.priced(units, prices * scale))
        most = np.minimum(most, least)
        if found[scale] <= filling.cost:
            break
    return sorted(found.items(), key=lambda one: one[1]), replace(filling, most=most).take(most > 0)


def _promising(points: list[tuple[float, float]]) -> float | None:
    """Where the bound may be least, beside the least one known; None where it can be below nought nowhere."""
    best = min(range(len(points)), key=lambda number: points[number][1])
    found = []
    for index in (best - 1, best):
        if 0 <= index < len(points) - 1:
            (low, _), (high, _) = points[index : index + 2]
            rising = _line(points[index - 1 : index + 1]) if index else None
            falling = _line(points[index + 1 : index + 3])
            found.append(_crossing(rising, falling, low, high))
    value, scale = min(found, default=(inf, 0.0))
    return scale if value <= 0 else None


def _line(points: list[tuple[float, float]]) -> tuple[float, float] | None:
    """Slope, and value at nought."""
    if len(points) < 2:
        return None
    (x, y), (z, w) = points
    slope = (w - y) / (z - x)
    return slope, y - slope * x


def _crossing(
    one: tuple[float, float] | None, other: tuple[float, float] | None, low: float, high: float
) -> tuple[float, float]:
    """The least value of the higher of two lines between two scales, and where that is; not quite at either end."""
    if one is None or other is None:
        return -inf, (low + high) / 2
    between = (other[1] - one[1]) / (one[0] - other[0]) if one[0] != other[0] else low
    scale = min(max(between, low), high)
    value = max(slope * scale + start for slope, start in (one, other))
    margin = (high - low) / 16
    return value, min(max(scale, low + margin), high - margin)
