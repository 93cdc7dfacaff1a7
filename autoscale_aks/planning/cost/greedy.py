"""Many quick fillings at once: the item taken next is worth most for what it takes, where a dimension of which little
is left counts more. Small handicaps, how much scarcity counts, and a liking for large items differ from filling to
filling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.places import Column

_MOST_STEPS: Final = 200
_HANDICAP: Final = 0.05
_SCARCE: Final = np.array([0.3, 0.3, 0.0, 1.0])
"""To which power the part of a dimension that is left divides its price, filling by filling."""
_LARGE: Final = np.array([0.0, 0.1, 1.0, 0.4])
"""What share of a node is worth as much as what share of an item's own worth, filling by filling."""


def fill_all(
    needs: Column, values: Column, most: Column, totals: Column, weights: Column, given: Column, turn: int
) -> tuple[Column, int]:
    """Fillings × items: nodes of `totals` (fillings × D) with at most `most` (fillings × I) slots of each item; and the
    elements looked at. Each holds what it is `given`. `weights` (fillings × D) are prices of the dimensions. Another
    `turn` gives other fillings."""
    count, items = most.shape
    totals = np.maximum(totals, 1).astype(float)
    needs = needs.astype(float)
    left, slots = totals - given @ needs, given.copy()
    way = (np.arange(count) + turn) % len(_SCARCE)
    open_ = most > slots
    share = (needs[None, :, :] / totals[:, None, :]).max(axis=2)
    handicap = _HANDICAP * _scatter(count, items, turn) - _LARGE[way, None] * share
    rows, looked = np.arange(count), 2 * count * items
    for _ in range(_MOST_STEPS):
        for dimension in range(needs.shape[1]):
            open_[rows] &= needs[None, :, dimension] <= left[rows, dimension, None]
        rows = rows[open_[rows].any(axis=1)]
        if not len(rows):
            break
        here, prices = left[rows], weights[rows]
        scarce = prices / np.maximum(here / totals[rows], 1e-3) ** _SCARCE[way[rows], None]
        scarce *= (prices.sum(axis=1) / np.maximum(scarce.sum(axis=1), 1e-300))[:, None]
        takes = sum(scarce[:, one, None] * needs[:, one] for one in range(needs.shape[1]))
        score = handicap[rows] - values / np.maximum(takes, 1e-300)
        item = np.where(open_[rows], score, np.inf).argmin(axis=1)
        asked = needs[item]
        fits = np.where(asked > 0, here // np.maximum(asked, 1), 1 << 40).min(axis=1).astype(np.int64)
        fits = np.minimum((fits + 1) // 2, most[rows, item] - slots[rows, item])
        slots[rows, item] += fits
        left[rows] = here - asked * fits[:, None]
        open_[rows, item] = slots[rows, item] < most[rows, item]
        looked += len(rows) * items
    return slots, looked


def _scatter(count: int, items: int, turn: int) -> Column:
    """Numbers from nothing to one, spread evenly, the same every time."""
    row, column = np.arange(count)[:, None] + turn * 613, np.arange(items)[None, :]
    mixed = row * 7919 + row * column * 104_729 + row * row * 31 * (column + 3)
    return (mixed % 1009) / 1009
