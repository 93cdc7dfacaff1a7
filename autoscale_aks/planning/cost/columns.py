"""The refined plan: columns, then whole nodes (docs/designs/0007-cost.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.blending import blended, nearly_whole
from autoscale_aks.planning.cost.generation import Generation
from autoscale_aks.planning.cost.guided import Marks, buy
from autoscale_aks.planning.cost.problem import Meter
from autoscale_aks.planning.cost.rounding import rounded, trimmed
from autoscale_aks.planning.cost.sharing import share_out
from autoscale_aks.planning.cost.solver import solver_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.planning.cost.problem import Bound, CostProblem, Packing

_PAIR_UNITS: Final = 75
"""Work of each pair of items, more of which are not begun with: their programs alone would take longer."""
_MANY: Final = 300
_SHARE: Final = (0.5, 0.3)
"""Share of the work that looking for columns may take at first; the second with so many items."""
_WIDE: Final = 2e-4
"""Relative gap between part nodes and bound above which looking goes on."""
_WHOLE: Final = (0.15, 6e-4, 0.35)
"""Share of the work that is kept for whole nodes: at least, for each item, and at most."""
_GOOD: Final = 5e-5
"""Relative gap at which whole nodes are good enough."""


_KEPT: Final = 2
"""How many of the portfolio's plans give columns."""


def generate(
    problem: CostProblem, packings: Sequence[Packing], bound: Bound, work: int
) -> tuple[Packing | None, Bound]:
    """A packing near the bound, if one is found, and the best bound. Without a solver nothing and `bound`."""
    highspy = solver_module()
    if highspy is None or work <= 0:
        return None, bound
    meter = Meter(work)
    shared = share_out(problem, highspy, meter)
    if shared is not None and shared.value > bound.value:
        bound = shared
    if meter.left <= 0:
        return None, bound
    if len(problem.demand) ** 2 * _PAIR_UNITS > work:
        return _bought_at(problem, bound, meter), bound
    run = Generation(problem, highspy, meter, bound)
    cheapest = sorted(packings, key=problem.cost)[:_KEPT]
    run.start([(one.size, one.slots) for packing in cheapest for one in packing])
    run.run(int(work * _SHARE[len(problem.demand) > _MANY]))
    more = meter.left - int(work * min(_WHOLE[0] + _WHOLE[1] * len(problem.demand), _WHOLE[2]))
    if more > 0 and run.solution is not None and run.solution.value > run.bound.value * (1 + _WIDE):
        parted = nearly_whole(run)
        if parted is None:
            run.run(more)
        else:
            run.bound = blended(run, parted, highspy, more)
    run.settle()
    if run.solution is None:
        return None, run.bound
    whole = rounded(run, highspy, run.bound.value * (1 + _GOOD), cheapest[0] if cheapest else None)
    return whole, run.bound


def _bought_at(problem: CostProblem, bound: Bound, meter: Meter) -> Packing | None:
    """A packing by the bound's prices, without columns."""
    none = np.zeros(0, np.int64)
    marks = Marks(bound.slot_prices, bound.limit_prices, none, none.reshape(0, len(problem.demand)))
    found = buy(problem, marks, meter, 0)
    return None if found is None else trimmed(problem, found)
