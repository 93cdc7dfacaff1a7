"""Records → jobs in Slurm's order, what runs where, and what could not be read.

A pending array is one `Job` whose `count` is the number of its tasks. Of an array with a limit (`%10`) the tasks
that may start now, the limit less those that run, are one job; the rest is a second one, not runnable, with the
reason JobArrayTaskLimit.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.schedulers.commanded import Submission
from autoscale_aks.schedulers.slurm.arrays import parse_tasks
from autoscale_aks.schedulers.slurm.hostlists import expand_hosts
from autoscale_aks.schedulers.slurm.needs import Translator, partitions_of
from autoscale_aks.schedulers.slurm.reasons import judge_reason
from autoscale_aks.schedulers.slurm.records import is_blank, parse_queue, shown_id
from autoscale_aks.schedulers.slurm.values import parse_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.schedulers.slurm.arrays import TaskSet
    from autoscale_aks.schedulers.slurm.facts import ClusterFacts
    from autoscale_aks.schedulers.slurm.records import QueueRecord
    from autoscale_aks.schedulers.slurm.settings import SlurmSettings

_WAITING: Final = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_HELD: Final = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_ACTIVE: Final = frozenset(
    {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"}
)
_OVER: Final = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
     "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT"}
)  # fmt: skip
_COMPLETING: Final = "COMPLETING"
_LIMITED: Final = "JobArrayTaskLimit: as many tasks of its array run as its % allows"
_LONGEST_NUMBER: Final = 20
_NO_SHAPE: Final = JobShape()
_CONFIG: Final = "PartitionConfig"
_NODE_LIMIT: Final = "PartitionNodeLimit"
_BY_RECORD: Final = (_CONFIG, _NODE_LIMIT)
"""Reasons that mean one thing or the other, by what else the job says."""
_EARLY_DEPENDENCY: Final = "Dependency: it waits for other jobs"
_EARLY_BEGIN: Final = "BeginTime: its begin time is not reached"
_UNFIT: Final = "BadConstraints"
_HELD_UNFIT: Final = (
    "BadConstraints: no node of its partition fits, so Slurm holds it; `scontrol release` it once one does "
    "(docs/slurm.md, traps)"
)

_POWERED: Final = "Slurm resumes nodes for it by itself (power saving)"
_NO_ID: Final = frozenset({"", "N/A", "n/a", "(null)"})

_Numbered: TypeAlias = tuple[int, "QueueRecord"]
_Order: TypeAlias = tuple[int, int, str, int]


class _Place(NamedTuple):
    """What is the same for all jobs of a partition, or of a list of them."""

    name: str
    tier: int
    why_not: str
    """Why no machine is made for its jobs; empty when some may be."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Everything squeue's answer says."""

    jobs: tuple[Job, ...]
    running: Mapping[str, tuple[str, ...]]
    problems: tuple[Problem, ...]
    skipped: int


@dataclass(slots=True)
class _Reading:
    """One pass over the records."""

    settings: SlurmSettings
    facts: ClusterFacts
    translator: Translator
    problems: list[Problem] = field(default_factory=list)
    running: dict[str, list[str]] = field(default_factory=dict)
    room_taken: Counter[str] = field(default_factory=Counter)
    notes: dict[str, tuple[int, str]] = field(default_factory=dict)
    places: dict[str, _Place] = field(default_factory=dict)
    reasons: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """State, reason and partition → why such a job waits; empty when a machine would help."""
    unknown: set[str] = field(default_factory=set)
    """Reasons that are to be counted each time they are met."""

    def note(self, text: str, record: QueueRecord) -> None:
        """Count something that could not be said of a job."""
        count, first = self.notes.get(text, (0, shown_id(record)))
        self.notes[text] = (count + 1, first)

    def place_of(self, record: QueueRecord) -> _Place:
        """What the job's partitions say of it."""
        found = self.places.get(record.partition)
        if found is None:
            partitions = partitions_of(record)
            arrays = self.settings.nodearrays_of(partitions)
            why = _POWERED if self.settings.powers(arrays) else ""
            if not arrays:
                why = f"partition {record.partition} is not served: scheduler.partitions gives it no node arrays"
            name = sys.intern(record.partition)
            found = self.places[name] = _Place(name, self.facts.tier_of(partitions), why)
        return found

    def order_of(self, record: QueueRecord) -> _Order:
        """Slurm's own: the partition's tier, the priority, then who came first (A1)."""
        tier = self.place_of(record).tier
        return -tier, -_priority(record), record.submit_time, int(record.job_id)

    def take_waiting_task(self, record: QueueRecord) -> None:
        """A task that waits as a record of its own (after a requeue) starts before the rest of its array."""
        if not is_blank(record.array_task_id) and "[" not in record.job_array_id:
            verdict = judge_reason(record.reason, unknown_is_runnable=self.settings.unknown_is_runnable)
            self.room_taken[record.array_job_id] += verdict.runnable and record.state not in _HELD

    def take_active(self, number: int, record: QueueRecord) -> None:
        """A job that holds nodes, or is being set up on them."""
        if record.state != _COMPLETING and not is_blank(record.array_task_id):
            self.room_taken[record.array_job_id] += 1
        try:
            hosts = expand_hosts(record.node_list)
        except ValueError as error:
            self.problems.append(Problem(f"squeue line {number}", f"{shown_id(record)}: {error}"))
            return
        for host in hosts:
            self.running.setdefault(host, []).append(shown_id(record))


def read_queue(text: str, settings: SlurmSettings, facts: ClusterFacts) -> Queue:
    """Never raises for a record: what cannot be read is left out or answered INVALID, and reported."""
    reading = _Reading(settings, facts, Translator(settings, facts))
    found: list[tuple[_Order, Job]] = []
    late: dict[str, list[_Numbered]] = {}
    for number, record in parse_queue(text, reading.problems):
        if record.state in _WAITING:
            if record.array_task_id in _NO_ID and _is_alone(record):
                found.append(_plain_job(number, record, reading))
                continue
            reading.take_waiting_task(record)
            key = _waits_for_others(number, record)
            if key is None:
                order = reading.order_of(record)
                found.extend([(order, job) for job in _jobs_of([(number, record)], reading)])
            else:
                late.setdefault(key, []).append((number, record))
        elif record.state in _ACTIVE or (record.state not in _OVER and not is_blank(record.node_list)):
            reading.take_active(number, record)
        elif record.state not in _OVER:
            what = f"{shown_id(record)}: unknown state {record.state[:40]!r}, left out"
            reading.problems.append(Problem(f"squeue line {number}", what))
    skipped = len(reading.problems)
    for group in late.values():
        group.sort(key=lambda item: int(item[1].job_id))
        order = min(reading.order_of(record) for _, record in group)
        found.extend((order, job) for job in _jobs_of(group, reading))
    found.sort(key=itemgetter(0))
    for note, (count, first) in reading.notes.items():
        some = f"{count} job{'s' if count > 1 else ''}, first {first}"
        reading.problems.append(Problem("squeue", f"{note} ({some})"))
    running = frozendict({host: tuple(names) for host, names in reading.running.items()})
    return Queue(tuple(job for _, job in found), running, tuple(reading.problems), skipped)


def _waits_for_others(number: int, record: QueueRecord) -> str | None:
    """What other records must be seen first: components of the same job, running tasks of a limited array."""
    if not _is_alone(record):
        return f"het {record.het_job_id}"
    return f"line {number}" if "%" in record.array_task_id else None


def _is_alone(record: QueueRecord) -> bool:
    """Whether it is no component of a heterogeneous job."""
    return record.het_job_id in _NO_ID or record.het_job_id == "0"


def _priority(record: QueueRecord) -> int:
    """The job's priority; 0 where Slurm prints none."""
    text = record.priority
    return int(text) if text.isdigit() and text.isascii() and len(text) < _LONGEST_NUMBER else 0


def _plain_job(number: int, record: QueueRecord, reading: _Reading) -> tuple[_Order, Job]:
    """A job that is no array and no component of another: most of a large queue, made in one go."""
    place = reading.place_of(record)
    priority = _priority(record)
    path, name = f"squeue line {number}", shown_id(record)
    why, problem, shape = "", None, _NO_SHAPE
    try:
        shape, notes = reading.translator.shape_of(record)
        why = _why_one_waits(record, reading)
        for note in notes:
            reading.note(note, record)
    except ValueError as error:
        shape, problem = _NO_SHAPE, Problem(path, f"{name}: {error}")
    job = Job(
        name=name,
        shape=shape,
        count=0 if problem else 1,
        runnable=not why,
        not_runnable_reason=why,
        priority=float(priority),
        queue=place.name,
        user=sys.intern(record.user),
        path=path,
        problem=problem,
    )
    return (-place.tier, -priority, record.submit_time, int(record.job_id)), job


def _jobs_of(group: list[_Numbered], reading: _Reading) -> list[Job]:
    number, first = group[0]
    records = [first] if len(group) == 1 else [record for _, record in group]
    path = f"squeue line {number}"
    name = first.het_job_id[:20] if len(group) > 1 else shown_id(first)
    try:
        _check_components(records)
        tasks = _tasks_of(first) if len(group) == 1 else None
        shape, notes = reading.translator.shape_of(*records)
        why = _why_waiting(records, reading)
    except ValueError as error:
        return [_job(first, name, _NO_SHAPE, path=path, count=0, problem=Problem(path, f"{name}: {error}"))]
    for note in notes:
        reading.note(note, first)
    if tasks is None:
        return [_job(first, name, shape, path=path, why=why)]
    return _array_jobs(first, tasks, shape, path, why, reading)


def _array_jobs(
    record: QueueRecord, tasks: TaskSet, shape: JobShape, path: str, why: str, reading: _Reading
) -> list[Job]:
    prefix = record.array_job_id[:20]
    if why or tasks.limit is None:
        return [_job(record, f"{prefix}_[{tasks}]", shape, path=path, why=why, count=tasks.count)]
    head, tail = tasks.split(tasks.limit - reading.room_taken[record.array_job_id])
    jobs = []
    if head.count:
        jobs.append(_job(record, f"{prefix}_[{head}]", shape, path=path, count=head.count))
    if tail.count:
        jobs.append(_job(record, f"{prefix}_[{tail}]", shape, path=path, why=_LIMITED, count=tail.count))
    return jobs


def _job(
    record: QueueRecord,
    name: str,
    shape: JobShape,
    *,
    path: str,
    why: str = "",
    count: int = 1,
    problem: Problem | None = None,
) -> Job:
    whose = Submission(float(_priority(record)), sys.intern(record.partition), sys.intern(record.user), path)
    return whose.job(name, shape, why=why, count=count, problem=problem)


def _tasks_of(record: QueueRecord) -> TaskSet | None:
    """Tasks of a pending array; None for a job, and for a task that is a record of its own."""
    if is_blank(record.array_task_id) or "[" not in record.job_array_id:
        return None
    return parse_tasks(record.array_task_id)


def _check_components(records: list[QueueRecord]) -> None:
    """A heterogeneous job is complete or not to be placed at all (A6)."""
    if is_blank(records[0].het_job_id_set) or records[0].het_job_id in {"0", "N/A", ""}:
        return
    wanted = expand_hosts(f"[{records[0].het_job_id_set}]")
    if len(wanted) != len(records):
        raise ValueError(f"{len(records)} of the {len(wanted)} components of this job could be read")


def _why_waiting(records: list[QueueRecord], reading: _Reading) -> str:
    """Empty when a machine would help; else why not, of the first component that says so."""
    return next(filter(None, (_why_one_waits(record, reading) for record in records)), "")


def _why_one_waits(record: QueueRecord, reading: _Reading) -> str:
    """Of one record; asked once for all that wait in the same state, for the same reason, in the same partition."""
    key = (record.state, record.reason, record.partition)
    why = reading.reasons.get(key)
    if why is None:
        why = _why_record_waits(record, reading)
        if record.reason not in reading.unknown and not record.reason.startswith(_BY_RECORD):
            reading.reasons[key] = why
    return why if why or record.eligible_time == record.submit_time else _why_not_eligible(record, reading.facts.now)


def _why_not_eligible(record: QueueRecord, now: str) -> str:
    """In the seconds after a submission Slurm shows what it tried at once, even of jobs that wait for others or a time.

    Both times are Slurm's own, in one form and zone. An array has no eligible time until it was looked at.
    """
    if is_blank(record.eligible_time):
        return "" if is_blank(record.dependency) else _EARLY_DEPENDENCY
    return _EARLY_BEGIN if now and record.eligible_time > now else ""


def _why_record_waits(record: QueueRecord, reading: _Reading) -> str:
    if record.state in _HELD:
        return f"{record.state}: it is held after its last run"
    verdict = judge_reason(record.reason, unknown_is_runnable=reading.settings.unknown_is_runnable)
    if not verdict.is_known:
        treated = "runnable" if verdict.runnable else "not runnable"
        reading.note(f"unknown reason {record.reason[:60]!r}, treated as {treated}", record)
        reading.unknown.add(record.reason)
    if not verdict.runnable:
        return _why_held(record, reading) or ("" if _waits_for_nodes(record, reading) else verdict.why)
    return reading.place_of(record).why_not or _why_config(record, reading)


def _grows(record: QueueRecord, reading: _Reading) -> bool:
    """Whether nodes of its partition are made at run time."""
    grows = reading.settings.dynamic_nodes
    return grows or (grows is None and reading.facts.grow(partitions_of(record)))


def _waits_for_nodes(record: QueueRecord, reading: _Reading) -> bool:
    """PartitionNodeLimit: more nodes than the partition allows, and Slurm says so of more than it has now, too."""
    if not record.reason.startswith(_NODE_LIMIT) or not _grows(record, reading):
        return False
    partitions = partitions_of(record)
    allowed = reading.facts.max_nodes_of(partitions)
    asked = parse_count(record.asked.num_nodes, "NumNodes")
    return asked > (reading.facts.nodes_of(partitions) or 0) and (allowed is None or asked <= allowed)


def _why_held(record: QueueRecord, reading: _Reading) -> str:
    """BadConstraints where partitions grow: Slurm holds a job that none of the nodes there are now could take."""
    return _HELD_UNFIT if record.reason.startswith(_UNFIT) and _grows(record, reading) else ""


def _why_config(record: QueueRecord, reading: _Reading) -> str:
    """PartitionConfig: no node of the partition could ever take the job. A machine helps where partitions grow."""
    if not record.reason.startswith(_CONFIG):
        return ""
    if _grows(record, reading):
        return ""
    partitions = partitions_of(record)
    asked, nodes = parse_count(record.asked.num_nodes, "NumNodes"), reading.facts.nodes_of(partitions)
    if nodes is not None and asked > nodes:
        return f"PartitionConfig: it asks for {asked} nodes, its partition has {nodes}"
    return "PartitionConfig: no node of its partition could ever take it (see scheduler.dynamic_nodes)"
