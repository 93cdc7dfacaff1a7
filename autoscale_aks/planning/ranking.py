"""Which bucket first, and in which order places are tried (contract matching.md P1–P3, A3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.matching.evaluate import is_preference, preference_score
from autoscale_aks.model.policy import Objective, PlacementOrder
from autoscale_aks.planning.nodestate import NodeState
from autoscale_aks.planning.ordering import Ordering, make_ordering
from autoscale_aks.planning.records import Order
from autoscale_aks.planning.routes import Route
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
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.space import Space
    from autoscale_aks.planning.views import PartView

_NARROW: Final = 1 << 31
"""Smaller numbers are kept in 32 bits: there is a row of them for every part."""
_AT_ONCE: Final = 256
"""Parts whose routes are worked out together."""


@dataclass(slots=True)
class _Buckets:
    """What routes need of the buckets there are now."""

    kinds: Column
    totals: list[Column]
    ordering: Ordering
    enabled: Column | None
    held: Column | None
    known: dict[int, tuple[Column, Column]] = field(default_factory=dict)
    """Part → its slots on empty nodes and its order, worked out together with others'."""


@dataclass(slots=True)
class Router:
    """Finds routes. What does not depend on the part is worked out once; plain parts are ordered many at once."""

    start: State
    """The state at the start of the cycle: its nodes decide what may match."""
    policy: Policy
    parts: Sequence[Part] = ()
    """Every part there is, in the order in which they are placed first."""
    _index: dict[int, int] = field(init=False)
    _now: _Buckets | None = None
    _scores: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._index = {part.id: index for index, part in enumerate(self.parts)}

    def route(self, part: Part, revealed: frozenset[int]) -> Route:
        """The part's candidates. `revealed` are buckets of placement groups that were opened in this plan."""
        space = self.start.space
        buckets = self._buckets()
        fresh, order = self._ordered(part, buckets)
        reachable: Column | None = None
        hidden = space.hidden - revealed
        if hidden:
            reachable = np.ones(len(order), bool)
            reachable[list(hidden)] = False
        if part.is_colocated:
            grouped = buckets.ordering.grouped
            reachable = grouped if reachable is None else reachable & grouped
        by_bucket = self.policy.placement_order is PlacementOrder.BUCKET
        return Route(fresh, order, reachable, part.is_colocated, buckets.enabled, buckets.held, by_bucket)

    def _buckets(self) -> _Buckets:
        """Worked out anew when buckets were added."""
        space = self.start.space
        if self._now is None or len(self._now.kinds) != len(space.buckets):
            totals = [space.totals(profile) for profile in space.empty]
            enabled = np.array([bucket.array.enabled for bucket in space.buckets], bool)
            blocked = space.snapshot.blocked
            held = None
            if _is_blocked(blocked):
                held = np.array([not may_launch(blocked, space, number) for number in range(len(space.buckets))], bool)
            self._now = _Buckets(
                kinds=np.array([profile.kind.id for profile in space.empty], np.int64),
                totals=[
                    np.array([-1 if row[number] is None else row[number] for row in totals], space.amounts)
                    for number in range(len(space.dimensions))
                ],
                ordering=make_ordering(space.buckets, by_cost=self.policy.objective is Objective.COST),
                enabled=None if enabled.all() else enabled,
                held=held,
            )
        return self._now

    def _ordered(self, part: Part, buckets: _Buckets) -> tuple[Column, Column]:
        """Slots on empty nodes, and all buckets best first."""
        if part.id not in buckets.known:
            index = self._index.get(part.id)
            if index is None or not self._is_plain(part):
                return self._ordered_alone(part, buckets)
            ahead = [other for other in self.parts[index : index + _AT_ONCE] if self._is_plain(other)]
            fresh = _fresh_together([self.start.view(other) for other in ahead], buckets)
            orders = buckets.ordering.orders(fresh, groups_last=True).astype(np.int32)
            if int(fresh.max(initial=0)) < _NARROW:
                fresh = fresh.astype(np.int32)
            buckets.known.update((other.id, (fresh[row], orders[row])) for row, other in enumerate(ahead))
        return buckets.known[part.id]

    def _is_plain(self, part: Part) -> bool:
        """Whether slots are counted by one set of amounts, and price, priority and position alone decide."""
        if part.speaks_of_groups or len(part.alternatives) != 1 or _has_preferences(part):
            return False
        view = self.start.view(part)
        return (
            self.start.space.amounts is np.int64
            and view.is_vector
            and len(view.groups) == 1
            and len(view.groups[0].options) == 1
            and not view.groups[0].moving
        )

    def _ordered_alone(self, part: Part, buckets: _Buckets) -> tuple[Column, Column]:
        fresh = self.fresh(part)
        ordering = buckets.ordering
        scored = _has_preferences(part)
        order = ordering.orders(fresh[None, :], groups_last=not (scored or part.speaks_of_groups))[0]
        if scored:
            scores = self._all_scores(part, fresh, buckets)
            order = order[np.argsort(-scores[order], kind="stable")]
            if not part.speaks_of_groups:
                order = order[np.argsort(ordering.grouped[order], kind="stable")]
        return fresh, order

    def scores(self, part: Part) -> Column | None:
        """By bucket, the part's preference score (P2); None when it prefers nothing."""
        if not _has_preferences(part):
            return None
        return self._all_scores(part, self.fresh(part), self._buckets())

    def fresh(self, part: Part) -> Column:
        """Per bucket, slots that an empty node takes, shared resources set aside; 0: it cannot satisfy the part."""
        view = self.start.view(part)
        buckets = self._buckets()
        if part.id in buckets.known:
            return buckets.known[part.id][0]
        if not view.is_vector:
            return np.array([self._fill_fresh(part, bucket)[0] for bucket in range(len(buckets.kinds))], np.int64)
        return view.fresh(buckets.kinds, buckets.totals, 1 if part.one_a_node else PLENTY)

    def _fill_fresh(self, part: Part, bucket: int) -> tuple[int, Alternative | None]:
        space = self.start.space
        profile = space.empty[bucket]
        limit = 1 if part.one_a_node else PLENTY
        fresh = NodeState(space.totals(profile))
        filling = self.start.try_fill(Order(part, 0), profile, fresh, limit, for_free=True)
        return (filling.slots, filling.used[0][0].alternative) if filling else (0, None)

    def _all_scores(self, part: Part, fresh: Column, buckets: _Buckets) -> Column:
        """By bucket, the preference score (P2)."""
        view = self.start.view(part)
        if not view.is_vector:
            return np.array([self._score(part, bucket) for bucket in range(len(fresh))], np.int64)
        scores = view.scores(buckets.kinds, buckets.totals)
        index = self.start.table.index
        for bucket in np.flatnonzero(fresh == 0).tolist():  # only a live node there may say yes (P4)
            scores[bucket] = self._score(part, bucket) if place_index(bucket) in index.rows else 0
        return scores

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


def _fresh_together(views: Sequence[PartView], buckets: _Buckets) -> Column:
    """By part and bucket, the slots that an empty node takes."""
    count = len(buckets.kinds)
    needs = np.zeros((len(views), len(buckets.totals)), np.int64)
    limits = np.full((len(views), 1), PLENTY, np.int64)
    for row, view in enumerate(views):
        for dimension, amount in view.groups[0].options[0].needs:
            needs[row, dimension] = amount
        if view.part.one_a_node or view.groups[0].takes_node:
            limits[row] = 1
    found = np.broadcast_to(limits, (len(views), count)).copy()
    for dimension, totals in enumerate(buckets.totals):
        asking = np.flatnonzero(needs[:, dimension])
        if len(asking):
            fits = np.maximum(totals, 0) // needs[asking, dimension, None]
            found[asking] = np.minimum(found[asking], fits)
    for row, view in enumerate(views):
        kinds = view.groups[0].kinds
        if kinds is not None:
            found[row] *= kinds[buckets.kinds]
    return found


def _has_preferences(part: Part) -> bool:
    return any(alternative.score or any(map(is_preference, alternative.criteria)) for alternative in part.alternatives)


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
