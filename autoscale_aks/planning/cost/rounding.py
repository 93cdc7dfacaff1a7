"""From part nodes to whole ones: whole columns first, then the few slots that are left over are packed anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.diving import dive
from autoscale_aks.planning.cost.problem import Filled, part_of
from autoscale_aks.planning.cost.rules import RULES, by_value
from autoscale_aks.planning.cost.solver import Master

if TYPE_CHECKING:
    from typing import Any

    from autoscale_aks.planning.cost.problem import CostProblem, Meter, Packing
    from autoscale_aks.planning.cost.solver import Solution
    from autoscale_aks.planning.places import Column

_MOST_COLUMNS: Final = 150
_TREE_NODES: Final = 100
_FEWEST_NODES: Final = 5
_SECOND_LOOK: Final = 4_000_000
"""Units of work that must be left to try with fewer whole columns too."""
_CLOSE: Final = 1e-4
"""The search over whole nodes may stop this close to the best, as a share of the whole price."""
_FAR: Final = 2e-4
"""Beyond this share above what is good enough whole nodes are searched for too, if there are few columns and items."""
_MOST_SEARCHED: Final = 1500
_TREE_UNITS: Final = 16
"""Work of one node of the search, a column and an item."""


def rounded(master: Master, solution: Solution, enough: float, meter: Meter) -> Packing | None:
    """The cheapest whole packing found; `enough` is the price at which looking further does not pay."""
    best: Packing | None = None
    problem = master.problem
    for less in (0, 1):
        whole = np.maximum(np.floor(solution.nodes + 1e-6).astype(np.int64) - less, 0)
        found = _completed(master, solution, whole, enough, meter)
        if found is not None and (best is None or problem.cost(found) < problem.cost(best)):
            best = found
        if meter.left <= _SECOND_LOOK or (best is not None and problem.cost(best) <= enough):
            break
    return best


def _completed(master: Master, solution: Solution, whole: Column, enough: float, meter: Meter) -> Packing | None:
    """Whole columns, and what they leave over."""
    problem = master.problem
    base = tuple(
        Filled(size, nodes, slots) for (size, slots), nodes in zip(master.columns, whole.tolist(), strict=True) if nodes
    )
    covered = sum((one.slots * one.nodes for one in base), np.zeros(len(problem.demand), np.int64))
    used = sum((problem.charges[:, one.size] * one.nodes for one in base), np.zeros(len(problem.room), np.int64))
    left = np.maximum(problem.demand - covered, 0)
    if not left.any():
        return trimmed(problem, base)
    items = np.flatnonzero(left)
    rest = replace(
        problem, needs=problem.needs[items], demand=left[items], allowed=problem.allowed[items],
        alone=problem.alone[items], room=problem.room - used,
    )  # fmt: skip
    values = solution.slot_prices[items]
    tries = [rule(rest) for rule in RULES.values()]
    tries.append(by_value(rest, values))
    costs = problem.price + solution.limit_prices @ problem.charges
    columns = _good_columns(rest, master.columns, items, (solution.slot_prices, costs))
    sizes = _useful_sizes(problem, rest, master, solution)
    number = {size: index for index, size in enumerate(sizes.tolist())}
    few = [(number[size], row) for size, row in columns if size in number]
    dived = dive(part_of(rest, sizes), master.highspy, few, meter)
    if dived is not None:
        tries.append(tuple(replace(one, size=int(sizes[one.size])) for one in dived))
    known = [one for one in tries if one is not None]
    least = min((rest.cost(one) for one in known), default=None)
    far = enough * (1 + _FAR) - problem.cost(base)
    if least is None or (least > far and len(columns) * len(items) <= _MOST_SEARCHED):
        searched = _search(master.highspy, rest, columns, known, enough * _CLOSE, meter)
        if searched is not None:
            known.append(searched)
    if not known:
        return None
    best = min(known, key=rest.cost)
    return trimmed(problem, base + tuple(_widened(one, items, len(problem.demand)) for one in best))


def _useful_sizes(problem: CostProblem, rest: CostProblem, master: Master, solution: Solution) -> Column:
    """Sizes that the part solution uses, and the cheapest ones for single slots of what is left."""
    used = {size for (size, _), nodes in zip(master.columns, solution.nodes.tolist(), strict=True) if nodes > 1e-9}
    price = np.where(rest.each > 0, problem.price, np.iinfo(np.int64).max)
    return np.array(sorted(used | set(price.argmin(axis=1).tolist())), np.int64)


def _widened(one: Filled, items: Column, count: int) -> Filled:
    slots = np.zeros(count, np.int64)
    slots[items] = one.slots
    return replace(one, slots=slots)


def _good_columns(
    rest: CostProblem, columns: list[tuple[int, Column]], items: Column, marks: tuple[Column, Column]
) -> list[tuple[int, Column]]:
    """Columns that lose least at these prices, cut to what is left; each once."""
    prices, costs = marks
    sizes = np.array([size for size, _ in columns])
    slots = np.array([row for _, row in columns])
    lost = 1 - (slots @ prices) / costs[sizes]
    found: dict[tuple[int, bytes], tuple[int, Column]] = {}
    for index in np.argsort(lost, kind="stable").tolist():
        row = np.minimum(slots[index][items], rest.demand)
        if row.any():
            found.setdefault((int(sizes[index]), row.tobytes()), (int(sizes[index]), row))
        if len(found) >= _MOST_COLUMNS:
            break
    return list(found.values())


def _search(
    highspy: Any, rest: CostProblem, columns: list[tuple[int, Column]], known: list[Packing], close: float,
    meter: Meter,
) -> Packing | None:  # fmt: skip
    """A branch and bound over the columns and all that rules found."""
    master = Master(highspy, rest, rest.demand, rest.room)
    master.add(np.array([size for size, _ in columns], np.int64), np.array([row for _, row in columns], np.int64))
    for one in (one for packing in known for one in packing):
        master.add(np.array([one.size]), one.slots[None, :])
    size = len(master.columns) * len(rest.demand)
    nodes_allowed = min(max(meter.left // (_TREE_UNITS * max(size, 1)), _FEWEST_NODES), _TREE_NODES)
    meter.spend(nodes_allowed * size * _TREE_UNITS)
    least = min((rest.cost(packing) for packing in known), default=0)
    nodes = master.solve_whole(nodes_allowed, min(max(close / max(least, 1), 1e-5), 0.05))
    if nodes is None:
        return None
    found = zip(master.columns, nodes.tolist(), strict=True)
    return tuple(Filled(size, count, row) for (size, row), count in found if count)


def trimmed(problem: CostProblem, packing: Packing) -> Packing:
    """Without slots beyond the demand, and each node of the cheapest size that still holds what is on it."""
    surplus = sum((one.slots * one.nodes for one in packing), np.zeros(len(problem.demand), np.int64)) - problem.demand
    rows: list[Filled] = []
    for one in reversed(packing):
        pending = [one]
        while pending:
            row = pending.pop()
            if not (np.minimum(row.slots, surplus) > 0).any() or not row.nodes:
                rows.append(row)
                continue
            cut = np.minimum(row.slots, surplus)
            surplus = surplus - cut
            if row.nodes > 1:
                pending.append(row.times(row.nodes - 1))
            rows.append(Filled(row.size, 1, row.slots - cut))
    kept = tuple(row for row in reversed(rows) if row.slots.any() and row.nodes)
    if len(problem.room):
        return kept
    return tuple(replace(row, size=_cheapest(problem, row)) for row in kept)


def _cheapest(problem: CostProblem, row: Filled) -> int:
    """The cheapest size that holds these slots."""
    here = row.slots > 0
    holds = (problem.totals >= row.slots @ problem.needs).all(axis=1) & problem.allowed[here].all(axis=0)
    holds &= problem.price < problem.price[row.size]
    return int(np.where(holds, problem.price, np.iinfo(np.int64).max).argmin()) if holds.any() else row.size
