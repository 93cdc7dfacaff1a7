"""A whole packing made cheaper: a few nodes that lose much are emptied, and what was on them is bought anew.

At the prices of the part nodes every node loses what it costs more than its slots are worth; what all of them lose
together is how far the packing is from the price of part nodes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.diving import dive, widened

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem, Meter, Packing
    from autoscale_aks.planning.cost.solver import Solution
    from autoscale_aks.planning.places import Column

_GROUPS: Final = (3, 5, 8, 12)
"""How many nodes are emptied, try by try."""
_MOST_FAILURES: Final = 60
_ROW_UNITS: Final = 150
"""Work of a row of the packing, try by try."""
_MOST_COLUMNS: Final = 150


def improved(
    problem: CostProblem, highspy: Any, packing: Packing, solution: Solution, columns: list[tuple[int, Column]],
    enough: float, meter: Meter,
) -> Packing:  # fmt: skip
    """The packing, or a cheaper one."""
    costs = problem.price + solution.limit_prices @ problem.charges
    sizes = np.array([size for size, _ in columns])
    slots = np.array([row for _, row in columns])
    lost = 1 - slots @ solution.slot_prices / costs[sizes]
    best = np.argsort(lost, kind="stable")
    failures, turn = 0, 0
    known: set[bytes] = set()
    while meter.left > 0 and failures < _MOST_FAILURES and problem.cost(packing) > enough:
        meter.spend(_ROW_UNITS * len(packing))
        chosen = _chosen(problem, packing, solution, turn)
        turn += 1
        if (tried := chosen.tobytes()) in known:
            failures += 1
            continue
        known.add(tried)
        found = _anew(problem, highspy, packing, chosen, (sizes[best], slots[best]), meter, turn)
        if found is None:
            failures += 1
        else:
            packing, failures, known = found, 0, set()
    return packing


def _chosen(problem: CostProblem, packing: Packing, solution: Solution, turn: int) -> Column:
    """Nodes of each row of the packing that are emptied: one that loses much, and some others."""
    costs = problem.price + solution.limit_prices @ problem.charges
    sizes = np.array([one.size for one in packing])
    worth = np.array([one.slots for one in packing]) @ solution.slot_prices
    lost = costs[sizes] - worth
    count = np.array([one.nodes for one in packing])
    group = min(_GROUPS[turn % len(_GROUPS)], int(count.sum()))
    order = np.argsort(-lost, kind="stable")
    taken = np.zeros(len(packing), np.int64)
    taken[order[(turn // len(_GROUPS)) % max(min(len(order), 2 * group), 1)]] = 1
    at = turn * 7 + 1
    for step in range(20 * group):
        if taken.sum() >= group:
            break
        near = step % 2 == 0
        row = order[(at + step * step) % min(len(order), 4 * group)] if near else (at * 31 + step * 17) % len(packing)
        taken[row] = min(taken[row] + 1, count[row])
    return taken


def _anew(
    problem: CostProblem, highspy: Any, packing: Packing, taken: Column, columns: tuple[Column, Column], meter: Meter,
    turn: int,
) -> Packing | None:  # fmt: skip
    """The packing with what these nodes hold bought anew; None unless that is cheaper."""
    emptied = [one.times(nodes) for one, nodes in zip(packing, taken.tolist(), strict=True) if nodes]
    stay = [
        one.times(one.nodes - nodes) for one, nodes in zip(packing, taken.tolist(), strict=True) if one.nodes > nodes
    ]
    kept = sum((one.slots * one.nodes for one in stay), np.zeros(len(problem.demand), np.int64))
    left = np.maximum(problem.demand - kept, 0)
    items = np.flatnonzero(left)
    if not len(items):
        return tuple(stay)
    used = sum((problem.charges[:, one.size] * one.nodes for one in stay), np.zeros(len(problem.room), np.int64))
    rest = replace(
        problem, needs=problem.needs[items], demand=left[items], allowed=problem.allowed[items],
        alone=problem.alone[items], room=problem.room - used,
    )  # fmt: skip
    sizes, slots = columns
    cut = np.minimum(slots[:, items], left[items])
    fit = np.flatnonzero((cut == slots[:, items]).all(axis=1) & cut.any(axis=1))[:_MOST_COLUMNS]
    known = [(one.size, one.slots[items]) for one in emptied]
    known += list(zip(sizes[fit].tolist(), cut[fit], strict=True))
    now = problem.cost(tuple(emptied))
    found = dive(rest, highspy, known, meter, turn, now)
    if found is None or problem.cost(found) >= now:
        return None
    return (*stay, *(replace(one, slots=widened(one.slots, items, len(left))) for one in found))
