"""Slots that may stand where other slots do: while prices are sought, a slot of one item may cover others.

Prices then rise with the needs, and are no less than what an item can be split into; far fewer columns are looked for
in vain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.problem import CostProblem
    from autoscale_aks.planning.places import Column

NONE: Final = -1
_SPLITS: Final = 8
_LOST: Final = 0.1
"""Splits of each item, at most, and what share of its worth one may lose."""
_MOST_PARTS: Final = 150


def exchanged_items(problem: CostProblem, prices: Column | None) -> Column:
    """Rows of three items: a slot of the first may cover one of the second and, unless it is NONE, one of the third.
    At these prices, where there are some, items are split into the two that are worth most."""
    pairs = exchanges(problem)
    rows = np.column_stack([pairs, np.full(len(pairs), NONE)]).astype(np.int64)
    return rows if prices is None else np.concatenate([rows, splits(problem, prices)])


def exchanges(problem: CostProblem) -> Column:
    """Pairs of items: where a slot of the first can be, one of the second can be as well. Those that follow from two
    others are left out."""
    needs, allowed = problem.needs, problem.allowed
    less = (needs[None, :, :] <= needs[:, None, :]).all(axis=2)
    less &= ~(allowed[:, None, :] & ~allowed[None, :, :]).any(axis=2)
    less &= ~problem.alone[:, None] & ~problem.alone[None, :]
    less &= ~(less.T & np.tri(len(needs), dtype=bool))
    np.fill_diagonal(less, val=False)
    steps = less.astype(np.float32)
    return np.argwhere(less & ~(steps @ steps > 0))


def splits(problem: CostProblem, prices: Column) -> Column:
    """Rows of three items: where a slot of the first can be, one of the second and one of the third can be instead, of
    which little is lost at these prices."""
    needs, allowed = problem.needs, problem.allowed
    usable = ~problem.alone & (prices > 0)
    found: list[Column] = [np.zeros((0, 3), np.int64)]
    for item in np.flatnonzero(usable).tolist():
        inside = usable & (needs <= needs[item]).all(axis=1) & ~(allowed[item] & ~allowed).any(axis=1)
        inside[item] = False
        small = np.flatnonzero(inside)
        small = small[np.argsort(-prices[small], kind="stable")][:_MOST_PARTS]
        first, second = (small[at] for at in np.triu_indices(len(small)))
        worth = prices[first] + prices[second]
        fits = np.flatnonzero(worth >= (1 - _LOST) * prices[item])
        for dimension in range(needs.shape[1]):
            together = needs[first[fits], dimension] + needs[second[fits], dimension]
            fits = fits[together <= needs[item, dimension]]
        best = fits[np.argsort(-worth[fits], kind="stable")][:_SPLITS]
        found.append(np.column_stack([np.full(len(best), item), first[best], second[best]]))
    return np.concatenate(found)
