"""Our job JSON, however it is framed → the scheduler's state.

Accepted: a list of jobs, `{"jobs": […], "nodes": […], "shared_resources": {…}}`, or JSON Lines with one job a line.
A job is written as in a scenario file. One that says where it runs (`executing_hostnames`) is running, not waiting.
A node may say `closed_by_us`: the `close` program closed it, not an administrator. Where the ledger was lost, such a
node is let go as it was to be; any other closed node is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import ScenarioError, SchedulerError
from autoscale_aks.model.limits import SharedResource
from autoscale_aks.model.node_names import machine_of_host
from autoscale_aks.planning.reading import Reader, kind_of
from autoscale_aks.planning.scenario import parse_json
from autoscale_aks.planning.scenario_jobs import JobDecoder
from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.model.job import Job

_FRAME_KEYS: Final = ("jobs", "nodes", "shared_resources")
_NODE_KEYS: Final = ("name", "state", "machine", "resources", "available", "job_ids", "closed_by_us")
_SHARED_KEYS: Final = ("initial", "current", "value")
_STATES: Final = ("Ready", "Closed", "Down", "Booting")
_Jobs = list[tuple[str, Any]]


def parse_state(text: str, source: str) -> SchedulerState:
    """Raises SchedulerError when the text as a whole is no job list; one bad job spoils nothing else."""
    reader = Reader()
    frame: Mapping[str, Any] = {}
    try:
        found = parse_json(text)
    except ScenarioError as error:
        lines = text.strip().split("\n")
        if len(lines) < 2 or not lines[0].lstrip().startswith("{") or not lines[0].rstrip().endswith("}"):
            raise SchedulerError(f"{source}: {error}; expected a list of jobs or one job a line") from error
        raw_jobs = _job_lines(lines, reader)
    else:
        if isinstance(found, Mapping) and "jobs" not in found and "name" in found:
            found = [found]
        frame = found if isinstance(found, Mapping) else {"jobs": found}
        reader.keys(frame, "", _FRAME_KEYS)
        if not isinstance(frame.get("jobs"), list):
            raise SchedulerError(f'{source}: "jobs" is {kind_of(frame.get("jobs"))}; expected a list of jobs')
        raw_jobs = [(f"jobs[{index}]", item) for index, item in enumerate(frame["jobs"])]
    return _state(raw_jobs, frame, reader)


def _job_lines(lines: Iterable[str], reader: Reader) -> _Jobs:
    found: _Jobs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append((f"line {number}", parse_json(line)))
        except ScenarioError as error:
            reader.wrong(f"line {number}", error.problems[0].message)
    return found


def _state(raw_jobs: _Jobs, frame: Mapping[str, Any], reader: Reader) -> SchedulerState:
    decoder = JobDecoder()
    jobs = [decoder.decode(raw, path) for path, raw in raw_jobs]
    waiting = sorted((job for job in jobs if not job.executing_hostnames), key=lambda job: -job.priority)
    nodes = None if frame.get("nodes") is None else _nodes(reader.items(frame, "nodes", ""), reader)
    shared = _shared(frame.get("shared_resources"), reader)
    return SchedulerState(
        jobs=tuple(waiting),
        nodes=nodes,
        shared_resources=shared,
        running=_running(jobs, nodes or ()),
        problems=(*reader.problems, *(job.problem for job in jobs if job.problem is not None)),
        complete=not reader.problems and not any(job.problem for job in jobs),
    )


def _running(jobs: Iterable[Job], nodes: Iterable[SchedulerNode]) -> Mapping[str, tuple[str, ...]]:
    """What runs where, as the jobs and as the nodes say it."""
    found: dict[str, dict[str, None]] = {}
    for job in jobs:
        for host in job.executing_hostnames:
            found.setdefault(host, {})[job.name] = None
    for node in nodes:
        for name in node.job_ids:
            found.setdefault(node.name, {})[name] = None
    return frozendict({host: tuple(names) for host, names in found.items()})


def _nodes(raw: Iterable[Any], reader: Reader) -> tuple[SchedulerNode, ...]:
    """The nodes that can be read; a faulty one is left out and reported."""
    found: dict[str, SchedulerNode] = {}
    for index, item in enumerate(raw):
        path = f"nodes[{index}]"
        before = len(reader.problems)
        entry = reader.keys(item, path, _NODE_KEYS)
        name = reader.text(entry, "name", path)
        state = reader.text(entry, "state", path, "Ready")
        if state not in _STATES:
            reader.wrong(f"{path}.state", f"expected one of {', '.join(_STATES)}")
        if name in found:
            reader.wrong(f"{path}.name", f'a node "{name[:60]}" stands there already')
        node = SchedulerNode(
            name=name,
            state=state,
            machine=reader.optional_text(entry, "machine", path) or machine_of_host(name),
            resources=reader.values(entry, "resources", path),
            available=reader.values(entry, "available", path),
            job_ids=reader.texts(entry, "job_ids", path),
            closed_by_us=reader.flag(entry, "closed_by_us", path, default=False),
        )
        if len(reader.problems) == before:
            found[name] = node
    return tuple(found.values())


def _shared(raw: Any, reader: Reader) -> Mapping[str, SharedResource]:
    found: dict[str, SharedResource] = {}
    if raw is None:
        return frozendict()
    if not isinstance(raw, Mapping):
        reader.wrong("shared_resources", f"expected an object, found {kind_of(raw)}")
        return frozendict()
    for name, item in raw.items():
        path = f"shared_resources.{name}"
        entry = reader.keys(item, path, _SHARED_KEYS)
        initial, current, value = (
            reader.value(entry[key], f"{path}.{key}") if key in entry else None for key in _SHARED_KEYS
        )
        found[str(name)] = SharedResource(
            initial=initial, current=initial if "current" not in entry else current, value=value
        )
    return frozendict(found)
