"""From part nodes to whole ones: whole columns first, then the few slots that are left over are packed anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.diving import dive, widened
from autoscale_aks.planning.cost.guided import Marks, buy, learnt
from autoscale_aks.planning.cost.improving import improved
from autoscale_aks.planning.cost.pricing import ask
from autoscale_aks.planning.cost.problem import Filled, part_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from autoscale_aks.planning.cost.generation import Generation
    from autoscale_aks.planning.cost.problem import CostProblem, Meter, Packing
    from autoscale_aks.planning.cost.solver import Solution
    from autoscale_aks.planning.places import Column

_MOST_COLUMNS: Final = 300
_MOST_BOUGHT: Final = 4
_AGAIN: Final = 0.7
"""How often what is left over is bought, and what part of the last time's work must be left for it."""
_FEWER: Final = (0, 1, 4)
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
    for packing in _tries(problem, solution, columns, highspy, meter):
        if packing is not None and (best is None or problem.cost(packing) < problem.cost(best)):
            best = packing
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


@dataclass(frozen=True, slots=True)
class _Rest:
    """Whole columns, what they leave over, as a problem of some items, and what it is bought by."""

    whole: Packing
    problem: CostProblem
    items: Column
    columns: list[tuple[int, Column]]
    marks: Marks


def _tries(
    problem: CostProblem, solution: Solution, columns: list[tuple[int, Column]], highspy: Any, meter: Meter
) -> Iterator[Packing | None]:
    """Whole columns, and what they leave over bought by prices, some times, or by a dive. Where limits do not reach for
    that, fewer whole columns."""
    for fewer in _FEWER:
        rest = _rest(problem, solution, columns, fewer)
        marks, prices, done = rest.marks, rest.marks.slot_prices, False
        for turn in range(_MOST_BOUGHT):
            before = meter.left
            found = buy(rest.problem, marks, meter, 1000 * turn)
            if found is None:
                break
            yield _together(problem, rest, found)
            done = True
            if not len(rest.items) or meter.left < _AGAIN * (before - meter.left):
                break
            marks = learnt(rest.problem, marks, prices, found)
        if done:
            return
        dived = dive(rest.problem, highspy, rest.columns, meter, fewer)
        if dived is not None:
            yield _together(problem, rest, dived)
            return


def _rest(problem: CostProblem, solution: Solution, columns: list[tuple[int, Column]], fewer: int) -> _Rest:
    """What whole columns, so many nodes fewer of each, leave over."""
    nodes = np.maximum(np.floor(solution.nodes + 1e-6).astype(np.int64) - fewer, 0).tolist()
    whole = tuple(Filled(size, count, slots) for (size, slots), count in zip(columns, nodes, strict=True) if count)
    covered = sum((one.slots * one.nodes for one in whole), np.zeros(len(problem.demand), np.int64))
    used = sum((problem.charges[:, one.size] * one.nodes for one in whole), np.zeros(len(problem.room), np.int64))
    left = np.maximum(problem.demand - covered, 0)
    items = np.flatnonzero(left)
    rest = replace(
        problem, needs=problem.needs[items], demand=left[items], allowed=problem.allowed[items],
        alone=problem.alone[items], room=problem.room - used,
    )  # fmt: skip
    costs = problem.price + solution.limit_prices @ problem.charges
    good = _good_columns(rest, columns, items, (solution.slot_prices, costs))
    sizes = np.array([size for size, _ in good], np.int64)
    slots = np.array([row for _, row in good], np.int64).reshape(len(good), len(items))
    return _Rest(whole, rest, items, good, Marks(solution.slot_prices[items], solution.limit_prices, sizes, slots))


def _together(problem: CostProblem, rest: _Rest, found: Packing) -> Packing:
    """The whole columns and what was bought beside them."""
    bought = (replace(one, slots=widened(one.slots, rest.items, len(problem.demand))) for one in found)
    return trimmed(problem, (*rest.whole, *bought))


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
            alike = min(row.nodes, int((surplus[cut > 0] // cut[cut > 0]).min()))
            surplus = surplus - cut * alike
            if row.nodes > alike:
                pending.append(row.times(row.nodes - alike))
            rows.append(Filled(row.size, alike, row.slots - cut))
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
