"""The one entry: `plan(snapshot, policy)` is deterministic and complete (contract matching.md P5; house habit 2)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.deferred import Deferred
from autoscale_aks.model.plan import BucketOutcome, JobOutcome, JobStatus, NodeClaim, Plan
from autoscale_aks.model.reason import Reason, ReasonCode
from autoscale_aks.model.snapshot import NameSeries
from autoscale_aks.planning.batching import plan_waves
from autoscale_aks.planning.demand import Demand, JobClass, Part, Run, fold_jobs
from autoscale_aks.planning.filling import SharedPool
from autoscale_aks.planning.groups import Gang, place_gang, place_heap
from autoscale_aks.planning.limit_tree import UNBOUND, build_limit_tree
from autoscale_aks.planning.nodestate import MIXED
from autoscale_aks.planning.outcomes import expand, first_nodes, left_on_nodes, matched_nodes, share_out, waiting_jobs
from autoscale_aks.planning.packing import State, add_live_nodes
from autoscale_aks.planning.ranking import Route, Router
from autoscale_aks.planning.reasons import NAMED_JOBS, Explainer, Shortfall
from autoscale_aks.planning.records import NameBook, Order
from autoscale_aks.planning.scale_in import plan_releases
from autoscale_aks.planning.space import STRAYS, UNMANAGED, build_space
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
    space.number_dimensions(demand.classes)
    state = State(
        space,
        build_limit_tree(snapshot, policy, space.buckets, space.bucket_of),
        SharedPool({name: left for name, resource in snapshot.shared_resources.items()
                    if (left := number_of(resource.current)) is not None}),
        NameBook({array.name: snapshot.naming.get(array.name, NameSeries(prefix=f"{array.name}-"))
                  for array in snapshot.nodearrays}),
        NodeTable(space.amounts, len(space.dimensions)),
        len(space.profiles),
    )  # fmt: skip
    add_live_nodes(state, _offering_nodes(snapshot, policy))
    placer = _Placer(snapshot, policy, demand, state, state.fork())
    for run in demand.runs:
        placer.place(run)
    return _complete(snapshot, policy, demand, placer)


def _offering_nodes(snapshot: Snapshot, policy: Policy) -> list[bool]:
    nodes = (*snapshot.nodes, *snapshot.unmanaged_nodes)
    return [node.offers(snapshot.now, policy.boot_timeout.of(node.nodearray)) for node in nodes]


@dataclass(slots=True)
class _Placer:
    """Takes the runs in order and keeps what became of each job."""

    snapshot: Snapshot
    policy: Policy
    demand: Demand
    state: State
    start: State
    placed: dict[int, int] = field(default_factory=dict)
    """Job → slots placed (nodes, where the shape counts nodes)."""
    refused: dict[int, Reason] = field(default_factory=dict)
    """Job → why its remainder was not placed."""
    _routes: dict[tuple[int, int, frozenset[int]], Route] = field(default_factory=dict)
    _dead: set[int] = field(default_factory=set)
    """Classes of which nothing can be placed any more in this cycle."""
    _reasons: dict[tuple[int, int, int], Reason] = field(default_factory=dict)
    """(class, jobs of the record, slots placed) → reason, for classes that are dead."""
    _alone: dict[tuple[int, int], bool] = field(default_factory=dict)
    _tenants: int = 0
    router: Router = field(init=False)
    explainer: Explainer = field(init=False)

    def __post_init__(self) -> None:
        self.state.cursors = {}
        self.router = Router(self.start, self.policy)
        self.explainer = Explainer(self.router, self.route_of, self._fits_alone, self._takers)

    def route_of(self, part: Part) -> Route:
        """The part's candidates now."""
        return self._route(part, self.state)

    def _route(self, part: Part, state: State) -> Route:
        """Found once, and again when a placement group was opened."""
        key = (part.id, len(state.space.buckets), state.revealed)
        found = self._routes.get(key)
        if found is None:
            found = self._routes[key] = self.router.route(part, state.revealed)
        return found

    def place(self, run: Run) -> None:
        """All jobs of a run."""
        if run.job_class.is_pooled:
            self._place_pool(run)
            return
        for index in range(run.first, run.stop):
            job = self.snapshot.jobs[index]
            done = self._place_one_by_one(self.state, run.job_class, index, job.count)
            self._note(run.job_class, index, done, job)

    def _place_pool(self, run: Run) -> None:
        part = run.job_class.parts[0]
        if run.stop - run.first == 1:
            job = self.snapshot.jobs[run.first]
            done = 0
            if run.job_class.id not in self._dead:
                done = place_heap(self.state, Order(part, run.first, MIXED), self.route_of(part), job.requested)
            self._note(run.job_class, run.first, done, job)
            return
        jobs = self.snapshot.jobs[run.first : run.stop]
        wanted = [job.requested for job in jobs]
        mark = len(self.state.spans)
        placed = 0
        if run.job_class.id not in self._dead:
            placed = place_heap(self.state, Order(part, run.first, MIXED), self.route_of(part), sum(wanted))
        self.state.spans[mark:] = share_out(self.state.spans[mark:], run.first, wanted)
        for index, job in enumerate(jobs, run.first):
            done = min(placed, job.requested)
            placed -= done
            self._note(run.job_class, index, done, job)

    def _place_one_by_one(self, state: State, job_class: JobClass, index: int, count: int) -> int:
        """Jobs that have an identity: gangs, scattered slots, exclusive tasks. Returns slots placed."""
        done = 0
        for _ in range(count):
            if job_class.id in self._dead and state is self.state:
                break
            self._tenants += 1
            if job_class.is_gang:
                gang = Gang(job_class.parts, index, self._tenants)
                if not place_gang(state, gang, partial(self._route, state=state), self.policy):
                    break
                done += sum(part.slots for part in job_class.parts)
                continue
            part = job_class.parts[0]
            slots = place_heap(state, Order(part, index, self._tenants), self._route(part, state), part.slots)
            done += slots
            if slots < part.slots:
                break
        return done

    def _note(self, job_class: JobClass, index: int, done: int, job: Job) -> None:
        self.placed[index] = done
        missing = job.requested - done
        if missing <= 0:
            return
        key = (job_class.id, job.count, done)
        reason = self._reasons.get(key) if job_class.id in self._dead else None
        if reason is None:
            jobs_missing = -(-missing * job.count // job.requested) if job_class.is_gang else missing
            short = Shortfall(job_class, job.count, jobs_missing, has_some=done > 0)
            reason = self._reasons[key] = self.explainer.explain(self.state, short)
            if not job_class.may_fit_later:
                self._dead.add(job_class.id)
        self.refused[index] = reason

    def _fits_alone(self, job_class: JobClass, count: int) -> bool:
        key = (job_class.id, count)
        if key not in self._alone:
            tried = self.start.fork()
            wanted = count * sum(part.slots for part in job_class.parts)
            if job_class.is_pooled:
                part = job_class.parts[0]
                done = place_heap(tried, Order(part, 0, MIXED), self._route(part, tried), wanted)
            else:
                done = self._place_one_by_one(tried, job_class, 0, count)
            self._alone[key] = done == wanted
        return self._alone[key]

    def _takers(self, places: Sequence[int], sources: frozenset[str]) -> tuple[str, ...]:
        """The first few jobs placed in any of these places, or taking any of these shared resources."""
        wanted, names = set(places), []
        for job, node in first_nodes(self.state.spans):
            name = self.snapshot.jobs[job].name
            if name in names:
                continue
            if sources:
                job_class = self.demand.class_of[job]
                taken = job_class is not None and not sources.isdisjoint(_sources_of(job_class))
            else:
                taken = self._place_of(node) in wanted
            if taken:
                names.append(name)
            if len(names) == NAMED_JOBS:
                break
        return tuple(names)

    def _place_of(self, node: int) -> int:
        space = self.state.space
        if node < len(space.bucket_of):
            bucket = space.bucket_of[node]
            return STRAYS if bucket is None else bucket
        if node < len(space.profiles):
            return UNMANAGED
        made = self.state.new_nodes
        return made[bisect_right(made, node, key=lambda nodes: nodes.first) - 1].bucket


def _sources_of(job_class: JobClass) -> set[str]:
    return {
        source
        for part in job_class.parts
        for alternative in part.alternatives
        for shared in alternative.shared
        for source in shared.sources
    }


def _complete(snapshot: Snapshot, policy: Policy, demand: Demand, placer: _Placer) -> Plan:
    state = placer.state
    matched = matched_nodes(state.spans, len(snapshot.nodes))
    made = sum(new.count for new in state.new_nodes)
    claims: Deferred[NodeClaim] = Deferred(lambda: _claims(state), made)
    return Plan(
        jobs=snapshot.jobs,
        outcomes=_outcomes(snapshot, demand, placer),
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


def _bucket_outcomes(placer: _Placer) -> tuple[BucketOutcome, ...]:
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


def _outcomes(snapshot: Snapshot, demand: Demand, placer: _Placer) -> tuple[JobOutcome, ...]:
    """One outcome a job record, equal ones shared."""
    booting = waiting_jobs(placer.state.spans, snapshot)
    cache: dict[tuple[JobStatus, int, int, int], JobOutcome] = {}
    found: list[JobOutcome] = []
    for index, job in enumerate(snapshot.jobs):
        status, slots, reason = _outcome(index, job, demand.class_of[index], placer, is_booting=index in booting)
        key = (status, job.requested, slots, id(reason))
        outcome = cache.get(key)
        if outcome is None:
            outcome = cache[key] = JobOutcome(status, job.requested, slots, reason)
        found.append(outcome)
    return tuple(found)


_SATISFIED: Final = Reason(code=ReasonCode.SATISFIED)
_BOOTING: Final = Reason(code=ReasonCode.WAITING_FOR_BOOT)


def _outcome(
    index: int, job: Job, job_class: JobClass | None, placer: _Placer, *, is_booting: bool
) -> tuple[JobStatus, int, Reason]:
    problem = job.problem or (job_class.problem if job_class else None)
    if problem is not None:
        path = problem.path if job.problem or not job.path else f"{job.path}.{problem.path}"
        return JobStatus.INVALID, 0, Reason(code=ReasonCode.INVALID, detail=problem.message, path=path)
    if job_class is None:
        return JobStatus.FAILED, 0, Reason(code=ReasonCode.NOT_RUNNABLE, detail=job.not_runnable_reason)
    slots = placer.placed.get(index, 0)
    if slots >= job.requested:
        return JobStatus.SUCCESS, slots, _BOOTING if is_booting else _SATISFIED
    return JobStatus.PARTIAL if slots else JobStatus.FAILED, slots, placer.refused[index]
