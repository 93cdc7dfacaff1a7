"""Records → jobs in PBS's order, what runs where, and what could not be read.

An array is one `Job` whose `count` is the number of its waiting subjobs. Of an array with a limit (`-J 1-10%2`) the
subjobs that may start now, the limit less those that run, are one job; the rest is a second one, not runnable.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
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
    from collections.abc import Iterator, Mapping, Sequence

    from autoscale_aks.model.job import Job, JobShape
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.schedulers.openpbs.facts import PbsFacts
    from autoscale_aks.schedulers.openpbs.records import JobRecord
    from autoscale_aks.schedulers.openpbs.settings import PbsSettings
    from autoscale_aks.schedulers.slurm.arrays import TaskSet

_WAITING: Final = frozenset("QHWTB")
_ACTIVE: Final = frozenset("RESU")
_OVER: Final = frozenset("FMX")
_LIMITED: Final = "as many subjobs of its array run as its % allows"
_RUNNING: Final = re.compile(r"(?:Running|Exiting):([0-9]{1,9})")
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE]\+?[0-9]{1,2})?\Z")
_FORMULA: Final = "order is by {}: job_sort_formula and fair share are the scheduler's own affair"


@dataclass(frozen=True, slots=True)
class Queue:
    """Everything qstat's answer says."""

    jobs: tuple[Job, ...]
    running: Mapping[str, tuple[str, ...]]
    shared: Mapping[str, SharedResource]
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class _Reading:
    """One pass over the records."""

    settings: PbsSettings
    facts: PbsFacts
    problems: list[Problem]
    stocks: Stocks = field(init=False)
    translator: Translator = field(init=False)
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        self.stocks = Stocks(self.facts, self.problems)
        self.translator = Translator(self.settings, self.facts, self.stocks)


def read_queue(text: str, settings: PbsSettings, facts: PbsFacts) -> Queue:
    """Raises SchedulerError when this is no listing; a record that cannot be read is left out or answered INVALID."""
    reading = _Reading(settings, facts, [])
    records = list(parse_jobs(text, reading.problems))
    running = _read_running(records, reading)
    arrays = {record.id for record in records if record.is_array}
    order = _Order(facts)
    found: list[tuple[Any, Job]] = []
    for number, record in enumerate(records):
        if record.state not in _WAITING or record.array_id in arrays:
            continue
        key = (*order.key(record), number)
        found.extend((key, job) for job in _jobs_of(record, reading))
    found.sort(key=itemgetter(0))
    problems = [*reading.problems, *(Problem("qstat", line) for line in reading.notes.lines())]
    if facts.server.get("job_sort_formula") or facts.sched.fair_share:
        problems.append(Problem("qstat", _FORMULA.format(order.described)))
    return Queue(tuple(job for _, job in found), running, reading.stocks.shared(), tuple(problems))


def _read_running(records: Sequence[JobRecord], reading: _Reading) -> Mapping[str, tuple[str, ...]]:
    """Node → jobs there. Work that runs is counted against limits: of an array as many subjobs as it says."""
    arrays = {record.id for record in records if record.is_array}
    running: dict[str, list[str]] = {}
    for record in records:
        if record.is_array:
            reading.stocks.count_running(record, _running_tasks(record))
        elif record.state in _ACTIVE:
            if record.array_id not in arrays:
                reading.stocks.count_running(record, 1)
            for host in dict.fromkeys(_hosts(record.exec_host)):
                running.setdefault(host, []).append(record.id)
        elif record.state not in _WAITING | _OVER:
            path = f"qstat {record.id}"
            reading.problems.append(Problem(path, f"unknown state {record.state[:20]!r}, left out"))
    return frozendict({host: tuple(names) for host, names in running.items()})


def _hosts(exec_host: str) -> Iterator[str]:
    """`n01/0*3+n02/1` → n01, n02."""
    return (host for part in exec_host.split("+") if (host := part.partition("/")[0].strip()))


def _running_tasks(record: JobRecord) -> int:
    return sum(int(count) for count in _RUNNING.findall(record.state_count))


def _jobs_of(record: JobRecord, reading: _Reading) -> list[Job]:
    path = f"qstat {record.id}"
    submission = Submission(
        priority=_float(record.priority),
        queue=sys.intern(record.queue),
        user=sys.intern(record.user),
        path=path,
    )
    try:
        tasks = _tasks_of(record)
        shape, notes = reading.translator.shape_of(record)
    except ValueError as error:
        problem = Problem(path, str(error))
        return [submission.job(record.id, NO_SHAPE, count=0, problem=problem)]
    why = _why_waiting(record, reading)
    for note in notes:
        reading.notes.add(note, record.id)
    if not record.is_array:
        return [submission.job(record.id, shape, why=why)]
    return [] if tasks is None else _array_jobs(record, submission, tasks, shape, why)


def _tasks_of(record: JobRecord) -> TaskSet | None:
    """The subjobs of an array that wait; None when there are none, and for other jobs. Raises ValueError."""
    text = record.tasks.strip()
    if not record.is_array or text in {"", "-"}:
        return None
    return parse_tasks(text)


def _array_jobs(record: JobRecord, submission: Submission, tasks: TaskSet, shape: JobShape, why: str) -> list[Job]:
    if why or not record.max_running.isdigit():
        return [submission.job(_named(record, tasks), shape, why=why, count=tasks.count)]
    head, tail = tasks.split(int(record.max_running[:12]) - _running_tasks(record))
    jobs = []
    if head.count:
        jobs.append(submission.job(_named(record, head), shape, count=head.count))
    if tail.count:
        jobs.append(submission.job(_named(record, tail), shape, why=_LIMITED, count=tail.count))
    return jobs


def _named(record: JobRecord, tasks: TaskSet) -> str:
    """`6[3-10].server`."""
    return record.id.replace("[]", f"[{tasks}]", 1)


def _why_waiting(record: JobRecord, reading: _Reading) -> str:
    """Empty when a machine would help; else why not."""
    queue = reading.facts.queues.get(record.queue, {})
    if record.state == "H":
        return why_held(record.holds, record.depend)
    if record.state == "W":
        return "BeginTime: its execution time is not reached"
    if record.state == "T":
        return "Transit: it is on its way between queues"
    if str(queue.get("queue_type", "Execution")).lower().startswith("r"):
        return f"queue {record.queue} only routes jobs"
    if str(queue.get("started", "True")).lower() == "false":
        return f"queue {record.queue} is not started"
    if reading.settings.queues.get(record.queue) == ():
        return f"queue {record.queue} is not served: scheduler.queues gives it no node arrays"
    verdict = judge_comment(record.comment, unknown_is_runnable=reading.settings.unknown_is_runnable)
    if not verdict.is_known:
        treated = "runnable" if verdict.runnable else "not runnable"
        reading.notes.add(f"unknown reason {record.comment[:60]!r}, treated as {treated}", record.id)
    return verdict.why


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

    def key(self, record: JobRecord) -> tuple[float, ...]:
        """Lower comes first."""
        values = [-self._queues.get(record.queue, 0.0)]
        for name, is_highest_first in self._keys:
            value = self._value(name, record)
            values.append(-value if is_highest_first else value)
        return (*values, _float(record.rank) if record.rank else math.inf)

    def _value(self, name: str, record: JobRecord) -> float:
        if name == "job_priority":
            return _float(record.priority)
        text = next((value for resource, value in record.resources if resource == name), "")
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
    return float(text) if _NUMBER.match(text) else 0.0
