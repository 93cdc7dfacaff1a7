"""Knapsack values of many nodes at once on a lattice of amounts: one table serves all sizes that share their items.

Amounts are counted in units that divide every amount asked for, so tables are exact; sizes for which a table would be
too large are left to labels (`cost.labels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column

MOST_WORK: Final = 250_000
"""Units that one table may take: some ten milliseconds."""
_ROW_UNITS: Final = 150
_CELLS_A_UNIT: Final = 30


@dataclass(frozen=True, slots=True)
class Lattice:
    """Items and sizes in units. The first dimension is one that every item takes, the coarsest of those."""

    sizes: Column
    items: Column
    needs: Column
    """Items × dimensions."""
    totals: Column
    """Sizes × dimensions."""

    @property
    def work(self) -> int:
        """Units that the table takes."""
        return int(_work(len(self.items), self.totals.max(axis=0)))


def make_lattice(problem: CostProblem, items: Column, sizes: Column) -> Lattice | None:
    """A lattice for those of these sizes that are small enough; None when no dimension is asked by every item."""
    needs, totals = problem.needs[items], problem.totals[sizes]
    common = np.flatnonzero((needs > 0).all(axis=0))
    if not len(common):
        return None
    units = np.array([max(gcd(*column.tolist()), 1) for column in needs.T], np.int64)
    first = common[int((totals[:, common].max(axis=0) // units[common]).argmin())]
    others = [one for one in np.flatnonzero(needs.any(axis=0)).tolist() if one != first]
    needs, totals, units = needs[:, [first, *others]], totals[:, [first, *others]], units[[first, *others]]
    counts = np.minimum(totals, _useful(needs, totals)) // units
    order = np.argsort((counts + 1).prod(axis=1, dtype=np.float64), kind="stable")
    work = _work(len(items), np.maximum.accumulate(counts[order], axis=0))
    chosen = np.sort(order[: int(np.searchsorted(work, MOST_WORK, side="right"))])
    return Lattice(sizes[chosen], items, -(-needs // units), counts[chosen]) if len(chosen) else None


def _work(items: int, extents: Column) -> Column:
    """Units of tables of these extents: rows of the first dimension, each some steps of the interpreter, and cells."""
    cells = items * (extents + 1).prod(axis=-1, dtype=np.float64)
    return extents[..., 0] * _ROW_UNITS + cells / _CELLS_A_UNIT + 1


def _useful(needs: Column, totals: Column) -> Column:
    """What of each dimension items can take at most, by what the first one allows."""
    ratio = (needs / needs[:, :1]).max(axis=0)
    return np.ceil(totals[:, :1] * ratio[None, :]).astype(np.int64)


def fill_lattice(lattice: Lattice, values: Column, wanted: Column) -> tuple[Column, Column, Column]:
    """The most that a node of each size can hold; and fillings worth more than `wanted` (by size of the lattice): the
    best one of each size that holds this item or that. Sizes by position, and slots of the lattice's items."""
    extent = lattice.totals.max(axis=0)
    shape = extent[1:] + 1
    cells = int(shape.prod()) if len(shape) else 1
    table = np.zeros((int(extent[0]) + 1, cells + 1))
    table[:, cells] = -np.inf
    order = np.argsort(lattice.needs[:, 0], kind="stable")
    first = lattice.needs[order, 0]
    source = _sources(lattice.needs[order, 1:], shape, cells) - first[:, None] * (cells + 1)
    flat, worth = table.reshape(-1), values[order]
    for at in range(int(first[0]), int(extent[0]) + 1):
        usable = int(np.searchsorted(first, at, side="right"))
        reached = flat.take(source[:usable] + at * (cells + 1)) + worth[:usable, None]
        np.maximum(reached.max(axis=0), 0.0, out=table[at, :cells])
    strides = _strides(shape)
    at_cell = lattice.totals[:, 1:] @ strides if len(shape) else np.zeros(len(lattice.sizes), np.int64)
    best = table[lattice.totals[:, 0], at_cell]
    moves = (source, first, worth)
    with_item, cells_left = _steps(table, lattice.totals[:, 0], at_cell, moves)
    chosen = np.argsort(-with_item, axis=0, kind="stable")[:_MOST_STARTS]
    item, size = chosen.ravel(), np.tile(np.arange(len(lattice.sizes)), len(chosen))
    good = with_item[item, size] > wanted[size]
    item, size = item[good], size[good]
    slots = _traces(table, cells_left[item, size], moves)
    slots[np.arange(len(item)), item] += 1
    found = np.zeros_like(slots)
    found[:, order] = slots
    return best, size, found


def _steps(table: Column, at: Column, inside: Column, moves: tuple[Column, Column, Column]) -> tuple[Column, Column]:
    """Items × cells: what a node is worth with this item in it, and the flat cell that is left."""
    source, first, worth = moves
    index = source[:, inside] + at * table.shape[1]
    reached = table.reshape(-1).take(index) + worth[:, None]
    return np.where(first[:, None] <= at, reached, -np.inf), index


def _traces(table: Column, cells: Column, moves: tuple[Column, Column, Column]) -> Column:
    """The slots of the best fillings of these flat cells."""
    slots = np.zeros((len(cells), len(moves[1])), np.int64)
    cells, flat = cells.copy(), table.reshape(-1)
    left = np.flatnonzero(flat[cells] > 0)
    while len(left):
        at, inside = np.divmod(cells[left], table.shape[1])
        reached, index = _steps(table, at, inside, moves)
        best = reached.argmax(axis=0)
        slots[left, best] += 1
        cells[left] = index[best, np.arange(len(left))]
        left = left[flat[cells[left]] > 0]
    return slots


_MOST_STARTS: Final = 8
"""Fillings of each size, at most."""


def _strides(shape: Column) -> Column:
    return np.concatenate([np.cumprod(shape[::-1])[::-1][1:], [1]]).astype(np.int64)


def _sources(needs: Column, shape: Column, cells: int) -> Column:
    """Items × cells: the cell that is left once a slot is taken; the last column, worth nothing, where it fits not."""
    if not len(shape):
        return np.zeros((len(needs), 1), np.int64)
    grid = np.indices(tuple(shape.tolist())).reshape(len(shape), -1)
    strides = _strides(shape)
    flat = strides @ grid
    fits = np.ones((len(needs), cells), bool)
    for dimension in range(len(shape)):
        fits &= grid[dimension][None, :] >= needs[:, dimension, None]
    return np.where(fits, flat[None, :] - (needs @ strides)[:, None], cells)
