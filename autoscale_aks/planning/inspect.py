"""What stands behind a decision: each bucket's verdict on a job. Nothing here decides.

Verdicts use the matching room's criteria on the empty node of each bucket. How many slots such a node takes is asked
of the planner itself, with everything but that one node taken away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.matching.evaluate import TOO_LITTLE, first_miss, preference_score
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.limits import SharedResource
from autoscale_aks.model.plan import BucketOutcome
from autoscale_aks.model.policy import Objective, Policy
from autoscale_aks.model.reason import Binding, LimitKind, Miss
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.demand import fold_jobs
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.ranking import find_back_off
from autoscale_aks.planning.space import build_space
from autoscale_aks.units import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.matching.profile import Profile
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.plan import JobOutcome, Plan
    from autoscale_aks.model.snapshot import BackOff
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.space import Space

MANY: Final = 100_000
"""Slots a node from which on we say "any number": nothing that a slot takes is bounded there (A10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What decides between buckets, in this order: not `grouped` where the job does not speak of groups (P3); the
    preference score; the price of a slot an hour if `by_price`, unknown ones last; the node array's priority; the
    place in the configuration (P2)."""

    grouped: bool
    score: int
    price_per_slot: Fraction | None
    by_price: bool
    priority: int
    position: int

    @property
    def key(self) -> tuple[int, int, tuple[int, Fraction], int, int]:
        """Sort key, smaller is better; its places in the order above."""
        price = self.price_per_slot if self.by_price else Fraction(0)
        cost = (1, Fraction(0)) if price is None else (0, price)
        return (int(self.grouped), -self.score, cost, -self.priority, self.position)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketVerdict:
    """What one bucket has to say to a job. With a miss it has neither preference nor rank."""

    bucket: Bucket
    miss: Miss | None
    """The first criterion that fails on an empty node, of the alternative that comes closest; None: it fits."""
    slots_per_node: int
    """Slots an empty node takes; 0 with a miss, at most MANY."""
    preference: Preference | None
    rank: int | None
    """1 is the bucket that is asked first."""
    outcome: BucketOutcome
    """Its limits before and after the plan."""
    back_off: BackOff | None
    is_new_group: bool = False
    """A placement group that may still be opened (A5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartInspection:
    """A job, or one of its chunks: candidates by rank, then the other buckets, nearest miss first."""

    chunk: int | None
    slots: int
    rule: str
    verdicts: tuple[BucketVerdict, ...]

    @property
    def closest(self) -> BucketVerdict | None:
        """The nearest miss, where no bucket fits."""
        return self.verdicts[0] if self.verdicts and self.verdicts[0].miss else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Nodes of one bucket on which a job has slots; `bucket` is None for nodes that are in none (on-premise)."""

    bucket: Bucket | None
    is_new: bool
    names: tuple[str, ...]
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInspection:
    """Everything there is to say about one job record of a plan."""

    job: Job
    outcome: JobOutcome
    parts: tuple[PartInspection, ...]
    landings: tuple[Landing, ...]


@dataclass(slots=True, kw_only=True)
class Inspector:
    """Looks behind one plan. Verdicts are computed once a job shape; `kinds` are those the plan was made with."""

    snapshot: Snapshot
    policy: Policy
    decided: Plan
    kinds: Kinds = field(default_factory=frozendict)
    _space: Space = field(init=False)
    _parts: dict[int, tuple[PartInspection, ...]] = field(init=False, default_factory=dict)
    _slots: dict[tuple[object, object], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        raw = self.snapshot.default_resources
        rules = parse_default_resources(raw, disable_defaults=self.snapshot.disable_default_resources)
        self._space = build_space(self.snapshot, rules)

    def inspect(self, index: int) -> JobInspection:
        """The job record at `index` of the plan's jobs."""
        job = self.decided.jobs[index]
        outcome, parts = self.decided.outcomes[index], () if job.problem else self._parts_of(job)
        return JobInspection(job=job, outcome=outcome, parts=parts, landings=self._landings(index))

    def _parts_of(self, job: Job) -> tuple[PartInspection, ...]:
        found = self._parts.get(id(job.shape))
        if found is None:
            chunks = [chunk.constraints for chunk in job.shape.chunks] or [()]
            job_class = fold_jobs((replace(job, runnable=True),), self.kinds).classes[0]
            found = self._parts[id(job.shape)] = tuple(
                PartInspection(
                    chunk=number if job.shape.chunks else None,
                    slots=part.slots,
                    rule=part.rule.value,
                    verdicts=self._verdicts(part, (*job.shape.constraints, *chunks[number])),
                )
                for number, part in enumerate(job_class.parts)
            )
        return found

    def _verdicts(self, part: Part, constraints: Sequence[Mapping[str, Any]]) -> tuple[BucketVerdict, ...]:
        outcomes = [bounded(outcome, self.policy) for outcome in self.decided.buckets]
        outcomes += _openable_groups(outcomes) if part.is_colocated else []
        found = [self._verdict(part, constraints, outcome, number) for number, outcome in enumerate(outcomes)]
        fitting = sorted((one.preference.key, one) for one in found if one.preference is not None)
        ranked = (replace(one, rank=rank) for rank, (_, one) in enumerate(fitting, 1))
        missing = sorted((_distance(one.miss), number) for number, one in enumerate(found) if one.miss is not None)
        return (*ranked, *(found[number] for _, number in missing))

    def _verdict(
        self, part: Part, constraints: Sequence[Mapping[str, Any]], outcome: BucketOutcome, position: int
    ) -> BucketVerdict:
        bucket = outcome.bucket
        number = self._space.add_bucket(bucket)
        profile = self._space.empty[number]
        miss = _bucket_miss(part, profile, bucket)
        slots = 0 if miss else 1
        if not miss and not part.one_a_node:
            key = (part.alternatives, _signature(part, profile))
            if key not in self._slots:
                self._slots[key] = _slots_on_one(self.snapshot, part, constraints, bucket, self.kinds)
            slots = self._slots[key]
        return BucketVerdict(
            bucket=bucket,
            miss=miss,
            slots_per_node=slots,
            preference=None if miss else self._preference(part, profile, bucket, slots, position),
            rank=None,
            outcome=outcome,
            back_off=find_back_off(self.snapshot.blocked, self._space, number),
            is_new_group=position >= len(self.decided.buckets),
        )

    def _preference(self, part: Part, profile: Profile, bucket: Bucket, slots: int, position: int) -> Preference:
        counts = next(one for one in part.alternatives if first_miss(one, profile) is None)
        price = bucket.offering.price
        return Preference(
            grouped=bucket.placement_group is not None and not part.speaks_of_groups,
            score=preference_score(counts, profile),
            price_per_slot=None if price is None else price / max(slots, 1),
            by_price=self.policy.objective is Objective.COST,
            priority=bucket.array.priority,
            position=position,
        )

    def _landings(self, index: int) -> tuple[Landing, ...]:
        decided = self.decided
        known = (*decided.nodes, *decided.unmanaged_nodes)
        found: dict[tuple[object, bool], tuple[Bucket | None, dict[str, int]]] = {}
        for placement in (one for one in decided.placements if one.job == index):
            for number in range(placement.first_node, placement.first_node + placement.nodes):
                is_new = number >= len(known)
                claim = decided.claims[number - len(known)] if is_new else None
                place = self._space.bucket_of[number] if number < len(decided.nodes) else None
                bucket = claim.bucket if claim else None if place is None else self._space.buckets[place]
                name = claim.name if claim else known[number].name
                _, names = found.setdefault((bucket.key if bucket else None, is_new), (bucket, {}))
                names[name] = names.get(name, 0) + placement.slots_each
        return tuple(
            Landing(bucket=bucket, is_new=is_new, names=tuple(names), slots=sum(names.values()))
            for (_, is_new), (bucket, names) in found.items()
        )


def bounded(outcome: BucketOutcome, policy: Policy) -> BucketOutcome:
    """The outcome without the bound that every plan has, so that None means: no limit of the site or of Azure."""
    kind = outcome.binding.kind if outcome.binding else None
    if kind is LimitKind.CYCLE_CREATES and policy.max_creates_per_cycle is None:
        return replace(outcome, available_before=None, available_after=None, binding=None)
    return outcome


def _signature(part: Part, profile: Profile) -> object:
    """Equal for empty nodes that take equally many slots of a part."""
    kind, holds = profile.kind, tuple(first_miss(one, profile) is None for one in part.alternatives)
    same = (frozenset(kind.totals.items()), frozenset(kind.units.items()), holds)
    return id(kind) if part.has_moving_criteria else same


def _slots_on_one(
    snapshot: Snapshot, part: Part, constraints: Sequence[Mapping[str, Any]], bucket: Bucket, kinds: Kinds
) -> int:
    """Slots that the planner packs on one new node of a bucket when there is nothing else and licences abound."""
    group = bucket.placement_group
    groups = () if group is None else (group,)
    offering = replace(
        bucket.offering,
        max_count=1,
        available_count=None,
        restriction=None,
        placement_groups=groups,
        max_placement_group_size=1,
    )
    array = replace(bucket.array, offerings=(offering,), enabled=True, max_count=None, max_core_count=None)
    sources = {source for one in part.alternatives for shared in one.shared for source in shared.sources}
    plenty = dict.fromkeys(sources, SharedResource(initial=1 << 60, current=1 << 60))
    shape = JobShape(constraints=(*constraints, {"in-a-placement-group": group is not None}), iterations=MANY)
    alone = Snapshot(
        now=snapshot.now,
        default_resources=snapshot.default_resources,
        disable_default_resources=snapshot.disable_default_resources,
        nodearrays=(array,),
        shared_resources=frozendict({**snapshot.shared_resources, **plenty}),
        jobs=(Job(name="one", shape=shape),),
    )
    return plan(alone, Policy(), kinds).outcomes[0].slots


def _openable_groups(outcomes: Sequence[BucketOutcome]) -> list[BucketOutcome]:
    """The next new group of every array that may open one, with what its ungrouped bucket may still get (A5)."""
    used = {(one.bucket.array.name, one.bucket.placement_group) for one in outcomes}
    found: list[BucketOutcome] = []
    for outcome in outcomes:
        array, cap = outcome.bucket.array, outcome.bucket.offering.max_placement_group_size
        if outcome.bucket.placement_group or not (array.enabled and array.new_placement_groups):
            continue
        name = next(group for n in range(len(used) + 1) if (array.name, group := f"{array.name}_pg{n}") not in used)
        bounds = outcome.available_before, outcome.available_after
        before, after = (cap if bound is None else min(bound, cap) for bound in bounds)
        binding = Binding(LimitKind.GROUP_NODES, f"{array.name}/{name}", cap) if after == cap else outcome.binding
        found.append(BucketOutcome(replace(outcome.bucket, placement_group=name), before, after, 0, binding))
    return found


def _bucket_miss(part: Part, profile: Profile, bucket: Bucket) -> Miss | None:
    """The first failing criterion of the alternative that comes closest, on an empty node; None: one holds."""
    misses = [first_miss(one, profile) for one in part.alternatives]
    found = [miss for miss in misses if miss is not None]
    if not misses:
        return Miss("or", None, None, "an `or` or `xor` without choices never holds", bucket.id)
    if len(found) == len(misses):
        return replace(min(found, key=_distance), bucket=bucket.id)
    if part.is_colocated and bucket.placement_group is None:
        return Miss("in-a-placement-group", wanted=True, offered=False, bucket=bucket.id)
    if not bucket.array.enabled:
        return Miss("enabled", wanted=True, offered=False, note="the node array is not enabled", bucket=bucket.id)
    return None


def _distance(miss: Miss) -> tuple[int, Fraction]:
    """How near a miss is: amounts that are too small by their share, then other criteria, then what is not there."""
    if miss.note != TOO_LITTLE:
        return (2 if miss.note in {"not an amount", "not defined here"} else 1, Fraction(0))
    wanted = number_of(miss.wanted) or 1
    return (0, 1 - Fraction(number_of(miss.offered) or 0) / Fraction(wanted))
