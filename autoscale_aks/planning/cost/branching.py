"""The best filling of one node by branch and bound (HiGHS), where tables and few labels do not decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.labels import Found
from autoscale_aks.planning.cost.solver import new_solver

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.labels import Node
    from autoscale_aks.planning.places import Column

_SAFE: Final = 1 + 2e-6
"""The solver's sums are floats, within some 1e-7; bounds are moved to the safe side by more."""
_MOST_NODES: Final = 50
"""Of the search tree."""
_START_UNITS: Final = 100_000
_ITEM_UNITS: Final = 8_000
_STEP_UNITS: Final = 4_000
"""Work of a program, of each of its items, and of each step."""


def branch(node: Node, highspy: Any, gap: float) -> Found:
    """The best filling found, if it is worth more than what is reached, and a bound, no further from it than this share
    unless the nodes of the search tree do not do."""
    solver = new_solver(highspy)
    for name, value in (("presolve", "off"), ("mip_rel_gap", gap), ("mip_max_nodes", _MOST_NODES)):
        solver.setOptionValue(name, value)
    solver.passModel(_program(node, highspy))
    solver.run()
    info = solver.getInfo()
    work = _START_UNITS + _ITEM_UNITS * len(node.values) + _STEP_UNITS * int(info.simplex_iteration_count)
    status = highspy.HighsModelStatus
    if solver.getModelStatus() not in (status.kOptimal, status.kSolutionLimit, status.kIterationLimit):
        return Found(np.zeros((0, len(node.values)), np.int64), np.inf, work)
    bound = -float(info.mip_dual_bound) * node.reached * _SAFE
    values = solver.getSolution().col_value
    if len(values) != len(node.values):  # no filling was found
        values = np.zeros(len(node.values))
    slots = np.rint(np.asarray(values)).astype(np.int64)[None, :]
    return Found(slots[_holds(node, slots)], max(bound, node.reached), work)


def _program(node: Node, highspy: Any) -> Any:
    """One row a dimension; worth in shares of what is reached."""
    program = highspy.HighsLp()
    count, dimensions = node.needs.shape
    program.num_col_, program.num_row_ = count, dimensions
    program.col_cost_ = -node.values / node.reached
    program.col_lower_, program.col_upper_ = np.zeros(count), node.most.astype(float)
    program.row_lower_ = np.full(dimensions, -highspy.kHighsInf)
    program.row_upper_ = np.ones(dimensions)
    share = node.needs / np.maximum(node.total, 1)
    column, row = np.nonzero(share)
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = np.searchsorted(column, np.arange(count + 1)).astype(np.int32)
    program.a_matrix_.index_ = row.astype(np.int32)
    program.a_matrix_.value_ = share[column, row]
    program.integrality_ = [highspy.HighsVarType.kInteger] * count
    return program


def _holds(node: Node, slots: Column) -> Column:
    fits = (slots @ node.needs <= node.total).all(axis=1) & (slots <= node.most).all(axis=1)
    return np.flatnonzero(fits & (slots @ node.values > node.reached))
