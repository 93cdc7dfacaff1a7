"""How much worth of slots one node can hold: the checker's own knapsack, exact, in whole numbers.

Three means, the first that decides: bounds by prices (`cost_bounds`), tables that grow finer (`cost_tables`), and a
search over part fillings that the tables do not rule out (`cost_search`). No code of the planner is used.
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd
from typing import Any

import numpy as np

from benchmarks.cost_bounds import Filling, trimmed
from benchmarks.cost_search import searched
from benchmarks.cost_tables import Grid, bound_by, units_of

Item = tuple[tuple[int, ...], int, int]
"""What a slot takes, what it is worth, and how many of it there are."""
Total = tuple[int, ...]
LEVELS = ((1 << 15, 1 << 9), (1 << 18, 1 << 10), (1 << 21, 1 << 11), (1 << 23, 1 << 12), (1 << 26, 1 << 14))
"""Cells of a table, and part fillings in a search, one after the other until it is decided."""
MOST_BYTES = 800_000_000
"""Of all tables of a search."""
_LARGEST = 1 << 60
_SCALES = (0.0, 0.02, 0.1, 0.3, 0.6, 0.8, 0.9, 0.95, 1.0, 1.05, 1.2)
"""Of the best prices without a table: those that tables are tried with."""


def exceeds(items: list[Item], total: Total, cost: int, levels: tuple[tuple[int, int], ...] = LEVELS) -> bool | None:
    """Whether some filling of a node is worth more than `cost`; None when that is too much to find out."""
    fit = fitting(items, total)
    if any(worth * most > cost for _, worth, most in fit):
        return True
    whole = sum(worth * most for _, worth, most in fit)
    if whole <= cost:
        return False
    if whole <= _LARGEST:
        scale = _LARGEST // whole
        return _decided(_filling(fit, [worth * scale for _, worth, _ in fit], total, cost * scale), levels)
    scale = 2 * whole // _LARGEST
    more = _filling(fit, [-(-worth // scale) for _, worth, _ in fit], total, cost // scale)
    if _decided(more, levels) is False:
        return False
    less = _filling(fit, [worth // scale for _, worth, _ in fit], total, -(-cost // scale))
    return _decided(less, levels) or None


def fitting(items: list[Item], total: Total) -> list[Item]:
    """Items of which one fits an empty node, and no more of each than fit."""
    found = []
    for needs, worth, there in items:
        most = min([there, *(t // n for n, t in zip(needs, total, strict=True) if n)])
        if most > 0 and worth > 0:
            found.append((needs, worth, most))
    return found


def _filling(items: list[Item], worth: list[int], total: Total, cost: int) -> Filling:
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


def _decided(filling: Filling, levels: tuple[tuple[int, int], ...]) -> bool | None:
    """By bounds, then by tables and searches that grow."""
    filling, prices = trimmed(filling)
    scales = _SCALES
    for most_cells, most_parts in levels:
        if not len(filling.worth):
            return False
        units = units_of(filling, most_cells)
        if not prices[units > 1].any():
            scales = (0.0,)
        grids = [Grid.priced(units, prices * scale) for scale in scales]
        found = [bound_by(filling, grid) for grid in grids]
        least = min(range(len(grids)), key=lambda number: found[number][0])
        if found[least][0] <= filling.cost:
            return False
        most = np.minimum.reduce([most for _, most in found])
        filling = replace(filling, most=most).take(most > 0)
        units = units_of(filling, min(most_cells, MOST_BYTES // (8 * len(filling.worth) + 8)))
        verdict = searched(filling, Grid.priced(units, prices * scales[least]), most_parts)
        if verdict is not None:
            return verdict
        scales = _nearer(scales, least)
    return None


def _nearer(scales: tuple[float, ...], best: int) -> tuple[float, ...]:
    """Between the best one and its neighbours; finer tables like lower prices best, and none at all in the end."""
    below, above = scales[max(best - 1, 0)], scales[min(best + 1, len(scales) - 1)]
    middle = scales[best]
    return tuple(sorted({0.0, (below + middle) / 2, middle, (middle + above) / 2}))
