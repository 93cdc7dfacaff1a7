"""Knapsack values of many nodes at once on a lattice of amounts: one table serves all sizes that share their items.

Amounts are counted in units. Where a unit divides every amount asked for the table is exact; where that would be too
large the unit is doubled, needs are rounded up and totals down, and what is found is a filling but no bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column

MOST_CELLS: Final = 4_000_000
"""Items × cells of one table: some ten milliseconds."""
_ENOUGH: Final = 0.5
"""Share of the sizes that a table should serve before units are doubled."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Items and sizes in units. The first dimension is one that every item takes."""

    sizes: Column
    items: Column
    needs: Column
    """Items × dimensions."""
    totals: Column
    """Sizes × dimensions."""
    is_exact: bool

    @property
    def cells(self) -> int:
        """Items × cells of the table."""
        return len(self.items) * int(np.prod(self.totals.max(axis=0) + 1))


def make_lattices(problem: CostProblem, items: Column, sizes: Column) -> list[Lattice]:
    """Lattices that together serve these sizes, small ones apart from large ones; none when no dimension is asked by
    every item."""
    needs, totals = problem.needs[items], problem.totals[sizes]
    common = np.flatnonzero((needs > 0).all(axis=0))
    if not len(common):
        return []
    others = [one for one in np.flatnonzero(needs.any(axis=0)).tolist() if one != common[0]]
    needs, totals = needs[:, [common[0], *others]], totals[:, [common[0], *others]]
    totals = np.minimum(totals, _useful(needs, totals))
    units = np.array([gcd(*column.tolist()) for column in needs.T], np.int64)
    found: list[Lattice] = []
    left, is_exact = np.arange(len(sizes)), True
    while len(left):
        counts = totals[left] // units
        order = np.argsort((counts + 1).prod(axis=1, dtype=np.float64), kind="stable")
        table = len(items) * (np.maximum.accumulate(counts[order], axis=0) + 1).prod(axis=1, dtype=np.float64)
        served = int(np.searchsorted(table, MOST_CELLS, side="right"))
        if served and (is_exact or served >= _ENOUGH * len(left)):
            chosen = np.sort(order[:served])
            found.append(Lattice(sizes[left[chosen]], items, -(-needs // units), counts[chosen], is_exact))
            left = np.delete(left, chosen)
            continue
        units = units.copy()
        units[int(counts.max(axis=0).argmax())] *= 2
        is_exact = False
    return found


def _useful(needs: Column, totals: Column) -> Column:
    """What of each dimension items can take at most, by what the first one allows."""
    ratio = (needs / needs[:, :1]).max(axis=0)
    return np.ceil(totals[:, :1] * ratio[None, :]).astype(np.int64)


def fill_lattice(lattice: Lattice, values: Column) -> tuple[Column, Column]:
    """The most that a node of each size can hold, and how: sizes, and sizes × items of the lattice."""
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
    slots = np.zeros((len(lattice.sizes), len(lattice.items)), np.int64)
    for number in range(len(lattice.sizes)):
        _trace(table, (int(lattice.totals[number, 0]), int(at_cell[number])), (source, first, worth), slots[number])
    found = np.zeros_like(slots)
    found[:, order] = slots
    return best, found


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


def _trace(table: Column, cell: tuple[int, int], moves: tuple[Column, Column, Column], slots: Column) -> None:
    source, first, worth = moves
    width = table.shape[1]
    flat = table.reshape(-1)
    at, inside = cell
    while table[at, inside] > 0:
        usable = int(np.searchsorted(first, at, side="right"))
        index = source[:usable, inside] + at * width
        best = int((flat.take(index) + worth[:usable]).argmax())
        slots[best] += 1
        at, inside = divmod(int(index[best]), width)
