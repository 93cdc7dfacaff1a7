"""What is left to be bought: slots of classes on nodes that hold nothing else (docs/calculations.md, Cost)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction

    from autoscale_aks.planning.places import Column

PLENTY = 1 << 40
"""Slots of an item that takes nothing (A10)."""


@dataclass(frozen=True, slots=True)
class Filled:
    """`nodes` new nodes of one size with the same slots: `slots[i]` of item i on each."""

    size: int
    nodes: int
    slots: Column

    def times(self, nodes: int) -> Filled:
        """The same on another number of nodes."""
        return replace(self, nodes=nodes)


@dataclass(slots=True)
class Meter:
    """Units of work left. Work is counted, never timed, so that the same input gives the same plan (P5)."""

    left: int

    def spend(self, units: int) -> None:
        """Note work that was done."""
        self.left -= units


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Prices of slots and limits at which no node holds more than it costs, and what they add up to, in coins."""

    value: float
    slot_prices: Column
    limit_prices: Column


Packing: TypeAlias = "tuple[Filled, ...]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostProblem:
    """Least price of new nodes that hold all slots. Amounts are whole numbers; sizes stand best first by P2 and P3.

    Shapes: I items (slots of one class that may be on the same sizes), S sizes (buckets), D dimensions, L limits.
    """

    needs: Column
    """I × D: what a slot takes."""
    demand: Column
    """I: slots, one or more each."""
    allowed: Column
    """I × S: whether a slot may be there."""
    alone: Column
    """I: whether a slot takes the whole node."""
    totals: Column
    """S × D: what an empty node holds."""
    price: Column
    """S: in `coin`s an hour."""
    charges: Column
    """L × S: what a node takes of a limit."""
    room: Column
    """L: what is left of it."""
    coin: Fraction
    """What one unit of `price` is, in the price list's currency."""
    each: Column = field(init=False)
    """I × S: slots that an empty node takes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "each", _slots_each(self))

    def cost(self, packing: Packing) -> int:
        """Price of a packing, in coins."""
        return sum(int(self.price[one.size]) * one.nodes for one in packing)

    def holds(self, packing: Packing) -> bool:
        """Whether a packing covers all slots, fits its nodes, and keeps the limits. Used on every packing kept."""
        covered = np.zeros(len(self.demand), np.int64)
        used = np.zeros(len(self.room), np.int64)
        for one in packing:
            taken = one.slots @ self.needs
            here = one.slots > 0
            if (taken > self.totals[one.size]).any() or not self.allowed[here, one.size].all():
                return False
            if (here & self.alone).any() and int(one.slots.sum()) != 1:
                return False
            covered += one.slots * one.nodes
            used += self.charges[:, one.size] * one.nodes
        return bool((covered >= self.demand).all() and (used <= self.room).all())


def _slots_each(problem: CostProblem) -> Column:
    each = np.full(problem.allowed.shape, PLENTY, np.int64)
    for dimension in range(problem.needs.shape[1]):
        asking = np.flatnonzero(problem.needs[:, dimension])
        fits = problem.totals[None, :, dimension] // problem.needs[asking, dimension, None]
        each[asking] = np.minimum(each[asking], np.maximum(fits, 0))
    each[problem.alone] = np.minimum(each[problem.alone], 1)
    return np.where(problem.allowed, each, 0)


def without_dominated(problem: CostProblem) -> tuple[CostProblem, Column, Column]:
    """The problem without sizes that another one replaces everywhere, the sizes kept, and who replaces each (-1: no
    item may be on it).

    A size is replaced by one that holds as much of everything, takes the same items, takes no more of any limit and
    costs no more; of equal ones the first stays. Neither the least price nor the bound changes.
    """
    keep: list[int] = []
    instead = np.full(len(problem.price), -1, np.int64)
    by_price = np.argsort(problem.price, kind="stable")
    for size in by_price[problem.each[:, by_price].any(axis=0)].tolist():
        others = np.array(keep, np.int64)
        replaced = (problem.totals[others] >= problem.totals[size]).all(axis=1)
        replaced &= (problem.charges[:, others] <= problem.charges[:, size, None]).all(axis=0)
        others = others[replaced]
        others = others[(problem.allowed[:, others] >= problem.allowed[:, size, None]).all(axis=0)]
        if len(others):
            instead[size] = others[0]
        else:
            instead[size] = size
            keep.append(size)
    sizes = np.array(sorted(keep), np.int64)
    number = np.full(len(problem.price) + 1, -1, np.int64)
    number[sizes] = np.arange(len(sizes))
    return part_of(problem, sizes), sizes, number[instead]


def part_of(problem: CostProblem, sizes: Column) -> CostProblem:
    """The problem with these sizes only."""
    return replace(
        problem,
        allowed=problem.allowed[:, sizes],
        totals=problem.totals[sizes],
        price=problem.price[sizes],
        charges=problem.charges[:, sizes],
    )
