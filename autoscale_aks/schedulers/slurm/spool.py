"""Events that `hooks/slurm_power.py` kept for us: one file an event, which is removed once it has been acted on.

At least once: a file stays until `settle` is told that all it asks for is done with, and what is done of a part of it
is taken out of it, so that a node that was resumed yesterday is not resumed again for the sake of its neighbour.

| event | means |
| --- | --- |
| `resume` | Slurm powers these nodes up: make their machines |
| `resume-file` | the jobs it does so for (`SLURM_RESUME_FILE`) |
| `suspend`, `resume-fail` | Slurm powers these nodes down, or has given up on them: delete their machines |
| others | wake-ups, of no meaning any more when a cycle runs |
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.schedulers.slurm.hostlists import expand_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

RESUME: Final = "resume"
RESUME_FILE: Final = "resume-file"
SUSPEND: Final = "suspend"
RESUME_FAIL: Final = "resume-fail"
_HOST_EVENTS: Final = frozenset({RESUME, SUSPEND, RESUME_FAIL})
_MOST_BYTES: Final = 2 << 20
_BAD: Final = ".bad"


@dataclass(frozen=True, slots=True)
class SpoolEvent:
    """One event: when it was, what, of which nodes, and (`resume-file`) node → job."""

    path: Path
    at: float
    what: str
    names: tuple[str, ...] = ()
    jobs: tuple[tuple[str, str], ...] = ()
    problem: str = ""


class Spool:
    """The directory. Reading changes nothing; `settle` removes what is done with."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, problems: list[Problem]) -> tuple[SpoolEvent, ...]:
        """All events, oldest first; a file that cannot be read is reported and left out.

        Raises SchedulerError when there is no such directory: without it Slurm's wishes are not known.
        """
        events = tuple(self._events())
        problems.extend(Problem(f"spool {event.path.name}", event.problem) for event in events if event.problem)
        return events

    def settle(self, done: Mapping[str, float]) -> None:
        """Take out of the files what is done: node → the moment up to which its events are.

        Events that ask for nothing go, and files that cannot be read are set aside with `.bad` behind their names.
        Raises SchedulerError when a file cannot be changed.
        """
        for event in self._events():
            try:
                self._settle(event, done)
            except OSError as error:
                raise SchedulerError(
                    f"{event.path}: cannot be removed: {error.strerror}; this user needs to write the directory"
                ) from error

    def _settle(self, event: SpoolEvent, done: Mapping[str, float]) -> None:
        if event.problem:
            event.path.rename(event.path.with_name(event.path.name + _BAD))
            return
        left = [name for name in event.names if done.get(name, float("-inf")) < event.at]
        if not left:
            event.path.unlink(missing_ok=True)
        elif len(left) < len(event.names) and event.what != RESUME_FILE:
            part = event.path.with_name(f".{event.path.name}")
            part.write_text(json.dumps({"time": event.at, "event": event.what, "detail": ",".join(left)}), "utf-8")
            part.rename(event.path)

    def _events(self) -> Iterator[SpoolEvent]:
        try:
            paths = sorted(path for path in self._directory.iterdir() if path.suffix == ".json")
        except OSError as error:
            raise SchedulerError(
                f"{self._directory}: cannot be read: {error.strerror}; "
                "make it, for Slurm's user and this one (scheduler.power_saving.spool)"
            ) from error
        for path in paths:
            if path.name.startswith("."):
                continue
            try:
                yield _event(path)
            except FileNotFoundError:  # another run has settled it
                continue
            except OSError as error:
                yield SpoolEvent(path, 0.0, "", problem=f"cannot be read: {error.strerror}")
            except (ValueError, RecursionError) as error:
                yield SpoolEvent(path, 0.0, "", problem=f"left out: {str(error)[:200]}")


def _event(path: Path) -> SpoolEvent:
    """Raises ValueError with what is wrong."""
    with path.open("rb") as stream:
        raw = _object(stream.read(_MOST_BYTES))
    what, detail, at = raw.get("event"), raw.get("detail", ""), raw.get("time")
    if not isinstance(what, str) or not isinstance(detail, str):
        raise ValueError("no event with a detail")
    if isinstance(at, bool) or not isinstance(at, int | float) or not isfinite(at):
        raise ValueError("it does not say when")
    if what in _HOST_EVENTS:
        return SpoolEvent(path, float(at), what, expand_hosts(detail))
    if what == RESUME_FILE:
        jobs = tuple(_jobs(_object(detail.encode("utf-8", "replace")).get("jobs")))
        return SpoolEvent(path, float(at), what, tuple(dict.fromkeys(node for node, _ in jobs)), jobs)
    return SpoolEvent(path, float(at), what)


def _object(text: bytes) -> dict[str, Any]:
    found = json.loads(text.decode("utf-8", "replace"))
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _jobs(raw: object) -> Iterator[tuple[str, str]]:
    """Node and job; what is of another form is only a lost hint."""
    entries: Sequence[object] = raw if isinstance(raw, list) else ()
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("nodes"), str):
            yield from ((node, str(entry.get("job_id", ""))[:20]) for node in expand_hosts(entry["nodes"]))
