"""What workers answer and what waits in a queue → small records. A faulty one is left out and reported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

INSPECTED: Final = ("stats", "active_queues", "active", "reserved", "scheduled")
"""What workers are asked, in this order: what they hold last, so that a task fetched meanwhile is seen on one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task that a worker holds."""

    id: str
    queue: str
    acknowledged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker that answered."""

    name: str
    queues: tuple[str, ...] = ()
    concurrency: int = 1
    active: tuple[Task, ...] = ()
    reserved: tuple[Task, ...] = ()
    scheduled: tuple[Task, ...] = ()

    @property
    def held(self) -> tuple[Task, ...]:
        """Everything it would have to finish or put back."""
        return (*self.active, *self.reserved, *self.scheduled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A waiting task."""

    id: str
    task: str
    eta: float | None
    """Seconds since the epoch; None: at once."""
    expires: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLook:
    """What waits in one queue: how many, and the first of them where they could be looked into."""

    waiting: int
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CeleryLook:
    """One look at workers and queues."""

    workers: Mapping[str, Worker]
    queues: Mapping[str, QueueLook]
    silent: tuple[str, ...] = ()
    """Workers that the broker knows and that did not answer."""
    unacknowledged: int | None = None
    """Messages that workers hold, as the broker counts them; None: it cannot say."""
    problems: tuple[Problem, ...] = ()


def read_workers(answers: Mapping[str, Any], problems: list[Problem]) -> dict[str, Worker]:
    """Answers of `inspect`, by what was asked → workers by name."""
    names = sorted({name for what in INSPECTED for name in _mapping(answers.get(what))})
    found: dict[str, Worker] = {}
    for name in names:
        asked = {what: _mapping(answers.get(what)).get(name) for what in INSPECTED}
        try:
            found[name] = Worker(
                name=name,
                queues=tuple(_text(item, "name") for item in _items(asked["active_queues"])),
                concurrency=_concurrency(asked["stats"]),
                active=tuple(_task(item) for item in _items(asked["active"])),
                reserved=tuple(_task(item) for item in _items(asked["reserved"])),
                scheduled=tuple(_task(_mapping(item).get("request")) for item in _items(asked["scheduled"])),
            )
        except ValueError as error:
            problems.append(Problem(f"worker {name[:60]}", f"left out: {error}"))
            continue
        missing = [what for what in INSPECTED if asked[what] is None]
        if missing:
            problems.append(Problem(f"worker {name[:60]}", f"did not answer {', '.join(missing)}"))
    return found


def read_messages(raw: Iterable[Any], queue: str, problems: list[Problem]) -> tuple[Message, ...]:
    """Messages of Redis, as text, bytes or objects; those that cannot be read are counted in one problem."""
    found: list[Message] = []
    bad: list[str] = []
    for item in raw:
        try:
            found.append(_message(json.loads(item) if isinstance(item, str | bytes) else item))
        except (ValueError, RecursionError) as error:
            bad.append(str(error)[:120])
    if bad:
        some = f"{len(bad)} message{'s' if len(bad) > 1 else ''}"
        problems.append(Problem(f"queue {queue[:60]}", f"{some} cannot be read, first: {bad[0]}; counted as tasks"))
    return tuple(found)


def _message(content: Any) -> Message:
    headers = _mapping(_mapping(content).get("headers"))
    if not headers.get("task"):
        raise ValueError("no Celery message (protocol 2)")
    return Message(
        id=_text(headers, "id"),
        task=_text(headers, "task"),
        eta=_moment(headers.get("eta")),
        expires=_moment(headers.get("expires")),
    )


def _task(raw: Any) -> Task:
    info = _mapping(_mapping(raw).get("delivery_info"))
    acknowledged = _mapping(raw).get("acknowledged") is True
    return Task(id=_text(raw, "id"), queue=str(info.get("routing_key") or ""), acknowledged=acknowledged)


def _concurrency(stats: Any) -> int:
    """Tasks that run at once; pools that do not say run one (solo)."""
    found = _mapping(_mapping(stats).get("pool")).get("max-concurrency")
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 1


def _moment(raw: Any) -> float | None:
    if raw is None:
        return None
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r:.40} is no time")
    try:
        moment = datetime.fromisoformat(raw.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{raw[:40]!r} is no time") from error


def _mapping(raw: Any) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _items(raw: Any) -> list[Any]:
    if raw is None:
        return []
    if not isinstance(raw, list | tuple):
        raise ValueError(f"expected a list, found {raw!r:.40}")
    return list(raw)


def _text(raw: Any, key: str) -> str:
    found = _mapping(raw).get(key)
    if not isinstance(found, str) or not found:
        raise ValueError(f"{key}: expected a text, found {found!r:.40}")
    return found


@dataclass(slots=True)
class Notes:
    """Things to report, each once with its count."""

    found: dict[str, int] = field(default_factory=dict)

    def add(self, text: str, count: int = 1) -> None:
        """Count it."""
        self.found[text] = self.found.get(text, 0) + count

    def problems(self) -> tuple[Problem, ...]:
        """All of them."""
        return tuple(Problem("celery", f"{text} ({count})") for text, count in self.found.items())
