"""Which bucket first, and in which order places are tried (contract matching.md P1–P3, A3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from autoscale_aks.matching.evaluate import preference_score
from autoscale_aks.model.policy import Objective, PlacementOrder
from autoscale_aks.planning.filling import NodeState, SharedPool
from autoscale_aks.planning.packing import Order, State
from autoscale_aks.planning.space import STRAYS, UNMANAGED

if TYPE_CHECKING:
    from autoscale_aks.matching.profile import Profile
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import BackOff, Blocked
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.filling import Filling
    from autoscale_aks.planning.space import Space

_Rank: TypeAlias = tuple[int, int, int, Fraction, int, int]


@dataclass(frozen=True, slots=True)
class Stop:
    """One place on a part's way: its existing nodes, or new ones of it."""

    place: int
    is_new: bool


@dataclass(slots=True)
class Route:
    """A part's candidates in order."""

    launchable: list[int] = field(default_factory=list)
    """Buckets whose empty node satisfies the part and which may get new nodes, best first (P1, P2, P3)."""
    matching: list[int] = field(default_factory=list)
    """Buckets whose empty node satisfies the part, launchable or not (back-off, throttle), best first."""
    places: list[int] = field(default_factory=list)
    """Where existing nodes may be used, best first, on-premise ones at the head."""
    stops: list[Stop] = field(default_factory=list)
    """Both in the order of A3."""


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


def may_launch(blocked: Blocked, space: Space, bucket: int) -> bool:
    """Whether new nodes of a bucket may be asked for now."""
    asked = not blocked.auth and blocked.throttled_until is None
    return asked and find_back_off(blocked, space, bucket) is None


def plan_route(part: Part, start: State, policy: Policy) -> Route:
    """The part's candidates. `start` is the state at the start of the cycle, whose nodes decide what may match."""
    space = start.space
    blocked = space.snapshot.blocked
    ranks: dict[int, _Rank] = {}
    route = Route()
    for bucket in range(len(space.buckets)):
        if bucket in space.hidden or (part.is_colocated and space.buckets[bucket].placement_group is None):
            continue
        filling = fill_fresh(part, start, bucket)
        if filling is not None:
            ranks[bucket] = _rank(part, space, policy, bucket, filling)
            if space.buckets[bucket].array.enabled:
                route.matching.append(bucket)
        elif any(space.options(part, block.profile) for block in start.blocks_at(bucket)):
            ranks[bucket] = _rank(part, space, policy, bucket, None, _first_profile(part, start, bucket))
    route.matching.sort(key=ranks.__getitem__)
    route.launchable = [bucket for bucket in route.matching if may_launch(blocked, space, bucket)]
    ordered = sorted(ranks, key=ranks.__getitem__)
    route.places = ordered if part.is_colocated else [UNMANAGED, *ordered, STRAYS]
    route.stops = _stops(route, policy)
    return route


def _stops(route: Route, policy: Policy) -> list[Stop]:
    if policy.placement_order is PlacementOrder.EXISTING_FIRST:
        existing = [Stop(place, is_new=False) for place in route.places]
        return existing + [Stop(bucket, is_new=True) for bucket in route.launchable]
    may_grow = set(route.launchable)
    stops: list[Stop] = []
    for place in route.places:
        stops.append(Stop(place, is_new=False))
        if place in may_grow:
            stops.append(Stop(place, is_new=True))
    return stops


def fresh_slots(part: Part, state: State, bucket: int) -> int:
    """Slots an empty node of the bucket takes; 0 when it cannot satisfy the part."""
    filling = fill_fresh(part, state, bucket)
    return filling.slots if filling else 0


def fill_fresh(part: Part, state: State, bucket: int) -> Filling | None:
    """What an empty node takes, with shared resources set aside: they say nothing of the bucket."""
    order = Order(part, 0)
    profile = state.space.empty[bucket]
    options = state.space.options(part, profile)
    if not options:
        return None
    plenty = SharedPool({source: 1 << 60 for option in options for shared in option.alternative.shared
                         for source in shared.sources})  # fmt: skip
    tried = State(state.space, state.limits, plenty, state.names, 0)
    return tried.try_fill(order, profile, NodeState(state.space.totals(profile)), 1 if part.one_a_node else 1 << 30)


def _first_profile(part: Part, start: State, bucket: int) -> Profile:
    return next(block.profile for block in start.blocks_at(bucket) if start.space.options(part, block.profile))


def _rank(
    part: Part, space: Space, policy: Policy, bucket: int, filling: Filling | None, profile: Profile | None = None
) -> _Rank:
    """Sort key, smaller is better: P3 group, P2 preference, price per slot where cost decides, priority, order."""
    facts = space.buckets[bucket]
    grouped = int(facts.placement_group is not None and not part.speaks_of_groups)
    seen = profile or space.empty[bucket]
    first = filling.used[0][0] if filling else space.options(part, seen)[0]
    score = preference_score(first.alternative, seen)
    price = facts.offering.price if policy.objective is Objective.COST else Fraction(0)
    unknown, per_slot = (1, Fraction(0)) if price is None else (0, price / (filling.slots if filling else 1))
    return (grouped, -score, unknown, per_slot, -facts.array.priority, bucket)
