"""Whole nodes by diving: solve for part nodes, make the fullest ones whole, and solve again for what is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.generation import Generation
from autoscale_aks.planning.cost.problem import Filled
from autoscale_aks.planning.cost.rules import RULES

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem, Meter, Packing
    from autoscale_aks.planning.places import Column

_MOST_STEPS: Final = 200
SURE: Final = (0.7, 0.5, 0.9, 0.6, 0.8, 0.55, 0.95, 0.65)
"""Part of a node from which it is made whole at once, dive by dive; below it only the largest part is."""
_ROUNDS: Final = 3
"""How often fillings are looked for at each step."""
_COLUMNS_AN_ITEM: Final = 4
_FEWEST_COLUMNS: Final = 60
_BEYOND: Final = 0.02
"""What share of its worth a node made whole may hold beyond what is left, unless it is the first of its step."""
_AT_ONCE: Final = 12
"""One in so many part nodes, the largest parts, is made whole at every step."""


def dive(
    problem: CostProblem,
    highspy: Any,
    columns: list[tuple[int, Column]],
    meter: Meter,
    turn: int,
    least: float = np.inf,
) -> Packing | None:
    """A packing of the problem, or None where limits do not reach.

    Each `turn` makes other nodes whole, and looks for other fillings. What will cost `least` or more is given up."""
    paid = 0
    left, room = problem.demand.copy(), problem.room.copy()
    found: list[Filled] = []
    for step in range(_MOST_STEPS):
        if not left.any():
            return tuple(found)
        items = np.flatnonzero(left)
        held = (problem.charges <= room[:, None]).all(axis=0)
        rest = replace(
            problem, needs=problem.needs[items], demand=left[items], alone=problem.alone[items], room=room,
            allowed=problem.allowed[items] & held,
        )  # fmt: skip
        if not rest.allowed.any(axis=1).all():
            return None
        run = None
        if meter.left > 0:
            run = Generation(rest, highspy, meter)
            run.start((size, row[items]) for size, row in columns if held[size])
            run.run_quickly(_ROUNDS, turn * 1000 + step * _ROUNDS)
            run.settle()
        if run is not None and run.solution is not None and paid + run.solution.value > least * (1 - 1e-9):
            return None
        if run is None or run.solution is None:
            return _finished(tuple(found), rest, items, len(left))
        at = run.best_columns(_COLUMNS_AN_ITEM * len(items) + _FEWEST_COLUMNS)
        columns = [(int(run.master.sizes[index]), widened(run.master.slots[index], items, len(left))) for index in at]
        prices, made = np.zeros(len(left)), len(found)
        prices[items] = run.solution.slot_prices
        for index, wanted in _whole(run.solution.nodes[at], SURE[turn % len(SURE)]):
            size, row = columns[index]
            charged = problem.charges[:, size]
            allowed = int((room[charged > 0] // charged[charged > 0]).min()) if charged.any() else wanted
            nodes = min(wanted, allowed)
            if len(found) > made and np.maximum(row * nodes - left, 0) @ prices > _BEYOND * (row @ prices) * nodes:
                continue
            if nodes > 0 and (row * (left > 0)).any():
                found.append(Filled(size, nodes, row))
                paid += int(problem.price[size]) * nodes
                left, room = np.maximum(left - row * nodes, 0), room - charged * nodes
        columns = _cut(columns, left)
    return None


def _finished(found: Packing, rest: CostProblem, items: Column, count: int) -> Packing | None:
    """What is left by the best of the simple rules."""
    known = [one for one in (rule(rest) for rule in RULES.values()) if one is not None]
    if not known:
        return None
    best = min(known, key=rest.cost)
    return (*found, *(replace(one, slots=widened(one.slots, items, count)) for one in best))


def widened(row: Column, items: Column, count: int) -> Column:
    """Slots of these items as slots of all."""
    slots = np.zeros(count, np.int64)
    slots[items] = row
    return slots


def _whole(nodes: Column, sure: float) -> list[tuple[int, int]]:
    """Columns and how many nodes of each are made whole now: one at least."""
    whole = np.floor(nodes + 1 - sure).astype(np.int64)
    parts = np.argsort(-(nodes - whole), kind="stable")[
        : max(int((nodes > 0).sum()) // _AT_ONCE - int((whole > 0).sum()), 0)
    ]
    whole[parts] += 1
    if not whole.any():
        whole[int(nodes.argmax())] = 1
    return [(index, int(whole[index])) for index in np.argsort(-nodes, kind="stable").tolist() if whole[index]]


def _cut(columns: list[tuple[int, Column]], left: Column) -> list[tuple[int, Column]]:
    """Columns with no more slots than are left, each once."""
    known: dict[tuple[int, bytes], tuple[int, Column]] = {}
    for size, row in columns:
        cut = np.minimum(row, left)
        if cut.any():
            known.setdefault((size, cut.tobytes()), (size, cut))
    return list(known.values())
