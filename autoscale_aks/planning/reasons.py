"""Why what was not placed was not: the first code of matching.md §9 that applies, with its data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoscale_aks.matching.evaluate import TOO_LITTLE, amount_misses, first_miss
from autoscale_aks.model.reason import Binding, LimitKind, Miss, Reason, ReasonCode
from autoscale_aks.planning.ranking import Router, find_back_off
from autoscale_aks.planning.space import STRAYS, UNMANAGED
from autoscale_aks.units import Number, number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoscale_aks.matching.alternatives import Alternative
    from autoscale_aks.matching.profile import Profile
    from autoscale_aks.planning.demand import JobClass, Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.routes import Route


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What was not placed: `missing` slots (jobs, for gangs) of `count` jobs of a class."""

    job_class: JobClass
    count: int
    missing: int
    has_some: bool
    """Whether part of it was placed."""


@dataclass(slots=True)
class Explainer:
    """Finds reasons at the moment a job is refused. What no bucket can ever take is looked at once a class."""

    router: Router
    route_of: Callable[[Part], Route]
    fits_alone: Callable[[JobClass, int], bool]
    """Whether so many jobs of a class would have fitted at the start of this cycle, without any other."""
    takers: Callable[[Sequence[int], frozenset[str]], tuple[str, ...]]
    """Names of jobs that were placed in these places or take these shared resources."""
    _mismatches: dict[int, Reason | None] = field(default_factory=dict)

    def explain(self, state: State, short: Shortfall) -> Reason:
        """The first code of §9 that applies."""
        blocked = state.space.snapshot.blocked
        if blocked.auth is not None:
            return Reason(code=ReasonCode.AUTH, detail=blocked.auth)
        if blocked.throttled_until is not None:
            return Reason(code=ReasonCode.API_THROTTLED, until=blocked.throttled_until)
        parts = short.job_class.parts
        found = (
            next((reason for part in parts if (reason := self.mismatch(state, part)) is not None), None)
            or self._shared(state, short)
            or next((reason for part in parts if (reason := self._back_off(state, part)) is not None), None)
        )
        if found is not None:
            return found
        if self.fits_alone(short.job_class, short.count):
            places = _rooms(state, [bucket for part in parts for bucket in self.candidates(state, part)])
            return Reason(code=ReasonCode.LOST_TO_PRIORITY, taken_by=self.takers(places, frozenset()))
        return self._limit(state, short)

    def candidates(self, state: State, part: Part) -> list[int]:
        """Buckets that can take the part: matching ones, and those of a group that could be opened for it (A5)."""
        openable = sorted(state.space.hidden - state.revealed) if part.is_colocated else []
        fresh = self.router.fresh(part) if openable else ()
        return self.route_of(part).matching + [number for number in openable if fresh[number]]

    def mismatch(self, state: State, part: Part) -> Reason | None:
        """Why no bucket can ever take the part; None when one can."""
        if part.id not in self._mismatches:
            self._mismatches[part.id] = self._find_mismatch(state, part)
        return self._mismatches[part.id]

    def _find_mismatch(self, state: State, part: Part) -> Reason | None:
        if self.candidates(state, part):
            return self._group_too_small(state, part)
        misses = bucket_misses(state, part)
        backing_off = tuple(miss for miss in misses if miss.criterion == "capacity-failure-backoff")
        if backing_off:
            return Reason(code=ReasonCode.CAPACITY_BACKOFF, misses=backing_off)
        too_big = _too_big(state, part, misses)
        if too_big:
            return Reason(code=ReasonCode.TOO_BIG_FOR_ANY_NODE, misses=_closest_first(too_big))
        detail = "" if misses else "there is no bucket"
        return Reason(code=ReasonCode.NO_BUCKET_MATCH, misses=_closest_first(misses), detail=detail)

    def _group_too_small(self, state: State, part: Part) -> Reason | None:
        if not part.is_colocated:
            return None
        nearest: Miss | None = None
        fresh = self.router.fresh(part)
        for bucket in self.candidates(state, part):
            offering = state.space.buckets[bucket].offering
            needed = -(-part.slots // int(fresh[bucket]))
            if needed <= offering.max_placement_group_size:
                return None
            if nearest is None or offering.max_placement_group_size > (number_of(nearest.offered) or 0):
                nearest = Miss("placement group size", needed, offering.max_placement_group_size, "too small",
                               state.space.buckets[bucket].id)  # fmt: skip
        return Reason(code=ReasonCode.PLACEMENT_GROUP_TOO_SMALL, misses=(nearest,) if nearest else ())

    def _shared(self, state: State, short: Shortfall) -> Reason | None:
        """Set when every alternative lacks some shared resource; a gang's parts ask together (C5, A6)."""
        asked: dict[str, Number] = {}
        for part in short.job_class.parts:
            ways = [_shared_needs(alternative, part, short) for alternative in part.alternatives]
            if any(_can_take(way, state, asked) for way in ways):
                for source, amount in next(way for way in ways if _can_take(way, state, asked)).items():
                    asked[source] = asked.get(source, 0) + amount
                continue
            for source, amount in (ways[0] if ways else {}).items():
                left = state.shared.left.get(source)
                total = amount + asked.get(source, 0)
                if left is None or left < total:
                    return Reason(
                        code=ReasonCode.SHARED_RESOURCE,
                        detail=source,
                        misses=(Miss(source, total, left, "shared resource"),),
                        taken_by=self.takers((), frozenset({source})),
                    )
        return None

    def _back_off(self, state: State, part: Part) -> Reason | None:
        """Set when every candidate that limits still allow is in back-off."""
        space = state.space
        if not space.snapshot.blocked.back_offs:
            return None
        remaining = [bucket for bucket in self.candidates(state, part) if state.limits.available(bucket)]
        found = [find_back_off(space.snapshot.blocked, space, bucket) for bucket in remaining]
        held = [back_off for back_off in found if back_off is not None]
        if not held or len(held) < len(found):
            return None
        capacity = [back_off for back_off in held if back_off.code == ReasonCode.CAPACITY_BACKOFF.value]
        ends = [back_off.until for back_off in capacity or held if back_off.until is not None]
        code = ReasonCode.CAPACITY_BACKOFF if capacity else ReasonCode.BOOT_CIRCUIT_OPEN
        return Reason(code=code, until=min(ends, default=None))

    def _limit(self, state: State, short: Shortfall) -> Reason:
        """The limit whose mend is nearest; a quota before any other limit, and what no raise mends last."""
        bindings: list[Binding] = []
        for part in short.job_class.parts:
            slots = short.missing * part.slots if short.job_class.is_gang else short.missing
            fresh = self.router.fresh(part)
            for bucket in self.candidates(state, part):
                nodes = -(-slots // int(fresh[bucket]))
                binding = state.limits.binding(bucket, nodes)
                if binding is not None and binding.missing:
                    bindings.append(binding)
        quotas = [binding for binding in bindings if binding.kind.is_quota]
        if not bindings:
            return Reason(code=ReasonCode.LIMIT, detail="no node has room and no bucket may get new ones")
        nearest = min(quotas or bindings, key=lambda binding: (binding.kind is LimitKind.RESTRICTED, binding.missing))
        return Reason(code=ReasonCode.QUOTA if quotas else ReasonCode.LIMIT, binding=nearest)


def _rooms(state: State, candidates: Sequence[int]) -> list[int]:
    """Places whose nodes and limits the candidates share: every bucket of their node arrays, and on-premise nodes."""
    arrays = {state.space.buckets[bucket].array.name for bucket in candidates}
    inside = [number for number, bucket in enumerate(state.space.buckets) if bucket.array.name in arrays]
    return [UNMANAGED, *inside, STRAYS]


def _shared_needs(alternative: Alternative, part: Part, short: Shortfall) -> dict[str, Number]:
    """What the rest would take of each shared resource: one slot of a heap, all slots of a gang, once a job."""
    needs: dict[str, Number] = {}
    slots = part.slots if short.job_class.is_gang else 1
    for shared in alternative.shared:
        if shared.once and short.has_some and not short.job_class.is_gang and short.count == 1:
            continue
        for source in shared.sources:
            needs[source] = needs.get(source, 0) + shared.amount * (1 if shared.once else slots)
    return needs


def _can_take(needs: dict[str, Number], state: State, asked: dict[str, Number]) -> bool:
    for source, amount in needs.items():
        left = state.shared.left.get(source)
        if left is None or left < amount + asked.get(source, 0):
            return False
    return True


def bucket_misses(state: State, part: Part) -> tuple[Miss, ...]:
    """Per bucket, the first failing criterion of the alternative that comes closest."""
    found: list[Miss] = []
    for number, bucket in enumerate(state.space.buckets):
        if number in state.space.hidden - state.revealed:
            continue
        miss = _closest(part, state.space.empty[number])
        if miss is None and part.is_colocated and bucket.placement_group is None:
            miss = Miss("in-a-placement-group", wanted=True, offered=False)
        if not bucket.array.enabled:
            miss = Miss("enabled", wanted=True, offered=False, note="the node array is not enabled")
        if miss is not None:
            found.append(Miss(miss.criterion, miss.wanted, miss.offered, miss.note, bucket.id))
    return tuple(found)


def _closest(part: Part, profile: Profile) -> Miss | None:
    misses = [first_miss(alternative, profile) for alternative in part.alternatives]
    if not misses:
        return Miss("or", None, None, "an `or` or `xor` without choices never holds")
    real = [miss for miss in misses if miss is not None]
    if len(real) < len(misses):
        return None
    return min(real, key=_distance)


def _distance(miss: Miss) -> int:
    """Amounts that are too small are nearer than amounts that are not there, and those than other criteria."""
    return {TOO_LITTLE: 0, "not an amount": 2, "not defined here": 2}.get(miss.note, 1)


def _closest_first(misses: Sequence[Miss]) -> tuple[Miss, ...]:
    return tuple(sorted(misses, key=lambda miss: (_distance(miss), -(number_of(miss.offered) or 0))))


def _too_big(state: State, part: Part, misses: Sequence[Miss]) -> tuple[Miss, ...]:
    """The misses of one amount that exceeds every node which satisfies everything else; empty when there is none."""
    near = {miss.bucket for miss in misses if miss.note == TOO_LITTLE}
    exceeded: dict[str, list[Miss]] = {}
    for number, bucket in enumerate(state.space.buckets):
        if bucket.id in near and number not in state.space.hidden - state.revealed:
            for miss in _exceeded_in_every_way(part, state.space.empty[number]):
                exceeded.setdefault(miss.criterion, []).append(
                    Miss(miss.criterion, miss.wanted, miss.offered, miss.note, bucket.id)
                )
    whole = [found for found in exceeded.values() if len(found) == len(near)]
    return tuple(whole[0]) if whole else ()


def _exceeded_in_every_way(part: Part, profile: Profile) -> tuple[Miss, ...]:
    """Amounts that are too little by every alternative that fails on amounts alone."""
    per_way = [
        [miss for miss in amount_misses(alternative, profile) if miss.note == TOO_LITTLE]
        for alternative in part.alternatives
        if (miss := first_miss(alternative, profile)) is not None and miss.note == TOO_LITTLE
    ]
    common = set.intersection(*({miss.criterion for miss in way} for way in per_way)) if per_way else set()
    return tuple(miss for miss in per_way[0] if miss.criterion in common) if per_way else ()
