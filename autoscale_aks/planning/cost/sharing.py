"""A first bound: every slot may be cut into parts, and its parts shared out over sizes.

The linear program is small (a column for each item on each size) and its prices of a size's dimensions prove what they
say by themselves: no node is worth more than `w·total`, and no slot costs less than the least `w·need`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.problem import Bound
from autoscale_aks.planning.cost.solver import new_solver

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem, Meter
    from autoscale_aks.planning.places import Column

_MOST_COLUMNS: Final = 60_000
_STEP_UNITS: Final = 1_200
"""Work of a simplex step."""


def share_out(problem: CostProblem, highspy: Any, meter: Meter) -> Bound | None:
    """The bound; None where the program is too large, or its answer is not one."""
    items, sizes = np.nonzero(problem.each > 0)
    if len(items) > _MOST_COLUMNS:
        return None
    solver = new_solver(highspy)
    solver.passModel(_program(problem, highspy, items, sizes))
    solver.run()
    meter.spend(int(solver.getInfo().simplex_iteration_count) * _STEP_UNITS + 10 * len(items))
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return _proved(problem, np.array(solver.getSolution().row_dual))


def _program(problem: CostProblem, highspy: Any, items: Column, sizes: Column) -> Any:
    """Rows: cover of each item; each dimension of each size, in nodes; limits. Columns: slots on a size, then nodes.

    A slot that takes a whole node is paid for as one.
    """
    count, (kinds, dimensions), limits = len(problem.demand), problem.totals.shape, len(problem.room)
    alone = problem.alone[items]
    share = np.where(alone[:, None], 1.0, problem.needs[items] / np.maximum(problem.totals[sizes], 1))
    rows_of_slots = np.column_stack([items, count + sizes[:, None] * dimensions + np.arange(dimensions)])
    rows_of_nodes = np.column_stack(
        [count + np.arange(kinds * dimensions).reshape(kinds, -1), *(np.full(kinds, count + kinds * dimensions + limit)
                                                                     for limit in range(limits))]
    )  # fmt: skip
    scale = np.maximum(problem.charges.max(axis=1, initial=1), 1)
    amounts_of_slots = np.column_stack([np.ones(len(items)), share])
    amounts_of_nodes = np.concatenate(
        [np.full((kinds, dimensions), -1.0), (problem.charges / scale[:, None]).T], axis=1
    )
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(items) + kinds, count + kinds * dimensions + limits
    program.col_cost_ = np.concatenate([np.zeros(len(items)), problem.price / max(float(problem.price.max()), 1.0)])
    program.col_lower_, program.col_upper_ = np.zeros(program.num_col_), np.full(program.num_col_, highspy.kHighsInf)
    infinite = np.full(kinds * dimensions + limits, -highspy.kHighsInf)
    program.row_lower_ = np.concatenate([problem.demand.astype(float), infinite])
    program.row_upper_ = np.concatenate(
        [np.full(count, highspy.kHighsInf), np.zeros(kinds * dimensions), problem.room / scale]
    )
    lengths = np.concatenate([np.full(len(items), 1 + dimensions), np.full(kinds, dimensions + limits)])
    matrix = program.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kColwise
    matrix.start_ = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    matrix.index_ = np.concatenate([rows_of_slots.ravel(), rows_of_nodes.ravel()]).astype(np.int32)
    matrix.value_ = np.concatenate([amounts_of_slots.ravel(), amounts_of_nodes.ravel()])
    return program


def _proved(problem: CostProblem, duals: Column) -> Bound:
    """The bound that these duals prove, whatever they are: prices of dimensions within what a node costs, and slots
    no dearer than what they take anywhere."""
    count, (kinds, dimensions) = len(problem.demand), problem.totals.shape
    unit = max(float(problem.price.max()), 1.0)
    scale = np.maximum(problem.charges.max(axis=1, initial=1), 1)
    limit_prices = np.maximum(-duals[count + kinds * dimensions :], 0.0) * unit / scale
    costs = problem.price + limit_prices @ problem.charges
    weights = np.maximum(-duals[count : count + kinds * dimensions].reshape(kinds, dimensions), 0.0)
    sums = weights.sum(axis=1)
    weights = np.where(sums[:, None] > 0, weights / np.maximum(sums[:, None], 1e-300), 1 / dimensions) * costs[:, None]
    takes = (problem.needs[:, None, :] / np.maximum(problem.totals, 1) * weights).sum(axis=2)
    takes = np.where(problem.alone[:, None], costs, takes)
    prices = np.where(problem.each > 0, takes, np.inf).min(axis=1)
    value = float(problem.demand @ prices - problem.room @ limit_prices)
    return Bound(value=value, slot_prices=prices, limit_prices=limit_prices)
