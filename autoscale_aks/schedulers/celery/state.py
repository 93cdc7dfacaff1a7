"""One look at Celery → the scheduler's state.

| Celery | becomes |
| --- | --- |
| a waiting task | one slot: `{"nodearray": […], "slots": 1}` with the queue's, or the task's own, constraints |
| waiting tasks of a queue | one job a kind of need, with a count |
| ETA in the future | not runnable; expired: nothing |
| active and reserved tasks | work of their worker's node, which they cannot leave: no demand |
| min_cores, min_slots, warm_slots | a job of the lowest priority, met by free slots first: nothing is added (T21) |
| workers of one machine | a node with the sum of their concurrency |
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from frozendict import deepfreeze, frozendict

from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.node_names import machine_of_host
from autoscale_aks.schedulers.celery.records import Notes
from autoscale_aks.schedulers.commanded import Submission
from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState
from autoscale_aks.units import number_of, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.schedulers.celery.records import CeleryLook, Worker
    from autoscale_aks.schedulers.celery.settings import CelerySettings, QueueSettings
    from autoscale_aks.units import Value

LOWEST: Final = -1e9
"""Priority of slots that are kept for nobody yet."""
UNSEEN: Final = "(a worker that does not answer)"
_SHOWN_TASKS: Final = 50


def read_state(
    look: CeleryLook, settings: CelerySettings, now: float, late: frozenset[str] = frozenset()
) -> SchedulerState:
    """`now` is in seconds since the epoch, for ETAs; `late` are silent workers that are believed to be there."""
    notes = Notes()
    for name in look.silent:
        notes.add(f"worker {name[:60]} is known to the broker and does not answer: its machine stays")
    hidden = _hidden(look)
    if hidden:
        notes.add("tasks are held by workers that cannot be seen: nothing is deleted", hidden)
    for name in sorted({queue for worker in look.workers.values() for queue in worker.queues} - set(settings.queues)):
        notes.add(f"queue {name[:60]} has a worker but is not served (scheduler.queues)")
    jobs = [job for queue in settings.queues.values() for job in _jobs(queue, look, settings, notes, now)]
    nodes = _nodes(look, settings, late)
    return SchedulerState(
        jobs=tuple(sorted(jobs, key=lambda job: -job.priority)),
        nodes=nodes,
        running=frozendict({node.name: node.job_ids for node in nodes if node.job_ids}),
        node_rules=({"select": {}, "name": settings.slot_resource, "value": "node.vcpu_count"},),
        problems=(*look.problems, *notes.problems()),
        complete=not look.problems and not hidden,
    )


def _hidden(look: CeleryLook) -> int:
    """Messages that are held by nobody we see: by a worker that was told to stop, and still works."""
    if look.unacknowledged is None:
        return 0
    seen = sum(not task.acknowledged for worker in look.workers.values() for task in worker.held)
    return max(0, look.unacknowledged - seen)


def _jobs(queue: QueueSettings, look: CeleryLook, settings: CelerySettings, notes: Notes, now: float) -> Iterable[Job]:
    found = look.queues.get(queue.name)
    waiting = found.waiting if found else 0
    held = {task.id for worker in look.workers.values() for task in worker.held}
    kinds: Counter[str] = Counter()
    later = 0
    for message in found.messages if found else ():
        waiting -= 1
        if message.id in held:  # fetched between the two looks
            continue
        if message.expires is not None and message.expires <= now:
            notes.add(f"queue {queue.name[:60]}: expired tasks, which no worker will run")
        elif message.eta is not None and message.eta > now:
            later += 1
        else:
            kinds[message.task if message.task in queue.tasks else ""] += 1
    kinds[""] += max(0, waiting)
    for task, count in sorted(kinds.items()):
        if count:
            name = f"{queue.name}:{task}" if task else queue.name
            yield _job(queue, name, _shape(queue, settings, task), count, priority=queue.priority)
    if later:
        why = "its time (eta, countdown) has not come"
        yield _job(queue, f"{queue.name} (later)", _shape(queue, settings, ""), later, priority=queue.priority, why=why)
    kept = _kept(queue, settings, look, sum(kinds.values()))
    if kept:
        yield _job(queue, f"{queue.name} (kept)", _shape(queue, settings, ""), kept, priority=LOWEST)


def _kept(queue: QueueSettings, settings: CelerySettings, look: CeleryLook, waiting: int) -> int:
    """Slots beyond the busy ones and what waits: the minimum less those, and the warm ones whatever they are."""
    busy = sum(
        task.queue == queue.name for worker in look.workers.values() for task in (*worker.active, *worker.reserved)
    )
    cores = number_of(parse_value(queue.constraints.get(settings.core_resource, 1))) or 1
    least = max(queue.min_slots, -int(-queue.min_cores // cores))
    return max(queue.warm_slots, least - busy - waiting)


def _shape(queue: QueueSettings, settings: CelerySettings, task: str) -> JobShape:
    own = queue.tasks[task] if task else queue.constraints
    place = {"nodearray": queue.nodearrays, settings.slot_resource: 1}
    consumed = {"not": {_queue_resource(queue.name): False}}
    constraints: tuple[Mapping[str, Any], ...] = deepfreeze((place, consumed, *((dict(own),) if own else ())))
    return JobShape(constraints=constraints)


def _job(queue: QueueSettings, name: str, shape: JobShape, count: int, *, priority: float, why: str = "") -> Job:
    whose = Submission(priority=priority, queue=queue.name, path=f"queue {queue.name}")
    return whose.job(name, shape, why=why, count=count)


def _queue_resource(name: str) -> str:
    """False on live nodes whose workers do not take from the queue."""
    return f"queue.{name}"


def machine_of(worker: str, settings: CelerySettings) -> str:
    """The machine in a worker's name `WORKER@HOST`; a host name's domain is left away."""
    name, _, host = worker.partition("@")
    return name if settings.machine_is == "name" else machine_of_host(host) or name


def _nodes(look: CeleryLook, settings: CelerySettings, late: frozenset[str]) -> tuple[SchedulerNode, ...]:
    machines: dict[str, list[Worker]] = {}
    for worker in look.workers.values():
        machines.setdefault(machine_of(worker.name, settings), []).append(worker)
    silent = dict.fromkeys(machine_of(name, settings) for name in look.silent)
    found = [_node(name, workers, settings, is_silent=name in silent) for name, workers in sorted(machines.items())]
    believed = {machine_of(name, settings) for name in late}
    found.extend(
        SchedulerNode(name=name, state="Ready" if name in believed else "Down", job_ids=(UNSEEN,))
        for name in silent
        if name not in machines
    )
    return tuple(found)


def _node(name: str, workers: list[Worker], settings: CelerySettings, *, is_silent: bool) -> SchedulerNode:
    slots = sum(worker.concurrency for worker in workers)
    taken = sum(len(worker.active) + len(worker.reserved) for worker in workers)
    queues = {queue for worker in workers for queue in worker.queues}
    resources: dict[str, Value] = {settings.slot_resource: slots}
    resources |= {_queue_resource(queue): False for queue in settings.queues if queue not in queues}
    tasks = [task.id for worker in workers for task in worker.held][:_SHOWN_TASKS]
    return SchedulerNode(
        name=name,
        state="Ready" if queues else "Closed",
        resources=frozendict(resources),
        available=frozendict({settings.slot_resource: max(0, slots - taken)}),
        job_ids=(*tasks, *((UNSEEN,) if is_silent else ())),
    )
