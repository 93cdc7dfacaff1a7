"""Celery behind the scheduler port."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.schedulers.celery.broker import Broker, broker_url
from autoscale_aks.schedulers.celery.records import (
    INSPECTED,
    CeleryLook,
    QueueLook,
    Worker,
    read_messages,
    read_workers,
)
from autoscale_aks.schedulers.celery.settings import read_settings
from autoscale_aks.schedulers.celery.state import machine_of, read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.schedulers.celery.settings import CelerySettings
    from autoscale_aks.schedulers.port import NewNode, NodeRequest, SchedulerState


PATIENCE_S: Final = 60.0
"""How long a worker may be slow to answer (it starts, or its host is overloaded) before its machine counts as down."""


class Cell(Protocol):
    """What the driver asks of Celery; see `Broker`."""

    def look(self) -> CeleryLook:
        """One look."""
        ...

    def cancel(self, queues: Mapping[str, Sequence[str]]) -> None:
        """Take queues from workers."""
        ...

    def cancelled(self, workers: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Queues that were taken from workers."""
        ...

    def give_back(self, queues: Mapping[str, Sequence[str]]) -> None:
        """Undo `cancel`."""
        ...

    def stop(self, workers: Sequence[str]) -> None:
        """End workers gracefully."""
        ...

    def forget_mailboxes(self, workers: Sequence[str]) -> None:
        """Remove what is left of workers that are gone."""
        ...

    def version(self) -> str:
        """Celery's version and its broker's."""
        ...


class CeleryScheduler:
    """The scheduler port over a broker.

    A node is a machine, whatever number of workers it runs. Closing takes every queue from its workers, which stay
    visible that way (a worker that is told to stop leaves `inspect` at once and works on unseen); afterwards one look
    says which of them hold no task. Reopening gives the queues back that were taken. Removing tells what still answers
    to end.
    """

    def __init__(self, settings: CelerySettings, cell: Cell, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._cell = cell
        self._now = now
        self._taken: dict[str, tuple[str, ...]] = {}
        self._silent_since: dict[str, float] | None = None

    def read(self) -> SchedulerState:
        """Queues and workers. Raises SchedulerError when the broker does not answer.

        A worker that this run has not seen silent before is late, not lost: for `PATIENCE_S` its machine counts.
        """
        look, now = self._cell.look(), self._now()
        before, first = self._silent_since, now if self._silent_since is not None else -math.inf
        self._silent_since = {name: (before or {}).get(name, first) for name in look.silent}
        late = frozenset(name for name, since in self._silent_since.items() if now - since <= PATIENCE_S)
        return read_state(look, self._settings, now, late)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Nothing to do: a worker joins by starting."""

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:  # noqa: ARG002 - no place to write it
        """Cancel all consumers, then look: the names whose workers take and hold nothing."""
        before = self._workers_of(names, self._cell.look())
        queues = {worker.name: worker.queues for workers in before.values() for worker in workers if worker.queues}
        self._taken.update(queues)
        if queues:
            self._cell.cancel(queues)
        after = self._cell.look()
        silent = {machine_of(name, self._settings) for name in after.silent}
        found = self._workers_of(names, after)
        return tuple(
            name
            for name in dict.fromkeys(names)
            if name in found and name not in silent and not any(one.queues or one.held for one in found[name])
        )

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Give back what was taken. Raises SchedulerError where nobody knows any more what that was."""
        workers = [one for found in self._workers_of(names, self._cell.look()).values() for one in found]
        closed = [worker.name for worker in workers if not worker.queues]
        known = {**self._cell.cancelled(closed), **{name: self._taken[name] for name in closed if name in self._taken}}
        if known:
            self._cell.give_back(known)
        lost = [name for name in closed if name not in known]
        if lost:
            raise SchedulerError(
                f"workers stay closed, first {lost[0]} of {len(lost)}: the queues they took from are not known any "
                "more; restart them, or let them drain"
            )

    def remove_nodes(self, names: Sequence[str]) -> None:
        """End workers that still answer; forget those that do not."""
        look = self._cell.look()
        answering = [one.name for found in self._workers_of(names, look).values() for one in found]
        gone = [name for name in look.silent if machine_of(name, self._settings) in set(names)]
        if answering:
            self._cell.stop(answering)
        if gone:
            self._cell.forget_mailboxes(gone)

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """Nothing to do: Celery never asks for nodes by name."""

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:  # noqa: ARG002 - the port's
        """Nowhere: a message in a broker cannot be changed."""
        return ()

    def version(self) -> str:
        """Celery's version here, and the broker's where it tells, such as `5.4.0 on redis 7.0.15`."""
        return self._cell.version()

    def _workers_of(self, names: Sequence[str], look: CeleryLook) -> dict[str, list[Worker]]:
        wanted = set(names)
        found: dict[str, list[Worker]] = {}
        for worker in look.workers.values():
            name = machine_of(worker.name, self._settings)
            if name in wanted:
                found.setdefault(name, []).append(worker)
        return found


class CaptureCell:
    """Captured answers: `inspect-NAME.json`, and `redis-keys.json` or `amqp-passive-declare.json`."""

    def __init__(self, directory: Path, settings: CelerySettings) -> None:
        self._directory = directory
        self._settings = settings

    def look(self) -> CeleryLook:
        """The captured look."""
        problems: list[Problem] = []
        answers = {what: self._file(f"inspect-{what}.json") for what in INSPECTED}
        workers = read_workers(answers, problems)
        if (self._directory / "amqp-passive-declare.json").exists():
            counts = self._file("amqp-passive-declare.json")
            queues = {name: QueueLook(waiting=int(item.get("messages_ready", 0))) for name, item in counts.items()}
            return CeleryLook(workers=workers, queues=queues, problems=tuple(problems))
        keys = self._file("redis-keys.json")["keys"]
        return CeleryLook(
            workers=workers,
            queues={name: self._queue(keys, name, problems) for name in self._settings.queues},
            unacknowledged=keys.get("unacked", {}).get("hlen", 0),
            problems=tuple(problems),
        )

    def _queue(self, keys: Mapping[str, Any], name: str, problems: list[Problem]) -> QueueLook:
        lists = [item for key, item in keys.items() if key == name or key.startswith(f"{name}\x06\x16")]
        waiting = sum(item["llen"] for item in lists)
        messages = [message for item in lists for message in item["items"]][: self._settings.peek]
        return QueueLook(waiting=waiting, messages=read_messages(messages, name, problems))

    def _file(self, name: str) -> Any:
        path = self._directory / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SchedulerError(f"{path}: cannot be read: {error}") from error

    def cancel(self, queues: Mapping[str, Sequence[str]]) -> None:
        """Nothing is changed."""

    def cancelled(self, workers: Iterable[str]) -> dict[str, tuple[str, ...]]:  # noqa: ARG002 - the port's
        """Nothing was."""
        return {}

    def give_back(self, queues: Mapping[str, Sequence[str]]) -> None:
        """Nothing is changed."""

    def stop(self, workers: Sequence[str]) -> None:
        """Nothing is changed."""

    def forget_mailboxes(self, workers: Sequence[str]) -> None:
        """Nothing is changed."""

    def version(self) -> str:
        """Captured answers do not tell."""
        return ""


def build(settings: Mapping[str, Any], *, environment: Mapping[str, str], base: Path | None = None) -> CeleryScheduler:
    """`{"type": "celery", …}` → a scheduler. Raises ConfigError."""
    parsed = read_settings(settings, base=base)
    if parsed.capture_dir is not None:
        return CeleryScheduler(parsed, CaptureCell(parsed.capture_dir, parsed))
    return CeleryScheduler(parsed, Broker(parsed, broker_url(parsed, environment)))
