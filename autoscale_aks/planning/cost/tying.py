"""Where price is silent the configured order decides (contract matching.md P2): of sizes at one price the first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction

    from autoscale_aks.planning.cost.posing import Posed
    from autoscale_aks.planning.cost.problem import CostProblem, Filled, Packing
    from autoscale_aks.planning.places import Column


def best_first(posed: Posed, packing: Packing) -> Packing:
    """The same nodes, each of the first size (by priority and position) at its price that can hold what is on it, as
    far as limits allow. Costs and holds the same."""
    problem, earlier = posed.problem, _at_one_price(posed.prices)
    left = problem.room - sum((problem.charges[:, one.size] * one.nodes for one in packing), 0 * problem.room)
    found: list[Filled] = []
    for one in sorted(packing, key=lambda row: row.size):
        rest = one.nodes
        for size in earlier[one.size]:
            if not _holds(problem, one, size):
                continue
            more = problem.charges[:, size] - problem.charges[:, one.size]
            nodes = min(rest, _most(left, more))
            if nodes > 0:
                left = left - more * nodes
                found.append(replace(one, size=size, nodes=nodes))
                rest -= nodes
        if rest:
            found.append(one.times(rest))
    return tuple(found)


def _at_one_price(prices: list[Fraction]) -> list[list[int]]:
    """By size, those before it that cost as much."""
    found: list[list[int]] = []
    known: dict[Fraction, list[int]] = {}
    for size, price in enumerate(prices):
        alike = known.setdefault(price, [])
        found.append(list(alike))
        alike.append(size)
    return found


def _holds(problem: CostProblem, one: Filled, size: int) -> bool:
    fits = (one.slots @ problem.needs <= problem.totals[size]).all()
    return bool(fits and problem.allowed[one.slots > 0, size].all())


def _most(left: Column, more: Column) -> int:
    """Nodes that can be moved until a limit has nothing left."""
    asked = more > 0
    return int((left[asked] // more[asked]).min()) if asked.any() else np.iinfo(np.int64).max
