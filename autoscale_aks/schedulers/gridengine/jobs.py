"""Records → jobs in Grid Engine's order, what runs where, and what could not be read.

Tasks of an array that wait are one `Job` whose `count` is their number. Of an array with a limit (`-tc 2`) the tasks
that may start now, the limit less those that run, are one job; the rest is a second one, not runnable.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.schedulers.commanded import Submission
from autoscale_aks.schedulers.gridengine.details import Details, judge_message
from autoscale_aks.schedulers.gridengine.needs import Needs, Shaper, read_requests
from autoscale_aks.schedulers.gridengine.places import Places, places_of
from autoscale_aks.schedulers.gridengine.quotas import Claim
from autoscale_aks.schedulers.gridengine.values import parse_slots
from autoscale_aks.schedulers.shapes import NO_SHAPE
from autoscale_aks.schedulers.slurm.arrays import parse_tasks
from autoscale_aks.schedulers.verdict import Notes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.model.job import Job, JobShape
    from autoscale_aks.schedulers.gridengine.places import ClusterFacts
    from autoscale_aks.schedulers.gridengine.quotas import Stocks
    from autoscale_aks.schedulers.gridengine.records import JobRecord
    from autoscale_aks.schedulers.gridengine.settings import GridEngineSettings
    from autoscale_aks.schedulers.slurm.arrays import TaskSet

_LIMITED: Final = "as many tasks of its array run as -tc allows"
_RULES: Final = "parallel environments {} have different allocation rules: that of the first is taken"


@dataclass(frozen=True, slots=True)
class Queue:
    """Everything qstat's answers say."""

    jobs: tuple[Job, ...]
    running: Mapping[str, tuple[str, ...]]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one kind of record asks for, worked out once."""

    needs: Needs
    places: Places
    slots: int
    rule: str
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class QueueReader:
    """One pass over the records of one look."""

    settings: GridEngineSettings
    facts: ClusterFacts
    stocks: Stocks
    details: Details
    future: frozenset[str]
    """Jobs with a start time (`-a`): one that the scheduler has given no priority is not due."""
    problems: list[Problem]
    _shaper: Shaper = field(default_factory=Shaper)
    _asked: dict[Any, _Asked] = field(default_factory=dict)
    _shapes: dict[Any, tuple[JobShape, tuple[str, ...]]] = field(default_factory=dict)
    _judged: dict[Any, tuple[JobShape, tuple[str, ...], str]] = field(default_factory=dict)
    _notes: Notes = field(default_factory=Notes)

    def read(self, records: Sequence[JobRecord]) -> Queue:
        """A record that cannot be read is answered INVALID; nothing is raised for it."""
        running: dict[str, dict[str, None]] = {}
        tasks_running: Counter[str] = Counter()
        for record in records:
            if record.is_running:
                host = record.queue_instance.partition("@")[2]
                running.setdefault(host, {})[record.shown_id] = None
                tasks_running[record.id] += 1
                self._count(record)
        jobs = [job for record in records if not record.is_running for job in self._jobs_of(record, tasks_running)]
        problems = (*self.problems, *(Problem("qstat", line) for line in self._notes.lines()))
        return Queue(tuple(jobs), frozendict({host: tuple(ids) for host, ids in running.items()}), problems)

    def _count(self, record: JobRecord) -> None:
        """What runs holds its part of the quotas; a record that cannot be read holds nothing we know of."""
        try:
            asked = self._what(record)
            slots = int(record.slots) if record.slots.isdigit() and len(record.slots) < 10 else asked.slots
            self.stocks.count_running(self._claim(record, asked, slots))
        except ValueError as error:
            self.problems.append(Problem(f"qstat {record.shown_id}", f"runs, and is not counted: {error}"))

    def _jobs_of(self, record: JobRecord, tasks_running: Counter[str]) -> list[Job]:
        path = f"qstat {record.shown_id[:60]}"
        whose = Submission(
            priority=_float(record.priority),
            queue=sys.intern(record.queues[0].partition("@")[0]) if record.queues else "",
            user=sys.intern(record.owner),
            path=path,
        )
        name = record.shown_id[:80]
        try:
            tasks = parse_tasks(record.tasks) if record.tasks else None
            shape, notes, why_nowhere = self._shape(record)
        except ValueError as error:
            return [whose.job(name, NO_SHAPE, count=0, problem=Problem(path, str(error)))]
        for note in notes:
            self._notes.add(note, record.shown_id)
        why = self._why_waiting(record) or why_nowhere
        if tasks is None:
            return [whose.job(name, shape, why=why)]
        return self._array_jobs(record, whose._replace(path=f"qstat {record.id}"), tasks, (shape, why), tasks_running)

    def _array_jobs(
        self,
        record: JobRecord,
        whose: Submission,
        tasks: TaskSet,
        judged: tuple[JobShape, str],
        tasks_running: Counter[str],
    ) -> list[Job]:
        shape, why = judged
        limit = self.details.concurrency.get(record.id)
        if why or limit is None:
            return [whose.job(f"{record.id}.{tasks}", shape, why=why, count=tasks.count)]
        head, tail = tasks.split(limit - tasks_running[record.id])
        tasks_running[record.id] += head.count
        parts = ((head, ""), (tail, _LIMITED))
        return [
            whose.job(f"{record.id}.{part}", shape, why=reason, count=part.count)
            for part, reason in parts
            if part.count
        ]

    def _shape(self, record: JobRecord) -> tuple[JobShape, tuple[str, ...], str]:
        """Shape, notes and why no node may take it; worked out once for all jobs of a user that ask for the same."""
        key = (record.requests, record.queues, record.environment, record.range, record.slots, record.owner)
        found = self._judged.get(key)
        if found is None:
            found = self._judged[key] = self._work_out_shape(record)
        return found

    def _work_out_shape(self, record: JobRecord) -> tuple[JobShape, tuple[str, ...], str]:
        asked = self._what(record)
        takings = self.stocks.takings(self._claim(record, asked, asked.slots))
        key = (id(asked), takings)
        found = self._shapes.get(key)
        if found is None:
            notes = list(asked.notes)
            shape = self._shaper.shape_of(asked.needs, asked.places, asked.slots, asked.rule, takings, notes)
            found = self._shapes[key] = (shape, tuple(dict.fromkeys(notes)))
        return (*found, asked.places.why_nowhere)

    def _what(self, record: JobRecord) -> _Asked:
        key = (record.requests, record.queues, record.environment, record.range, record.slots)
        found = self._asked.get(key)
        if found is None:
            found = self._asked[key] = self._work_out(record)
        return found

    def _work_out(self, record: JobRecord) -> _Asked:
        limits = {name for queue in (self.facts.queues or {}).values() for name in queue.limits}
        needs = read_requests(record.requests, self.facts.complexes, frozenset(limits))
        environments = self.facts.environments(record.environment) if record.environment else ()
        names = environments or ((record.environment,) if record.environment else ())
        rules = tuple(dict.fromkeys(self.facts.rules.get(name, "$fill_up") for name in names))
        notes = (_RULES.format(record.environment),) if len(rules) > 1 else ()
        return _Asked(
            needs=needs,
            places=places_of(needs, record.queues, names, self.settings, self.facts),
            slots=parse_slots(record.range or record.slots or "1"),
            rule=rules[0] if rules else "",
            notes=notes,
        )

    def _claim(self, record: JobRecord, asked: _Asked, slots: int) -> Claim:
        return Claim(
            user=record.owner,
            environment=record.environment,
            queues=asked.places.queues,
            amounts=asked.needs.amounts(slots),
        )

    def _why_waiting(self, record: JobRecord) -> str:
        """Empty when a machine would help; else why not."""
        if "E" in record.state:
            return "Error: its last start failed; qmod -cj clears it"
        if "d" in record.state:
            return "it is being deleted"
        if "h" in record.state:
            if record.predecessors or record.array_predecessors:
                return "Dependency: it waits for other jobs"
            return "Hold: it is held"
        if record.id in self.future and _is_zero(record.priority):
            return "BeginTime: its start time is not reached"
        for words in self.details.messages.get(record.id, ()):
            verdict = judge_message(words, unknown_is_runnable=self.settings.unknown_is_runnable)
            if not verdict.is_known:
                treated = "runnable" if verdict.runnable else "not runnable"
                self._notes.add(f"unknown reason {words[:60]!r}, treated as {treated}", record.shown_id)
            if not verdict.runnable:
                return verdict.why
        return ""


def is_without_priority(record: JobRecord) -> bool:
    """A waiting job that the scheduler has not weighed: new, held, not due, or of an array at its limit."""
    return not record.is_running and _is_zero(record.priority)


def _is_zero(priority: str) -> bool:
    return not priority.strip("0.")


def _float(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isdigit() and len(text) < 30 and text.isascii() else 0.0
