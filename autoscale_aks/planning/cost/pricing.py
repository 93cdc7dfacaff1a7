"""The most valuable fillings of one node of each size: a knapsack of several dimensions, for all sizes at once.

Values are prices of slots. A bound on what a node can hold is `w·W` for any prices `w` of the dimensions with
`w·need ≥ value` of every item. Sizes whose bound is above what they cost are filled greedily, by exact tables
(`cost.lattice`) and, where those are too large, by labels (`cost.labels`), few first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.labels import Node, search, vertices
from autoscale_aks.planning.cost.lattice import fill_lattice, make_lattice

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column

_SAFE: Final = 1e-9
"""Relative margin by which bounds computed in floats are moved to the safe side."""


@dataclass(frozen=True, slots=True)
class Fillings:
    """What pricing found: fillings worth more than their node costs, and a bound for every size."""

    sizes: Column
    slots: Column
    """Fillings × items."""
    value: Column
    most: Column
    """By size, no filling is worth more than this."""
    work: int


def best_fillings(
    problem: CostProblem, values: Column, costs: Column, demand: Column, *, most_labels: int, slack: float = 2e-5
) -> Fillings:
    """Fillings of single nodes worth more than `costs` (by size), best first; no more slots than `demand`."""
    lone_sizes, lone_slots, lone_most = _alone(problem, values, costs, demand)
    usable = (problem.each > 0) & (demand > 0)[:, None] & (values > 0)[:, None] & ~problem.alone[:, None]
    weights = dimension_prices(problem, values, usable)
    upper = (weights * problem.totals).sum(axis=1) * (1 + _SAFE)
    lost = problem.needs @ weights.T - values[:, None]
    quick = _greedy(problem, lost, weights, usable, demand)
    wanted = costs * (1 + slack)
    table_sizes, by_table, exact, cells = _by_lattice(problem, values, wanted, upper > wanted, usable)
    by_table = np.minimum(by_table, demand)
    reached = np.maximum(wanted, (quick @ values).max(axis=0, initial=0.0))
    np.maximum.at(reached, table_sizes, by_table @ values)
    upper = np.where(exact >= 0, np.minimum(upper, exact * (1 + _SAFE)), upper)
    budget = upper - reached
    most = np.maximum(np.minimum(upper, reached), lone_most)
    work = usable.size // 10 + cells // 20 + 1
    open_sizes = np.flatnonzero((budget > upper * _SAFE) & usable.any(axis=0))
    most[open_sizes] = np.maximum(upper, lone_most)[open_sizes]
    found: list[tuple[Column, Column]] = []
    room = min(_FEW_LABELS, most_labels)
    while room and len(open_sizes):
        unproved: list[int] = []
        for size in open_sizes.tolist():
            items = np.flatnonzero(usable[:, size] & (lost[:, size] <= budget[size]))
            items = _best_items(problem, values, demand, size, items)
            slots, bound, spent = _searched(problem, values, demand, (size, items, reached[size]), room)
            work += spent
            found.append((np.full(len(slots), size), slots))
            most[size] = max(min(bound * (1 + _SAFE), upper[size]), lone_most[size])
            if not len(slots) and bound > reached[size]:
                unproved.append(size)
        if room >= most_labels or any(len(rows) for _, rows in found):
            break
        open_sizes, room = np.array(unproved, np.int64), min(_WIDER * room, most_labels)
    every_size = np.arange(len(costs))
    sizes = np.concatenate([lone_sizes, table_sizes, *(one for one, _ in found), *([every_size] * len(quick))])
    slots = np.concatenate([lone_slots, by_table, *(rows for _, rows in found), *quick])
    value = slots @ values
    better = np.flatnonzero(value > costs[sizes] * (1 + slack))
    return Fillings(sizes[better], slots[better], value[better], most, work)


def _searched(
    problem: CostProblem, values: Column, demand: Column, what: tuple[int, Column, float], most_labels: int
) -> tuple[Column, float, int]:
    """Fillings of one size by labels, a bound on all of them, and the work."""
    size, items, reached = what
    if not len(items):
        return np.zeros((0, len(values)), np.int64), reached, 0
    node = Node(
        needs=problem.needs[items], values=values[items], most=np.minimum(problem.each[items, size], demand[items]),
        total=problem.totals[size], reached=reached,
    )  # fmt: skip
    found = search(node, most_labels, _PER_SIZE)
    slots = np.zeros((len(found.slots), len(values)), np.int64)
    slots[:, items] = found.slots
    return slots, found.bound, found.work


def _best_items(problem: CostProblem, values: Column, demand: Column, size: int, items: Column) -> Column:
    """These items without those another one, of which enough slots are wanted, replaces on this size."""
    needs, worth = problem.needs[items], values[items]
    plenty = problem.each[items, size] <= demand[items]
    better = (needs[None, :, :] <= needs[:, None, :]).all(axis=2) & (worth[None, :] >= worth[:, None]) & plenty
    better &= ~(better.T & np.tri(len(items), dtype=bool).T)
    np.fill_diagonal(better, val=False)
    return items[~better.any(axis=1)]


def _by_lattice(
    problem: CostProblem, values: Column, wanted: Column, open_sizes: Column, usable: Column
) -> tuple[Column, Column, Column, int]:
    """Fillings by tables (sizes, and slots); by size the most that a filling is worth, or -1; and cells worked out."""
    exact, cells = np.full(len(problem.price), -1.0), 0
    sizes, slots = [np.zeros(0, np.int64)], [np.zeros((0, len(values)), np.int64)]
    by_items: dict[bytes, list[int]] = {}
    worth = problem.allowed & (values > 0)[:, None] & ~problem.alone[:, None]
    for size in np.flatnonzero(open_sizes).tolist():
        by_items.setdefault(worth[:, size].tobytes(), []).append(size)
    for members in by_items.values():
        alike = np.array(members)
        items = np.flatnonzero(usable[:, alike].any(axis=1))
        lattice = make_lattice(problem, items, alike) if len(items) else None
        if lattice is not None:
            best, chosen, found = fill_lattice(lattice, values[items], wanted[lattice.sizes])
            rows = np.zeros((len(chosen), len(values)), np.int64)
            rows[:, items] = found
            sizes.append(lattice.sizes[chosen])
            slots.append(rows)
            exact[lattice.sizes] = best
            cells += lattice.cells
    return np.concatenate(sizes), np.concatenate(slots), exact, cells


def _greedy(problem: CostProblem, lost: Column, weights: Column, usable: Column, demand: Column) -> Column:
    """Ways × S × I: nodes filled with the items that lose least, by three readings of *least*."""
    takes = problem.needs @ weights.T
    share = takes / np.maximum((weights * problem.totals).sum(axis=1), 1e-300)
    least = lost / np.maximum(takes, 1e-300)
    ways = (least, lost, np.where(least < 0.02, -share, 1.0 + least))
    return np.array([fill_by(problem, np.where(usable, way, np.inf), demand) for way in ways])


def fill_by(problem: CostProblem, ranks: Column, demand: Column) -> Column:
    """S × I: each size filled with its items in the order of their ranks."""
    count = ranks.shape[1]
    order = np.argsort(ranks, axis=0, kind="stable")
    left = problem.totals.copy()
    slots = np.zeros((count, len(demand)), np.int64)
    every = np.arange(count)
    for items in order[: int(np.isfinite(ranks).sum(axis=0).max(initial=0))]:
        needs = problem.needs[items]
        fits = np.where(needs > 0, left // np.maximum(needs, 1), 1 << 40).min(axis=1)
        fits = np.where(np.isfinite(ranks[items, every]), np.minimum(fits, demand[items]), 0)
        slots[every, items] = fits
        left -= needs * fits[:, None]
    return slots


_PER_SIZE: Final = 32
_FEW_LABELS: Final = 64
_WIDER: Final = 8


def _alone(problem: CostProblem, values: Column, costs: Column, demand: Column) -> tuple[Column, Column, Column]:
    """Slots that take a whole node: each item's best size when it is worth more; by size the most one is worth."""
    items = np.flatnonzero(problem.alone & (demand > 0))
    most: Column = np.zeros(len(costs))
    sizes: list[int] = []
    rows: list[Column] = []
    for item in items.tolist():
        usable = problem.each[item] > 0
        most = np.where(usable, np.maximum(most, values[item]), most)
        ratio = np.where(usable, values[item] / np.maximum(costs, 1e-300), 0.0)
        best = int(ratio.argmax())
        if ratio[best] > 1 + 1e-7:
            row = np.zeros(len(values), np.int64)
            row[item] = 1
            sizes.append(best)
            rows.append(row)
    slots = np.array(rows, np.int64).reshape(-1, len(values))
    return np.array(sizes, np.int64), slots, most


def dimension_prices(problem: CostProblem, values: Column, usable: Column) -> Column:
    """S × D: prices of the dimensions, by size, with `w·need ≥ value` for each usable item and the least `w·total`."""
    count, dimensions = len(problem.price), problem.needs.shape[1]
    found = np.zeros((count, dimensions))
    scale = np.maximum(problem.totals.max(axis=0), 1).astype(float)
    needs, totals = problem.needs / scale, problem.totals / scale
    known: dict[bytes, Column] = {}
    for size in range(count):
        items = np.flatnonzero(usable[:, size])
        if not len(items):
            continue
        key = items.tobytes()
        if key not in known:
            known[key] = vertices(needs[items] / values[items, None])
        choices = known[key]
        found[size] = choices[int((choices @ totals[size]).argmin())]
    return found / scale
