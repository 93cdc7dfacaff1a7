"""From what is left of a placement to a problem of whole numbers, and a first bound on it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor, lcm, log10
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.keeping import price_decides
from autoscale_aks.planning.cost.problem import Bound, CostProblem, Filled, without_dominated
from autoscale_aks.planning.cost.rules import continuous_prices
from autoscale_aks.planning.limit_tree import MOST_NEW_NODES
from autoscale_aks.planning.ranking import may_launch

if TYPE_CHECKING:
    from autoscale_aks.model.reason import LimitKind
    from autoscale_aks.planning.cost.keeping import Item, Kept
    from autoscale_aks.planning.cost.problem import Packing
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.placer import Placer
    from autoscale_aks.planning.places import Column

MOST_ITEMS: Final = 2000
"""Above so many kinds of slots only whole placements are compared: a table of items and nodes would not fit memory."""
_MOST_BOUNDED: Final = 50_000
"""Above so many there is no bound either."""
_MOST_COINS: Final = 1 << 40
_DIGITS: Final = 10
"""Decimal digits of the dearest price in coins where prices are too fine to be counted exactly: they are rounded down,
so that a bound holds, and packings are compared by what they really cost."""
_PLENTY_LEFT: Final = MOST_NEW_NODES * 1_000_000
"""Units of a limit that no plan uses up: it has MOST_NEW_NODES nodes at most."""


@dataclass(frozen=True, slots=True)
class Posed:
    """A problem, which buckets its sizes are, which dimensions and limits it counts, and the packing there was."""

    problem: CostProblem
    items: list[Item]
    buckets: Column
    dimensions: list[int]
    limits: list[tuple[LimitKind, str]]
    units: Column
    """What one unit of each limit of the problem is, in the tree's."""
    placed: Packing | None
    """What was bought before; None where it is not known."""
    prices: list[Fraction]
    """By size of the problem, what a node really costs an hour."""

    def price(self, packing: Packing) -> Fraction:
        """What a packing costs an hour."""
        nodes = [0] * len(self.prices)
        for one in packing:
            nodes[one.size] += one.nodes
        return sum((price * count for price, count in zip(self.prices, nodes, strict=True) if count), Fraction(0))


def usable_buckets(placer: Placer) -> Column:
    """By bucket, whether its nodes may be bought anew: outside groups, with a price, and to be had now."""
    space = placer.start.space
    blocked = space.snapshot.blocked
    return np.array(
        [
            bucket.placement_group is None
            and bucket.offering.price is not None
            and bucket.array.enabled
            and may_launch(blocked, space, number)
            for number, bucket in enumerate(space.buckets)
        ],
        bool,
    )


def pose(placer: Placer, kept: Kept, usable: Column) -> Posed | None:
    """The problem of buying what is left; None when there is nothing, or too much for it."""
    if not kept.items or len(kept.items) > _MOST_BOUNDED:
        return None
    space, state = placer.start.space, kept.state
    options = [price_decides(item.job_class, placer.start) for item in kept.items]
    dimensions = sorted({number for option in options if option for number, _ in option.needs})
    best_first = sorted(np.flatnonzero(usable).tolist(), key=lambda bucket: -space.buckets[bucket].array.priority)
    buckets = np.array(best_first, np.int64)
    needs = np.zeros((len(options), max(len(dimensions), 1)), np.int64)
    for row, option in enumerate(options):
        for number, amount in option.needs if option else ():
            needs[row, dimensions.index(number)] = amount
    totals = np.array([[_total(placer, bucket, number) for number in dimensions] or [0] for bucket in buckets.tolist()])
    views = [placer.start.view(item.part) for item in kept.items]
    alone = np.array([view.groups[0].takes_node for view in views], bool)
    allowed = np.array([_allowed(placer, item)[buckets] for item in kept.items])
    limits, charges, room, units = _limits(state, buckets.tolist())
    prices = [space.buckets[bucket].offering.price or Fraction(0) for bucket in buckets.tolist()]
    coin = _coin(prices)
    problem = CostProblem(
        needs=needs,
        demand=np.array([item.total for item in kept.items], np.int64),
        allowed=allowed & (charges <= room[:, None]).all(axis=0)[None, :],
        alone=alone,
        totals=totals,
        price=np.array([price // coin for price in prices], np.int64),
        charges=charges,
        room=room,
        coin=coin,
    )
    order = {bucket: size for size, bucket in enumerate(buckets.tolist())}
    placed = tuple(Filled(order[bucket], nodes, slots) for bucket, nodes, slots in kept.rows) or None
    reduced, sizes, instead = without_dominated(problem)
    if placed is not None:
        placed = tuple(Filled(int(instead[one.size]), one.nodes, one.slots) for one in placed)
        placed = placed if reduced.holds(placed) else None
    return Posed(
        reduced, kept.items, buckets[sizes], dimensions, limits, units, placed, [prices[size] for size in sizes]
    )


def _coin(prices: list[Fraction]) -> Fraction:
    """The largest amount that all prices are whole numbers of; a larger one where these would be too large."""
    coin = Fraction(1, lcm(*(price.denominator for price in prices)))
    dearest = max(prices, default=coin)
    return coin if dearest <= _MOST_COINS * coin else Fraction(10) ** (floor(log10(dearest)) + 1 - _DIGITS)


def _total(placer: Placer, bucket: int, dimension: int) -> int:
    total = placer.start.space.totals(placer.start.space.empty[bucket])[dimension]
    return -1 if total is None else int(total)


def _allowed(placer: Placer, item: Item) -> Column:
    """By bucket, whether a slot may be there without loss of preference."""
    found = placer.router.fresh(item.part) > 0
    scores = placer.router.scores(item.part)
    return found if scores is None else found & (scores == item.score)


def _limits(state: State, buckets: list[int]) -> tuple[list[tuple[LimitKind, str]], Column, Column, Column]:
    """Limits that these buckets are charged on, what a node takes of each, what is left, and in what units.

    A limit is counted in the greatest unit that every charge is a whole number of: budgets, in steps of a billionth,
    would drown the solver's numbers and the dual's steps.
    """
    tree = state.limits
    numbers = sorted({charge.counter for bucket in buckets for charge in tree.charges[bucket]})
    row_of = {number: row for row, number in enumerate(numbers)}
    charges = np.zeros((len(numbers), len(buckets)), np.int64)
    for size, bucket in enumerate(buckets):
        for charge in tree.charges[bucket]:
            charges[row_of[charge.counter], size] = charge.cost
    room = np.array([max(tree.capacity[number] - tree.used.get(number, 0), 0) for number in numbers], np.int64)
    names = [(tree.counters[number].kind, tree.counters[number].name) for number in numbers]
    units = np.gcd.reduce(charges, axis=1, initial=0) if numbers else room
    units = np.maximum(units, 1)
    return names, charges // units[:, None], np.minimum(room // units, _PLENTY_LEFT), units


def first_bound(problem: CostProblem) -> Bound:
    """A bound from prices of the dimensions alone; it holds, and is mostly some percent too low."""
    values = problem.needs @ continuous_prices(problem)
    least = np.where(problem.each > 0, problem.price, np.iinfo(np.int64).max).min(axis=1)
    values = np.where(problem.alone, least, values)
    return Bound(value=float(values @ problem.demand), slot_prices=values, limit_prices=np.zeros(len(problem.room)))
