"""Where price is silent the configured order decides (contract matching.md P2): of sizes at one price the first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.posing import Posed
    from autoscale_aks.planning.cost.problem import CostProblem, Filled, Packing
    from autoscale_aks.planning.places import Column


def best_first(posed: Posed, packing: Packing) -> Packing:
    """The same nodes, each of the first size (by priority and position) at its price that can hold what is on it, as
    far as limits allow. Costs and holds the same."""
    problem = posed.problem
    left = problem.room - sum((problem.charges[:, one.size] * one.nodes for one in packing), 0 * problem.room)
    found: list[Filled] = []
    for one in sorted(packing, key=lambda row: row.size):
        rest = one.nodes
        for size in _at_its_price(posed, one):
            more = problem.charges[:, size] - problem.charges[:, one.size]
            nodes = min(rest, _most(left, more))
            if nodes > 0:
                left = left - more * nodes
                found.append(replace(one, size=size, nodes=nodes))
                rest -= nodes
        if rest:
            found.append(one.times(rest))
    return tuple(found)


def _at_its_price(posed: Posed, one: Filled) -> list[int]:
    """Sizes before this one that cost as much and can hold what is on it."""
    price = posed.prices[one.size]
    taken = one.slots @ posed.problem.needs
    return [size for size in range(one.size) if posed.prices[size] == price and _holds(posed.problem, one, size, taken)]


def _holds(problem: CostProblem, one: Filled, size: int, taken: Column) -> bool:
    return bool((taken <= problem.totals[size]).all() and problem.allowed[one.slots > 0, size].all())


def _most(left: Column, more: Column) -> int:
    """Nodes that can be moved until a limit has nothing left."""
    asked = more > 0
    return int((left[asked] // more[asked]).min()) if asked.any() else np.iinfo(np.int64).max
