"""The one place that speaks to HiGHS (extra `optimize`); without it plans are made by the portfolio alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

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


def solver_module() -> Any:
    """HiGHS's Python module, or None when the extra is not installed."""
    try:
        import highspy  # noqa: PLC0415 – an extra, 0.3 s to import
    except ImportError:
        return None
    return highspy


class Master:
    """The restricted problem: fewest coins of columns that cover the demand within the limits."""

    def __init__(self, highspy: Any, problem: CostProblem, demand: Column, room: Column) -> None:
        self.highspy, self.problem = highspy, problem
        self._demand, self._room = demand, room
        self._solver = new_solver(highspy)
        self.sizes: Column = np.zeros(0, np.int64)
        self.slots: Column = np.zeros((0, len(demand)), np.int64)
        self._known: set[tuple[int, bytes]] = set()
        nothing = (np.zeros(0, np.int32), np.zeros(0))
        for slots in demand.tolist():
            self._solver.addRow(float(slots), highspy.kHighsInf, 0, *nothing)
        self._scale = np.maximum(problem.charges.max(axis=1, initial=1), 1) if len(room) else np.ones(0)
        for left, scale in zip(room.tolist(), self._scale.tolist(), strict=True):
            self._solver.addRow(-highspy.kHighsInf, left / scale, 0, *nothing)
        self._cost = max(float(problem.price.max(initial=1)), 1.0)
        self._exchanges = exchanges(problem)
        for large, small in self._exchanges.tolist():
            ends, amounts = np.array([large, small], np.int32), np.array([-1.0, 1.0])
            self._solver.addCol(0.0, 0.0, highspy.kHighsInf, 2, ends, amounts)

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
        entries = np.concatenate(
            [slots.astype(float), (self.problem.charges[:, sizes] / self._scale[:, None]).T], axis=1
        )
        column, row = np.nonzero(entries)
        starts = np.searchsorted(column, np.arange(len(sizes))).astype(np.int32)
        prices = self.problem.price[sizes] / self._cost
        endless = np.full(len(sizes), self.highspy.kHighsInf)
        self._solver.addCols(
            len(sizes),
            prices,
            np.zeros(len(sizes)),
            endless,
            len(row),
            starts,
            row.astype(np.int32),
            entries[column, row],
        )
        self.sizes = np.concatenate([self.sizes, sizes])
        self.slots = np.concatenate([self.slots, slots])

    def exchanged(self, solution: Solution) -> list[tuple[int, Column]]:
        """Columns that hold the items which slots cover by exchange: with them no exchange is needed."""
        used = np.flatnonzero(solution.nodes > 0).tolist()
        nodes = [float(solution.nodes[index]) for index in used]
        columns = [(int(self.sizes[index]), self.slots[index]) for index in used]
        takes = (self.problem.needs / np.maximum(self.problem.totals.max(axis=0, initial=1), 1)).sum(axis=1)
        for index in np.argsort(-takes[self._exchanges[:, 0]], kind="stable").tolist():
            (large, small), flow = self._exchanges[index].tolist(), float(solution.moved[index])
            for at in range(len(columns)):
                size, row = columns[at]
                if flow <= _TOLERANCE:
                    break
                if not row[large] or nodes[at] <= 0:
                    continue
                part = min(nodes[at], flow / int(row[large]))
                other = row.copy()
                other[small] += row[large]
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
        moved, nodes = values[: len(self._exchanges)], values[len(self._exchanges) :]
        if not self._covers(nodes, moved):
            return None
        duals = np.array(found.row_dual) * self._cost
        split = len(self._demand)
        info = self._solver.getInfo()
        return Solution(
            float(info.objective_function_value) * self._cost,
            nodes,
            np.maximum(duals[:split], 0.0),
            np.maximum(-duals[split:], 0.0) / self._scale,
            int(info.simplex_iteration_count),
            moved,
        )

    def _covers(self, nodes: Column, moved: Column) -> bool:
        """HiGHS has been seen to answer zeros: every answer is checked against what was asked."""
        if len(nodes) != len(self.sizes):
            return False
        used = np.flatnonzero(nodes)
        covered = (nodes[used] @ self.slots[used]).astype(float)
        np.add.at(covered, self._exchanges[:, 1], moved)
        np.subtract.at(covered, self._exchanges[:, 0], moved)
        charged = self.problem.charges[:, self.sizes[used]] @ nodes[used]
        enough = (covered >= self._demand - _TOLERANCE * np.maximum(self._demand, 1)).all()
        within = (charged <= self._room + _TOLERANCE * np.maximum(np.abs(self._room), 1)).all()
        return bool(enough and within)


def exchanges(problem: CostProblem) -> Column:
    """Pairs of items: where a slot of the first can be, one of the second can be as well. Those that follow from two
    others are left out.

    In the program of prices such a slot may cover the other item; prices then rise with the needs, and far fewer
    columns are looked for in vain.
    """
    needs, allowed = problem.needs, problem.allowed
    less = (needs[None, :, :] <= needs[:, None, :]).all(axis=2)
    less &= ~(allowed[:, None, :] & ~allowed[None, :, :]).any(axis=2)
    less &= ~problem.alone[:, None] & ~problem.alone[None, :]
    less &= ~(less.T & np.tri(len(needs), dtype=bool))
    np.fill_diagonal(less, val=False)
    steps = less.astype(np.float32)
    return np.argwhere(less & ~(steps @ steps > 0))


def new_solver(highspy: Any) -> Any:
    """One thread, one seed and no clock: the same input gives the same answer (P5).

    HiGHS keeps one pool of threads a process and refuses another number of them; the answer of a refused run is all
    zeros, which `Master` takes for a failure.
    """
    solver = highspy.Highs()
    for name, value in (("output_flag", False), ("threads", 1), ("random_seed", 1), ("parallel", "off")):
        solver.setOptionValue(name, value)
    return solver
