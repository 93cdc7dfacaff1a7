"""What every limit holds before, with and beyond the plan: the exact raise that the whole queue needs (T09a, T09f)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import PRICE_STEPS, Binding, LimitKind, ReasonCode
from autoscale_aks.planning.limit_tree import UNBOUND, LimitTree, add_bucket, build_limit_tree
from autoscale_aks.planning.minimum import arrays_after, claimed_nodes, policy_after
from autoscale_aks.planning.planner import plan as make_plan
from autoscale_aks.reports.lifting import STRUCTURAL, budgets_of, key_of, lift, lift_policy, limit_key
from autoscale_aks.reports.words import quantity_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.job import Job, JobShape
    from autoscale_aks.model.plan import BucketOutcome, Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.space import Space
    from autoscale_aks.reports.lifting import LimitKey

SHORT: Final = frozenset({ReasonCode.QUOTA, ReasonCode.LIMIT, ReasonCode.LOST_TO_PRIORITY})
"""Reasons of jobs that a higher limit would serve."""

AZURES: Final = frozenset(
    {LimitKind.FAMILY_QUOTA, LimitKind.REGION_QUOTA, LimitKind.SPOT_QUOTA, LimitKind.SUBNET_ADDRESSES}
)
"""Limits whose mend is asked of Azure, or of the network's owner."""
_ROUNDS: Final = 8
"""Behind a lifted limit stands the next one; so many are looked for at most."""
_RUNS: Final = 2_000
"""So many changes of shape in what waits are planned again in the very order of the queue."""
_NO_KINDS: Final[Kinds] = frozendict()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """One limit. Amounts are what the planner counts: cores, nodes, addresses, or steps of a price (`PRICE_STEPS`)."""

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
        """`cores`, `nodes`, `addresses`, or `an hour` of money."""
        return self.kind.unit or "an hour"

    def amount(self, counted: int) -> float:
        """One of the amounts in `unit`."""
        return counted / PRICE_STEPS if self.kind.is_budget else counted

    def amount_text(self, counted: int) -> str:
        """One of the amounts as people read it, without its unit."""
        return quantity_text(self.amount(counted))

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
    snapshot: Snapshot,
    policy: Policy,
    decided: Plan,
    space: Space,
    kinds: Kinds = _NO_KINDS,
    *,
    only: frozenset[LimitKind] | None = None,
) -> tuple[tuple[LimitRow, ...], Mapping[str, int]]:
    """Every limit that can bind a bucket, in the planner's order; and by bucket the machines wanted beyond the limits.

    `missing` is found by planning once more what was left waiting for limits, with the limits it waits for lifted and
    everything else (machines there are, machines of this plan, other limits) as it is after the plan; so jobs that
    share a node are counted as such, and a limit that stops several groups of jobs is added up once. `space` is that of
    the snapshot. With `only`, limits of these kinds are all lifted and no others.
    """
    tree = build_limit_tree(snapshot, policy, space.buckets, space.bucket_of)
    used = dict(tree.used)
    _take(tree, space, snapshot, policy, decided.buckets)
    planned = dict(tree.used)
    lifted = None if only is None else {limit_key(one.kind, one.name) for one in tree.counters if one.kind in only}
    beyond = _beyond(snapshot, policy, decided, kinds, lifted)
    _take(tree, space, snapshot, policy, beyond)
    rows = tuple(
        LimitRow(
            kind=counter.kind,
            name=counter.name,
            limit=tree.capacity[index],
            used=used.get(index, 0),
            added=planned.get(index, 0) - used.get(index, 0),
            missing=_lack(tree.capacity[index], planned.get(index, 0), tree.used.get(index, 0)),
        )
        for index, counter in enumerate(tree.counters)
        if counter.kind not in STRUCTURAL and tree.capacity[index] < UNBOUND
    )
    return rows, frozendict({outcome.bucket.id: outcome.new_nodes for outcome in beyond if outcome.new_nodes})


def _lack(capacity: int, planned: int, wanted: int) -> int:
    """What a limit is short of; more than is wanted of it where more is used than it allows already."""
    return max(0, wanted - capacity) if wanted > planned else 0


def _take(tree: LimitTree, space: Space, snapshot: Snapshot, policy: Policy, outcomes: Iterable[BucketOutcome]) -> None:
    """Charge the new nodes of some buckets; groups opened by the plan are buckets of their own."""
    for outcome in outcomes:
        if outcome.new_nodes:
            number = space.add_bucket(outcome.bucket)
            if number == len(tree.charges):
                add_bucket(tree, snapshot, policy, outcome.bucket)
            tree.take(number, outcome.new_nodes)


def _beyond(
    snapshot: Snapshot, policy: Policy, decided: Plan, kinds: Kinds, only: set[LimitKey] | None
) -> tuple[BucketOutcome, ...]:
    """New nodes for what waits for limits, if these were lifted; with `only`, if these and no others were."""
    jobs = tuple(_rest(decided))
    if not jobs:
        return ()
    after = _after(snapshot, decided, jobs)
    rule = policy_after(policy, len(decided.claims))
    if only is not None:
        return make_plan(lift(after, only), rule, kinds).buckets
    lifted = {key for outcome in decided.outcomes if (key := key_of(outcome.reason.binding)) is not None}
    if any(
        one.reason.binding is not None and one.reason.binding.kind is LimitKind.UNPRICED for one in decided.outcomes
    ):
        lifted |= budgets_of(snapshot)  # no raise gives a size its price, but one may pay for the sizes behind it
    for _ in range(_ROUNDS):
        made = make_plan(lift(after, lifted), lift_policy(rule, lifted), kinds)
        found = {key for outcome in made.outcomes if (key := key_of(outcome.reason.binding)) is not None}
        if any(outcome.reason.code is ReasonCode.LOST_TO_PRIORITY for outcome in made.outcomes):
            full = (outcome for outcome in made.buckets if outcome.available_after == 0)
            found |= {key for outcome in full if (key := key_of(outcome.binding)) is not None}
        if found <= lifted:
            break
        lifted |= found
    return made.buckets


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
