"""Workers and queues in memory, that behave as Celery was seen to behave."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.schedulers.celery.driver import CeleryScheduler
from autoscale_aks.schedulers.celery.records import CeleryLook, Message, QueueLook, Task, Worker
from autoscale_aks.schedulers.celery.settings import read_settings
from autoscale_aks.schedulers.celery.state import read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from autoscale_aks.schedulers.port import SchedulerState

CAPTURES = Path(__file__).parents[3] / "captures" / "celery"
NOW = 1_795_338_500.0
"""When the captures were made (2026-11-22 09:08 UTC)."""


def task(name: str, queue: str = "celery", *, acknowledged: bool = False) -> Task:
    return Task(id=name, queue=queue, acknowledged=acknowledged)


def message(name: str, kind: str = "app.sleep", *, eta: float | None = None, expires: float | None = None) -> Message:
    return Message(id=name, task=kind, eta=eta, expires=expires)


def worker(name: str, *queues: str, concurrency: int = 4, **held: tuple[Task, ...]) -> Worker:
    return Worker(name=name, queues=queues or ("celery",), concurrency=concurrency, **held)


def read(
    *workers: Worker, waiting: Mapping[str, int | tuple[Message, ...]] | None = None, **more: Any
) -> SchedulerState:
    """What the driver makes of these workers and queues. `settings` are those of the scheduler, `queue` of `celery`."""
    queues = {
        name: QueueLook(waiting=found) if isinstance(found, int) else QueueLook(waiting=len(found), messages=found)
        for name, found in (waiting or {}).items()
    }
    settings = {"queues": {"celery": more.pop("queue", {"nodearrays": ["htc"]})}, **more.pop("settings", {})}
    look = CeleryLook(workers={one.name: one for one in workers}, queues=queues, **more)
    return read_state(look, read_settings({"type": "celery", **settings}), NOW)


@dataclass
class FakeCell:
    """Workers that stop taking tasks when told to, and hold on to what they have."""

    workers: dict[str, Worker]
    remembers: bool = True
    silent: tuple[str, ...] = ()
    told: list[tuple[str, ...]] = field(default_factory=list)
    land_on: str = ""
    """A task lands on this worker just before its queues are taken."""
    _closed: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def look(self) -> CeleryLook:
        return CeleryLook(workers=dict(self.workers), queues={}, silent=self.silent)

    def cancel(self, queues: Mapping[str, Sequence[str]]) -> None:
        for name, taken in queues.items():
            self.told.append(("cancel", name, *taken))
            held = {"active": (task("late"),)} if name == self.land_on else {}
            one = self.workers[name]
            self.workers[name] = Worker(name=name, concurrency=one.concurrency, **{"active": one.active, **held})
            if self.remembers:
                self._closed[name] = tuple(taken)

    def cancelled(self, workers: Iterable[str]) -> dict[str, tuple[str, ...]]:
        return {name: self._closed[name] for name in workers if name in self._closed}

    def give_back(self, queues: Mapping[str, Sequence[str]]) -> None:
        for name, taken in queues.items():
            self.told.append(("give back", name, *taken))
            self.workers[name] = Worker(name=name, queues=tuple(taken), active=self.workers[name].active)

    def stop(self, workers: Sequence[str]) -> None:
        self.told.append(("stop", *workers))

    def forget_mailboxes(self, workers: Sequence[str]) -> None:
        self.told.append(("forget", *workers))

    def version(self) -> str:
        return "5.4.0 on redis 7.0.15"


def scheduler(cell: FakeCell, now: Callable[[], float] = lambda: NOW) -> CeleryScheduler:
    settings = read_settings({"type": "celery", "queues": {"celery": {"nodearrays": ["htc"]}}})
    return CeleryScheduler(settings, cell, now=now)
