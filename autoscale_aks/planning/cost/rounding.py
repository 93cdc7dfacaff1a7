"""From part nodes to whole ones: whole columns first, then the few slots that are left over are packed anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.diving import dive, widened
from autoscale_aks.planning.cost.improving import improved
from autoscale_aks.planning.cost.pricing import ask
from autoscale_aks.planning.cost.problem import Filled, part_of
from autoscale_aks.planning.cost.rules import RULES

if TYPE_CHECKING:
    from typing import Any

    from autoscale_aks.planning.cost.generation import Generation
    from autoscale_aks.planning.cost.problem import CostProblem, Meter, Packing
    from autoscale_aks.planning.cost.solver import Solution
    from autoscale_aks.planning.places import Column

_MOST_COLUMNS: Final = 300
_MOST_DIVES: Final = 2
_NEAR: Final = 0.9


def rounded(run: Generation, highspy: Any, enough: float, known: Packing | None) -> Packing | None:
    """The cheapest whole packing found, or what is known; `enough` is the price at which looking further does not
    pay."""
    problem, meter, solution = run.problem, run.meter, run.solution
    if solution is None:
        return None
    sizes = _useful_sizes(problem, solution, known or ())
    number = {size: at for at, size in enumerate(sizes.tolist())}
    whole_problem, problem = problem, part_of(problem, sizes)
    used = [size in number for size, _ in run.master.columns]
    columns = [(number[size], row) for size, row in run.master.columns if size in number]
    solution = replace(solution, nodes=solution.nodes[used])
    best: Packing | None = None
    if known is not None:
        best = tuple(replace(one, size=number[one.size]) for one in known)
    for turn in range(_MOST_DIVES):
        whole = np.maximum(np.floor(solution.nodes + 1e-6).astype(np.int64) - turn, 0)
        found = _completed(problem, highspy, (solution, columns), whole, turn, meter)
        if found is not None and (best is None or problem.cost(found) < problem.cost(best)):
            best = found
        if meter.left <= 0 or (best is not None and problem.cost(best) <= enough):
            break
    if best is None:
        return None
    best = improved(problem, highspy, best, solution, columns, enough, meter)
    return trimmed(whole_problem, tuple(replace(one, size=int(sizes[one.size])) for one in best))


def _useful_sizes(problem: CostProblem, solution: Solution, known: Packing) -> Column:
    """Sizes that may be nearly worth their cost, those in use are among them, the cheapest for one slot of each
    item, with limits and without, and those of what is known."""
    costs = problem.price + solution.limit_prices @ problem.charges
    asked = ask(problem, solution.slot_prices, costs)
    price = np.where(problem.each > 0, costs, np.inf)
    near = asked.upper >= _NEAR * costs
    near[price.argmin(axis=1)] = True
    near[np.where(problem.charges.any(axis=0), np.inf, price).argmin(axis=1)] = True
    near[[one.size for one in known]] = True
    return np.flatnonzero(near)


def _completed(
    problem: CostProblem, highspy: Any, parts: tuple[Solution, list[tuple[int, Column]]], whole: Column, turn: int,
    meter: Meter,
) -> Packing | None:  # fmt: skip
    """Whole columns, and what they leave over."""
    solution, columns = parts
    base = tuple(
        Filled(size, nodes, slots) for (size, slots), nodes in zip(columns, whole.tolist(), strict=True) if nodes
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
    costs = problem.price + solution.limit_prices @ problem.charges
    good = _good_columns(rest, columns, items, (solution.slot_prices, costs))
    dived = dive(rest, highspy, good, meter, turn)
    found = [dived] if dived is not None else [one for rule in RULES.values() if (one := rule(rest)) is not None]
    if not found:
        return None
    best = min(found, key=rest.cost)
    return trimmed(
        problem, base + tuple(replace(one, slots=widened(one.slots, items, len(problem.demand))) for one in best)
    )


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
