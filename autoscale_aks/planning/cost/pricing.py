"""The most valuable fillings of one node of each size: a knapsack of several dimensions, for all sizes at once.

Values are prices of slots. How much part slots are worth at most (`cost.relaxing`) leaves few sizes open; they are
filled in many quick ways (`cost.greedy`, `cost.pairing`), and, where that finds too little, in the best way
(`cost.searching`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.greedy import fill_all
from autoscale_aks.planning.cost.pairing import exchange_pairs
from autoscale_aks.planning.cost.relaxing import relax

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column

SAFE: Final = 1e-9
"""Relative margin by which bounds computed in floats are moved to the safe side."""
_MOST_ELEMENTS: Final = 250_000
_QUICK_UNITS: Final = 15_000
_PAIR_UNITS: Final = 8_000
_EFFORT: Final = (600, 200, 4)
_LITTLE: Final = (400, 120, 3)
"""How many quick fillings, how many of them are made better by pairs, and how often; and in dives."""
_A_SIZE: Final = 50
_NEAR: Final = 0.03
"""Share of its worth that an item may lose on a size to begin a filling of it."""


@dataclass(frozen=True, slots=True)
class Fillings:
    """Fillings of single nodes, by size and slots (fillings × items), what no filling of a size is worth more than, and
    the work it took."""

    sizes: Column
    slots: Column
    most: Column
    work: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Prices of slots, what nodes cost at the prices of limits, and what proves how much they can be worth at most."""

    problem: CostProblem
    values: Column
    costs: Column
    slots: Column
    """I × S: slots that a node may hold and that are wanted, of items that are worth something."""
    weights: Column
    """S × D: prices of the dimensions."""
    upper: Column
    """S: no filling is worth more."""
    wanted: Column
    """S: whether fillings are looked for."""
    lone: Fillings
    work: int
    effort: tuple[int, int, int]
    """How many quick fillings, how many of them are made better by pairs, and how often."""


def ask(problem: CostProblem, values: Column, costs: Column, *, fine: bool = True, near: Column | None = None) -> Asked:
    """What part slots are worth, which bounds what whole ones are; prices of the dimensions are looked for `near` those
    of a moment before."""
    usable = (problem.each > 0) & ((values > 0) & (problem.demand > 0) & ~problem.alone)[:, None]
    slots = np.where(usable, np.minimum(problem.each, problem.demand[:, None]), 0)
    worth = np.flatnonzero(usable.any(axis=1))
    relaxed = relax(problem.needs[worth], values[worth], slots[worth], problem.totals, costs, fine=fine, near=near)
    lone = _alone(problem, values, costs)
    upper = np.maximum(relaxed.upper * (1 + SAFE), lone.most)
    return Asked(
        problem,
        values,
        costs,
        slots,
        relaxed.weights,
        upper,
        np.ones(len(upper), bool),
        lone,
        relaxed.work,
        _EFFORT if fine else _LITTLE,
    )


def quick_fillings(asked: Asked, margin: float, turn: int) -> Fillings:
    """Many fillings of the sizes that may be worth their cost less this share of it, others at every turn: each begins
    with an item that loses little there, half of them with one slot and half with half of what fits."""
    problem, values = asked.problem, asked.values
    open_sizes = np.flatnonzero(asked.wanted & (asked.upper > asked.costs * (1 - margin)))
    here = asked.slots[:, open_sizes] > 0
    lost = problem.needs @ asked.weights[open_sizes].T - values[:, None]
    items, at = np.nonzero(here & (lost < (_NEAR + margin) * values[:, None]))
    if not len(items):
        return Fillings(asked.lone.sizes, asked.lone.slots, asked.upper, 1)
    many, paired, repeats = asked.effort
    count = max(min(max(many, _A_SIZE * len(open_sizes)), 2 * many, _MOST_ELEMENTS // len(values)), 1)
    times = max(min(count // len(items), 4), 1)
    chosen = np.arange(len(items) * times)
    if len(chosen) > count:
        step = -(-len(chosen) // count)
        chosen = chosen[turn % step :: step]
    items, sizes = np.tile(items, times)[chosen], np.tile(open_sizes[at], times)[chosen]
    most = asked.slots[items, sizes]
    given = np.zeros((len(items), len(values)), np.int64)
    given[np.arange(len(items)), items] = np.where((chosen + turn) % 2 == 0, 1, (most + 1) // 2)
    kinds = np.flatnonzero(here.any(axis=1))
    slots = np.zeros((len(items), len(values)), np.int64)
    slots[:, kinds], looked = fill_all(
        problem.needs[kinds], values[kinds], asked.slots[kinds][:, sizes].T, problem.totals[sizes],
        asked.weights[sizes], given[:, kinds], turn,
    )  # fmt: skip
    best = _best_of_each(slots[:, kinds], slots @ values / asked.costs[sizes], paired)
    for more in range(repeats):
        slots[np.ix_(best, kinds)], elements = exchange_pairs(
            problem.needs[kinds], values[kinds], asked.slots[kinds][:, sizes[best]].T, problem.totals[sizes[best]],
            slots[np.ix_(best, kinds)], turn * repeats + more,
        )  # fmt: skip
        looked += elements // 25 + _PAIR_UNITS
    return Fillings(
        np.concatenate([asked.lone.sizes, sizes]),
        np.concatenate([asked.lone.slots, slots]),
        asked.upper,
        looked // 2 + _QUICK_UNITS,
    )


def _best_of_each(slots: Column, worth: Column, count: int) -> Column:
    """Numbers of the fillings worth most, of each item the best that hold it first."""
    order = np.argsort(-worth, kind="stable")
    rank = np.cumsum(slots[order] > 0, axis=0)
    first = np.where(slots[order] > 0, rank, len(order)).min(axis=1)
    return order[np.argsort(first, kind="stable")[:count]]


def _alone(problem: CostProblem, values: Column, costs: Column) -> Fillings:
    """Slots that take a whole node: each item's best size; by size the most one is worth."""
    items = np.flatnonzero(problem.alone & (problem.demand > 0))
    rows = np.zeros((len(items), len(values)), np.int64)
    rows[np.arange(len(items)), items] = 1
    usable = problem.each[items] > 0
    worth = np.where(usable, values[items, None], 0.0)
    return Fillings((worth / np.maximum(costs, 1e-300)).argmax(axis=1), rows, worth.max(axis=0, initial=0.0), 0)
