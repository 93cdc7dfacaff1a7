"""What the placement in configured order costs at least, without making it (docs/calculations.md, Cost).

A plan by price may not be dearer than the placement in configured order. To make that one as well takes as long as the
first; often it need not be made, because all nodes that it could open are too dear: it opens the first bucket of each
class that limits allow. Prices of the dimensions at which none of those buckets holds more than it costs, times all
that is asked, are a price below which it cannot place every slot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.keeping import price_decides
from autoscale_aks.planning.limit_tree import MOST_NEW_NODES

if TYPE_CHECKING:
    from fractions import Fraction

    from autoscale_aks.planning.demand import JobClass
    from autoscale_aks.planning.placer import Placer
    from autoscale_aks.planning.places import Column

_SAFE: Final = 1 - 1e-9
_NOTHING: Final = -(1 << 62)
_STEPS: Final = 12
"""Shares of the price that are tried for each dimension."""
_MOST_DIMENSIONS: Final = 4


def is_sure_to_be_dearer(by_price: Placer, in_order: Placer, price: Fraction) -> bool:
    """Whether the placement in configured order places no slot more than the one by price, and costs `price` or more
    if it places as many. `in_order` is not made yet. False where that is not known.
    """
    if by_price.start.next_node or any(_may_be_placed(by_price, index) for index in by_price.refused):
        return False
    classes = [one for one in by_price.demand.classes if one.parts]
    options = [price_decides(one, by_price.start) for one in classes]
    if not all(options):
        return False
    dimensions = sorted({number for option in options if option for number, _ in option.needs})
    buckets = _opened(in_order, classes, sum(by_price.placed))
    if buckets is None or not 0 < len(dimensions) <= _MOST_DIMENSIONS:
        return False
    asked = np.zeros(len(dimensions))
    for option, slots in zip(options, _slots(by_price, classes), strict=True):
        for number, amount in option.needs if option else ():
            asked[dimensions.index(number)] += float(amount) * slots
    return _least(by_price, asked, dimensions, buckets) * _SAFE >= float(price)


def _may_be_placed(placer: Placer, index: int) -> bool:
    job_class = placer.demand.class_of[index]
    return job_class is not None and bool(job_class.parts)


def _slots(placer: Placer, classes: list[JobClass]) -> list[int]:
    """Slots placed, by class."""
    class_of = np.fromiter((-1 if one is None else one.id for one in placer.demand.class_of), np.int64)
    found: dict[int, int] = {}
    counted = np.bincount(class_of + 1, weights=np.array(placer.placed, float))
    for number, slots in enumerate(counted.tolist()):
        found[number - 1] = int(slots)
    return [found.get(one.id, 0) for one in classes]


def _opened(in_order: Placer, classes: list[JobClass], slots: int) -> Column | None:
    """Buckets that the placement can open; None where a class has none.

    It comes past a bucket only when a limit holds that one back, and then only to buckets that need less left of that
    limit.
    """
    asks = _asked_of_tight_limits(in_order, slots)
    found = np.zeros(len(in_order.start.space.buckets), bool)
    for one in classes:
        launchable = in_order.route_of(one.parts[0]).launchable
        if not launchable:
            return None
        first = launchable[0]
        found[first] = True
        charged = asks[:, first] > _NOTHING
        if charged.any():
            others = np.array(launchable)
            found[others[(asks[charged][:, others] < asks[charged, first, None]).any(axis=0)]] = True
    return np.flatnonzero(found)


def _asked_of_tight_limits(in_order: Placer, slots: int) -> Column:
    """What must be left for a node of each bucket of the limits that so many nodes, one a slot, could use up: limits ×
    buckets; _NOTHING where it takes none.
    """
    tree, count = in_order.start.limits, len(in_order.start.space.buckets)
    nodes = min(slots, MOST_NEW_NODES)
    rows: dict[int, Column] = {}
    dearest: dict[int, int] = {}
    for bucket in range(count):
        for charge in tree.charges[bucket]:
            row = rows.setdefault(charge.counter, np.full(count, _NOTHING))
            row[bucket] = charge.cost - charge.allowance
            dearest[charge.counter] = max(dearest.get(charge.counter, 0), charge.cost)
    tight = [
        row
        for number, row in rows.items()
        if tree.capacity[number] - tree.used.get(number, 0) < nodes * dearest[number]
    ]
    return np.array(tight, np.int64).reshape(-1, count)


def _least(placer: Placer, asked: Column, dimensions: list[int], buckets: Column) -> float:
    """The most that slots are worth at prices of the dimensions at which no bucket holds more than it costs.

    A bucket without a price bounds nothing: a placement that uses it has no price to compare.
    """
    space = placer.start.space
    priced = [number for number in buckets.tolist() if space.buckets[number].offering.price is not None]
    totals = np.array([[float(space.totals(space.empty[one])[d] or 0) for d in dimensions] for one in priced])
    price = np.array([float(space.buckets[one].offering.price or 0) for one in priced])
    if not priced or not (price > 0).all():
        return 0.0
    wanted = np.flatnonzero(asked)
    share = totals[:, wanted] / asked[wanted]
    mixes = _mixes(len(wanted))
    most = (share @ mixes.T / price[:, None]).max(axis=0)
    return float((1 / np.maximum(most, 1e-300)).max()) if (most > 0).any() else 0.0


def _mixes(count: int) -> Column:
    steps = np.indices((_STEPS + 1,) * count).reshape(count, -1).T
    return steps[steps.sum(axis=1) == _STEPS] / _STEPS
