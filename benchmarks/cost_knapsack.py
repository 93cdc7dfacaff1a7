"""How much worth of slots one node can hold: the checker's own knapsack, exact, in whole numbers.

Three means, the first that is small enough decides: a bound by prices of the dimensions; a table over all amounts
(`table_of`, shared by many nodes in `shared_table`); and a search, item after item, over all part fillings that a bound
does not rule out (`searched`). No code of the planner is used, and floats only ever rule out what is ruled out by more
than their error.
"""

from __future__ import annotations

from itertools import product
from math import gcd
from typing import Any

import numpy as np

Item = tuple[tuple[int, ...], int, int]
"""What a slot takes, what it is worth, and how many of it there are."""
Total = tuple[int, ...]
MOST_CELLS = 60_000_000
"""Bytes of a table."""
MOST_FILLINGS = 4_000_000
"""Part fillings that are looked at in one search."""
_LARGEST = 1 << 61
_MIXES = np.array([m for m in product(range(13), repeat=3) if sum(m) == 12]) / 12
_SAFE = 1 + 1e-9
_SHARES = (1e-12, 0.1, 0.3, 0.6, 1.0)
"""How much of a node the best items fill at the prices that bounds are made of; the first: none of them beyond."""
_CHUNK = 1 << 13
_MANY = 1000
_GRID = (128, 512, 64)
"""Cells of a grid of amounts left, by dimension."""


def exceeds(items: list[Item], total: Total, cost: int) -> bool | None:
    """Whether some filling of a node is worth more than `cost`; None when that is too much to find out."""
    fit = fitting(items, total)
    if not fit or relaxed(fit, total) <= cost:
        return False
    units = [gcd(*(needs[d] for needs, _, _ in fit)) or 1 for d in range(3)]
    shape = [total[d] // units[d] + 1 if any(needs[d] for needs, _, _ in fit) else 1 for d in range(3)]
    if np.prod(shape, dtype=float) * 8 <= MOST_CELLS:
        return bool(table_of(fit, units, shape).max() > cost)
    return searched(fit, total, cost)


def fitting(items: list[Item], total: Total) -> list[Item]:
    """Items of which one fits an empty node."""
    return [one for one in items if all(n <= t for n, t in zip(one[0], total, strict=True))]


def relaxed(items: list[Item], left: Total) -> float:
    """More than any filling is worth: by the best of some mixes of the dimensions."""
    if not items:
        return 0.0
    share = np.array([[n / t if t else 0.0 for n, t in zip(needs, left, strict=True)] for needs, _, _ in items])
    worth = np.array([float(w) for _, w, _ in items])
    takes = share @ _MIXES.T
    return float((worth[:, None] / np.maximum(takes, 1e-12)).max(axis=0).min()) * _SAFE


def useful(items: list[Item], total: Total) -> Total:
    """Of each dimension no more than items can take before the first one is used up; all where some ask none of it."""
    if any(not needs[0] for needs, _, _ in items):
        return total
    most = (max(-(-total[0] * needs[d] // needs[0]) for needs, _, _ in items) for d in range(3))
    return tuple(min(t, m) for t, m in zip(total, most, strict=True))


def shared_table(items: list[Item], totals: list[Total]) -> tuple[Any, list[int]]:
    """One table for all nodes that are small enough (None: none is), and what a cell is in each dimension."""
    units = [gcd(*(needs[d] for needs, _, _ in items)) or 1 for d in range(3)]
    shape = [1, 1, 1]
    for total in sorted((useful(items, one) for one in totals), key=lambda one: np.prod(one, dtype=float)):
        wider = [max(s, t // u + 1) for s, t, u in zip(shape, total, units, strict=True)]
        if np.prod(wider, dtype=float) * 8 <= MOST_CELLS:
            shape = wider
    return (table_of(items, units, shape) if shape != [1, 1, 1] else None), units


def looked_up(table: Any, units: list[int], items: list[Item], total: Total) -> int | None:
    """The most that a node can hold by a shared table; None when the table does not reach so far."""
    cell = tuple(t // u for t, u in zip(useful(items, total), units, strict=True))
    if table is None or any(at >= extent for at, extent in zip(cell, table.shape, strict=True)):
        return None
    return int(table[cell])


def table_of(items: list[Item], units: list[int], shape: list[int]) -> Any:
    """The most that a node of each amount can hold."""
    table = np.zeros(shape, np.int64)
    for needs, worth, there in items:
        step = [needs[d] // units[d] for d in range(3)]
        if any(s >= extent for s, extent in zip(step, shape, strict=True)):
            continue
        most = min((extent - 1) // s for s, extent in zip(step, shape, strict=True) if s)
        if there >= most:
            _add_any(table, step, worth)
        else:
            for count in _pieces(there):
                _add_once(table, [s * count for s in step], worth * count)
    return table


def _add_any(table: Any, step: list[int], worth: int) -> None:
    """As many as fit: a cell builds on those before it."""
    axis = next(d for d in range(3) if step[d])
    for at in range(step[axis], table.shape[axis]):
        to: list[Any] = [slice(s, None) for s in step]
        of: list[Any] = [slice(0, table.shape[d] - step[d]) for d in range(3)]
        to[axis], of[axis] = at, at - step[axis]
        np.maximum(table[tuple(to)], table[tuple(of)] + worth, out=table[tuple(to)])


def _add_once(table: Any, step: list[int], worth: int) -> None:
    """One, or none: a cell builds on what was before."""
    if any(s >= extent for s, extent in zip(step, table.shape, strict=True)):
        return
    with_it = table[tuple(slice(0, extent - s) for s, extent in zip(step, table.shape, strict=True))] + worth
    to = table[tuple(slice(s, None) for s in step)]
    np.maximum(to, with_it, out=to)


def _pieces(count: int) -> list[int]:
    """Numbers whose partial sums are all numbers up to `count`."""
    found, piece = [], 1
    while count > piece:
        found.append(piece)
        count, piece = count - piece, piece * 2
    return [*found, count] if count else found


def searched(items: list[Item], total: Total, cost: int, most_fillings: int = MOST_FILLINGS) -> bool | None:
    """As `exceeds`, by search: all part fillings at once, best items for their room first.

    A part filling is ruled out when even the best use of what it leaves, valued by prices of the dimensions, is worth
    too little; of those that leave the same only the most valuable is kept.
    """
    if cost >= _LARGEST or max(total) >= _LARGEST:
        return None
    order = _by_density(items, total)
    bounds = _Bounds(order, total)
    left, worth, looked = np.array([total], np.int64), np.zeros(1, np.int64), 1
    for index, (needs, value, there) in enumerate(order):
        kept_left, kept_worth = [], []
        taken = np.array(needs, np.int64)
        for _ in range(there + 1):
            if int(worth.max(initial=0)) > cost:
                return True
            hopeful = bounds.may_exceed(index + 1, left, worth, cost)
            kept_left.append(left[hopeful])
            kept_worth.append(worth[hopeful])
            more = (left >= taken).all(axis=1)
            left, worth = left[more] - taken, worth[more] + value
            hopeful = bounds.may_exceed(index, left, worth, cost)
            left, worth = left[hopeful], worth[hopeful]
            looked += len(left)
            if not len(left):
                break
            if looked > most_fillings:
                return None
        left, worth = _best_of_each(np.concatenate(kept_left), np.concatenate(kept_worth))
    return False


def _by_density(items: list[Item], total: Total) -> list[Item]:
    """What is worth most for its room first: bounds on what comes after it fall fastest then."""
    room = np.maximum(np.array(total, float), 1.0)
    needs = np.array([one[0] for one in items], float) / room
    worth = np.array([float(one[1]) for one in items])
    takes = np.maximum(needs @ _MIXES.T, 1e-12)
    mix = int((worth[:, None] / takes).max(axis=0).argmin())
    return [items[number] for number in np.argsort(-worth / takes[:, mix], kind="stable").tolist()]


class _Bounds:
    """What any filling with the items from a number on can be worth: by many prices of the dimensions at once.

    At any prices a filling is worth no more than what it takes, and what its slots are worth beyond that, of which
    there are only so many. For each mix of the dimensions those prices are taken at which the best items just fill a
    share of the node.
    """

    def __init__(self, items: list[Item], total: Total) -> None:
        self._room = np.maximum(np.array(total, float), 1.0)
        needs = np.array([one[0] for one in items], float)
        asked = [d for d in range(3) if needs[:, d].any()]
        self._mixes = _MIXES[(_MIXES[:, [d for d in range(3) if d not in asked]] == 0).all(axis=1)]
        self._worth = np.array([float(one[1]) for one in items])
        self._there = np.array([float(one[2]) for one in items])
        self._takes = needs / self._room @ self._mixes.T
        self._made: dict[int, tuple[Any, Any]] = {}

    def may_exceed(self, index: int, left: Any, worth: Any, cost: int) -> Any:
        """Which part fillings may still come to more than `cost` with items from `index` on."""
        if index == len(self._worth):
            return np.zeros(len(left), bool)
        prices, beyond = self._prices(index)
        found = np.zeros(len(left), bool)
        for at in range(0, len(left), _CHUNK):
            chunk = slice(at, at + _CHUNK)
            most = (left[chunk].astype(float) @ prices + beyond).min(axis=1)
            found[chunk] = (worth[chunk] - cost) + most * _SAFE + 1 > 0
        return found

    def _prices(self, index: int) -> tuple[Any, Any]:
        """Prices by dimension, and what all slots together are worth beyond them, for the items from a number on."""
        if index not in self._made:
            takes, worth, there = self._takes[index:], self._worth[index:, None], self._there[index:, None]
            ratio = np.where(takes > 0, worth / np.where(takes > 0, takes, 1.0), np.inf)
            order = np.argsort(-ratio, axis=0, kind="stable")
            filled = np.take_along_axis(takes * there, order, axis=0).cumsum(axis=0)
            ratio = np.concatenate([np.take_along_axis(ratio, order, axis=0), np.zeros((1, ratio.shape[1]))])
            columns, beyond = [], []
            for share in _SHARES:
                last = (filled < share).sum(axis=0)
                level = np.take_along_axis(ratio, last[None], axis=0)[0]
                columns.append((self._mixes * level[:, None] / self._room).T)
                beyond.append((there * np.maximum(worth - level * takes, 0.0)).sum(axis=0))
            self._made[index] = (np.concatenate(columns, axis=1), np.concatenate(beyond))
        return self._made[index]


def _best_of_each(left: Any, worth: Any) -> tuple[Any, Any]:
    order = np.lexsort((-worth, left[:, 2], left[:, 1], left[:, 0]))
    left, worth = left[order], worth[order]
    first = np.ones(len(left), bool)
    first[1:] = (left[1:] != left[:-1]).any(axis=1)
    left, worth = left[first], worth[first]
    stays = ~_outdone(left, worth) if len(left) > _MANY else np.ones(len(left), bool)
    return left[stays], worth[stays]


def _outdone(left: Any, worth: Any) -> Any:
    """Which part fillings leave no more of anything than another one that is worth as much, by a grid of amounts: some
    of them are missed, none is said wrongly.
    """
    ranks, extents, above = [], [], []
    for dimension, cells in enumerate(_GRID):
        values, rank = np.unique(left[:, dimension], return_inverse=True)
        rank = rank.reshape(-1)
        is_coarse = len(values) > cells
        ranks.append(rank * cells // len(values) if is_coarse else rank)
        extents.append(min(len(values), cells))
        above.append(int(is_coarse))
    if not any(above):
        above[int(np.argmax(extents))] = 1  # never by itself, nor two by each other
    best = np.full([extent + 1 for extent in extents], -1, np.int64)
    np.maximum.at(best, tuple(ranks), worth)
    for axis in range(3):
        best = np.flip(np.maximum.accumulate(np.flip(best, axis), axis=axis), axis)
    at = tuple(rank + more for rank, more in zip(ranks, above, strict=True))
    return best[at] >= worth
