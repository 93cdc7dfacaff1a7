"""A workload: which jobs arrive when, and how long each runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import Problem, ScenarioError
from autoscale_aks.planning.reading import Reader
from autoscale_aks.planning.scenario_jobs import JobDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.job import Job

_OWN: Final = ("at", "duration")
MOST_JOBS: Final = 100_000
"""Jobs of one workload, each task of an array counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadJob:
    """One job, which arrives at `at_s` after the beginning and runs for `duration_s` once it has started."""

    at_s: float
    duration_s: float
    job: Job


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs in the order of their arrival."""

    jobs: tuple[WorkloadJob, ...]


def read_workload(document: Any, where: str = "workload") -> Workload:
    """A workload from JSON: `{"jobs": [{"at": 0, "duration": 600, …}]}` with the keys of a scenario's jobs beside.

    `at` is in seconds after the beginning (0 unless given), `duration` in seconds. A `count` makes so many jobs of
    one record. Raises ScenarioError with every problem and its path.
    """
    reader, decoder = Reader(), JobDecoder()
    raw = reader.keys(document, where, ("jobs",))
    found: list[WorkloadJob] = []
    for index, item in enumerate(reader.items(raw, "jobs", where, required=True)):
        path = f"jobs[{index}]"
        if not isinstance(item, dict):
            reader.wrong(path, "expected an object")
            continue
        named = {"name": f"job-{index + 1}", **{key: value for key, value in item.items() if key not in _OWN}}
        job = decoder.decode(named, path)
        if job.problem is not None:
            reader.problems.append(job.problem)
        if job.shape.chunks:
            reader.wrong(f"{path}.chunks", "jobs of several chunks are not simulated; give each chunk as a job")
        at_s = _seconds(item, "at", path, reader, 0)
        duration_s = _seconds(item, "duration", path, reader, None)
        found += [WorkloadJob(at_s=at_s, duration_s=duration_s, job=one) for one in _tasks(job)]
    if len(found) > MOST_JOBS:
        reader.problems.append(Problem(f"{where}.jobs", f"{len(found):,} jobs; at most {MOST_JOBS:,} are simulated"))
    if reader.problems:
        raise ScenarioError(reader.problems)
    return Workload(tuple(sorted(found, key=lambda one: one.at_s)))


def _tasks(job: Job) -> list[Job]:
    """Each task of an array as a job."""
    if job.count == 1:
        return [job]
    return [replace(job, name=f"{job.name}[{number}]", count=1) for number in range(job.count)]


def _seconds(raw: Mapping[str, Any], key: str, path: str, reader: Reader, default: int | None) -> float:
    if key not in raw and default is None:
        reader.wrong(f"{path}.{key}", "is required: seconds")
        return 0.0
    return float(reader.number(raw, key, path, default) or 0)
