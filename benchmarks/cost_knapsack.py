"""How much worth of slots one node can hold: the checker's own knapsack, exact, in whole numbers.

Three means, the first that decides: bounds by prices (`cost_bounds`), tables that grow finer (`cost_tables`), and a
search over part fillings that the tables do not rule out (`cost_search`). No code of the planner is used.
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import numpy as np

from benchmarks.cost_bounds import Filling, trimmed
from benchmarks.cost_search import searched
from benchmarks.cost_tables import Grid, best_priced, units_of

Item = tuple[tuple[int, ...], int, int]
"""What a slot takes, what it is worth, and how many of it there are."""
Total = tuple[int, ...]
MOST_BYTES = 800_000_000
"""Of all tables of a search."""


class Level(NamedTuple):
    """How far is gone before something finer is tried."""

    cells: int
    """Of a table."""
    tries: int
    """Prices that tables are made at."""
    parts: int
    """Part fillings that a search keeps."""


LEVELS = (
    Level(1 << 15, 24, 1 << 9),
    Level(1 << 18, 12, 1 << 10),
    Level(1 << 21, 8, 1 << 11),
    Level(1 << 23, 6, 1 << 12),
    Level(1 << 26, 4, 1 << 14),
)
"""One after the other, until it is decided: 0.1 s to a minute, and up to half a GiB a table."""
_LARGEST = 1 << 60
"""What all items are worth together: bounds and tables add up a few such numbers, in 64 bits."""
_SCALES = (0.0, 0.02, 0.1, 0.3, 0.6, 0.8, 0.9, 0.95, 1.0, 1.05, 1.2)
"""Of the best prices without a table: those that tables are tried with."""


def exceeds(items: list[Item], total: Total, cost: int, levels: tuple[Level, ...] = LEVELS) -> bool | None:
    """Whether some filling of a node is worth more than `cost`; None when that is too much to find out."""
    fit = fitting(items, total)
    if cost < 0 or any(worth * most > cost for _, worth, most in fit):
        return True
    whole = sum(worth * most for _, worth, most in fit)
    if whole <= cost:
        return False
    if whole <= _LARGEST:
        scale = _LARGEST // whole
        return _decided(filling_of(fit, [worth * scale for _, worth, _ in fit], total, cost * scale), levels)
    scale = 2 * whole // _LARGEST  # too large for 64 bits: rounded up to prove that none does, down to find one
    more = filling_of(fit, [-(-worth // scale) for _, worth, _ in fit], total, cost // scale)
    if _decided(more, levels) is False:
        return False
    less = filling_of(fit, [worth // scale for _, worth, _ in fit], total, -(-cost // scale))
    return _decided(less, levels) or None


def fitting(items: list[Item], total: Total) -> list[Item]:
    """Items of which one fits an empty node, and no more of each than fit."""
    found = []
    for needs, worth, there in items:
        most = min([there, *(t // n for n, t in zip(needs, total, strict=True) if n)])
        if most > 0 and worth > 0:
            found.append((needs, worth, most))
    return found


def filling_of(items: list[Item], worth: list[int], total: Total, cost: int) -> Filling:
    """With the largest items first; amounts in units of what all needs are multiples of."""
    units = [gcd(*(needs[d] for needs, _, _ in items)) or 1 for d in range(3)]
    filling = Filling(
        needs=np.array([[n // u for n, u in zip(needs, units, strict=True)] for needs, _, _ in items], np.int64),
        worth=np.array(worth, np.int64),
        most=np.array([most for _, _, most in items], np.int64),
        room=np.array([t // u for t, u in zip(total, units, strict=True)], np.int64),
        cost=cost,
    )
    size = (filling.needs / np.maximum(filling.room, 1)).max(axis=1)
    return filling.take(np.argsort(-size, kind="stable"))


def _decided(filling: Filling, levels: tuple[Level, ...]) -> bool | None:
    """By bounds, then by tables and searches that grow."""
    filling, prices = trimmed(filling)
    if not len(filling.worth):
        return False
    scales = _SCALES
    for most_cells, tries, most_parts in levels:
        units = units_of(filling, most_cells)
        if not prices[units > 1].any():
            scales = (0.0,)
        found, filling = best_priced(filling, units, prices, scales, tries)
        best, bound = found[0]
        if bound <= filling.cost or not len(filling.worth):
            return False
        units = units_of(filling, min(most_cells, max(MOST_BYTES // (8 * len(filling.worth) + 8), 1)))
        verdict = searched(filling, Grid.priced(units, prices * best), most_parts)
        if verdict is not None:
            return verdict
        tried = sorted(scale for scale, _ in found)
        at = tried.index(best)
        scales = tuple(dict.fromkeys([best, *tried[max(at - 1, 0) : at + 2], 0.0]))
    return None
