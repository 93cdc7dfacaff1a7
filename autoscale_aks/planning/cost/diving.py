"""Whole nodes by diving: solve for part nodes, make the fullest ones whole, and solve again for what is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.generation import Generation
from autoscale_aks.planning.cost.problem import Bound, Filled
from autoscale_aks.planning.cost.rules import RULES

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem, Meter, Packing
    from autoscale_aks.planning.places import Column

_LABELS: Final = 128
_FINEST: Final = 3e-3
"""What is left is a small part of the whole price: columns that gain less do not matter."""
_MOST_STEPS: Final = 100
_SURE: Final = 0.7
"""Part of a node from which it is made whole at once; below it only the largest part is."""
_SHARE: Final = 6
"""Which part of the work left one step may use."""


def dive(problem: CostProblem, highspy: Any, columns: list[tuple[int, Column]], meter: Meter) -> Packing | None:
    """A packing of the problem, or None where limits do not reach."""
    left, room = problem.demand.copy(), problem.room.copy()
    found: list[Filled] = []
    for _ in range(_MOST_STEPS):
        if not left.any():
            return tuple(found)
        items = np.flatnonzero(left)
        rest = replace(
            problem, needs=problem.needs[items], demand=left[items], alone=problem.alone[items], room=room,
            allowed=problem.allowed[items] & (problem.charges <= room[:, None]).all(axis=0),
        )  # fmt: skip
        if not rest.allowed.any(axis=1).all():
            return None
        if meter.left <= 0:
            return _finished(tuple(found), rest, items, len(left))
        run = Generation(rest, highspy, meter, _nothing(rest))
        run.start([tuple(Filled(size, 1, row[items]) for size, row in columns if row[items].any())])
        run.run(meter.left // _SHARE, most_labels=_LABELS, finest=_FINEST)
        run.settle()
        if run.solution is None:
            return _finished(tuple(found), rest, items, len(left))
        columns = [(size, _widened(row, items, len(left))) for size, row in run.master.columns]
        for index, wanted in _whole(run.solution.nodes):
            size, row = columns[index]
            charged = problem.charges[:, size]
            allowed = int((room[charged > 0] // charged[charged > 0]).min()) if charged.any() else wanted
            nodes = min(wanted, allowed)
            if nodes > 0 and (row * (left > 0)).any():
                found.append(Filled(size, nodes, row))
                left, room = np.maximum(left - row * nodes, 0), room - charged * nodes
        columns = _cut(columns, left)
    return None


def _finished(found: Packing, rest: CostProblem, items: Column, count: int) -> Packing | None:
    """What is left by the best of the simple rules."""
    known = [one for one in (rule(rest) for rule in RULES.values()) if one is not None]
    if not known:
        return None
    best = min(known, key=rest.cost)
    return (*found, *(replace(one, slots=_widened(one.slots, items, count)) for one in best))


def _widened(row: Column, items: Column, count: int) -> Column:
    """Slots of these items as slots of all."""
    slots = np.zeros(count, np.int64)
    slots[items] = row
    return slots


def _nothing(problem: CostProblem) -> Bound:
    return Bound(value=0.0, slot_prices=np.zeros(len(problem.demand)), limit_prices=np.zeros(len(problem.room)))


def _whole(nodes: Column) -> list[tuple[int, int]]:
    """Columns and how many nodes of each are made whole now: one at least."""
    sure = np.floor(nodes + 1 - _SURE).astype(np.int64)
    if not sure.any():
        sure[int(nodes.argmax())] = 1
    return [(index, int(sure[index])) for index in np.argsort(-nodes, kind="stable").tolist() if sure[index]]


def _cut(columns: list[tuple[int, Column]], left: Column) -> list[tuple[int, Column]]:
    """Columns with no more slots than are left, each once."""
    known: dict[tuple[int, bytes], tuple[int, Column]] = {}
    for size, row in columns:
        cut = np.minimum(row, left)
        if cut.any():
            known.setdefault((size, cut.tobytes()), (size, cut))
    return list(known.values())
