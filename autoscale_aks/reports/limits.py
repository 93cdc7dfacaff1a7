"""What every limit holds before, with and beyond the plan: the exact raise that the whole queue needs (T09a, T09f)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import Binding, LimitKind, ReasonCode
from autoscale_aks.planning.limit_tree import UNBOUND, LimitTree, add_bucket, build_limit_tree, family_key
from autoscale_aks.planning.minimum import arrays_after, claimed_nodes, policy_after
from autoscale_aks.planning.planner import plan as make_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.job import Job, JobShape
    from autoscale_aks.model.limits import CoreQuota, Limits
    from autoscale_aks.model.plan import BucketOutcome, Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.space import Space

LimitKey = tuple[LimitKind, str]
"""A limit: what it counts, and its name."""

SHORT: Final = frozenset({ReasonCode.QUOTA, ReasonCode.LIMIT, ReasonCode.LOST_TO_PRIORITY})
"""Reasons of jobs that a higher limit would serve."""

_STRUCTURAL: Final = frozenset({LimitKind.GROUP_NODES, LimitKind.PLAN_SIZE})
"""Limits that no raise takes away."""
_ROUNDS: Final = 8
"""Behind a lifted limit stands the next one; so many are looked for at most."""
_RUNS: Final = 2_000
"""So many changes of shape in what waits are planned again in the very order of the queue."""
_NO_KINDS: Final[Kinds] = frozendict()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """One limit, in cores or in nodes."""

    kind: LimitKind
    name: str
    limit: int
    """What it allows in all; for a quota, what others than our machines leave of it."""
    used: int
    """Taken by machines that exist or are in flight."""
    added: int
    """Taken by this plan."""
    missing: int
    """What it is short of for all that waits for it, packed together as the planner packs it."""

    @property
    def left(self) -> int:
        """What may still be taken after the plan."""
        return max(0, self.limit - self.used - self.added)

    @property
    def unit(self) -> str:
        """`cores` or `nodes`."""
        return "cores" if self.kind.counts_cores else "nodes"

    @property
    def title(self) -> str:
        """`family quota standardDSv3Family in westus2`."""
        return limit_title(self.kind, self.name)

    @property
    def binding(self) -> Binding:
        """As the limit of a reason."""
        return Binding(self.kind, self.name, self.left, self.missing)


def limit_title(kind: LimitKind, name: str) -> str:
    """A limit in words."""
    return kind.value if name in {"cluster", "policy", "plan"} else f"{kind.value} {name}"


def find_limits(
    snapshot: Snapshot, policy: Policy, decided: Plan, space: Space, kinds: Kinds = _NO_KINDS
) -> tuple[tuple[LimitRow, ...], Mapping[str, int]]:
    """Every limit that can bind a bucket, in the planner's order; and by bucket the machines wanted beyond the limits.

    `missing` is found by planning once more what was left waiting for limits, with the limits it waits for lifted and
    everything else (machines there are, machines of this plan, other limits) as it is after the plan; so jobs that
    share a node are counted as such, and a limit that stops several groups of jobs is added up once. `space` is that of
    the snapshot.
    """
    tree = build_limit_tree(snapshot, policy, space.buckets, space.bucket_of)
    used = dict(tree.used)
    _take(tree, space, snapshot, policy, decided.buckets)
    planned = dict(tree.used)
    beyond = _beyond(snapshot, policy, decided, kinds)
    _take(tree, space, snapshot, policy, beyond)
    rows = tuple(
        LimitRow(
            kind=counter.kind,
            name=counter.name,
            limit=tree.capacity[index],
            used=used.get(index, 0),
            added=planned.get(index, 0) - used.get(index, 0),
            missing=max(0, tree.used.get(index, 0) - max(tree.capacity[index], planned.get(index, 0))),
        )
        for index, counter in enumerate(tree.counters)
        if counter.kind not in _STRUCTURAL and tree.capacity[index] < UNBOUND
    )
    return rows, frozendict({outcome.bucket.id: outcome.new_nodes for outcome in beyond if outcome.new_nodes})


def _take(tree: LimitTree, space: Space, snapshot: Snapshot, policy: Policy, outcomes: Iterable[BucketOutcome]) -> None:
    """Charge the new nodes of some buckets; groups opened by the plan are buckets of their own."""
    for outcome in outcomes:
        if outcome.new_nodes:
            number = space.add_bucket(outcome.bucket)
            if number == len(tree.charges):
                add_bucket(tree, snapshot, policy, outcome.bucket)
            tree.take(number, outcome.new_nodes)


def _beyond(snapshot: Snapshot, policy: Policy, decided: Plan, kinds: Kinds) -> tuple[BucketOutcome, ...]:
    """New nodes for what waits for limits, if these were lifted."""
    jobs = tuple(_rest(decided))
    if not jobs:
        return ()
    after = _after(snapshot, decided, jobs)
    rule = policy_after(policy, len(decided.claims))
    lifted = {key for outcome in decided.outcomes if (key := _key(outcome.reason.binding)) is not None}
    for _ in range(_ROUNDS):
        made = make_plan(_lift(after, lifted), _lift_policy(rule, lifted), kinds)
        found = {key for outcome in made.outcomes if (key := _key(outcome.reason.binding)) is not None}
        if any(outcome.reason.code is ReasonCode.LOST_TO_PRIORITY for outcome in made.outcomes):
            full = (outcome for outcome in made.buckets if outcome.available_after == 0)
            found |= {key for outcome in full if (key := _key(outcome.binding)) is not None}
        if found <= lifted:
            break
        lifted |= found
    return made.buckets


def _key(binding: Binding | None) -> LimitKey | None:
    if binding is None or binding.kind in _STRUCTURAL:
        return None
    name = family_key(binding.name) if binding.kind is LimitKind.FAMILY_QUOTA else binding.name
    return (binding.kind, name)


def _rest(decided: Plan) -> Iterable[Job]:
    """What waits for limits, as jobs in the order of the queue; of a job that is placed in part, the rest.

    Jobs of one shape are one record where they follow each other; in a queue of very many changes of shape (`_RUNS`)
    they are wherever they stand, so that a report does not cost more than its plan.
    """
    runs = list(_runs(decided))
    if len(runs) > _RUNS:
        summed: dict[tuple[int, int], tuple[Job, int, int]] = {}
        for job, count, part in runs:
            known = summed.get((id(job.shape), part))
            summed[id(job.shape), part] = (job, count + (known[1] if known else 0), part)
        runs = list(summed.values())
    shapes: dict[tuple[int, int], JobShape] = {}
    for job, count, part in runs:
        shape = job.shape
        if part:
            key = (id(shape), part)
            shape = shapes[key] = shapes.get(key) or replace(shape, iterations=part)
        yield replace(job, count=count, shape=shape)


def _runs(decided: Plan) -> Iterable[tuple[Job, int, int]]:
    """A job of each run, how many of its shape, and, where they are rests, of how many slots each."""
    last: Job | None = None
    count = 0
    for job, outcome in zip(decided.jobs, decided.outcomes, strict=True):
        if outcome.status is JobStatus.SUCCESS or outcome.reason.code not in SHORT or job.is_headroom:
            continue
        whole, part = divmod(outcome.requested - outcome.slots, max(job.shape.slots, 1))
        if last is not None and (part or job.shape is not last.shape):
            yield last, count, 0
            last, count = None, 0
        if part:
            yield job, 1, part
        if whole:
            last, count = job, count + whole
    if last is not None:
        yield last, count, 0


def _after(snapshot: Snapshot, decided: Plan, jobs: tuple[Job, ...]) -> Snapshot:
    """The state after the plan: every machine counts and none has room, for what had room was used."""
    there = (*snapshot.nodes, *claimed_nodes(decided.claims, snapshot.now))
    left = {
        name: replace(resource, current=decided.shared_left.get(name, resource.current))
        if resource.current is not None
        else resource
        for name, resource in snapshot.shared_resources.items()
    }
    return replace(
        snapshot,
        nodes=tuple(replace(node, target_state="Terminated") for node in there),
        nodearrays=arrays_after(snapshot.nodearrays, decided.claims),
        unmanaged_nodes=(),
        shared_resources=frozendict(left),
        jobs=jobs,
    )


def _lift(snapshot: Snapshot, lifted: set[LimitKey]) -> Snapshot:
    return replace(
        snapshot,
        limits=_lift_limits(snapshot.limits, lifted),
        nodearrays=tuple(_lift_array(array, lifted) for array in snapshot.nodearrays),
    )


def _lift_limits(limits: Limits, lifted: set[LimitKey]) -> Limits:
    return replace(
        limits,
        cluster_max_cores=None if (LimitKind.CLUSTER_CORES, "cluster") in lifted else limits.cluster_max_cores,
        cluster_max_nodes=None if (LimitKind.CLUSTER_NODES, "cluster") in lifted else limits.cluster_max_nodes,
        regions=_without(limits.regions, LimitKind.REGION_QUOTA, lifted),
        spot_regions=_without(limits.spot_regions, LimitKind.SPOT_QUOTA, lifted),
        families=frozendict(
            {
                region: frozendict(
                    {
                        family: quota
                        for family, quota in families.items()
                        if (LimitKind.FAMILY_QUOTA, family_key(f"{family} in {region}")) not in lifted
                    }
                )
                for region, families in limits.families.items()
            }
        ),
    )


def _without(quotas: Mapping[str, CoreQuota], kind: LimitKind, lifted: set[LimitKey]) -> Mapping[str, CoreQuota]:
    return frozendict({name: quota for name, quota in quotas.items() if (kind, name) not in lifted})


def _lift_array(array: NodeArray, lifted: set[LimitKey]) -> NodeArray:
    def kept(kind: LimitKind, name: str, most: int | None) -> int | None:
        return None if (kind, name) in lifted else most

    offerings = []
    for one in array.offerings:
        name = f"{array.name}/{one.vm_size}" + (f":{one.zone}" if one.zone else "")
        offerings.append(
            replace(
                one,
                max_count=kept(LimitKind.BUCKET_NODES, name, one.max_count),
                available_count=kept(LimitKind.BUCKET_AVAILABLE, name, one.available_count),
            )
        )
    return replace(
        array,
        max_count=kept(LimitKind.ARRAY_NODES, array.name, array.max_count),
        max_core_count=kept(LimitKind.ARRAY_CORES, array.name, array.max_core_count),
        max_creates_per_cycle=kept(LimitKind.ARRAY_CREATES, array.name, array.max_creates_per_cycle),
        offerings=tuple(offerings),
    )


def _lift_policy(policy: Policy, lifted: set[LimitKey]) -> Policy:
    return replace(policy, max_creates_per_cycle=None) if (LimitKind.CYCLE_CREATES, "policy") in lifted else policy
