"""Takes the jobs in their order and keeps what became of each (contract matching.md A1, §9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from autoscale_aks.model.policy import PlacementOrder
from autoscale_aks.planning.entries import rows_that_hold
from autoscale_aks.planning.groups import Gang, place_alike, place_gang, place_heap
from autoscale_aks.planning.nodestate import MIXED, SEALED
from autoscale_aks.planning.outcomes import share_out
from autoscale_aks.planning.ranking import Router
from autoscale_aks.planning.reasons import Explainer, Shortfall
from autoscale_aks.planning.records import Order
from autoscale_aks.planning.singles import MOST_SLOTS, Singles, is_worthwhile
from autoscale_aks.planning.takers import Takers

if TYPE_CHECKING:
    from autoscale_aks.model.job import Job
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.reason import Reason
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.demand import Demand, JobClass, Part, Run
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.routes import Route


_FEW_JOBS: Final = 8
"""Longer runs of one class are placed as one heap."""
_MOST_ROUTES: Final = 4096
"""Routes are kept for classes that come again, and found again when there are too many."""
_MOST_INTERRUPTIONS: Final = 200
"""Walking begins anew after each other kind of job; where these stand everywhere it does not pay."""


@dataclass(slots=True)
class Placer:
    """Takes the runs in order and keeps what became of each job."""

    snapshot: Snapshot
    policy: Policy
    demand: Demand
    state: State
    start: State
    placed: list[int] = field(init=False)
    """Per job, slots placed (nodes, where the shape counts nodes)."""
    refused: dict[int, Reason] = field(default_factory=dict)
    """Job → why its remainder was not placed."""
    _routes: dict[tuple[int, int, frozenset[int]], Route] = field(default_factory=dict)
    _dead: set[int] = field(default_factory=set)
    """Classes of which nothing can be placed any more in this cycle."""
    _reasons: dict[tuple[int, int, int], Reason] = field(default_factory=dict)
    """(class, jobs of the record, slots placed) → reason, for classes that are dead."""
    _alone: dict[tuple[int, int], bool] = field(default_factory=dict)
    tenants: int = 0
    """Identities given out so far, one a job that has one."""
    _singles: Singles | None = None
    _walking: dict[int, int] = field(default_factory=dict)
    """Class → slots of one job of it; too many for walking where that cannot be done."""
    _interruptions: int = 0
    router: Router = field(init=False)
    explainer: Explainer = field(init=False)

    def __post_init__(self) -> None:
        self.placed = [0] * len(self.snapshot.jobs)
        self.state.cursors = {}
        parts = [part for job_class in self.demand.classes for part in job_class.parts]
        self.router = Router(self.start, self.policy, parts)
        takers = Takers(self.snapshot.jobs, self.demand.class_of, self.state)
        self.explainer = Explainer(self.router, self.route_of, self._fits_alone, takers.names)

    def place_all(self) -> None:
        """All jobs in their order."""
        walks = is_worthwhile(self.demand) and self.policy.placement_order is PlacementOrder.EXISTING_FIRST
        for run in self.demand.runs:
            if walks and self._walk(run):
                continue
            if self._singles is not None:
                self._singles.flush()
                self._singles = None
                self._interruptions += 1
                walks = self._interruptions < _MOST_INTERRUPTIONS
            self.place(run)
        if self._singles is not None:
            self._singles.flush()

    def _walk(self, run: Run) -> bool:
        """Place a short run of small jobs slot by slot; False when it must be placed otherwise."""
        job_class, first, stop = run
        slots = self._walking.get(job_class.id)
        if slots is None:
            walks = job_class.is_pooled and self.state.view(job_class.parts[0]).is_plain
            slots = self._walking[job_class.id] = job_class.shape.slots if walks else MOST_SLOTS + 1
        jobs = self.snapshot.jobs
        most = jobs[first].count
        if stop - first > 1:
            most = max(job.count for job in jobs[first:stop]) if stop - first <= _FEW_JOBS else MOST_SLOTS + 1
        if most * slots > MOST_SLOTS:
            return False
        singles = self._singles
        if singles is None:
            singles = self._singles = Singles(self.state, self.route_of)
        for index in range(first, stop):
            wanted = jobs[index].count * slots
            done = 0 if job_class.id in self._dead else singles.place(job_class, index, wanted)
            self.placed[index] = done
            if done < wanted:
                self._note(job_class, index, done, jobs[index])
        return True

    def route_of(self, part: Part) -> Route:
        """The part's candidates now."""
        return self._route(part, self.state)

    def _route(self, part: Part, state: State) -> Route:
        """Found once, and again when a placement group was opened."""
        key = (part.id, len(state.space.buckets), state.revealed)
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) == _MOST_ROUTES:
                self._routes.clear()
            found = self._routes[key] = self.router.route(part, state.revealed)
        return found

    def place(self, run: Run) -> None:
        """All jobs of a run."""
        job_class = run.job_class
        if job_class.is_pooled and job_class.id not in self._dead:
            self._place_pool(run)
            return
        for index in range(run.first, run.stop):
            job = self.snapshot.jobs[index]
            if job_class.id not in self._dead:
                self._note(job_class, index, self._place_one_by_one(self.state, job_class, index, job.count), job)
                continue
            reason = self._reasons.get((job_class.id, job.count, 0))
            if reason is None:
                self._note(job_class, index, 0, job)
            else:
                self.refused[index] = reason

    def place_rest(self, job_class: JobClass, index: int, job: Job) -> None:
        """Try again what is missing of a job that was refused some of it; `placed` says how much there is."""
        done = self.placed[index]
        if job_class.id not in self._dead:
            if job_class.is_pooled:
                part = job_class.parts[0]
                wanted = job.requested - done
                done += place_heap(self.state, Order(part, index, MIXED), self.route_of(part), wanted)
            else:
                whole = job_class.shape.slots
                done += self._place_missing(job_class, index, whole - done % whole) if done % whole else 0
                if not done % whole:
                    done += self._place_one_by_one(self.state, job_class, index, job.count - done // whole)
        self._note(job_class, index, done, job)

    def _place_missing(self, job_class: JobClass, index: int, missing: int) -> int:
        """Slots that a job with an identity lacks, on nodes where its record has none; returns slots placed.

        What it takes once it has paid already (C5). Where alternatives differ in that nothing more is placed: which of
        them it took is known only while it is placed.
        """
        part, table = job_class.parts[0], self.state.table
        once = {
            source for way in part.alternatives for shared in way.shared if shared.once for source in shared.sources
        }
        if once and len(part.alternatives) > 1:
            return 0
        self.tenants += 1
        self.state.paid = (self.tenants, frozenset(once))
        rows = rows_that_hold(index, self.state.spans, table)
        held = table.hold[rows]
        table.hold[rows] = SEALED
        placed = place_heap(self.state, Order(part, index, self.tenants), self.route_of(part), missing)
        table.hold[rows] = held
        return placed

    def _place_pool(self, run: Run) -> None:
        jobs = self.snapshot.jobs[run.first : run.stop]
        part = run.job_class.parts[0]
        order = Order(part, run.first, MIXED)
        wanted = [job.requested for job in jobs]
        mark = len(self.state.spans)
        placed = place_heap(self.state, order, self.route_of(part), sum(wanted))
        if len(jobs) > 1:
            self.state.spans[mark:] = share_out(self.state.spans[mark:], run.first, wanted)
        for index, job in enumerate(jobs, run.first):
            done = min(placed, wanted[index - run.first])
            placed -= done
            self.placed[index] = done
            if done < wanted[index - run.first]:
                self._note(run.job_class, index, done, job)

    def _place_one_by_one(self, state: State, job_class: JobClass, index: int, count: int) -> int:
        """Jobs that have an identity: gangs, scattered slots, exclusive tasks. Returns slots placed."""
        done = jobs = 0
        whole = job_class.shape.slots
        part = job_class.parts[0]
        while jobs < count:
            self.tenants += 1
            if job_class.is_gang and len(job_class.parts) == 1 and count - jobs > 1:
                alike = place_alike(
                    state, Order(part, index, MIXED), self._route(part, state), self.policy, count - jobs
                )
                jobs += alike
                done += alike * whole
                if alike:
                    continue
            slots = self._place_one(state, job_class, index)
            done += slots
            if slots < whole:
                break
            jobs += 1
        return done

    def _place_one(self, state: State, job_class: JobClass, index: int) -> int:
        """One job with an identity."""
        if job_class.is_gang:
            gang = Gang(job_class.parts, index, self.tenants)
            placed = place_gang(state, gang, partial(self._route, state=state), self.policy)
            return job_class.shape.slots if placed else 0
        part = job_class.parts[0]
        return place_heap(state, Order(part, index, self.tenants), self._route(part, state), part.slots)

    def _note(self, job_class: JobClass, index: int, done: int, job: Job) -> None:
        """What became of a job; the reason is worked out when some of it was not placed."""
        self.placed[index] = done
        key = (job_class.id, job.count, done)
        reason = self._reasons.get(key) if job_class.id in self._dead else None
        if reason is None:
            missing = job.requested - done
            if missing <= 0:
                return
            if self._singles is not None:
                self._singles.flush()
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
