"""Why what was not placed was not: the first code of matching.md §9 that applies, with its data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autoscale_aks.matching.evaluate import TOO_LITTLE, amount_misses, first_miss
from autoscale_aks.model.reason import Binding, Miss, Reason, ReasonCode
from autoscale_aks.planning.ranking import Route, find_back_off, fresh_slots
from autoscale_aks.units import Number, number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoscale_aks.matching.profile import Profile
    from autoscale_aks.planning.demand import JobClass, Part
    from autoscale_aks.planning.packing import State

NAMED_JOBS: Final = 3
"""How many of the jobs that took the room are named."""


@dataclass(slots=True)
class Explainer:
    """Finds reasons at the moment a job is refused. Each class is looked at once."""

    route_of: Callable[[Part], Route]
    fits_alone: Callable[[JobClass, int], bool]
    """Whether so many jobs of a class would have fitted at the start of this cycle, without any other."""
    takers: Callable[[Sequence[int], frozenset[str]], tuple[str, ...]]
    """Names of jobs that were placed in these places or take these shared resources."""
    _mismatches: dict[int, Reason | None] = field(default_factory=dict)

    def explain(self, state: State, job_class: JobClass, count: int, missing: int) -> Reason:
        """Why `missing` slots (or jobs, for gangs) of `count` jobs were not placed."""
        blocked = state.space.snapshot.blocked
        if blocked.auth is not None:
            return Reason(code=ReasonCode.AUTH, detail=blocked.auth)
        if blocked.throttled_until is not None:
            return Reason(code=ReasonCode.API_THROTTLED, until=blocked.throttled_until)
        for part in job_class.parts:
            mismatch = self.mismatch(state, part)
            if mismatch is not None:
                return mismatch
        for part in job_class.parts:
            found = self._shared(state, job_class, part) or self._back_off(state, part)
            if found is not None:
                return found
        if self.fits_alone(job_class, count):
            places = [place for part in job_class.parts for place in self.route_of(part).places]
            return Reason(code=ReasonCode.LOST_TO_PRIORITY, taken_by=self.takers(places, frozenset()))
        return self._limit(state, job_class, missing)

    def mismatch(self, state: State, part: Part) -> Reason | None:
        """Why no bucket can ever take the part; None when one can."""
        if part.id not in self._mismatches:
            self._mismatches[part.id] = self._find_mismatch(state, part)
        return self._mismatches[part.id]

    def _find_mismatch(self, state: State, part: Part) -> Reason | None:
        route = self.route_of(part)
        if route.matching:
            return self._group_too_small(state, part, route)
        misses = bucket_misses(state, part)
        backing_off = tuple(miss for miss in misses if miss.criterion == "capacity-failure-backoff")
        if backing_off:
            return Reason(code=ReasonCode.CAPACITY_BACKOFF, misses=backing_off)
        too_big = _too_big(state, part, misses)
        if too_big:
            return Reason(code=ReasonCode.TOO_BIG_FOR_ANY_NODE, misses=_closest_first(too_big))
        return Reason(code=ReasonCode.NO_BUCKET_MATCH, misses=_closest_first(misses))

    def _group_too_small(self, state: State, part: Part, route: Route) -> Reason | None:
        if not part.is_colocated:
            return None
        nearest: Miss | None = None
        for bucket in route.matching:
            offering = state.space.buckets[bucket].offering
            needed = -(-part.slots // fresh_slots(part, state, bucket))
            if needed <= offering.max_placement_group_size:
                return None
            if nearest is None or offering.max_placement_group_size > (number_of(nearest.offered) or 0):
                nearest = Miss("placement group size", needed, offering.max_placement_group_size, "too small",
                               state.space.buckets[bucket].id)  # fmt: skip
        return Reason(code=ReasonCode.PLACEMENT_GROUP_TOO_SMALL, misses=(nearest,) if nearest else ())

    def _shared(self, state: State, job_class: JobClass, part: Part) -> Reason | None:
        """Set when every alternative lacks some shared resource."""
        slots = part.slots if job_class.is_gang else 1
        lacking: list[tuple[str, Number, Number | None]] = []
        for alternative in part.alternatives:
            short = [
                (source, shared.amount * (1 if shared.once else slots), state.shared.left.get(source))
                for shared in alternative.shared
                for source in shared.sources
            ]
            short = [(source, asked, left) for source, asked, left in short if left is None or left < asked]
            if not short:
                return None
            lacking.append(short[0])
        if not lacking:
            return None
        source, asked, left = lacking[0]
        return Reason(
            code=ReasonCode.SHARED_RESOURCE,
            detail=source,
            misses=(Miss(source, asked, left, "shared resource"),),
            taken_by=self.takers((), frozenset({source})),
        )

    def _back_off(self, state: State, part: Part) -> Reason | None:
        """Set when every candidate that limits still allow is in back-off."""
        space = state.space
        remaining = [bucket for bucket in self.route_of(part).matching if state.limits.available(bucket)]
        found = [find_back_off(space.snapshot.blocked, space, bucket) for bucket in remaining]
        held = [back_off for back_off in found if back_off is not None]
        if not held or len(held) < len(found):
            return None
        capacity = [back_off for back_off in held if back_off.code == ReasonCode.CAPACITY_BACKOFF.value]
        ends = [back_off.until for back_off in capacity or held if back_off.until is not None]
        code = ReasonCode.CAPACITY_BACKOFF if capacity else ReasonCode.BOOT_CIRCUIT_OPEN
        return Reason(code=code, until=min(ends, default=None))

    def _limit(self, state: State, job_class: JobClass, missing: int) -> Reason:
        """The limit whose mend is nearest; a quota before any other limit."""
        bindings: list[tuple[Binding, str]] = []
        for part in job_class.parts:
            slots = missing * part.slots if job_class.is_gang else missing
            for bucket in self.route_of(part).matching:
                nodes = -(-slots // fresh_slots(part, state, bucket))
                binding = state.limits.binding(bucket, nodes)
                if binding is not None and binding.missing:
                    bindings.append((binding, state.space.buckets[bucket].id))
        quotas = [entry for entry in bindings if entry[0].kind.is_quota]
        if not bindings:
            return Reason(code=ReasonCode.LIMIT, detail="no node has room and no bucket may get new ones")
        binding, _ = min(quotas or bindings, key=lambda entry: entry[0].missing)
        return Reason(code=ReasonCode.QUOTA if quotas else ReasonCode.LIMIT, binding=binding)


def bucket_misses(state: State, part: Part) -> tuple[Miss, ...]:
    """Per bucket, the first failing criterion of the alternative that comes closest."""
    found: list[Miss] = []
    for number, bucket in enumerate(state.space.buckets):
        if number in state.space.hidden:
            continue
        miss = _closest(part, state.space.empty[number])
        if miss is None and part.is_colocated and bucket.placement_group is None:
            miss = Miss("in-a-placement-group", wanted=True, offered=False)
        if miss is None and not bucket.array.enabled:
            miss = Miss("enabled", wanted=True, offered=False, note="the node array is not enabled")
        if miss is not None:
            found.append(Miss(miss.criterion, miss.wanted, miss.offered, miss.note, bucket.id))
    return tuple(found)


def _closest(part: Part, profile: Profile) -> Miss | None:
    misses = [first_miss(alternative, profile) for alternative in part.alternatives]
    if not misses:
        return Miss("or", None, None, "an empty `or` never holds")
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
        if bucket.id in near and number not in state.space.hidden:
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
