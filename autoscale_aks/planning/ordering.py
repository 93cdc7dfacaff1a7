"""In which order buckets are tried (contract matching.md P2, P3): groups, preference, price, priority, position.

Prices a slot are compared as floats where that is exact: quotients of whole numbers whose product is below 2^52 are
equal, or ordered, just as their nearest floats are. A stable sort over the order by priority and position keeps ties
as the configuration has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.planning.places import Column

_EXACT: Final = 1 << 62
_EXACT_FLOAT: Final = 1 << 52


@dataclass(frozen=True, slots=True)
class Ordering:
    """What buckets are ordered by whatever the part, per bucket. Prices are whole numbers of one small coin."""

    price: Column
    known: Column
    """Whether the price is known; unknown ones come last."""
    grouped: Column
    """Whether the bucket is in a placement group."""
    base: Column
    """Buckets by priority and position."""
    by_cost: bool

    def orders(self, fresh: Column, *, groups_last: bool) -> Column:
        """Per part, all buckets, best first. `fresh` holds by part and bucket the slots an empty node takes."""
        segments = self._segments(groups_last=groups_last)
        count = len(fresh)
        if not self.by_cost:
            return np.broadcast_to(np.concatenate(segments), (count, len(self.base)))
        slots = np.maximum(fresh, 1)
        exact = len(self.price) > 0 and int(self.price.max()) * int(slots.max()) < _EXACT_FLOAT
        sort = _sorted_by_ratio if exact else _sorted_exactly
        found = [
            sort(segment, self.price[segment], slots[:, segment])
            if len(segment) > 1 and self.known[segment[0]]
            else np.broadcast_to(segment, (count, len(segment)))
            for segment in segments
        ]
        return np.concatenate(found, axis=1)

    def _segments(self, *, groups_last: bool) -> list[Column]:
        """Buckets that nothing but price, priority and position tells apart, best segment first."""
        segments = [self.base]
        if groups_last:
            segments = [part for one in segments for part in (one[~self.grouped[one]], one[self.grouped[one]])]
        if self.by_cost:
            segments = [part for one in segments for part in (one[self.known[one]], one[~self.known[one]])]
        return [segment for segment in segments if len(segment)] or [self.base]


def make_ordering(buckets: Sequence[Bucket], *, by_cost: bool) -> Ordering:
    """The ordering of these buckets, which stand in configuration order."""
    prices = [bucket.offering.price for bucket in buckets]
    coin = lcm(*(price.denominator for price in prices if price is not None))
    whole = [0 if price is None else int(price * coin) for price in prices]
    return Ordering(
        price=np.array(whole, np.int64 if max(whole, default=0) < _EXACT else object),
        known=np.array([price is not None for price in prices], bool),
        grouped=np.array([bucket.placement_group is not None for bucket in buckets], bool),
        base=np.argsort(np.array([-bucket.array.priority for bucket in buckets], np.int64), kind="stable"),
        by_cost=by_cost,
    )


def _sorted_by_ratio(segment: Column, price: Column, slots: Column) -> Column:
    return segment[np.argsort(price / slots, axis=1, kind="stable")]


def _sorted_exactly(segment: Column, price: Column, slots: Column) -> Column:
    found = [
        sorted(range(len(segment)), key=lambda index: Fraction(int(price[index]), int(row[index]))) for row in slots
    ]
    return segment[np.array(found, np.int64)]
