"""What a node can hold is worth at most so much, by prices of what it has: the first of the checker's three means.

At any prices of cores, memory and GPUs, a filling is worth no more than the whole node is at these prices, and what its
slots are worth beyond them. Floats only choose the prices; what is concluded is counted in whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

_PARTS = 12
_MIXES = np.array([mix for mix in product(range(_PARTS + 1), repeat=3) if sum(mix) == _PARTS]) / _PARTS
"""Shares of a node's worth that its dimensions have."""
_STEPS = np.array([step for step in product((-1, 0, 1), repeat=3) if sum(step) == 0])
_ROUNDS = 8
"""How often the best mix is looked for nearer to the best one known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filling:
    """What may be put on one node, in whole numbers that stay far from the end of 64 bits."""

    needs: Any
    """By item and dimension."""
    worth: Any
    """By item; above zero."""
    most: Any
    """By item: no filling worth more than `cost` has more of it."""
    room: Any
    """By dimension."""
    cost: int

    def take(self, which: Any) -> Filling:
        """Of these items only, in this order."""
        return replace(self, needs=self.needs[which], worth=self.worth[which], most=self.most[which])


def bounds(filling: Filling, prices: Any) -> Any:
    """By row of prices, per unit of each dimension: no filling is worth more."""
    beyond = np.maximum(filling.worth[:, None] - filling.needs @ prices.T, 0)
    return prices @ filling.room + filling.most @ beyond


def good_prices(filling: Filling) -> Any:
    """Rows of whole prices by dimension, the best last: those whose bounds are low, and their neighbours'."""
    room = np.maximum(filling.room, 1).astype(float)
    asked = filling.needs.any(axis=0)
    mixes = _MIXES[(_MIXES[:, ~asked] == 0).all(axis=1)]
    found, step = [], 1 / (2 * _PARTS)
    best, least = np.zeros((1, 3), np.int64), None
    for _ in range(_ROUNDS):
        prices = np.floor(mixes * _levels(filling, mixes / room)[:, None] / room).astype(np.int64)
        of_each = bounds(filling, prices)
        found.append(prices)
        lowest = int(of_each.argmin())
        if least is None or of_each[lowest] < least:
            best, least, centre = prices[lowest : lowest + 1], of_each[lowest], mixes[lowest]
        mixes = np.maximum(centre + _STEPS * step, 0) * asked
        mixes = mixes / mixes.sum(axis=1, keepdims=True)
        step /= 2
    return np.concatenate([*found, best])


def _levels(filling: Filling, weights: Any) -> Any:
    """By mix: what a whole node is worth where its best items, valued by the mix, just fill it."""
    takes = filling.needs @ weights.T
    ratio = np.where(takes > 0, filling.worth[:, None] / np.where(takes > 0, takes, 1.0), np.inf)
    order = np.argsort(-ratio, axis=0, kind="stable")
    filled = np.take_along_axis(takes * filling.most[:, None], order, axis=0).cumsum(axis=0)
    ratio = np.take_along_axis(ratio, order, axis=0)
    last = np.minimum((filled < 1).sum(axis=0), len(ratio) - 1)
    level = np.take_along_axis(ratio, last[None], axis=0)[0]
    return np.where((filled[-1] < 1) | ~np.isfinite(level), 0.0, level)


def trimmed(filling: Filling) -> tuple[Filling, Any]:
    """Without what no filling worth more than the node costs can have, and the best prices; no items: there is none.

    An item worth less than its needs at some prices takes that much off their bound, each time it is used.
    """
    while True:
        prices = good_prices(filling)
        of_each = bounds(filling, prices)
        spare = of_each - filling.cost
        if spare.min() <= 0:
            return filling.take(np.zeros(0, np.int64)), prices[-1]
        short = filling.needs @ prices.T - filling.worth[:, None]
        times = np.where(short > 0, (spare - 1) // np.maximum(short, 1), filling.most[:, None])
        most = np.minimum(filling.most, times.min(axis=1))
        is_less = bool((most < filling.most).any())
        filling = replace(filling, most=most).take(most > 0)
        if not len(filling.worth) or not is_less:
            return filling, prices[-1]
