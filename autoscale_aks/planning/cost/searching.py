"""The best fillings of each size, and what proves that there are no better ones: by exact tables (`cost.lattice`), by
labels (`cost.labels`), and by branch and bound (`cost.branching`) where labels do not decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.branching import branch
from autoscale_aks.planning.cost.greedy import fill_all
from autoscale_aks.planning.cost.labels import Found, Node, find
from autoscale_aks.planning.cost.lattice import fill_lattice, make_lattice
from autoscale_aks.planning.cost.pairing import exchange_pairs
from autoscale_aks.planning.cost.pricing import SAFE, Fillings

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.pricing import Asked
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column

_BRANCH: Final = 0
"""In place of a number of labels: branch and bound."""
_FEWEST: Final = 64
_LABELS: Final = {_FEWEST: 250_000, 512: 1_500_000, 4096: 1_500_000}
"""How many labels are tried before it, where they took, or will take, no more work than this on this size."""
_MORE_LABELS: Final = (8192, 65_536, 262_144)
_PER_SIZE: Final = 32
_SHARE: Final = 4
"""Fillings of a size, at most, and what part of the work labels of one size may take."""
_AHEAD: Final = 0.9
"""Of the best filling found so far, what part of what it is worth beyond its cost others must be worth, too: the bound
is no better than the best filling allows."""
_EXCHANGES: Final = 2
_CHEAP: Final = 600_000
"""Units of work within which all sizes are looked at all the same."""
_NEAR: Final = 1e-4
_HELPS: Final = 2e-5
"""How near, as shares, branch and bound comes to the best, and what a filling it finds is worth beyond its cost."""


@dataclass(frozen=True, slots=True)
class Search:
    """How exact fillings are looked for."""

    slack: float
    """By how much more than its cost, as a share, a filling is worth."""
    most_labels: int
    allowance: int
    """Units of work."""
    thorough: bool
    """Whether what holds for all fillings matters more than to find some."""
    dear: Column
    """S: what the fewest labels took on a size when they were tried last; is brought up to date."""


def best_fillings(asked: Asked, search: Search, highspy: Any) -> Fillings:
    """Fillings worth more than their size costs, those first that part slots are worth most on; and a bound for all."""
    slack, problem, values = search.slack, asked.problem, asked.values
    usable = asked.slots > 0
    wanted = asked.costs * (1 + slack)
    open_sizes = asked.wanted & (asked.upper > wanted)
    table_sizes, by_table, exact, work = _by_lattice(problem, values, wanted, open_sizes, usable)
    by_table = np.minimum(by_table, problem.demand)
    reached = wanted.copy()
    if slack > 0:
        np.maximum.at(reached, table_sizes, by_table @ values)
    upper = np.where(exact >= 0, np.minimum(asked.upper, exact * (1 + SAFE)), asked.upper)
    unproved = np.flatnonzero(asked.wanted & (upper - reached > upper * SAFE) & usable.any(axis=0))
    unproved = unproved[np.argsort(-asked.upper[unproved] / asked.costs[unproved], kind="stable")]
    work += usable.size // 10 + 1
    found: list[tuple[Column, Column]] = [(table_sizes, by_table)]
    twin, ahead = _twins(asked), slack
    for stage in _stages(search):
        again, before = list[int](), len(found)
        for size in unproved.tolist():
            reached[size] = max(reached[size], asked.costs[size] * (1 + (ahead if work > _CHEAP else slack)))
            if work > search.allowance or upper[size] <= reached[size] * (1 + 2 * SAFE):
                continue
            items, node = _node(asked, size, float(reached[size]))
            if stage in _LABELS and search.dear[size] * stage > _LABELS[stage] * _FEWEST:
                again.append(size)
                continue
            one = _searched(node, float(asked.costs[size]), stage, search, highspy)
            work += one.work
            if stage in _LABELS:
                search.dear[size] = one.work * _FEWEST // stage
            alike = np.flatnonzero(twin == twin[size])
            upper[alike] = np.minimum(one.bound * (1 + SAFE), upper[alike])
            if not len(one.slots):
                again.append(size)
                continue
            slots = np.zeros((len(one.slots), len(values)), np.int64)
            slots[:, items] = one.slots
            found += [(np.full(len(slots), other), slots) for other in alike[asked.wanted[alike]].tolist()]
            ahead = max(ahead, _AHEAD * (float((slots @ values).max()) / float(asked.costs[size]) - 1))
        unproved = np.array(again, np.int64)
        if not again or work > search.allowance or (len(found) > before and not search.thorough):
            break
    most = np.maximum(np.where(asked.wanted, upper, asked.upper), asked.lone.most)
    return Fillings(np.concatenate([one for one, _ in found]), np.concatenate([rows for _, rows in found]), most, work)


def _stages(search: Search) -> tuple[int, ...]:
    """What is tried on a size, one after the other: labels, or branch and bound."""
    return (*_LABELS, _BRANCH, *(labels for labels in _MORE_LABELS if labels <= search.most_labels))


def _node(asked: Asked, size: int, reached: float) -> tuple[Column, Node]:
    """Items that a filling worth more than what is reached may hold, and a node of this size with them."""
    problem = asked.problem
    lost = problem.needs @ asked.weights[size] - asked.values
    hopeful = (asked.slots[:, size] > 0) & (lost <= asked.upper[size] - reached)
    items = _best_items(asked, size, np.flatnonzero(hopeful))
    node = Node(
        needs=problem.needs[items], values=asked.values[items], most=asked.slots[items, size],
        total=problem.totals[size], weights=asked.weights[size], reached=reached,
    )  # fmt: skip
    return items, node


def _searched(node: Node, cost: float, stage: int, search: Search, highspy: Any) -> Found:
    """Fillings of one size, a bound on all of them, and the work."""
    if not len(node.values):
        return Found(np.zeros((0, 0), np.int64), node.reached, 0)
    if stage == _BRANCH:
        lower = replace(node, reached=cost * (1 + _HELPS))
        found = branch(lower, highspy, max(search.slack / 2, _NEAR))
        found = replace(found, bound=max(found.bound, node.reached))  # items were left out by what is reached
        return found if not len(found.slots) else _with_others(lower, found)
    return find(node, stage, search.allowance // _SHARE, _PER_SIZE)


def _with_others(node: Node, found: Found) -> Found:
    """The best filling, and others like it: without the slots of one of its items, filled anew."""
    best = found.slots[0]
    held = np.flatnonzero(best)
    given = np.tile(best, (len(held), 1))
    given[np.arange(len(held)), held] = 0
    most, totals, weights = (np.tile(row, (len(held), 1)) for row in (node.most, node.total, node.weights))
    most[np.arange(len(held)), held] = best[held] - 1
    others, looked = fill_all(node.needs, node.values, most, totals, weights, given, 0)
    for turn in range(_EXCHANGES):
        others, elements = exchange_pairs(node.needs, node.values, most, totals, others, turn)
        looked += elements // 25
    slots = np.concatenate([found.slots, others[others @ node.values > node.reached]])
    return replace(found, slots=slots[:_PER_SIZE], work=found.work + looked)


def _twins(asked: Asked) -> Column:
    """By size, a number that sizes have in common which hold the same."""
    marks = np.column_stack([asked.problem.totals, asked.slots.T])
    return np.unique(marks, axis=0, return_inverse=True)[1].reshape(-1)


def _best_items(asked: Asked, size: int, items: Column) -> Column:
    """These items without those another one, of which enough slots are wanted, replaces on this size."""
    problem = asked.problem
    needs, worth = problem.needs[items], asked.values[items]
    plenty = problem.each[items, size] <= problem.demand[items]
    better = (needs[None, :, :] <= needs[:, None, :]).all(axis=2) & (worth[None, :] >= worth[:, None]) & plenty
    better &= ~(better.T & np.tri(len(items), dtype=bool).T)
    np.fill_diagonal(better, val=False)
    return items[~better.any(axis=1)]


def _by_lattice(
    problem: CostProblem, values: Column, wanted: Column, open_sizes: Column, usable: Column
) -> tuple[Column, Column, Column, int]:
    """Fillings by tables (sizes, and slots); by size the most that a filling is worth, or -1; and the work."""
    exact, work = np.full(len(problem.price), -1.0), 0
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
            work += lattice.work
    return np.concatenate(sizes), np.concatenate(slots), exact, work
