"""Fillings made better two slots at a time: two are taken out, and of all pairs of items the one that is worth most
where they were is put in. Quick fillings (`cost.greedy`) are made from the best item on and end with what happens to
fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.places import Column

_MOST_PAIRS: Final = 20_000
_AT_ONCE: Final = 500_000
"""Pairs × fillings that are looked at in one array."""


def exchange_pairs(
    needs: Column, values: Column, most: Column, totals: Column, slots: Column, turn: int
) -> tuple[Column, int]:
    """These fillings (fillings × items) of nodes of `totals` (fillings × D) with at most `most` (fillings × items)
    slots of each item, none worth less than before; and the elements looked at. Another `turn` takes out others."""
    first, second, asked, worth = _pairs(needs, values, turn)
    rows = np.arange(len(slots))
    bare = slots.copy()
    for take in (0, 1):
        bare[rows, _one_of(bare, take + turn)] -= 1
    np.maximum(bare, 0, out=bare)
    left = totals - bare @ needs
    best = np.zeros(len(slots), np.int64)
    portion = max(_AT_ONCE // len(worth), 1)
    for at in range(0, len(slots), portion):
        part = slice(at, at + portion)
        fits = asked[0] <= left[part, 0, None]
        for dimension in range(1, len(asked)):
            fits &= asked[dimension] <= left[part, dimension, None]
        best[part] = fits.argmax(axis=1)
    full = np.concatenate([bare, np.zeros((len(bare), 1), np.int64)], axis=1)
    full[rows, first[best]] += 1
    full[rows, second[best]] += 1
    found = full[:, :-1]
    better = (found <= most).all(axis=1) & (found @ values > slots @ values)
    return np.where(better[:, None], found, slots), len(slots) * len(worth)


def _pairs(needs: Column, values: Column, turn: int) -> tuple[Column, Column, Column, Column]:
    """Pairs of items (their number for none), what they ask (D × pairs) and are worth, dearest first."""
    count = len(values)
    few = max(int((2 * _MOST_PAIRS) ** 0.5), 2)
    items = np.arange(count) if count <= few else (np.arange(few) + turn * few) % count
    items = np.append(np.sort(items), count)
    first, second = (items[at] for at in np.triu_indices(len(items)))
    takes = np.concatenate([needs, np.zeros((1, needs.shape[1]), needs.dtype)])
    gains = np.append(values, 0.0)
    worth = gains[first] + gains[second]
    order = np.argsort(-worth, kind="stable")
    first, second = first[order], second[order]
    return first, second, np.ascontiguousarray((takes[first] + takes[second]).T), worth[order]


def _one_of(slots: Column, turn: int) -> Column:
    """An item that each filling holds, another at every turn."""
    held = slots > 0
    count = np.maximum(held.sum(axis=1), 1)
    wanted = (np.arange(len(slots)) * 5 + turn * 3) % count
    return (np.cumsum(held, axis=1) > wanted[:, None]).argmax(axis=1)
