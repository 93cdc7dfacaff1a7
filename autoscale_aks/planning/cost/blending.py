"""A bound by part slots where they are nearly as good as whole ones, and by columns where they are not.

A node that holds many slots holds nearly as much as part slots would fill it with; to prove how little it is less takes
longer than it is worth. Such sizes hold parts of slots in the program of prices (`cost.sharing`), so that only fillings
of the other sizes must be found and proved; its prices are a bound's, as those of columns alone are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from autoscale_aks.planning.cost.generation import Generation
from autoscale_aks.planning.cost.pricing import ask
from autoscale_aks.planning.cost.solver import Parted

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import Bound

_CLOSE: Final = 5e-3
_FAR: Final = 0.03
"""By how much more, and less, than its cost part slots on a relaxed size may be worth at the part nodes' prices."""
_GAIN: Final = 0.01
"""Items that lose less of their worth on a relaxed size are bounded there."""


def nearly_whole(run: Generation) -> Parted | None:
    """Sizes on which parts of slots are nearly as good as whole ones; None where most sizes are not so."""
    problem, solution = run.problem, run.solution
    if solution is None:
        return None
    costs = problem.price + solution.limit_prices @ problem.charges
    asked = ask(problem, solution.slot_prices, costs)
    ratio = asked.upper / costs
    sizes = np.flatnonzero((ratio <= 1 + _CLOSE) & (ratio >= 1 - _FAR))
    if not len(sizes) or len(sizes) < (ratio > 1 + _CLOSE).sum():
        return None
    gain = solution.slot_prices[:, None] - problem.needs @ asked.weights[sizes].T
    return Parted(sizes, gain > -_GAIN * solution.slot_prices[:, None])


def blended(run: Generation, parted: Parted, highspy: Any, work: int) -> Bound:
    """The run's bound, or a better one with parts of slots on these sizes."""
    other = Generation(run.problem, highspy, run.meter, run.bound, parted)
    other.take(run, 1 - _FAR)
    other.run(work)
    return other.bound
