"""The one place that speaks to HiGHS (extra `optimize`); without it plans are made by the portfolio alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.exchanging import NONE, exchanged_items

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column

_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Solution:
    """What a solve found, checked: nodes of each column, prices of slots and of limits."""

    value: float
    nodes: Column
    slot_prices: Column
    limit_prices: Column
    """What one unit of a limit is worth, zero or more."""
    work: int
    moved: Column
    """Slots that cover another item, by exchange."""
    weights: Column
    """Relaxed sizes × D: prices of a whole node's dimensions."""


@dataclass(frozen=True, slots=True)
class Parted:
    """Sizes whose nodes may hold parts of slots, and (I × sizes) of which items no more than fit and are wanted; for
    the others it does not matter."""

    sizes: Column
    bounded: Column


def solver_module() -> Any:
    """HiGHS's Python module, or None when the extra is not installed."""
    try:
        import highspy  # noqa: PLC0415 – an extra, 0.3 s to import
    except ImportError:
        return None
    return highspy


class Master:
    """The restricted problem: fewest coins of columns that cover the demand within the limits."""

    def __init__(self, highspy: Any, problem: CostProblem, prices: Column | None = None) -> None:
        """`prices` of slots say which items may be split into others."""
        self.highspy, self.problem = highspy, problem
        self._demand, self._room = demand, room = problem.demand, problem.room
        self._solver = new_solver(highspy)
        self.sizes: Column = np.zeros(0, np.int64)
        self.slots: Column = np.zeros((0, len(demand)), np.int64)
        self._known: set[tuple[int, bytes]] = set()
        self._relaxed = np.zeros(0, np.int64)
        self._parts: tuple[Column, Column] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        nothing = (np.zeros(0, np.int32), np.zeros(0))
        for slots in demand.tolist():
            self._solver.addRow(float(slots), highspy.kHighsInf, 0, *nothing)
        self._scale = np.maximum(problem.charges.max(axis=1, initial=1), 1) if len(room) else np.ones(0)
        for left, scale in zip(room.tolist(), self._scale.tolist(), strict=True):
            self._solver.addRow(-highspy.kHighsInf, left / scale, 0, *nothing)
        self._cost = max(float(problem.price.max(initial=1)), 1.0)
        self._exchanges = exchanged_items(problem, prices)
        for large, small, other in self._exchanges.tolist():
            row = {large: -1.0, small: 1.0}
            if other != NONE:
                row[other] = row.get(other, 0.0) + 1.0
            ends, amounts = np.array(list(row), np.int32), np.array(list(row.values()))
            self._solver.addCol(0.0, 0.0, highspy.kHighsInf, len(row), ends, amounts)

    def add(self, sizes: Column, slots: Column) -> None:
        """More columns: fillings of one node, those that are not there yet."""
        fresh = [
            index
            for index, size in enumerate(sizes.tolist())
            if (key := (size, slots[index].tobytes())) not in self._known and not self._known.add(key)  # type: ignore[func-returns-value]
        ]
        fresh = [index for index in fresh if slots[index].any()]
        if not fresh:
            return
        sizes, slots = sizes[fresh], slots[fresh]
        column, item = np.nonzero(slots)
        charged = (self.problem.charges[:, sizes] / self._scale[:, None]).T
        other, limit = np.nonzero(charged)
        self._add_columns(
            self.problem.price[sizes] / self._cost,
            np.concatenate([column, other]),
            np.concatenate([item, len(self._demand) + limit]),
            np.concatenate([slots[column, item].astype(float), charged[other, limit]]),
        )
        self.sizes = np.concatenate([self.sizes, sizes])
        self.slots = np.concatenate([self.slots, slots])

    def relax(self, parted: Parted) -> None:
        """From now on nodes of these sizes may hold parts of slots, as in `cost.sharing`. To be said before columns are
        added."""
        sizes, problem, count, limits = parted.sizes, self.problem, len(self._demand), len(self._room)
        kinds = len(sizes)
        dimensions = problem.totals.shape[1]
        items, at = np.nonzero(problem.each[:, sizes] > 0)
        bounded = np.flatnonzero(parted.bounded[items, at])
        ahead, rows = count + limits, kinds * dimensions + len(bounded)
        nothing = (np.zeros(0, np.int32), np.zeros(0))
        for _ in range(rows):
            self._solver.addRow(-self.highspy.kHighsInf, 0.0, 0, *nothing)
        share = problem.needs[items] / np.maximum(problem.totals[sizes[at]], 1)
        share[problem.alone[items]] = 1.0
        every, slots = np.arange(kinds), kinds + np.arange(len(items))
        limit, of = np.nonzero(problem.charges[:, sizes])
        columns = [of, slots]
        rows_of = [count + limit, items]
        amounts = [(problem.charges[:, sizes] / self._scale[:, None])[limit, of], np.ones(len(items))]
        for dimension in range(dimensions):
            asking = np.flatnonzero(share[:, dimension])
            columns += [every, slots[asking]]
            rows_of += [ahead + every * dimensions + dimension, ahead + at[asking] * dimensions + dimension]
            amounts += [np.full(kinds, -1.0), share[asking, dimension]]
        last = ahead + kinds * dimensions + np.arange(len(bounded))
        most = np.minimum(problem.demand, problem.each[:, sizes].T)[at[bounded], items[bounded]]
        columns += [slots[bounded], at[bounded]]
        rows_of += [last, last]
        amounts += [np.ones(len(bounded)), -most.astype(float)]
        prices = np.concatenate([problem.price[sizes] / self._cost, np.zeros(len(items))])
        self._add_columns(prices, np.concatenate(columns), np.concatenate(rows_of), np.concatenate(amounts))
        self._relaxed, self._parts = sizes, (items, at)

    def _add_columns(self, prices: Column, column: Column, row: Column, amount: Column) -> None:
        """Columns of these prices, without end, with these amounts in these rows."""
        order = np.argsort(column, kind="stable")
        starts = np.searchsorted(column[order], np.arange(len(prices))).astype(np.int32)
        endless = np.full(len(prices), self.highspy.kHighsInf)
        self._solver.addCols(
            len(prices), prices, np.zeros(len(prices)), endless, len(row), starts, row[order].astype(np.int32),
            amount[order].astype(float),
        )  # fmt: skip

    def exchanged(self, solution: Solution) -> list[tuple[int, Column]]:
        """Columns that hold the items which slots cover by exchange: with them no exchange is needed."""
        used = np.flatnonzero(solution.nodes > 0).tolist()
        nodes = [float(solution.nodes[index]) for index in used]
        columns = [(int(self.sizes[index]), self.slots[index]) for index in used]
        takes = (self.problem.needs / np.maximum(self.problem.totals.max(axis=0, initial=1), 1)).sum(axis=1)
        for index in np.argsort(-takes[self._exchanges[:, 0]], kind="stable").tolist():
            (large, small, second), flow = self._exchanges[index].tolist(), float(solution.moved[index])
            for at in range(len(columns)):
                size, row = columns[at]
                if flow <= _TOLERANCE:
                    break
                if not row[large] or nodes[at] <= 0:
                    continue
                part = min(nodes[at], flow / int(row[large]))
                other = row.copy()
                other[small] += row[large]
                if second != NONE:
                    other[second] += row[large]
                other[large] = 0
                flow -= part * int(row[large])
                nodes[at] -= part
                nodes.append(part)
                columns.append((size, other))
        return [column for part, column in zip(nodes, columns, strict=True) if part > 0]

    def without_exchanges(self) -> None:
        """From now on a slot covers no other item than its own."""
        for column in range(len(self._exchanges)):
            self._solver.changeColBounds(column, 0.0, 0.0)

    @property
    def columns(self) -> list[tuple[int, Column]]:
        """All columns so far: size and slots."""
        return list(zip(self.sizes.tolist(), self.slots, strict=True))

    def __len__(self) -> int:
        return len(self.sizes)

    def solve(self) -> Solution | None:
        """The cheapest mix; None when the solver fails or its answer does not hold."""
        self._solver.run()
        if self._solver.getModelStatus() != self.highspy.HighsModelStatus.kOptimal:
            return None
        found = self._solver.getSolution()
        values = np.maximum(np.array(found.col_value), 0.0)
        first = len(self._exchanges)
        own = first + len(self._relaxed) + len(self._parts[0])
        moved, nodes = values[:first], values[own:]
        if not self._covers(nodes, moved, values[first:own]):
            return None
        duals = np.array(found.row_dual) * self._cost
        split, dimensions = len(self._demand), self.problem.totals.shape[1]
        ahead = split + len(self._room)
        info = self._solver.getInfo()
        return Solution(
            float(info.objective_function_value) * self._cost,
            nodes,
            np.maximum(duals[:split], 0.0),
            np.maximum(-duals[split:ahead], 0.0) / self._scale,
            int(info.simplex_iteration_count),
            moved,
            np.maximum(-duals[ahead : ahead + self._relaxed.size * dimensions], 0.0).reshape(-1, dimensions),
        )

    def _covers(self, nodes: Column, moved: Column, parts: Column) -> bool:
        """HiGHS has been seen to answer zeros: every answer is checked against what was asked."""
        if len(nodes) != len(self.sizes):
            return False
        used = np.flatnonzero(nodes)
        covered = (nodes[used] @ self.slots[used]).astype(float)
        np.add.at(covered, self._exchanges[:, 1], moved)
        second = self._exchanges[:, 2] != NONE
        np.add.at(covered, self._exchanges[second, 2], moved[second])
        np.subtract.at(covered, self._exchanges[:, 0], moved)
        kinds = len(self._relaxed)
        np.add.at(covered, self._parts[0], parts[kinds:])
        charged = self.problem.charges[:, self.sizes[used]] @ nodes[used]
        charged = charged + self.problem.charges[:, self._relaxed] @ parts[:kinds]
        enough = (covered >= self._demand - _TOLERANCE * np.maximum(self._demand, 1)).all()
        within = (charged <= self._room + _TOLERANCE * np.maximum(np.abs(self._room), 1)).all()
        return bool(enough and within)


def new_solver(highspy: Any) -> Any:
    """One thread, one seed and no clock: the same input gives the same answer (P5).

    HiGHS keeps one pool of threads a process and refuses another number of them; the answer of a refused run is all
    zeros, which `Master` takes for a failure.
    """
    solver = highspy.Highs()
    for name, value in (("output_flag", False), ("threads", 1), ("random_seed", 1), ("parallel", "off")):
        solver.setOptionValue(name, value)
    return solver
