"""Is some filling of a node worth more than it costs? By search, the last of the checker's three means.

All part fillings at once, item after item, in real amounts. Tables of the items that are yet to come say what may still
be added to each at most; what cannot come to more than the cost is dropped, and what another one beats in everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cost_tables import all_tables

if TYPE_CHECKING:
    from benchmarks.cost_bounds import Filling
    from benchmarks.cost_tables import Grid

_Parts = tuple[Any, Any, Any]
"""Part fillings: what they leave of each dimension, what they are worth, and what they may come to."""


def searched(filling: Filling, grid: Grid, most_parts: int) -> bool | None:
    """Whether a filling is worth more than `cost`.

    No more than `most_parts` part fillings are kept at a time, those that may come to most: when some were dropped for
    want of room and nothing was found, it is not known.
    """
    tables = all_tables(filling, grid)
    parts: _Parts = filling.room[None], np.zeros(1, np.int64), np.zeros(1, np.int64)
    is_whole = True
    for index in range(len(filling.worth)):
        parts = _stretched(filling, grid, index, parts, tables)
        if int(parts[1].max(initial=0)) > filling.cost:
            return True
        parts = _best_of_each(*parts)
        if len(parts[1]) > most_parts:
            is_whole = False
            best = np.argpartition(-parts[2], most_parts)[:most_parts]
            parts = parts[0][best], parts[1][best], parts[2][best]
    return False if is_whole else None


def _stretched(filling: Filling, grid: Grid, index: int, parts: _Parts, tables: list[Any]) -> _Parts:
    """Each part filling with none, one, two … of an item, as long as it may come to more than the cost."""
    needs, value = filling.needs[index], filling.worth[index]
    left, worth, _ = parts
    found: list[_Parts] = []
    for _ in range(int(filling.most[index]) + 1):
        base = worth + left @ grid.prices
        cells = grid.cells(left)
        hope = base + tables[index + 1][cells]
        hopeful = hope > filling.cost
        found.append((left[hopeful], worth[hopeful], hope[hopeful]))
        more = (left >= needs).all(axis=1) & (base + tables[index][cells] > filling.cost)
        if not more.any():
            break
        left, worth = left[more] - needs, worth[more] + value
    return (
        np.concatenate([one[0] for one in found]),
        np.concatenate([one[1] for one in found]),
        np.concatenate([one[2] for one in found]),
    )


def _best_of_each(left: Any, worth: Any, hope: Any) -> _Parts:
    """Without those that leave as much as another of all but one dimension, no more of that, and are worth no more."""
    if not len(worth):
        return left, worth, hope
    last = int(np.argmax([len(np.unique(left[:, d])) for d in range(3)]))
    others = [d for d in range(3) if d != last]
    order = np.lexsort((-worth, -left[:, last], left[:, others[0]], left[:, others[1]]))
    left, worth, hope = left[order], worth[order], hope[order]
    _, rank = np.unique(worth, return_inverse=True)
    begins = np.ones(len(worth), bool)
    begins[1:] = (left[1:, others] != left[:-1, others]).any(axis=1)
    above = rank.reshape(-1) + np.cumsum(begins) * len(worth)
    stays = begins.copy()
    stays[1:] |= above[1:] > np.maximum.accumulate(above)[:-1]
    return left[stays], worth[stays], hope[stays]
