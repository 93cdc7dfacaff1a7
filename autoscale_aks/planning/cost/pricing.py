"""The most valuable fillings of one node of each size: a knapsack of several dimensions, for all sizes at once.

Values are prices of slots. A bound on what a node can hold is `w·W` for any prices `w` of the dimensions with
`w·need ≥ value` of every item; a filling falls short of it by its *loss*: what its items are worth less than they
take, and what is left over. Fillings are built item by item as labels (what is left, loss so far); labels that
another one replaces, and those that have lost more than may be lost, are dropped. What is dropped only for want of
room counts in the bound, so that the bound always holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.lattice import fill_lattice, make_lattices

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


@dataclass(slots=True)
class _Labels:
    """Partly filled nodes."""

    size: Column
    left: Column
    value: Column
    steps: list[tuple[int, int, Column, Column]] = field(default_factory=list)
    """Per step: item, slots, parent label, whether the slots were taken."""


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
    by_table, exact, cells = _by_lattice(problem, values, upper > costs * (1 + slack), usable)
    quick = np.concatenate([quick, np.minimum(by_table, demand)[None]])
    reached = np.maximum(costs * (1 + slack), (quick @ values).max(axis=0, initial=0.0))
    upper = np.where(exact >= 0, np.minimum(upper, exact * (1 + _SAFE)), upper)
    budget = upper - reached
    most = np.maximum(np.minimum(upper, reached), lone_most)
    open_sizes = np.flatnonzero((budget > upper * _SAFE) & usable.any(axis=0))
    labels = _Labels(open_sizes, problem.totals[open_sizes], np.zeros(len(open_sizes)))
    dropped = np.zeros(len(costs))
    work = usable.size // 10 + cells // 20 + 1
    if most_labels and len(open_sizes):
        may = usable & (lost <= budget)
        work += _search(problem, values, (may, reached), demand, labels, dropped, most_labels)
        found = np.flatnonzero(labels.value > reached[labels.size])
        found = found[np.lexsort((-labels.value[found], labels.size[found]))]
        starts = np.searchsorted(labels.size[found], labels.size[found])
        found = found[np.arange(len(found)) - starts < _PER_SIZE]
        bound = np.maximum(reached, dropped)
        np.maximum.at(bound, labels.size[found], labels.value[found])
        bound = np.minimum(bound * (1 + _SAFE), upper)
    else:
        found, bound = np.zeros(0, np.int64), upper
    most[open_sizes] = np.maximum(bound, lone_most)[open_sizes]
    every_size = np.arange(len(costs))
    sizes = np.concatenate([labels.size[found], lone_sizes, *([every_size] * len(quick))])
    slots = np.concatenate([_trace(labels, found, len(values)), lone_slots, *quick])
    value = slots @ values
    better = np.flatnonzero(value > costs[sizes] * (1 + slack))
    return Fillings(sizes[better], slots[better], value[better], most, work)


def _by_lattice(problem: CostProblem, values: Column, open_sizes: Column, usable: Column) -> tuple[Column, Column, int]:
    """S × I: the best fillings by tables; by size what an exact table says is the most, or -1; and cells worked out."""
    count = len(problem.price)
    slots, exact, cells = np.zeros((count, len(values)), np.int64), np.full(count, -1.0), 0
    by_items: dict[bytes, list[int]] = {}
    worth = problem.allowed & (values > 0)[:, None] & ~problem.alone[:, None]
    for size in np.flatnonzero(open_sizes).tolist():
        by_items.setdefault(worth[:, size].tobytes(), []).append(size)
    for members in by_items.values():
        sizes = np.array(members)
        items = np.flatnonzero(usable[:, sizes].any(axis=1))
        for lattice in make_lattices(problem, items, sizes) if len(items) else ():
            best, found = fill_lattice(lattice, values[items])
            slots[lattice.sizes[:, None], items] = found
            cells += lattice.cells
            if lattice.is_exact:
                exact[lattice.sizes] = best
    return slots, exact, cells


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


_PER_SIZE: Final = 4


def _alone(problem: CostProblem, values: Column, costs: Column, demand: Column) -> tuple[Column, Column, Column]:
    """Slots that take a whole node: each item's best size when it is worth more; by size the most one is worth."""
    items = np.flatnonzero(problem.alone & (demand > 0))
    most = np.zeros(len(costs))
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
            known[key] = _vertices(needs[items] / values[items, None])
        choices = known[key]
        found[size] = choices[int((choices @ totals[size]).argmin())]
    return found / scale


def _vertices(points: Column) -> Column:
    """Corners of {w ≥ 0: w·p ≥ 1 for each point}: among them is the best one whatever is made small."""
    dimensions = points.shape[1]
    unit = points.max(axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    points = np.unique(points / unit, axis=0)
    if len(points) > 1:
        replaced = (points[None, :, :] <= points[:, None, :]).all(axis=2)
        np.fill_diagonal(replaced, val=False)
        points = points[~replaced.any(axis=1)]
    points = points[np.argsort(points.sum(axis=1), kind="stable")]
    rows = np.concatenate([points[:_MOST_POINTS], np.eye(dimensions)])
    right = np.concatenate([np.ones(min(len(points), _MOST_POINTS)), np.zeros(dimensions)])
    chosen = np.array(list(combinations(range(len(rows)), dimensions)))
    systems = rows[chosen]
    regular = np.abs(np.linalg.det(systems)) > 1e-12
    corners = np.linalg.solve(systems[regular], right[chosen[regular]][..., None])[..., 0]
    corners = np.maximum(corners[(corners >= -1e-9).all(axis=1)], 0.0)
    corners = np.concatenate([corners, np.full((1, dimensions), 1 / points.sum(axis=1).min())])
    least = (corners @ points.T).min(axis=1)
    corners, least = corners[least > 1 - 1e-6], least[least > 1 - 1e-6]
    return corners / np.minimum(least, 1.0)[:, None] / unit


_MOST_POINTS: Final = 40


def _search(
    problem: CostProblem, values: Column, marks: tuple[Column, Column], demand: Column, labels: _Labels,
    dropped: Column, most: int,
) -> int:  # fmt: skip
    """Fill the labels item by item, largest first; returns how many were looked at."""
    may, reached = marks
    share = (problem.needs[:, None, :] / np.maximum(problem.totals[None, :, :], 1)).max(axis=2)
    size = np.where(may, share, np.inf).min(axis=1)
    order = np.argsort(-size, kind="stable")
    order = order[may[order].any(axis=1)]
    scale = np.maximum(problem.totals.max(axis=0), 1).astype(float)
    points = problem.needs[order] / scale / values[order, None]
    work, every = 0, -(-len(order) // _CORNERS)
    corners = np.zeros((1, len(scale)))
    for rank, item in enumerate(order.tolist()):
        if rank % every == 0:
            corners = _vertices(points[rank:]) / scale
        left = int(min(problem.each[item][may[item]].max(), demand[item]))
        step = 1
        while left > 0:
            slots = min(step, left)
            _extend(labels, problem.needs[item] * slots, values[item] * slots, may[item], (item, slots))
            work += 3 * len(labels.size)
            _prune(labels, (corners, reached), most, dropped)
            left -= step
            step *= 2
    return work


_CORNERS: Final = 10
"""How often what is left of a label is valued anew, by the items that are still to come."""


def _extend(labels: _Labels, takes: Column, worth: float, may: Column, step: tuple[int, int]) -> None:
    """Each label as it is, and with these slots where they fit."""
    more = np.flatnonzero(may[labels.size] & (labels.left >= takes).all(axis=1))
    parents = np.concatenate([np.arange(len(labels.size)), more])
    taken = np.zeros(len(parents), bool)
    taken[len(labels.size) :] = True
    labels.size = labels.size[parents]
    labels.left = np.concatenate([labels.left, labels.left[more] - takes])
    labels.value = np.concatenate([labels.value, labels.value[more] + worth])
    labels.steps.append((*step, parents, taken))


def _prune(labels: _Labels, marks: tuple[Column, Column], most: int, dropped: Column) -> None:
    """Drop labels that cannot reach what is known, and those another one replaces; beyond `most`, the poorest."""
    corners, reached = marks
    hope = labels.value + (labels.left @ corners.T).min(axis=1)
    kept = np.flatnonzero(hope > reached[labels.size])
    kept = kept[_not_replaced(labels, kept)]
    if len(kept) > most:
        kept = kept[np.lexsort((-hope[kept], labels.size[kept]))]
        sizes = labels.size[kept]
        behind = np.arange(len(kept)) - np.searchsorted(sizes, sizes) >= most
        np.maximum.at(dropped, sizes[behind], hope[kept[behind]])
        kept = kept[~behind]
    labels.size, labels.left, labels.value = labels.size[kept], labels.left[kept], labels.value[kept]
    item, slots, parents, taken = labels.steps[-1]
    labels.steps[-1] = (item, slots, parents[kept], taken[kept])


def _not_replaced(labels: _Labels, rows: Column) -> Column:
    """Of these labels, those that no other of the same size, with as much left and worth as much, replaces."""
    left, value = labels.left[rows], labels.value[rows]
    groups = [labels.size[rows], *(left[:, dimension] for dimension in range(left.shape[1] - 1))]
    order = np.lexsort((-value, -left[:, -1], *groups))
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in groups:
        same &= column[order[1:]] == column[order[:-1]]
    group = np.concatenate([[0], np.cumsum(~same)]).astype(float)[: len(order)]
    shifted = value[order] + group * (float(value.max(initial=0.0)) + 1.0)
    keep = np.ones(len(order), bool)
    keep[1:] = shifted[1:] > np.maximum.accumulate(shifted)[:-1] * (1 + 1e-15)
    return order[keep]


def _trace(labels: _Labels, found: Column, items: int) -> Column:
    """The slots of each label."""
    slots = np.zeros((len(found), items), np.int64)
    at = found
    for item, count, parents, taken in reversed(labels.steps):
        slots[:, item] += count * taken[at]
        at = parents[at]
    return slots
