"""What a node can hold is worth at most so much, by a table: the second of the checker's three means.

A table has a cell for each amount of each dimension, in units of one or more. Where a unit is one, it is exact. Where it
is coarse, needs are rounded down, so that the table lets more in than the node does; therefore all of a need of such a
dimension is paid for as well, at a price that is worth it best. At any such price no filling is worth more than the
table says and the whole node's amounts at these prices (a Lagrangian relaxation).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

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
    for needs, worth, most in _entries(filling, grid):
        _add(table, needs, worth, most)
    return table


def all_tables(filling: Filling, grid: Grid) -> list[Any]:
    """By number: the table of the items from this number on; the last one is of none."""
    tables = [np.zeros(filling.room // grid.units + 1, np.int64)]
    for needs, worth, most in reversed(_entries(filling, grid)):
        table = tables[-1]
        if worth > 0 and most:
            table = table.copy()
            _add(table, needs, worth, most)
        tables.append(table)
    return tables[::-1]


def _entries(filling: Filling, grid: Grid) -> list[tuple[list[int], int, int]]:
    """By item: cells it takes, what it is worth beyond what it pays, and how many there are."""
    beyond = filling.worth - filling.needs @ grid.prices
    return list(zip((filling.needs // grid.units).tolist(), beyond.tolist(), filling.most.tolist(), strict=True))


def _add(table: Any, needs: list[int], worth: int, most: int) -> None:
    """Up to so many of an item, in pieces whose partial sums are all numbers up to it."""
    if worth <= 0:
        return
    piece = 1
    while most:
        count = min(piece, most)
        most, piece = most - count, piece * 2
        steps = [need * count for need in needs]
        if all(step < extent for step, extent in zip(steps, table.shape, strict=True)):
            to = table[tuple(slice(step, None) for step in steps)]
            of = table[tuple(slice(0, extent - step) for step, extent in zip(steps, table.shape, strict=True))]
            np.maximum(to, of + worth * count, out=to)


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
