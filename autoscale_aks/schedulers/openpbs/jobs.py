"""Records → jobs in PBS's order, what runs where, and what could not be read.

An array is one `Job` whose `count` is the number of its waiting subjobs. Of an array with a limit (`-J 1-10%2`) the
subjobs that may start now, the limit less those that run, are one job; the rest is a second one, not runnable.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.job import Job
from autoscale_aks.schedulers.commanded import Submission
from autoscale_aks.schedulers.openpbs.limits import Stocks
from autoscale_aks.schedulers.openpbs.needs import Translator
from autoscale_aks.schedulers.openpbs.reasons import judge_comment, why_held
from autoscale_aks.schedulers.openpbs.records import parse_jobs
from autoscale_aks.schedulers.shapes import NO_SHAPE
from autoscale_aks.schedulers.slurm.arrays import parse_tasks
from autoscale_aks.schedulers.verdict import Notes
from autoscale_aks.units import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from autoscale_aks.model.job import JobShape
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.schedulers.openpbs.facts import PbsFacts
    from autoscale_aks.schedulers.openpbs.records import JobFacts, JobRecord
    from autoscale_aks.schedulers.openpbs.settings import PbsSettings
    from autoscale_aks.schedulers.slurm.arrays import TaskSet

_WAITING: Final = frozenset("QHWTB")
_ACTIVE: Final = frozenset("RESU")
_OVER: Final = frozenset("FMX")
_LIMITED: Final = "as many subjobs of its array run as its % allows"
_RUNNING: Final = re.compile(r"(?:Running|Exiting):([0-9]{1,9})")
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE]\+?[0-9]{1,2})?\Z")
_LONGEST_NUMBER: Final = 64
_FORMULA: Final = "order is by {}: job_sort_formula and fair share are the scheduler's own affair"


@dataclass(frozen=True, slots=True)
class Queue:
    """Everything qstat's answer says."""

    jobs: tuple[Job, ...]
    running: Mapping[str, tuple[str, ...]]
    shared: Mapping[str, SharedResource]
    problems: tuple[Problem, ...]
    comments: Mapping[str, str] = field(default_factory=frozendict)
    """Waiting job or array → the scheduler's words on it; only where reasons are written."""


class _Judged(NamedTuple):
    """What all jobs with the same facts become: looked at once."""

    order: tuple[float, ...]
    priority: float
    shape: JobShape
    why: str
    notes: tuple[str, ...]
    parts: tuple[tuple[str, int, str], ...]
    """Of an array: subjobs as its name shows them, how many, and why they wait."""
    fault: str

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to say of such a job but the job itself."""
        return not self.fault and not self.notes


@dataclass(slots=True)
class _Reading:
    """One pass over the records."""

    settings: PbsSettings
    facts: PbsFacts
    problems: list[Problem]
    order: _Order = field(init=False)
    stocks: Stocks = field(init=False)
    translator: Translator = field(init=False)
    notes: Notes = field(default_factory=Notes)
    _judged: dict[JobFacts, _Judged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = _Order(self.facts)
        self.stocks = Stocks(self.facts, self.problems)
        self.translator = Translator(self.settings, self.facts, self.stocks)

    def judged(self, record: JobRecord) -> _Judged:
        """What a waiting job becomes."""
        found = self._judged.get(record.facts)
        if found is None:
            found = self._judged[record.facts] = self._judge(record.facts, is_array=record.is_array)
        return found

    def _judge(self, job: JobFacts, *, is_array: bool) -> _Judged:
        order, priority = self.order.key(job), _float(job.priority)
        try:
            tasks = _tasks_of(job) if is_array else None
            shape, notes = self.translator.shape_of(job)
        except ValueError as error:
            return _Judged(order, priority, NO_SHAPE, "", (), (), str(error))
        why, unknown = _why_waiting(job, self)
        parts = () if tasks is None else tuple(_parts_of(job, tasks, why))
        return _Judged(order, priority, shape, why, (*unknown, *notes), parts, "")


def read_queue(text: str | Iterable[str], settings: PbsSettings, facts: PbsFacts) -> Queue:
    """Jobs of a listing that may come in pieces.

    Raises SchedulerError when this is no listing; a record that cannot be read is left out or answered INVALID.
    """
    reading = _Reading(settings, facts, [])
    records = list(parse_jobs(text, reading.problems))
    arrays = {record.id for record in records if "[" in record.id and record.is_array}
    running = _read_running(records, reading, arrays)
    found: list[tuple[Any, Job]] = []
    for number, record in enumerate(records):
        if record.facts.state not in _WAITING or (arrays and "[" in record.id and record.array_id in arrays):
            continue
        judged = reading.judged(record)
        key = (*judged.order, _float(record.rank) if record.rank else math.inf, number)
        if judged.is_plain and "[" not in record.id:
            found.append((key, _plain_job(record, judged)))
        else:
            found.extend((key, job) for job in _jobs_of(record, judged, reading))
    found.sort(key=itemgetter(0))
    problems = [*reading.problems, *(Problem("qstat", line) for line in reading.notes.lines())]
    if facts.server.get("job_sort_formula") or facts.sched.fair_share:
        problems.append(Problem("qstat", _FORMULA.format(reading.order.described)))
    return Queue(
        jobs=tuple(job for _, job in found),
        running=running,
        shared=reading.stocks.shared(),
        problems=tuple(problems),
        comments=_comments(records) if settings.job_reasons else frozendict(),
    )


def _comments(records: Iterable[JobRecord]) -> Mapping[str, str]:
    return {record.id: record.facts.comment for record in records if record.facts.state in _WAITING}


def _read_running(records: Sequence[JobRecord], reading: _Reading, arrays: set[str]) -> Mapping[str, tuple[str, ...]]:
    """Node → jobs there. Work that runs is counted against limits: of an array as many subjobs as it says."""
    running: dict[str, list[str]] = {}
    known = _WAITING | _OVER
    for record in records:
        state = record.facts.state
        if "[" in record.id and record.is_array:
            reading.stocks.count_running(record.facts, _running_tasks(record.facts))
        elif state in _ACTIVE:
            if record.array_id not in arrays:
                reading.stocks.count_running(record.facts, 1)
            for host in dict.fromkeys(_hosts(record.exec_host)):
                running.setdefault(host, []).append(record.id)
        elif state not in known:
            path = f"qstat {record.id}"
            reading.problems.append(Problem(path, f"unknown state {state[:20]!r}, left out"))
    return frozendict({host: tuple(names) for host, names in running.items()})


def _hosts(exec_host: str) -> Iterator[str]:
    """`n01/0*3+n02/1` → n01, n02."""
    return (host for part in exec_host.split("+") if (host := part.partition("/")[0].strip()))


def _running_tasks(job: JobFacts) -> int:
    return sum(int(count) for count in _RUNNING.findall(job.state_count))


def _plain_job(record: JobRecord, judged: _Judged) -> Job:
    """A job that is no array, and of which nothing is to be noted: most of a large queue, made in one go."""
    return Job(
        name=record.id,
        shape=judged.shape,
        runnable=not judged.why,
        not_runnable_reason=judged.why,
        priority=judged.priority,
        queue=record.facts.queue,
        user=record.facts.user,
        path=f"qstat {record.id}",
    )


def _jobs_of(record: JobRecord, judged: _Judged, reading: _Reading) -> list[Job]:
    job, path = record.facts, f"qstat {record.id}"
    whose = Submission(judged.priority, job.queue, job.user, path)
    if judged.fault:
        return [whose.job(record.id, NO_SHAPE, count=0, problem=Problem(path, judged.fault))]
    for note in judged.notes:
        reading.notes.add(note, record.id)
    if not record.is_array:
        return [whose.job(record.id, judged.shape, why=judged.why)]
    return [whose.job(_named(record, tasks), judged.shape, why=why, count=count) for tasks, count, why in judged.parts]


def _tasks_of(job: JobFacts) -> TaskSet | None:
    """The subjobs of an array that wait; None when there are none. Raises ValueError."""
    text = job.tasks.strip()
    return None if text in {"", "-"} else parse_tasks(text)


def _parts_of(job: JobFacts, tasks: TaskSet, why: str) -> Iterator[tuple[str, int, str]]:
    """The subjobs that may start now, and those beyond the array's `%`."""
    if why or not job.max_running.isdigit():
        yield str(tasks), tasks.count, why
        return
    head, tail = tasks.split(int(job.max_running[:12]) - _running_tasks(job))
    if head.count:
        yield str(head), head.count, ""
    if tail.count:
        yield str(tail), tail.count, _LIMITED


def _named(record: JobRecord, tasks: str) -> str:
    """`6[3-10].server`."""
    return record.id.replace("[]", f"[{tasks}]", 1)


def _why_waiting(job: JobFacts, reading: _Reading) -> tuple[str, tuple[str, ...]]:
    """Empty when a machine would help, else why not; and what has to be said of an unknown reason."""
    queue = reading.facts.queues.get(job.queue, {})
    if job.state == "H":
        return why_held(job.holds, job.depend), ()
    if job.state == "W":
        return "BeginTime: its execution time is not reached", ()
    if job.state == "T":
        return "Transit: it is on its way between queues", ()
    if str(queue.get("queue_type", "Execution")).lower().startswith("r"):
        return f"queue {job.queue} only routes jobs", ()
    if str(queue.get("started", "True")).lower() == "false":
        return f"queue {job.queue} is not started", ()
    if reading.settings.queues.get(job.queue) == ():
        return f"queue {job.queue} is not served: scheduler.queues gives it no node arrays", ()
    verdict = judge_comment(job.comment, unknown_is_runnable=reading.settings.unknown_is_runnable)
    if verdict.is_known:
        return verdict.why, ()
    treated = "runnable" if verdict.runnable else "not runnable"
    return verdict.why, (f"unknown reason {job.comment[:60]!r}, treated as {treated}",)


class _Order:
    """PBS's own order as far as it can be known from outside: queue priority, sort keys, rank (matching.md A1)."""

    def __init__(self, facts: PbsFacts) -> None:
        self._facts = facts
        self._queues = {
            name: _float(str(queue.get("Priority", 0))) if facts.sched.by_queue else 0.0
            for name, queue in facts.queues.items()
        }
        self._keys = [("job_priority", True)] if facts.server.get("job_sort_formula") else list(facts.sched.sort_keys)
        self.described = ", ".join(["queue priority", *(name for name, _ in self._keys), "rank"])

    def key(self, job: JobFacts) -> tuple[float, ...]:
        """Lower comes first; among equals the rank decides."""
        values = [-self._queues.get(job.queue, 0.0)]
        for name, is_highest_first in self._keys:
            value = self._value(name, job)
            values.append(-value if is_highest_first else value)
        return tuple(values)

    def _value(self, name: str, job: JobFacts) -> float:
        if name == "job_priority":
            return _float(job.priority)
        text = next((value for resource, value in job.resources if resource == name), "")
        try:
            number = number_of(self._facts.value(name, text)) if text else 0
        except ValueError:
            number = None
        return _seconds(text) if number is None else float(number)


def _seconds(text: str) -> float:
    """`01:30:00` in seconds; 0 for anything else."""
    parts = text.split(":")
    if not all(part.isdigit() and len(part) < 10 for part in parts):
        return 0.0
    return float(sum(int(part) * 60**power for power, part in enumerate(reversed(parts[-3:]))))


def _float(text: str) -> float:
    """A number as PBS prints it, `1.79533769318196e+15` included; 0 for anything else."""
    return float(text) if len(text) < _LONGEST_NUMBER and (text.isdecimal() or _NUMBER.match(text)) else 0.0
