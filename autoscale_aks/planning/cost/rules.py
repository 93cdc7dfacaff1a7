"""The portfolio: what simple rules would buy. Each gives a packing, or None where limits leave slots over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from frozendict import frozendict

from autoscale_aks.planning.cost.problem import Filled
from autoscale_aks.planning.cost.quick import QuickFillings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.planning.cost.problem import CostProblem, Packing
    from autoscale_aks.planning.places import Column

_MOST_ROUNDS: Final = 2000


def in_order(problem: CostProblem) -> Packing | None:
    """First fit, sizes in the order of the configuration."""
    return _first_fit(problem, np.arange(len(problem.demand)), _same_for_all(problem, np.arange(len(problem.price))))


def cheapest_core_first(problem: CostProblem) -> Packing | None:
    """First fit, sizes by price for one unit of what most slots ask (the first dimension)."""
    per_unit = problem.price / np.maximum(problem.totals[:, 0], 1)
    order = np.argsort(per_unit, kind="stable")
    return _first_fit(problem, np.arange(len(problem.demand)), _same_for_all(problem, order))


def smallest_first(problem: CostProblem) -> Packing | None:
    """First fit, sizes by price."""
    order = np.argsort(problem.price, kind="stable")
    return _first_fit(problem, np.arange(len(problem.demand)), _same_for_all(problem, order))


def cheapest_slot_first(problem: CostProblem) -> Packing | None:
    """First fit, for each class sizes by price a slot: what P2 says."""
    return _first_fit(problem, np.arange(len(problem.demand)), _by_slot(problem))


def decreasing(problem: CostProblem) -> Packing | None:
    """Largest slots first, each on the size with the least price a slot."""
    largest = np.maximum(problem.totals.max(axis=0), 1)
    order = np.argsort(-(problem.needs / largest).max(axis=1), kind="stable")
    return _first_fit(problem, order, _by_slot(problem))


def by_ratio(problem: CostProblem) -> Packing | None:
    """Again and again the node that holds most for its price, slots valued by what they take of the scarcest."""
    weights = continuous_prices(problem)
    return by_value(problem, problem.needs @ weights)


RULES: Final[Mapping[str, Callable[[CostProblem], Packing | None]]] = frozendict(
    {
        "first fit, configured order": in_order,
        "first fit, cheapest per core": cheapest_core_first,
        "first fit, smallest first": smallest_first,
        "first fit, cheapest slot": cheapest_slot_first,
        "decreasing, cheapest slot": decreasing,
        "ratio greedy": by_ratio,
    }
)


def by_value(problem: CostProblem, values: Column) -> Packing | None:
    """Again and again the size whose best quick filling is worth most for its price, as often as slots last."""
    left, room = problem.demand.copy(), problem.room.copy()
    takes = (problem.needs / np.maximum(problem.totals.max(axis=0), 1)).max(axis=1)
    order = np.argsort(-takes - 1e-9 * (values / np.maximum(takes, 1e-300)), kind="stable")
    fillings = QuickFillings(problem, order)
    found: list[Filled] = []
    for _ in range(_MOST_ROUNDS):
        if not left.any():
            return tuple(found)
        usable = (problem.each > 0) & (left > 0)[:, None]
        open_sizes = usable.any(axis=0) & (problem.charges <= room[:, None]).all(axis=0)
        if not open_sizes.any():
            return None
        fillings.renew(left)
        slots = _with_lone(problem, fillings.slots, left, values)
        worth = np.where(open_sizes, slots @ values, -1.0) / np.maximum(problem.price, 1)
        size = int(worth.argmax())
        row = slots[size].copy()
        here = row > 0
        if worth[size] < 0 or not here.any():
            return None
        nodes = int((left[here] // row[here]).min())
        charged = problem.charges[:, size]
        if charged.any():
            nodes = min(nodes, int((room[charged > 0] // charged[charged > 0]).min()))
        found.append(Filled(size, nodes, row))
        left = left - row * nodes
        room = room - charged * nodes
    return None


def _with_lone(problem: CostProblem, slots: Column, left: Column, values: Column) -> Column:
    """Sizes that nothing else fills get a slot that takes the whole node."""
    items = np.flatnonzero(problem.alone & (left > 0)).tolist()
    slots = slots.copy() if items else slots
    for item in items:
        better = (problem.each[item] > 0) & (slots @ values < values[item])
        slots[better] = 0
        slots[better, item] = 1
    return slots


def continuous_prices(problem: CostProblem) -> Column:
    """Prices of the dimensions at which no node is worth more than it costs, and the demand together most."""
    # `_corners` finds w with w·point ≥ 1; here w·total ≤ price is asked, so prices are scaled down from candidates.
    total = (problem.demand @ problem.needs).astype(float)
    used = total > 0
    share = np.where(used, problem.totals / np.where(used, total, 1.0), 0.0)
    price = np.maximum(problem.price.astype(float), 1e-300)
    best, weights = -1.0, np.zeros(problem.needs.shape[1])
    dimensions = np.flatnonzero(used)
    for mix in _mixes(len(dimensions)):
        trial = np.zeros(problem.needs.shape[1])
        trial[dimensions] = mix
        most = float((share @ trial / price).max())
        if most > 0 and 1 / most > best:
            best = 1 / most
            weights = trial / most / np.where(used, total, 1.0)
    return weights


def _mixes(count: int) -> Column:
    """Ways of sharing out one whole over a few dimensions, in eighths."""
    if count <= 1:
        return np.ones((1, count))
    steps = np.indices((9,) * min(count, 4)).reshape(min(count, 4), -1).T
    steps = steps[steps.sum(axis=1) == 8]
    return np.concatenate([steps, np.zeros((len(steps), count - steps.shape[1]))], axis=1) / 8


def _same_for_all(problem: CostProblem, order: Column) -> Callable[[int], Column]:
    def of(item: int) -> Column:
        return order[problem.each[item, order] > 0]

    return of


def _by_slot(problem: CostProblem) -> Callable[[int], Column]:
    def of(item: int) -> Column:
        usable = np.flatnonzero(problem.each[item] > 0)
        return usable[np.argsort(problem.price[usable] / problem.each[item, usable], kind="stable")]

    return of


def _first_fit(problem: CostProblem, items: Column, sizes_of: Callable[[int], Column]) -> Packing | None:
    """Items in this order: on nodes that have room, in the order of their making, then on new ones."""
    nodes = _Nodes(problem)
    for item in items.tolist():
        left = nodes.fill(item, int(problem.demand[item]))
        for size in sizes_of(item).tolist() if left else ():
            left = nodes.buy(item, size, left)
            if not left:
                break
        if left:
            return None
    return nodes.packing()


class _Nodes:
    """Nodes bought so far, alike ones together."""

    def __init__(self, problem: CostProblem) -> None:
        self._problem = problem
        self._size: list[int] = []
        self._count: Column = np.zeros(64, np.int64)
        self._left: Column = np.zeros((64, problem.needs.shape[1]), np.int64)
        self._slots: Column = np.zeros((64, len(problem.demand)), np.int64)
        self._room = problem.room.copy()

    def fill(self, item: int, wanted: int) -> int:
        """Slots on nodes that have room; returns those left over."""
        problem, used = self._problem, len(self._size)
        if problem.alone[item] or not used:
            return wanted
        asked = np.flatnonzero(problem.needs[item])
        fits = (self._left[:used, asked] // problem.needs[item, asked]).min(axis=1)
        fits = np.where(problem.allowed[item, self._size], fits, 0)
        for row in np.flatnonzero(fits > 0).tolist():
            if not wanted:
                break
            each = int(min(fits[row], wanted))
            full = min(int(self._count[row]), wanted // each)
            self._put(row, full, item, each)
            wanted -= full * each
            if wanted and full < self._before:
                rest = len(self._size) - 1
                self._put(rest, 1, item, wanted)
                wanted = 0
        return wanted

    _before = 0

    def _put(self, row: int, nodes: int, item: int, each: int) -> None:
        """The first nodes of a row get slots; the others become a row of their own."""
        self._before = int(self._count[row])
        if nodes < self._before:
            self._add(self._size[row], self._before - nodes, self._left[row], self._slots[row])
        self._count[row] = nodes
        self._left[row] -= self._problem.needs[item] * each
        self._slots[row, item] += each

    def _add(self, size: int, count: int, left: Column, slots: Column) -> None:
        row = len(self._size)
        if row == len(self._count):
            self._count = np.concatenate([self._count, np.zeros_like(self._count)])
            self._left = np.concatenate([self._left, np.zeros_like(self._left)])
            self._slots = np.concatenate([self._slots, np.zeros_like(self._slots)])
        self._size.append(size)
        self._count[row], self._left[row], self._slots[row] = count, left, slots

    def buy(self, item: int, size: int, wanted: int) -> int:
        """New nodes of a size as limits allow; returns slots left over."""
        problem = self._problem
        each = int(problem.each[item, size])
        charged = problem.charges[:, size]
        allowed = int((self._room[charged > 0] // charged[charged > 0]).min()) if charged.any() else wanted
        full, rest = divmod(wanted, each)
        bought = 0
        for count, slots in ((min(full, allowed), each), (int(full < allowed and rest > 0), rest)):
            if count > 0:
                row = np.zeros(len(problem.demand), np.int64)
                row[item] = slots
                left = problem.totals[size] - problem.needs[item] * slots
                self._add(size, count, np.zeros_like(left) if problem.alone[item] else left, row)
                self._room = self._room - charged * count
                bought += count * slots
        return wanted - bought

    def packing(self) -> Packing:
        """All nodes."""
        rows = zip(self._size, self._count[: len(self._size)].tolist(), self._slots, strict=False)
        return tuple(Filled(size, count, slots.copy()) for size, count, slots in rows if count)
