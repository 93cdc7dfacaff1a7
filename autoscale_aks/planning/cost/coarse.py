"""A bound where there are too many kinds of slots for any search: like ones are taken together, at the least of each.

What is true of slots that take less is true of these: a node that holds them would hold the smaller ones too, so that
prices of the smaller ones prove a bound for both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cost.posing import first_bound
from autoscale_aks.planning.cost.problem import Bound, Meter
from autoscale_aks.planning.cost.sharing import share_out
from autoscale_aks.planning.cost.solver import solver_module

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column

_MOST_KINDS: Final = 500
_STEPS: Final = (512, 256, 128, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
"""Steps into which what is taken of a dimension is divided, finest first."""


def coarse_bound(problem: CostProblem, work: int) -> Bound:
    """The better of the first bound and, where there is work to spend and a solver, the one of slots taken together."""
    bound, highspy = first_bound(problem), solver_module()
    if highspy is None or work <= 0:
        return bound
    together, kind_of = taken_together(problem)
    found = share_out(together, highspy, Meter(work))
    if found is None or found.value <= bound.value:
        return bound
    return Bound(value=found.value, slot_prices=found.slot_prices[kind_of], limit_prices=found.limit_prices)


def taken_together(problem: CostProblem) -> tuple[CostProblem, Column]:
    """A problem of few kinds of slots that costs no more, and the kind of each item."""
    for steps in _STEPS:
        kinds, kind_of = _kinds(problem, steps)
        if kinds <= _MOST_KINDS:
            break
    needs = np.full((kinds, problem.needs.shape[1]), np.iinfo(np.int64).max)
    np.minimum.at(needs, kind_of, problem.needs)
    demand = np.zeros(kinds, np.int64)
    np.add.at(demand, kind_of, problem.demand)
    allowed = np.zeros((kinds, problem.allowed.shape[1]), bool)
    np.logical_or.at(allowed, kind_of, problem.allowed)
    alone = np.ones(kinds, bool)
    np.logical_and.at(alone, kind_of, problem.alone)
    return replace(problem, needs=needs, demand=demand, allowed=allowed, alone=alone), kind_of


def _kinds(problem: CostProblem, steps: int) -> tuple[int, Column]:
    """How many kinds there are with so many steps a dimension, and the kind of each item."""
    most = np.maximum(problem.needs.max(axis=0, initial=1), 1)
    step = -(-most // steps)
    keys = np.concatenate([problem.needs // step, problem.alone[:, None]], axis=1)
    found, kind_of = np.unique(keys, axis=0, return_inverse=True)
    return len(found), kind_of.reshape(-1)
