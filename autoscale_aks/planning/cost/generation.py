"""Column generation: the least price of part nodes, a bound that holds, and whole nodes near it.

Work is counted in units (table cells, labels, simplex steps), never in seconds, so that the same input gives the same
plan (P5); `policy.optimize_seconds` is turned into units by the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.pricing import Fillings, best_fillings
from autoscale_aks.planning.cost.solver import Master, Solution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.planning.cost.problem import CostProblem, Meter, Packing
    from autoscale_aks.planning.places import Column

_ENOUGH: Final = 2e-5
"""Relative gap between part nodes and bound at which no further columns are looked for."""
_SLACKS: Final = (2e-2, 5e-4, 2e-5)
"""By how much more than its price, as a share, a filling must be worth to be looked for, one after the other."""
_ABOVE: Final = 1.01
_FIRST_LABELS: Final = 1 << 12
_MOST_LABELS: Final = 1 << 18
_WIDER: Final = 8
_LP_STEP: Final = 200
"""Work units of one simplex step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Prices of slots and limits at which no node holds more than it costs, and what they add up to, in coins."""

    value: float
    slot_prices: Column
    limit_prices: Column


@dataclass(slots=True)
class Generation:
    """One run of column generation over a problem."""

    problem: CostProblem
    highspy: Any
    meter: Meter
    bound: Bound
    master: Master = field(init=False)
    solution: Solution | None = None

    def __post_init__(self) -> None:
        problem = self.problem
        self.master = Master(self.highspy, problem, problem.demand, problem.room)

    def start(self, packings: Sequence[Packing]) -> None:
        """First columns: each item alone on its cheapest size, and all that the portfolio bought."""
        problem = self.problem
        items = np.arange(len(problem.demand))
        per_slot = np.where(problem.each > 0, problem.price / np.maximum(problem.each, 1), np.inf)
        sizes = per_slot.argmin(axis=1)
        rows = np.zeros((len(items), len(items)), np.int64)
        rows[items, items] = np.minimum(problem.each[items, sizes], problem.demand)
        self.master.add(sizes, rows)
        known: set[tuple[int, bytes]] = set()
        for one in (one for packing in packings for one in packing):
            key = (one.size, one.slots.tobytes())
            if key not in known:
                known.add(key)
                self.master.add(np.array([one.size]), one.slots[None, :])
        self._solve()

    def run(self, work: int, most_labels: int = _MOST_LABELS, slacks: Sequence[float] = _SLACKS) -> None:
        """Look for columns until the bound is met or `work` is used up; first for fillings worth much more than they
        cost, which few labels find and prove."""
        problem, phase, labels = self.problem, 0, min(_FIRST_LABELS, most_labels)
        until = self.meter.left - work
        while self.solution is not None and self.meter.left > until:
            slack = slacks[phase]
            costs = problem.price + self.solution.limit_prices @ problem.charges
            found = best_fillings(
                problem, self.solution.slot_prices, costs, problem.demand, most_labels=labels, slack=slack
            )
            self.meter.spend(found.work)
            self._note(self.solution, found, costs)
            if self.solution.value - self.bound.value <= _ENOUGH * max(self.bound.value, 1.0):
                break
            if len(found.sizes):
                self.master.add(found.sizes, found.slots)
                self._solve()
            elif (found.most > costs * (1 + _ABOVE * slack)).any() and labels < most_labels:
                labels *= _WIDER
            elif phase + 1 < len(slacks):
                phase += 1
            else:
                break

    def settle(self) -> None:
        """From here on each slot covers its own item only."""
        if self.solution is not None and self.solution.moved.any():
            for size, row in self.master.exchanged(self.solution):
                self.master.add(np.array([size]), row[None, :])
            self.master.without_exchanges()
            self._solve()

    def _solve(self) -> None:
        self.solution = self.master.solve()
        if self.solution is not None:
            self.meter.spend(self.solution.work * _LP_STEP + 20 * len(self.master.columns))

    def _note(self, solution: Solution, found: Fillings, costs: Column) -> None:
        """Farley's bound: slot prices divided by the most that a node is worth of its cost."""
        factor = float((found.most / costs).max())
        if factor <= 0:
            return
        prices = solution.slot_prices / factor
        value = float(self.problem.demand @ prices - self.problem.room @ solution.limit_prices)
        if value > self.bound.value:
            self.bound = Bound(value=value, slot_prices=prices, limit_prices=solution.limit_prices)
