"""A batch system in virtual time: it starts whatever fits, in the order of arrival, on the nodes that are ready.

What fits is the planner's word: the waiting jobs are planned on the ready nodes with no machine to be made. A job whose
machine is taken away goes back to the head of the queue and begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from autoscale_aks.emulator.store import NodeStage, State
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.launch import GROUP_TAG
from autoscale_aks.model.node import Node
from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.policy import Policy
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.planner import plan
from autoscale_aks.reconcile.names import NODEARRAY_TAG
from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState
from autoscale_aks.units import Number, Size, Value, number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from autoscale_aks.config import Config
    from autoscale_aks.emulator.store import Machine
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.schedulers.port import NewNode, NodeRequest

_LEAVING: Final = frozenset({State.DELETING, State.FAILED})


@dataclass(slots=True)
class _Seat:
    """A ready node, what is left of it, and who runs there."""

    node: Node
    scheduler_name: str
    left: dict[str, Value] = field(default_factory=dict)
    """Empty: all of it."""
    jobs: dict[str, Mapping[str, Number]] = field(default_factory=dict)
    """Job → what it takes here."""
    exclusive: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A job that began to run."""

    job: Job
    machines: tuple[str, ...]


class BatchSystem:
    """The scheduler of a simulation; a `SchedulerPort`. `machines` are those of the emulator's store."""

    def __init__(self, config: Config, machines: Callable[[], Iterable[Machine]]) -> None:
        self._machines = machines
        self._base = Snapshot(
            default_resources=config.default_resources,
            disable_default_resources=config.disable_default_resources,
            nodearrays=tuple(replace(array, enabled=False) for array in config.arrays),
        )
        self._seats: dict[str, _Seat] = {}
        self._closed: set[str] = set()
        self._waiting: dict[str, Job] = {}
        self._where: dict[str, tuple[str, ...]] = {}
        self._costs: dict[tuple[JobShape, str | None, str | None, str | None], Mapping[str, Number]] = {}
        self._is_stale = True

    # What happens

    def submit(self, job: Job) -> None:
        """A job arrives."""
        self._waiting[job.name] = job
        self._is_stale = True

    def finish(self, name: str) -> None:
        """A job ends, and its room is free again."""
        for machine in self._where.pop(name, ()):
            seat = self._seats.get(machine)
            if seat is not None:
                _leave(seat, name)
        self._is_stale = True

    def lose(self) -> list[str]:
        """Look at the nodes that there are; jobs whose machine was taken away, waiting again before all others."""
        ready = {
            machine.name: machine
            for machine in self._machines()
            if machine.node is NodeStage.READY and machine.state not in _LEAVING and machine.vm_state != "Deleted"
        }
        for name in ready.keys() - self._seats.keys():
            self._seats[name] = _Seat(_node(ready[name]), ready[name].node_name)
            self._is_stale = True
        lost: list[str] = []
        for name in sorted(self._seats.keys() - ready.keys()):
            lost += self._seats.pop(name).jobs
        return list(dict.fromkeys(lost))

    def requeue(self, jobs: Sequence[Job]) -> None:
        """Jobs that lost a machine give back the others and wait again, before all others."""
        for job in jobs:
            self.finish(job.name)
        self._waiting = {**{job.name: job for job in jobs}, **self._waiting}

    def start(self) -> list[Started]:
        """Start whatever fits now; nothing is asked again until something changed."""
        found: list[Started] = []
        while self._is_stale and self._waiting and self._seats:
            begun = self._start_some()
            self._is_stale = bool(begun)
            found += begun
        return found

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._where

    @property
    def busy(self) -> frozenset[str]:
        """Machines with at least one job."""
        return frozenset(name for name, seat in self._seats.items() if seat.jobs)

    # The port

    def read(self) -> SchedulerState:
        """One look at the queue."""
        nodes = tuple(
            SchedulerNode(
                name=seat.scheduler_name,
                machine=name,
                state="Closed" if seat.scheduler_name in self._closed else "Ready",
                available=_available(seat),
                job_ids=tuple(seat.jobs),
                closed_by_us=seat.scheduler_name in self._closed,
            )
            for name, seat in self._seats.items()
        )
        return SchedulerState(jobs=tuple(self._waiting.values()), nodes=nodes)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Nodes are known when they are ready."""

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:  # noqa: ARG002
        """Nobody reads reasons here."""
        return ()

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """Nodes are never asked for by name."""

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:  # noqa: ARG002
        """Keep new jobs off."""
        self._closed.update(names)
        return tuple(names)

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Take jobs again."""
        self._closed.difference_update(names)
        self._is_stale = True

    def remove_nodes(self, names: Sequence[str]) -> None:
        """They leave by themselves when their machine does."""
        there = {seat.scheduler_name for seat in self._seats.values()}
        self._closed.difference_update(name for name in names if name not in there)

    # What fits

    def _start_some(self) -> list[Started]:
        """One plan's worth: on each node jobs of one shape, so that what each takes is known."""
        seats = [seat for seat in self._seats.values() if seat.scheduler_name not in self._closed]
        if not seats:
            return []
        jobs = tuple(self._waiting.values())
        decided = self._plan(seats, jobs)
        places: dict[int, list[tuple[int, int]]] = {}
        for placement in decided.placements:
            for number in range(placement.first_node, placement.first_node + placement.nodes):
                places.setdefault(placement.job, []).append((number, placement.slots_each))
        taken: dict[int, JobShape] = {}
        begun: list[Started] = []
        for index, job in enumerate(jobs):
            if decided.outcomes[index].status is not JobStatus.SUCCESS or index not in places:
                continue
            if any(taken.setdefault(number, job.shape) is not job.shape for number, _ in places[index]):
                continue
            self._begin(job, [(seats[number], slots) for number, slots in places[index]])
            begun.append(Started(job, self._where[job.name]))
        return begun

    def _begin(self, job: Job, places: Sequence[tuple[_Seat, int]]) -> None:
        for seat, slots in places:
            cost = {name: amount * slots for name, amount in self._cost(job.shape, seat).items()}
            if not seat.left:
                seat.left = dict(self._plan([seat], ()).left[0])
            seat.jobs[job.name] = cost
            seat.exclusive = job.name if _is_exclusive(job.shape) else seat.exclusive
            _add(seat.left, {name: -amount for name, amount in cost.items()})
        self._where[job.name] = tuple(seat.node.name for seat, _ in places)
        del self._waiting[job.name]

    def _cost(self, shape: JobShape, seat: _Seat) -> Mapping[str, Number]:
        """What one slot takes of an empty node of this kind."""
        node = seat.node
        key = (shape, node.nodearray, node.vm_size, node.placement_group)
        if key not in self._costs:
            one = Job(name="one", shape=JobShape(constraints=shape.constraints, iterations=1))
            empty = _Seat(node, seat.scheduler_name)
            before, after = (self._plan([empty], jobs).left[0] for jobs in ((), (one,)))
            taken = {name: _less(before[name], after.get(name)) for name in before}
            self._costs[key] = {name: amount for name, amount in taken.items() if amount}
        return self._costs[key]

    def _plan(self, seats: Sequence[_Seat], jobs: tuple[Job, ...]) -> Plan:
        nodes = tuple(replace(seat.node, available=_available(seat), job_ids=tuple(seat.jobs)) for seat in seats)
        return plan(replace(self._base, nodes=nodes, jobs=jobs), Policy())


def _node(machine: Machine) -> Node:
    tags = machine.tags or {}
    return Node(
        name=machine.name,
        nodearray=tags.get(NODEARRAY_TAG),
        vm_size=machine.size.name,
        hostname=machine.node_name,
        placement_group=tags.get(GROUP_TAG),
        zone=machine.zones[0] if machine.zones else None,
    )


def _available(seat: _Seat) -> Mapping[str, Value]:
    if seat.exclusive is None:
        return seat.left
    return {name: value if number_of(value) is None else 0 for name, value in seat.left.items()}


def _leave(seat: _Seat, name: str) -> None:
    _add(seat.left, seat.jobs.pop(name, {}))
    seat.exclusive = None if seat.exclusive == name else seat.exclusive
    if not seat.jobs:
        seat.left = {}


def _add(left: dict[str, Value], amounts: Mapping[str, Number]) -> None:
    for name, amount in amounts.items():
        value = left.get(name)
        number = number_of(value)
        if number is not None:
            left[name] = Size(number + amount) if isinstance(value, Size) else number + amount


def _less(before: Value, after: Value) -> Number:
    """How much of an amount is gone; nothing of what is none."""
    was, now = number_of(before), number_of(after)
    return 0 if was is None or now is None else was - now


def _is_exclusive(shape: JobShape) -> bool:
    return any(
        key.startswith("exclusive") and value is not False for item in shape.constraints for key, value in item.items()
    )
