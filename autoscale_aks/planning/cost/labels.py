"""The best fillings of one node by labels: what is left of it and what it holds is worth, item by item.

For prices `w ≥ 0` of the dimensions an item is worth `gain = value − w·need` more than it takes, and a bound on what
can still be added is `w·left + Σ slots·max(0, gain)` over the items to come. Items whose gain is far from nothing are
in, or out, of every filling that is worth enough; labels decide on the others. Labels that cannot reach what is wanted
and those another one replaces are dropped. What is dropped only for want of room counts in the bound, so that the bound
always holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from math import comb
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from autoscale_aks.planning.places import Column

_MOST_SYSTEMS: Final = 900
_MOST_TRACED: Final = 512
_ALWAYS: Final = 4
_BEATERS: Final = 128
_AT_ONCE: Final = 64
_BEATEN_UNITS: Final = 12
_FULL_UNITS: Final = 12
_IDLE: Final = 10
_PAYS: Final = 0.9
_PORTION: Final = 200_000
_MIX_STEPS: Final = 12
_PARTS: Final = 4
"""How many tails of the items have corners of their own."""
_NEAR: Final = (1.0, 0.9, 1.1, 0.7, 1.4)
"""Multiples of the node's own prices that are tried as prices of what is left."""
_STEP_UNITS: Final = 800
_LABEL_UNITS: Final = 4
_CORNER_UNITS: Final = 320
_FEW_ITEMS: Final = 20
"""Work of a step, of each label it looks at, and of new corners: an item's, and what they take with none as items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node to be filled. Shapes: I items, D dimensions."""

    needs: Column
    """I × D."""
    values: Column
    """I: what a slot is worth, above zero."""
    most: Column
    """I: slots that fit an empty node and are wanted."""
    total: Column
    """D."""
    weights: Column
    """D: prices of the dimensions at which part slots are worth least."""
    reached: float
    """Fillings worth no more than this are not looked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """Fillings worth more than what was reached, best first, a bound on all fillings, and the work it took."""

    slots: Column
    bound: float
    work: int


def find(node: Node, most_labels: int, allowance: int, most_found: int) -> Found:
    """Items largest first, each by powers of two; at most `most_labels` labels stay after a step, and no more than so
    much work allows."""
    least, spare = _undecided(node)
    start = node.total - least @ node.needs
    if (start < 0).any():
        return Found(np.zeros((0, len(least)), np.int64), node.reached, _STEP_UNITS)
    scale = np.maximum(node.total, 1).astype(float)
    order = np.flatnonzero(spare)
    order = order[np.argsort(-(node.needs[order] / scale).max(axis=1), kind="stable")]
    prices, above = _tails(node, order, spare, scale)
    work = _CORNER_UNITS * (_FEW_ITEMS + len(order))
    fine = np.argsort(node.total / np.maximum(np.gcd.reduce(node.needs, axis=0), 1), kind="stable")
    left: Column = start[None, :].astype(float)
    needs = node.needs.astype(float)
    value: Column = np.array([float(least @ node.values)])
    steps: list[tuple[int, int, Column, Column]] = []
    count = sum(len(_powers(int(spare[item]))) for item in order.tolist())
    most_labels = max(min(most_labels, allowance // (_FULL_UNITS * max(count, 1))), 1)
    bound, idle = node.reached, 0
    for rank, item in enumerate(order.tolist()):
        pieces = _powers(int(spare[item]))
        for number, slots in enumerate(pieces):
            takes = needs[item] * slots
            more = np.flatnonzero((left >= takes).all(axis=1))
            work += _STEP_UNITS + _LABEL_UNITS * (len(left) + len(more))
            parents = np.concatenate([np.arange(len(left)), more])
            taken = np.arange(len(parents)) >= len(left)
            left = np.concatenate([left, left[more] - takes])
            value = np.concatenate([value, value[more] + node.values[item] * slots])
            ahead = above[rank + (number + 1 == len(pieces)), :, None]
            hope = value + _least(prices, left, ahead)
            kept = np.flatnonzero(hope > node.reached)
            if number + 1 == len(pieces) or len(kept) > most_labels:
                kept = kept[_not_replaced(left[kept][:, fine], value[kept])]
            if len(kept) > most_labels:
                kept = kept[np.argsort(-hope[kept], kind="stable")]
                if idle <= 0:
                    work += _BEATEN_UNITS * len(kept)
                    before = len(kept)
                    kept = kept[_not_beaten(left[kept], value[kept])]
                    idle = _IDLE if len(kept) > _PAYS * before else 0
                idle -= 1
            if len(kept) > most_labels:
                bound = max(bound, float(hope[kept[most_labels]]))
                kept = kept[:most_labels]
            left, value = left[kept], value[kept]
            steps.append((item, slots, parents[kept], taken[kept]))
    best = np.flatnonzero(value > node.reached)
    best = best[np.argsort(-value[best], kind="stable")][:_MOST_TRACED]
    slots = _trace(steps, best, len(least)) + least
    return Found(slots[_various(slots, most_found)], max(bound, float(value[best].max(initial=0.0))), work)


def _undecided(node: Node) -> tuple[Column, Column]:
    """Slots that every filling worth more than what is reached has of each item, and how many more it may have."""
    gain = node.values - node.needs @ node.weights
    budget = float(node.weights @ node.total + node.most @ np.maximum(gain, 0.0)) * (1 + 1e-9) - node.reached
    moves = np.minimum(np.floor(max(budget, 0.0) / np.maximum(np.abs(gain), 1e-300)), node.most).astype(np.int64)
    least = np.where(gain > 0, node.most - moves, 0)
    return least, moves


def _least(prices: Column, left: Column, ahead: Column) -> Column:
    """The least of all prices of what is left, in portions that the matrix library does by one thread."""
    portion = max(_PORTION // prices.size, 1)
    parts = [(prices @ left[at : at + portion].T + ahead).min(axis=0) for at in range(0, len(left), portion)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _tails(node: Node, order: Column, spare: Column, scale: Column) -> tuple[Column, Column]:
    """K × D prices of the dimensions, and by rank what the items from there on are worth above them (ranks + 1 × K)."""
    points = node.needs[order] / scale / node.values[order, None]
    every = max(-(-len(order) // _PARTS), 1)
    corners = [vertices(points[rank:]) / scale for rank in range(0, len(order), every)]
    prices = np.concatenate([np.outer(_NEAR, node.weights), *corners])
    gain = np.maximum(node.values[order, None] - node.needs[order] @ prices.T, 0.0) * spare[order, None]
    above = np.zeros((len(order) + 1, len(prices)))
    above[:-1] = np.cumsum(gain[::-1], axis=0)[::-1]
    return prices, above


def _various(slots: Column, most: int) -> Column:
    """The first of these fillings, best first, and of each item the first that holds it."""
    if not len(slots):
        return np.zeros(0, np.int64)
    holding = slots > 0
    first = holding.argmax(axis=0)[holding.any(axis=0)]
    return np.unique(np.concatenate([np.arange(min(len(slots), _ALWAYS)), first]))[:most]


def _powers(most: int) -> list[int]:
    """1, 2, 4 … and a rest, of which every number up to `most` is a sum."""
    found: list[int] = []
    while most > 0:
        found.append(min(1 << len(found), most))
        most -= found[-1]
    return found


def _not_replaced(left: Column, value: Column) -> Column:
    """Of these labels, those that no other with as much left and worth as much replaces."""
    groups = [left[:, dimension] for dimension in range(left.shape[1] - 1)]
    order = np.lexsort((-value, -left[:, -1], *groups))
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in groups:
        same &= column[order[1:]] == column[order[:-1]]
    group = np.concatenate([[0], np.cumsum(~same)]).astype(float)[: len(order)]
    shifted = value[order] + group * (float(value.max(initial=0.0)) + 1.0)
    keep = np.ones(len(order), bool)
    keep[1:] = shifted[1:] > np.maximum.accumulate(shifted)[:-1] * (1 + 1e-15)
    return order[keep]


def _not_beaten(left: Column, value: Column) -> Column:
    """Of labels in the order of their hope, those of which none of the first ones has as much left and is worth as
    much."""
    beaten = np.zeros(len(value), bool)
    first = np.arange(0)
    for at in range(0, _BEATERS, _AT_ONCE):
        first = np.flatnonzero(~beaten)[at : at + _AT_ONCE]
        if not len(first):
            break
        better = value[first, None] >= value
        for dimension in range(left.shape[1]):
            better &= left[first, dimension, None] >= left[:, dimension]
        better[np.arange(len(first)), first] = False
        better &= np.arange(len(value)) > first[:, None]
        beaten |= better.any(axis=0)
    return np.flatnonzero(~beaten)


def _trace(steps: list[tuple[int, int, Column, Column]], found: Column, items: int) -> Column:
    """The slots of each label."""
    slots = np.zeros((len(found), items), np.int64)
    at = found
    for item, count, parents, taken in reversed(steps):
        slots[:, item] += count * taken[at]
        at = parents[at]
    return slots


def vertices(points: Column) -> Column:
    """Corners of {w ≥ 0: w·p ≥ 1 for each point}: those that are the best for some mix of what is left."""
    dimensions = points.shape[1]
    unit = points.max(axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    points = points / unit
    points = points[np.argsort(points.sum(axis=1), kind="stable")]
    before = np.tri(len(points), k=-1, dtype=bool)
    points = points[~((points[None, :, :] <= points[:, None, :]).all(axis=2) & before).any(axis=1)]
    few = next(count for count in range(60, 0, -1) if comb(count + dimensions, dimensions) <= _MOST_SYSTEMS)
    rows = np.concatenate([points[:few], np.eye(dimensions)])
    right = np.concatenate([np.ones(min(len(points), few)), np.zeros(dimensions)])
    chosen = np.array(list(combinations(range(len(rows)), dimensions)))
    systems = rows[chosen]
    regular = np.abs(np.linalg.det(systems)) > 1e-12
    corners = np.linalg.solve(systems[regular], right[chosen[regular]][..., None])[..., 0]
    corners = np.maximum(corners[(corners >= -1e-9).all(axis=1)], 0.0)
    corners = np.concatenate([corners, np.full((1, dimensions), 1 / points.sum(axis=1).min())])
    least = (corners @ points.T).min(axis=1)
    corners, least = corners[least > 1 - 1e-6], least[least > 1 - 1e-6]
    corners = corners / np.minimum(least, 1.0)[:, None]
    return corners[np.unique((_mixes(dimensions) @ corners.T).argmin(axis=1))] / unit


@cache
def _mixes(dimensions: int) -> Column:
    """What may be left of a node: one dimension only, and mixes whose ratios are powers of two."""
    steps = range(-_MIX_STEPS // dimensions, _MIX_STEPS // dimensions + 1)
    exponents = list(product(steps, repeat=dimensions - 1))
    powers = np.array(exponents, float).reshape(len(exponents), dimensions - 1)
    return np.concatenate([np.concatenate([np.ones((len(powers), 1)), 2.0**powers], axis=1), np.eye(dimensions)])
