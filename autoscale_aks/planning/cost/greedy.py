"""Many quick fillings at once: what is left of each node is priced anew at every step, and the item taken that loses
least at these prices. Small handicaps, others in each filling, and a liking for large items, which is more or less in
each, make the fillings differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.places import Column

_MOST_STEPS: Final = 200
_HANDICAP: Final = 0.05
_LARGE: Final = np.array([0.4, 0.0, 1.0, 0.1])
"""What share of a node is worth as much as what share of an item's own worth, filling by filling."""


def fill_all(
    needs: Column, values: Column, most: Column, totals: Column, corners: Column, given: Column, turn: int
) -> tuple[Column, int]:
    """Fillings × items: nodes of `totals` (fillings × D) with at most `most` (fillings × I) slots of each item; and the
    elements looked at. Each holds what it is `given`. `corners` (K × D): prices of the dimensions at which no item is
    worth more than it takes. Another `turn` gives other fillings."""
    count, items = most.shape
    left, slots = totals - given @ needs, given.copy()
    lost = (corners @ needs.T - values) / np.maximum(values, 1e-300)
    open_ = most > slots
    share = (needs[None, :, :] / np.maximum(totals, 1)[:, None, :]).max(axis=2)
    handicap = _HANDICAP * _scatter(count, items, turn) - _LARGE[(np.arange(count) + turn) % len(_LARGE), None] * share
    rows, looked = np.arange(count), count * items
    for _ in range(_MOST_STEPS):
        for dimension in range(needs.shape[1]):
            open_[rows] &= needs[None, :, dimension] <= left[rows, dimension, None]
        rows = rows[open_[rows].any(axis=1)]
        if not len(rows):
            break
        here = left[rows]
        corner = (here @ corners.T).argmin(axis=1)
        score = np.where(open_[rows], lost[corner] + handicap[rows], np.inf)
        item = score.argmin(axis=1)
        asked = needs[item]
        fits = np.where(asked > 0, here // np.maximum(asked, 1), 1 << 40).min(axis=1)
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
