"""The one entry: `plan(snapshot, policy)` is deterministic and complete (contract matching.md P5; house habit 2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.deferred import Deferred
from autoscale_aks.model.plan import BucketOutcome, JobOutcome, JobStatus, NodeClaim, Plan
from autoscale_aks.model.policy import Objective
from autoscale_aks.model.reason import Reason, ReasonCode
from autoscale_aks.model.snapshot import NameSeries
from autoscale_aks.planning.batching import plan_waves
from autoscale_aks.planning.demand import Demand, JobClass, fold_jobs
from autoscale_aks.planning.filling import SharedPool
from autoscale_aks.planning.limit_tree import UNBOUND, build_limit_tree
from autoscale_aks.planning.livenodes import add_live_nodes, deciding_amounts, read_said
from autoscale_aks.planning.outcomes import expand, jobs_and_nodes, left_on_nodes, matched_nodes, waiting_jobs
from autoscale_aks.planning.packing import State
from autoscale_aks.planning.placer import Placer
from autoscale_aks.planning.records import NameBook
from autoscale_aks.planning.scale_in import plan_releases
from autoscale_aks.planning.space import build_space
from autoscale_aks.planning.table import NodeTable
from autoscale_aks.units import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.errors import Problem
    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.job import Job
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

_NO_KINDS: Final[Kinds] = frozendict()


def plan(snapshot: Snapshot, policy: Policy, kinds: Kinds = _NO_KINDS) -> Plan:
    """Decide everything for one snapshot. `kinds` are site-registered constraint kinds (C6).

    Raises ConstraintError when `default_resources` cannot be read; a bad job only makes itself `INVALID`.
    """
    rules = parse_default_resources(snapshot.default_resources, disable_defaults=snapshot.disable_default_resources)
    space = build_space(snapshot, rules)
    demand = fold_jobs(snapshot.jobs, kinds)
    said = read_said((*snapshot.nodes, *snapshot.unmanaged_nodes))
    space.number_dimensions(demand.classes, deciding_amounts(said))
    state = State(
        space,
        build_limit_tree(snapshot, policy, space.buckets, space.bucket_of),
        SharedPool({name: left for name, resource in snapshot.shared_resources.items()
                    if (left := number_of(resource.current)) is not None}),
        NameBook({array.name: snapshot.naming.get(array.name, NameSeries(prefix=f"{array.name}-"))
                  for array in snapshot.nodearrays}),
        NodeTable(space.amounts, len(space.dimensions), least=space.least),
        len(space.profiles),
    )  # fmt: skip
    add_live_nodes(state, said, policy)
    placer = Placer(snapshot, policy, demand, state, state.fork())
    placer.place_all()
    if policy.objective is Objective.COST and policy.optimize_work is not None:
        from autoscale_aks.planning.cost.deciding import decide_by_cost  # noqa: PLC0415 – `order` never needs it

        placer, certificate = decide_by_cost(placer)
        return replace(_complete(snapshot, policy, demand, placer), certificate=certificate)
    return _complete(snapshot, policy, demand, placer)


def _complete(snapshot: Snapshot, policy: Policy, demand: Demand, placer: Placer) -> Plan:
    state = placer.state
    jobs, nodes = jobs_and_nodes(state.spans)
    matched = matched_nodes(nodes, len(snapshot.nodes))
    made = sum(new.count for new in state.new_nodes)
    claims: Deferred[NodeClaim] = Deferred(lambda: _claims(state), made)
    return Plan(
        jobs=snapshot.jobs,
        outcomes=_outcomes(snapshot, demand, placer, waiting_jobs(jobs, nodes, snapshot)),
        placements=Deferred(lambda: expand(state.spans)),
        claims=claims,
        waves=Deferred(lambda: plan_waves(claims, policy.machines_per_put)),
        releases=plan_releases(snapshot, policy, matched),
        buckets=_bucket_outcomes(placer),
        nodes=snapshot.nodes,
        unmanaged_nodes=snapshot.unmanaged_nodes,
        left=Deferred(lambda: left_on_nodes(state), state.next_node),
        shared_left=frozendict(
            {name: state.shared.left.get(name, resource.value) for name, resource in snapshot.shared_resources.items()}
        ),
        problems=(*snapshot.problems, *_warnings(snapshot.jobs, demand)),
    )


def _warnings(jobs: Sequence[Job], demand: Demand) -> list[Problem]:
    if not any(job_class.warning for job_class in demand.classes):
        return []
    found = zip(jobs, demand.class_of, strict=True)
    return [
        replace(job_class.warning, path=f"{job.path}.{job_class.warning.path}")
        for job, job_class in found
        if job_class is not None and job_class.warning is not None
    ]


def _claims(state: State) -> tuple[NodeClaim, ...]:
    claims: list[NodeClaim] = []
    for made in state.new_nodes:
        bucket = state.space.buckets[made.bucket]
        prefix = state.names.series[bucket.array.name].prefix
        claims.extend(NodeClaim(f"{prefix}{number}", bucket) for number in range(made.number, made.number + made.count))
    return tuple(claims)


def _bucket_outcomes(placer: Placer) -> tuple[BucketOutcome, ...]:
    state, start = placer.state, placer.start
    new: dict[int, int] = {}
    for made in state.new_nodes:
        new[made.bucket] = new.get(made.bucket, 0) + made.count
    return tuple(
        BucketOutcome(
            bucket=bucket,
            available_before=_bounded(start.limits.allowed(number)),
            available_after=_bounded(state.limits.allowed(number)),
            new_nodes=new.get(number, 0),
            binding=state.limits.binding(number, 1),
        )
        for number, bucket in enumerate(state.space.buckets)
        if number not in state.space.hidden - state.revealed
    )


def _bounded(available: int) -> int | None:
    return None if available >= UNBOUND else available


_SATISFIED: Final = Reason(code=ReasonCode.SATISFIED)
_BOOTING: Final = Reason(code=ReasonCode.WAITING_FOR_BOOT)


def _outcomes(snapshot: Snapshot, demand: Demand, placer: Placer, booting: set[int]) -> tuple[JobOutcome, ...]:
    """One outcome a job record, equal ones shared. `booting` jobs have a slot on a node that is not ready."""
    whole: dict[tuple[int, bool], JobOutcome] = {}
    others: dict[tuple[JobStatus, int, int, int], JobOutcome] = {}
    found: list[JobOutcome] = []
    for index, (job, job_class, slots) in enumerate(zip(snapshot.jobs, demand.class_of, placer.placed, strict=True)):
        if job_class is not None and job_class.problem is None and slots >= job.count * job.shape.slots:
            waits = index in booting
            outcome = whole.get((slots, waits))
            if outcome is None:
                reason = _BOOTING if waits else _SATISFIED
                outcome = whole[slots, waits] = JobOutcome(JobStatus.SUCCESS, slots, slots, reason)
        else:
            status, reason = _unplaced(job, job_class, slots, placer.refused.get(index))
            key = (status, job.requested, slots, id(reason))
            outcome = others.get(key)
            if outcome is None:
                outcome = others[key] = JobOutcome(status, job.requested, slots, reason)
        found.append(outcome)
    return tuple(found)


def _unplaced(job: Job, job_class: JobClass | None, slots: int, reason: Reason | None) -> tuple[JobStatus, Reason]:
    problem = job.problem or (job_class.problem if job_class else None)
    if problem is not None:
        path = problem.path if job.problem or not job.path else f"{job.path}.{problem.path}"
        return JobStatus.INVALID, Reason(code=ReasonCode.INVALID, detail=problem.message, path=path)
    if job_class is None or reason is None:
        return JobStatus.FAILED, Reason(code=ReasonCode.NOT_RUNNABLE, detail=job.not_runnable_reason)
    return JobStatus.PARTIAL if slots else JobStatus.FAILED, reason
