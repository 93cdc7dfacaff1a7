"""The most that part slots on one node of each size are worth: a bound on what whole slots are, for all sizes at once.

A relaxation of the knapsack of a node: for any prices `w ≥ 0` of the dimensions no filling with at most `m` slots of
each item is worth more than `w·total + Σ m·max(0, value − w·need)`. Along one direction of `w` the least of it is found
as in a knapsack of one dimension: items in the order of their worth for what they take, until the node is full.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.places import Column

_STEPS: Final = {1: 0, 2: 12, 3: 5}
"""Steps of a factor of `_FACTOR` to either side of the mean ratio of two dimensions, by how many there are."""
_FACTOR: Final = {1: 2.0, 2: 2.0**0.5, 3: 2.0}
_REFINED: Final = 6
_LEAST: Final = 1e-3
"""Least part of the price that a dimension has in the prices of a moment before: more than nothing, which no factor
changes."""
_DIRECTION_UNITS: Final = 1_200
_A_UNIT: Final = 6
_FINE_A_UNIT: Final = 2
"""Work of a direction, and how many items × sizes are a unit, in one order for all sizes and in one each."""


@dataclass(frozen=True, slots=True)
class Relaxed:
    """By size, prices of the dimensions (S × D), and what they prove that a node is worth at most (S)."""

    weights: Column
    upper: Column
    work: int


def relax(
    needs: Column, values: Column, most: Column, totals: Column, wanted: Column, *, fine: bool = True,
    near: Column | None = None,
) -> Relaxed:  # fmt: skip
    """The best prices found, finer for sizes that seem worth more than `wanted`. `most` is I × S, the slots of each
    item that a node may hold. They are looked for `near` those of a moment before (S × D), where there are some."""
    if not len(needs):
        return Relaxed(np.zeros(totals.shape), np.zeros(len(totals)), 1)
    scale = np.maximum((most.max(axis=1, initial=0) @ needs).astype(float), 1.0)
    takes, holds = needs / scale, totals / scale
    best = np.full(len(totals), np.inf)
    weights = np.zeros(totals.shape)
    factor = _FACTOR.get(totals.shape[1], 4.0)
    if near is None:
        places = _grid(totals.shape[1], fine=fine)
        for direction in places:
            _improve(best, weights, direction[None, :], (takes, values, most, holds))
        work = len(places) * (_DIRECTION_UNITS + most.size // _A_UNIT)
    else:
        directions = near * scale
        directions = np.maximum(directions, _LEAST * directions.sum(axis=1, keepdims=True) + 1e-300)
        _improve(best, weights, directions, (takes, values, most, holds))
        work = _DIRECTION_UNITS + most.size // _FINE_A_UNIT
        factor = factor**2
    open_ = np.flatnonzero(best > wanted)
    if fine and len(open_) and totals.shape[1] > 1:
        here, found = best[open_], weights[open_]
        parts = (takes, values, most[:, open_], holds[open_])
        for _ in range(_REFINED):
            factor = factor**0.5
            for dimension in range(1, totals.shape[1]):
                for turn in (factor, 1 / factor):
                    direction = found.copy()
                    direction[:, dimension] *= turn
                    _improve(here, found, direction, parts)
                    work += _DIRECTION_UNITS + parts[2].size // _FINE_A_UNIT
        best[open_], weights[open_] = here, found
    return Relaxed(weights / scale, best, work)


def _improve(best: Column, weights: Column, direction: Column, parts: tuple[Column, Column, Column, Column]) -> None:
    """Take over what is less in this direction, one for all sizes or one each."""
    takes, values, most, holds = parts
    found, level = _along(takes @ direction.T, values, most, (holds * direction).sum(axis=1))
    better = found < best
    best[better] = found[better]
    weights[better] = (level[:, None] * direction)[better]


@cache
def _grid(dimensions: int, *, fine: bool) -> Column:
    """Directions of prices: every dimension alone, and mixes whose ratios are powers."""
    steps, factor = _STEPS.get(dimensions, 2), _FACTOR.get(dimensions, 4.0)
    if not fine:
        steps, factor = (steps + 1) // 2, factor**2
    powers = list(product(range(-steps, steps + 1), repeat=dimensions - 1))
    exponents = np.array(powers, float).reshape(len(powers), dimensions - 1)
    mixes = np.concatenate([np.ones((len(exponents), 1)), factor**exponents], axis=1)
    return np.concatenate([mixes, np.eye(dimensions)]) if dimensions > 1 else mixes


def _along(takes: Column, values: Column, most: Column, holds: Column) -> tuple[Column, Column]:
    """By size, the least bound along a direction, and how far along it is. `takes` is I × 1, or I × S, what a slot
    takes of the mix, `holds` what a node has of it."""
    ratio = np.where(takes > 0, values[:, None] / np.maximum(takes, 1e-300), np.inf)
    order = np.argsort(-ratio, axis=0, kind="stable")
    one = takes.shape[1] == 1
    rows = most[order[:, 0]] if one else np.take_along_axis(most, order, axis=0)
    taken = np.take_along_axis(takes, order, axis=0)
    used = np.cumsum(rows * taken, axis=0)
    full = used > holds
    last = np.where(full.any(axis=0), full.argmax(axis=0), len(values))
    every = np.arange(len(holds))
    ratio = np.concatenate([np.take_along_axis(ratio, order, axis=0), np.zeros((1, takes.shape[1]))])
    level = ratio[last, 0 if one else every]
    level = np.where(np.isfinite(level), level, 0.0)
    worth = np.concatenate([np.zeros((1, len(holds))), np.cumsum(rows * values[order], axis=0)])
    used = np.concatenate([np.zeros((1, len(holds))), used])
    return worth[last, every] + (holds - used[last, every]) * level, level
