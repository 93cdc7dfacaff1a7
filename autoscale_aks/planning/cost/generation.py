"""Column generation: the least price of part nodes, a bound that holds, and whole nodes near it.

Work is counted in units (table cells, labels, simplex steps), never in seconds, so that the same input gives the same
plan (P5); `policy.optimize_seconds` is turned into units by the configuration.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.pricing import ask, quick_fillings
from autoscale_aks.planning.cost.problem import Bound
from autoscale_aks.planning.cost.searching import Search, best_fillings
from autoscale_aks.planning.cost.solver import Master

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.planning.cost.pricing import Asked, Fillings
    from autoscale_aks.planning.cost.problem import CostProblem, Meter
    from autoscale_aks.planning.cost.solver import Parted, Solution
    from autoscale_aks.planning.places import Column

_ENOUGH: Final = 2e-5
"""Relative gap between part nodes and bound at which no further columns are looked for."""
_COARSEST: Final = 2e-2
_PART: Final = 0.15
"""By how much more than its price, as a share, a filling must be worth to be looked for: at most, and as a part of the
gap there is."""
_STALLED: Final = 0.05
_EARLY: Final = 0.3
_LITTLE: Final = ((0.02, 2e-4), (0.1, 1e-3))
"""Parts of a node, and of the whole price, that are little in the first part of the work, and later."""
_START_MARGIN: Final = 3e-2
_EACH: Final = 2
_BEST: Final = 50
_FEW: Final = 20
_MOST_QUICK: Final = 3
_HELPS: Final = 1e-3
_ABOVE: Final = 1.01
_FIRST_LABELS: Final = 1 << 12
_MOST_LABELS: Final = 1 << 18
_WIDER: Final = 8
_NEW_UNITS: Final = 25_000
_PAIR_UNITS: Final = 3
_SPLIT_UNITS: Final = 6_000
_SOLVE_UNITS: Final = 8_000
_LP_STEP: Final = (150, 3)
"""Work units of a new program, of each pair of its items and of each item's splits (`cost.exchanging`), of a solve, and
of one simplex step in it, and that for each of its items."""


class Generation:
    """One run of column generation over a problem."""

    def __init__(
        self, problem: CostProblem, highspy: Any, meter: Meter, bound: Bound | None = None, parted: Parted | None = None
    ) -> None:
        self.problem, self.meter = problem, meter
        self.bound = bound or _no_bound(problem)
        prices = self.bound.slot_prices if self.bound.value > 0 and parted is None else None
        self.master = Master(highspy, problem, prices)
        self.relaxed = np.zeros(0, np.int64)
        if parted is not None:
            self.relaxed = parted.sizes
            self.master.relax(parted)
        self.solution: Solution | None = None
        self._turn = 0
        self._weights: Column | None = None
        self._dear = np.zeros(len(problem.price), np.int64)
        self._quick_rounds, self._was_exact = 0, False
        self._gains = {False: 0.0, True: 0.0}
        items = len(problem.demand)
        meter.spend(_NEW_UNITS + _PAIR_UNITS * items**2 + (0 if prices is None else _SPLIT_UNITS * items))

    def start(self, columns: Iterable[tuple[int, Column]]) -> None:
        """First columns: each item alone on its cheapest size, these, and what is quickly found at the bound's
        prices."""
        problem, bound = self.problem, self.bound
        items = np.arange(len(problem.demand))
        per_slot = np.where(problem.each > 0, problem.price / np.maximum(problem.each, 1), np.inf)
        sizes = per_slot.argmin(axis=1)
        rows = np.zeros((len(items), len(items)), np.int64)
        rows[items, items] = np.minimum(problem.each[items, sizes], problem.demand)
        given = list(columns)
        self.master.add(
            np.concatenate([sizes, np.array([size for size, _ in given], np.int64)]),
            np.concatenate([rows, np.array([row for _, row in given], np.int64).reshape(-1, len(items))]),
        )
        if bound.value > 0:
            asked = ask(problem, bound.slot_prices, problem.price + bound.limit_prices @ problem.charges)
            found = quick_fillings(asked, _START_MARGIN, 0)
            self.meter.spend(asked.work + found.work)
            self._add(found, found.slots @ bound.slot_prices / asked.costs[found.sizes], 1 - _START_MARGIN)
        self._solve()

    def run_quickly(self, rounds: int, turn: int) -> None:
        """Look for columns so often at the prices of the part nodes, without a bound, as long as it helps."""
        problem = self.problem
        for number in range(rounds):
            solution = self.solution
            if solution is None or self.meter.left <= 0:
                return
            costs = problem.price + solution.limit_prices @ problem.charges
            asked = ask(problem, solution.slot_prices, costs, fine=False)
            found = quick_fillings(asked, 0.0, turn + number)
            self.meter.spend(asked.work + found.work)
            if not self._add(found, found.slots @ solution.slot_prices / asked.costs[found.sizes], 1 + _HELPS):
                return
            self._solve()

    def run(self, work: int) -> None:
        """Look for columns at the prices of the part nodes until the bound is met or `work` is used up; first for
        fillings worth much more than they cost, which few labels find and prove.
        """
        labels, until, stalled = _FIRST_LABELS, self.meter.left - work, False
        while self.solution is not None and self.meter.left > until:
            if self._met(1 - (self.meter.left - until) / work):
                break
            solution, before, left = self.solution, self.bound.value, self.meter.left
            slack = max(_ENOUGH, min(_COARSEST, _PART * (solution.value / max(before, 1.0) - 1)))
            open_ = self._look(solution, Search(slack, labels, left - until, thorough=stalled, dear=self._dear))
            stalled = self._stalled(solution, before)
            self._note_progress(solution.value - before, left)
            if self.solution is not solution or self.bound.value > before * (1 + 0.1 * slack):
                continue
            if open_ and labels < _MOST_LABELS:
                labels *= _WIDER
            else:
                break

    def _look(self, solution: Solution, search: Search) -> bool:
        """One round; whether some size is left that may hold more than it costs."""
        problem, prices, limit_prices = self.problem, solution.slot_prices, solution.limit_prices
        costs = problem.price + limit_prices @ problem.charges
        asked = self._with_parts(ask(problem, prices, costs, near=self._weights), solution)
        self._weights = asked.weights
        self._turn += 1
        found = quick_fillings(asked, 0.0, self._turn)
        self.meter.spend(asked.work + found.work)
        added = self._add(found, found.slots @ prices / costs[found.sizes], 1 + 1e-6)
        self._was_exact = self._is_exact_next(added, stalled=search.thorough)
        if self._was_exact:
            found = best_fillings(asked, search, self.master.highspy)
            self.meter.spend(found.work)
            added += self._add(found, found.slots @ prices / costs[found.sizes], 1 + 1e-6)
        self._note(prices, limit_prices, found, costs)
        if added:
            self._solve()
        return bool((found.most > costs * (1 + _ABOVE * search.slack)).any())

    def _is_exact_next(self, added: int, *, stalled: bool) -> bool:
        """Whether the best fillings are looked for: quick ones were few, or brought less than the best ones would."""
        if added < max(len(self.problem.demand) // _FEW, 1):
            return True
        if not stalled:
            return False
        self._quick_rounds += 1
        return self._quick_rounds > _MOST_QUICK or self._gains[False] < self._gains[True]

    def _note_progress(self, gap: float, left: int) -> None:
        """What the last round brought part nodes and bound together, a unit of its work."""
        now = self.solution.value - self.bound.value if self.solution is not None else gap
        self._gains[self._was_exact] = (gap - now) / max(left - self.meter.left, 1)
        if self._was_exact:
            self._quick_rounds = 0

    def take(self, other: Generation, least: float) -> None:
        """The columns of another run that are worth this share of their cost there, but for those of relaxed sizes; and
        each item alone."""
        solution = other.solution
        if solution is None:
            return
        costs = self.problem.price + solution.limit_prices @ self.problem.charges
        worth = other.master.slots @ solution.slot_prices / costs[other.master.sizes]
        kept = ~np.isin(other.master.sizes, self.relaxed) & ((worth >= least) | (solution.nodes > 0))
        kept |= (other.master.slots > 0).sum(axis=1) == 1
        self.master.add(other.master.sizes[kept], other.master.slots[kept])
        self._solve()

    def _with_parts(self, asked: Asked, solution: Solution) -> Asked:
        """What a relaxed size is worth at most by its own prices; fillings of it are not looked for."""
        sizes = self.relaxed
        if not len(sizes):
            return asked
        weights = solution.weights / np.maximum(self.problem.totals[sizes], 1)
        beyond = np.maximum(asked.values[:, None] - self.problem.needs @ weights.T, 0.0) * asked.slots[:, sizes]
        most = (solution.weights.sum(axis=1) + beyond.sum(axis=0)) * (1 + 1e-9)
        upper, wanted = asked.upper.copy(), asked.wanted.copy()
        upper[sizes] = np.maximum(np.minimum(upper[sizes], most), asked.lone.most[sizes])
        wanted[sizes] = False
        return replace(asked, upper=upper, wanted=wanted)

    def _add(self, found: Fillings, worth: Column, least: float) -> int:
        """Add those worth more than this, as a share of their cost: of each item the best that hold it, and the best
        of all; returns how many are new."""
        good = np.flatnonzero(worth > least)
        good = good[np.argsort(-worth[good], kind="stable")]
        holding = found.slots[good] > 0
        rank = np.cumsum(holding, axis=0)
        chosen = good[(holding & (rank <= _EACH)).any(axis=1) | (np.arange(len(good)) < _BEST)]
        before = len(self.master)
        self.master.add(found.sizes[chosen], found.slots[chosen])
        return len(self.master) - before

    def _stalled(self, solution: Solution, bound: float) -> bool:
        """Whether the last round brought the price of part nodes little nearer to the bound."""
        now = self.solution
        return now is None or solution.value - now.value < _STALLED * (now.value - bound)

    def _met(self, used: float) -> bool:
        """Whether what is between part nodes and bound is little beside one node; more is little later."""
        if self.solution is None:
            return False
        least = max(self.bound.value, 1.0)
        a_node = self.solution.value / max(float(self.solution.nodes.sum()), 1.0)
        part, most = _LITTLE[used > _EARLY]
        return self.solution.value - self.bound.value <= max(_ENOUGH * least, min(part * a_node, most * least))

    def best_columns(self, most: int) -> Column:
        """Numbers of the columns that lose least at the prices of the part nodes; those in use are among them."""
        solution = self.solution
        if solution is None:
            return np.zeros(0, np.int64)
        costs = self.problem.price + solution.limit_prices @ self.problem.charges
        lost = 1 - self.master.slots @ solution.slot_prices / costs[self.master.sizes]
        return np.argsort(np.where(solution.nodes > 0, -1.0, lost), kind="stable")[:most]

    def settle(self) -> None:
        """From here on each slot covers its own item only."""
        if self.solution is not None and self.solution.moved.any():
            columns = self.master.exchanged(self.solution)
            if columns:
                self.master.add(np.array([size for size, _ in columns]), np.array([row for _, row in columns]))
            self.master.without_exchanges()
            self._solve()

    def _solve(self) -> None:
        self.solution = self.master.solve()
        if self.solution is not None:
            step = _LP_STEP[0] + _LP_STEP[1] * len(self.problem.demand)
            self.meter.spend(_SOLVE_UNITS + self.solution.work * step + 40 * len(self.master))

    def _note(self, prices: Column, limit_prices: Column, found: Fillings, costs: Column) -> None:
        """Farley's bound: slot prices divided by the most that a node is worth of its cost."""
        factor = float((found.most / costs).max())
        if factor <= 0:
            return
        value = float(self.problem.demand @ prices) / factor - float(self.problem.room @ limit_prices)
        if value > self.bound.value:
            self.bound = Bound(value=value, slot_prices=prices / factor, limit_prices=limit_prices)


def _no_bound(problem: CostProblem) -> Bound:
    return Bound(value=0.0, slot_prices=np.zeros(len(problem.demand)), limit_prices=np.zeros(len(problem.room)))
