"""Which bucket first, and in which order places are tried (contract matching.md P1–P3, A3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.matching.constraint import NodeProperty, ResourceList
from autoscale_aks.matching.evaluate import preference_score
from autoscale_aks.model.policy import Objective, PlacementOrder
from autoscale_aks.planning.nodestate import NodeState
from autoscale_aks.planning.records import Order
from autoscale_aks.planning.space import STRAYS, UNMANAGED
from autoscale_aks.planning.table import place_index
from autoscale_aks.planning.views import PLENTY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.matching.alternatives import Alternative
    from autoscale_aks.matching.profile import Profile
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import BackOff, Blocked
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.space import Space
    from autoscale_aks.planning.table import Column

_EXACT: Final = 1 << 62
NOT_A_PLACE: Final = -1
"""Rank of a place the part cannot use."""


@dataclass(slots=True)
class Route:
    """A part's candidates in order."""

    ranks: Column
    """Per place (`place_index`), its rank on the part's way; NOT_A_PLACE where the part cannot be."""
    fresh: Column
    """Per bucket, slots that an empty node takes; 0 where it cannot satisfy the part."""
    launchable: list[int] = field(default_factory=list)
    """Buckets whose empty node satisfies the part and which may get new nodes, best first (P1, P2, P3)."""
    matching: list[int] = field(default_factory=list)
    """Buckets whose empty node satisfies the part, launchable or not (back-off, throttle), best first."""
    bucket_by_bucket: bool = False
    """Whether each bucket's new nodes come before the next bucket's nodes (A3, `placement_order: bucket`)."""

    @property
    def places(self) -> list[int]:
        """Where existing nodes may be used, best first, on-premise ones at the head."""
        usable = np.flatnonzero(self.ranks >= 0)
        return [int(index) - 2 for index in usable[np.argsort(self.ranks[usable], kind="stable")]]

    def slots_of(self, bucket: int) -> int:
        """Slots that an empty node of a bucket takes."""
        return int(self.fresh[bucket])


@dataclass(frozen=True, slots=True)
class _RankColumns:
    """What buckets are ordered by, per bucket. Prices are whole numbers of one small coin; 0 where unknown."""

    position: Column
    priority: Column
    price: Column
    unknown: Column


@dataclass(slots=True)
class Router:
    """Finds routes. What does not depend on the part is worked out once."""

    start: State
    """The state at the start of the cycle: its nodes decide what may match."""
    policy: Policy
    _base: dict[tuple[bool, int], Column] = field(default_factory=dict)
    _buckets: tuple[int, Column, list[Column]] | None = None
    _scores: dict[tuple[int, int], int] = field(default_factory=dict)
    _columns: _RankColumns | None = None
    _grouped: Column = field(default_factory=lambda: np.zeros(0, bool))
    _enabled: Column = field(default_factory=lambda: np.zeros(0, bool))

    def route(self, part: Part, revealed: frozenset[int]) -> Route:
        """The part's candidates. `revealed` are buckets of placement groups that were opened in this plan."""
        space = self.start.space
        fresh = self.fresh(part)
        grouped, enabled = self._flags()
        reachable = ~self._hidden(revealed)
        if part.is_colocated:
            reachable &= grouped
        order = self._order(part, fresh)
        matching = order[((fresh > 0) & reachable & enabled)[order]].tolist()
        blocked = space.snapshot.blocked
        launchable = (
            [bucket for bucket in matching if may_launch(blocked, space, bucket)] if _is_blocked(blocked) else matching
        )
        ranks = np.full(len(order) + 2, NOT_A_PLACE, np.int64)
        ranks[2 + order] = np.where(reachable[order], np.arange(1, len(order) + 1), NOT_A_PLACE)
        if not part.is_colocated:
            ranks[place_index(UNMANAGED)] = 0
            ranks[place_index(STRAYS)] = len(order) + 1
        by_bucket = self.policy.placement_order is PlacementOrder.BUCKET
        return Route(ranks, fresh, launchable, matching, by_bucket)

    def _flags(self) -> tuple[Column, Column]:
        """Per bucket, whether it is in a placement group and whether its node array is enabled."""
        buckets = self.start.space.buckets
        if len(self._grouped) != len(buckets):
            self._grouped = np.array([bucket.placement_group is not None for bucket in buckets], bool)
            self._enabled = np.array([bucket.array.enabled for bucket in buckets], bool)
        return self._grouped, self._enabled

    def _hidden(self, revealed: frozenset[int]) -> Column:
        hidden = np.zeros(len(self.start.space.buckets), bool)
        hidden[list(self.start.space.hidden - revealed)] = True
        return hidden

    def fresh(self, part: Part) -> Column:
        """Per bucket, slots that an empty node takes, shared resources set aside; 0: it cannot satisfy the part."""
        space = self.start.space
        view = self.start.view(part)
        limit = 1 if part.one_a_node else PLENTY
        if not view.is_vector:
            return np.array([self._fill_fresh(part, bucket)[0] for bucket in range(len(space.buckets))], np.int64)
        if self._buckets is None or self._buckets[0] != len(space.buckets):
            kinds = np.array([profile.kind.id for profile in space.empty], np.int64)
            totals = [space.totals(profile) for profile in space.empty]
            columns: list[Column] = [
                np.array([-1 if row[number] is None else row[number] for row in totals], space.amounts)
                for number in range(len(space.dimensions))
            ]
            self._buckets = (len(space.buckets), kinds, columns)
        return view.fresh(self._buckets[1], self._buckets[2], limit)

    def _fill_fresh(self, part: Part, bucket: int) -> tuple[int, Alternative | None]:
        space = self.start.space
        profile = space.empty[bucket]
        limit = 1 if part.one_a_node else PLENTY
        fresh = NodeState(space.totals(profile))
        filling = self.start.try_fill(Order(part, 0), profile, fresh, limit, for_free=True)
        return (filling.slots, filling.used[0][0].alternative) if filling else (0, None)

    def _order(self, part: Part, fresh: Column) -> Column:
        """All buckets, best first: P3 group, P2 preference, price per slot where cost decides, priority, order."""
        by_cost = self.policy.objective is Objective.COST
        scored = _has_preferences(part)
        count = len(self.start.space.buckets)
        key = (part.speaks_of_groups, count)
        if not by_cost and not scored and key in self._base:
            return self._base[key]
        columns = self._rank_columns()
        keys = [columns.position, -columns.priority]
        if by_cost:
            keys += [_cost_ranks(columns.price, fresh), columns.unknown]
        if scored:
            keys.append(-np.array([self._score(part, bucket) for bucket in range(count)], np.int64))
        if not part.speaks_of_groups:
            keys.append(self._flags()[0])
        order = np.lexsort(keys)
        if not by_cost and not scored:
            self._base[key] = order
        return order

    def _rank_columns(self) -> _RankColumns:
        buckets = self.start.space.buckets
        if self._columns is None or len(self._columns.position) != len(buckets):
            prices = [bucket.offering.price for bucket in buckets]
            self._columns = _RankColumns(
                position=np.arange(len(buckets)),
                priority=np.array([bucket.array.priority for bucket in buckets], np.int64),
                price=_whole_prices(prices),
                unknown=np.array([price is None for price in prices], bool),
            )
        return self._columns

    def _score(self, part: Part, bucket: int) -> int:
        """P2: of the alternative that an empty node takes first; of a live node's where no empty one can."""
        profile = self.start.space.empty[bucket]
        key = (part.id, profile.kind.id)
        if key in self._scores and not part.is_live:
            return self._scores[key]
        _, alternative = self._fill_fresh(part, bucket)
        if alternative is None:
            alternative, profile = self._live_alternative(part, bucket) or (None, profile)
        score = 0 if alternative is None else preference_score(alternative, profile)
        if self._fill_fresh(part, bucket)[0]:
            self._scores[key] = score
        return score

    def _live_alternative(self, part: Part, bucket: int) -> tuple[Alternative, Profile] | None:
        table = self.start.table
        for row in np.flatnonzero(table.place[: table.size] == place_index(bucket)).tolist():
            options = self.start.space.options(part, table.profiles[row])
            if options:
                return options[0].alternative, table.profiles[row]
        return None


def _whole_prices(prices: Sequence[Fraction | None]) -> Column:
    coin = lcm(*(price.denominator for price in prices if price is not None))
    found = [0 if price is None else int(price * coin) for price in prices]
    return np.array(found, np.int64 if max(found, default=0) < _EXACT else object)


def _cost_ranks(price: Column, slots: Column) -> Column:
    """Equal numbers for equal prices a slot, smaller for cheaper: exact, though sorted by floats (P2)."""
    slots = np.maximum(slots, 1)
    if len(price) and int(price.max()) * int(slots.max()) >= _EXACT:
        price, slots = price.astype(object), slots.astype(object)
    ratio = (price / slots).astype(np.float64)
    order = np.argsort(ratio, kind="stable")
    below, above = order[:-1], order[1:]
    equal = price[below] * slots[above] == price[above] * slots[below]
    close = ratio[above] - ratio[below] <= 1e-9 * ratio[above]
    if bool((close & ~equal).any()):
        exact = sorted(range(len(price)), key=lambda number: Fraction(int(price[number]), int(slots[number])))
        order = np.array(exact, np.int64)
        below, above = order[:-1], order[1:]
        equal = price[below] * slots[above] == price[above] * slots[below]
    ranks = np.zeros(len(price), np.int64)
    ranks[above] = np.cumsum(~equal.astype(bool))
    return ranks


def _has_preferences(part: Part) -> bool:
    return any(
        alternative.score
        or any(
            isinstance(criterion, ResourceList) or (isinstance(criterion, NodeProperty) and criterion.is_list)
            for criterion in alternative.criteria
        )
        for alternative in part.alternatives
    )


def find_back_off(blocked: Blocked, space: Space, bucket: int) -> BackOff | None:
    """The back-off that keeps a bucket from new nodes, the longest one when there are several."""
    array, offering = space.buckets[bucket].array, space.buckets[bucket].offering
    found = [
        back_off
        for back_off in blocked.back_offs
        if back_off.nodearray in {None, array.name}
        and back_off.vm_size in {None, offering.vm_size}
        and back_off.zone in {None, offering.zone}
        and back_off.spot in {None, array.spot}
    ]
    return max(found, key=lambda back_off: back_off.until or float("inf"), default=None)


def _is_blocked(blocked: Blocked) -> bool:
    return bool(blocked.auth or blocked.throttled_until is not None or blocked.back_offs)


def may_launch(blocked: Blocked, space: Space, bucket: int) -> bool:
    """Whether new nodes of a bucket may be asked for now."""
    asked = not blocked.auth and blocked.throttled_until is None
    return asked and find_back_off(blocked, space, bucket) is None
