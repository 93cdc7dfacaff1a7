"""The replay: a clock that only events move, a queue of events, and the real cycle at its interval."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import AutoscaleError
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.simulator.batch_system import BatchSystem
from autoscale_aks.simulator.books import Books

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from autoscale_aks.clock import Clock
    from autoscale_aks.config import Config
    from autoscale_aks.emulator.server import EmulatorServer
    from autoscale_aks.emulator.store import Machine
    from autoscale_aks.model.simulation import Simulation
    from autoscale_aks.reconcile import World
    from autoscale_aks.schedulers.port import SchedulerPort
    from autoscale_aks.simulator.workload import Workload, WorkloadJob

LOOK_S: Final = 5.0
"""How often the batch system looks for new nodes: what a job may wait for longer than it would have to."""
LONGEST_S: Final = 30 * 86_400.0
"""A run that has not ended by then is ended."""
_QUIET_S: Final = 3600.0
"""After the last job machines have so long to leave, beside the idle timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a workload is replayed."""

    config: Config
    emulator: EmulatorServer
    """Its clock stands still (`speed` 0); the replay moves it."""
    open_world: Callable[[SchedulerPort, Clock], AbstractContextManager[World]]
    """The ports of a cycle, with this scheduler and this clock."""


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """The emulator's clock; whoever sleeps moves it."""

    emulator: EmulatorServer

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.emulator.clock.now()

    def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.emulator.clock.advance(max(seconds, 0.0))


def simulate(workload: Workload, stage: Stage, *, interval_s: float = 30.0) -> Simulation:
    """Replay a workload: a cycle every `interval_s`, until all jobs have ended and all machines are gone.

    A run in which nothing happens any more is ended too (jobs that no bucket takes, minimums that stay): what is
    unfinished then is in the result. The same workload, configuration and seed give the same result.
    """
    clock = VirtualClock(stage.emulator)
    queue = BatchSystem(stage.config, lambda: machines_of(stage.emulator))
    with stage.open_world(queue, clock) as world:
        books = Books(stage.config, workload, clock.now())
        replay = _Replay(stage, world, queue, books, clock, interval_s)
        return replay.run()


def machines_of(emulator: EmulatorServer) -> list[Machine]:
    """Every machine there is now."""
    emulator.catch_up()
    return [machine for pool in emulator.state.pools() for machine in pool.listed()]


@dataclass(slots=True)
class _Replay:
    stage: Stage
    world: World
    queue: BatchSystem
    books: Books
    clock: VirtualClock
    interval_s: float
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    running: dict[str, int] = field(default_factory=dict)
    """Job → which of its starts it is on: an end that was planned for an earlier one is none."""
    arriving: int = 0
    moved_at: float = 0.0
    """When a job last arrived, started or ended."""

    def run(self) -> Simulation:
        """Events in their order, until the end."""
        jobs = {one.job.name: one for one in self.books.workload.jobs}
        self.arriving, self.moved_at = len(jobs), self.clock.now()
        for one in self.books.workload.jobs:
            self.at(self.books.began + one.at_s, partial(self.arrive, one))
        self.at(self.books.began, self.cycle)
        while self.events and not self.is_over():
            moment = self.events[0][0]
            self.clock.sleep(self.look_before(moment) - self.clock.now())
            while self.events and self.events[0][0] <= self.clock.now():
                heapq.heappop(self.events)[2]()
            self.look(jobs)
        return self.books.close(self.clock.now())

    def at(self, moment: float, happen: Callable[[], None]) -> None:
        """Put something on the calendar."""
        heapq.heappush(self.events, (moment, next(self.numbers), happen))

    def look_before(self, moment: float) -> float:
        """The next moment to stop at: an event, or before it a look for nodes where there may be new or lost ones."""
        if self.books.is_empty and self.queue.is_empty:
            return moment
        return min(moment, self.clock.now() + LOOK_S)

    def is_over(self) -> bool:
        """Whether nothing is left to happen."""
        now = self.clock.now()
        if self.arriving or self.running:
            return now - self.books.began > LONGEST_S
        if self.queue.is_empty:
            return self.books.is_empty or now - self.moved_at > self._patience()
        return now - self.moved_at > self._patience()

    def _patience(self) -> float:
        """After so long without a job that moves nothing more will."""
        policy = self.stage.config.policy
        times = (policy.idle_timeout, policy.boot_timeout, policy.min_lifetime)
        return _QUIET_S + sum(max([time.default_s, *time.by_nodearray.values()]) for time in times)

    def arrive(self, one: WorkloadJob) -> None:
        """A job comes into the queue."""
        self.arriving -= 1
        self.moved_at = self.clock.now()
        self.queue.submit(one.job)

    def end(self, name: str, start: int) -> None:
        """A job is done, unless it began anew since."""
        if self.running.get(name) == start:
            del self.running[name]
            self.moved_at = self.clock.now()
            self.queue.finish(name)
            self.books.end(name, self.moved_at)

    def cycle(self) -> None:
        """The program runs once."""
        try:
            run_cycle(self.world)
        except AutoscaleError:
            self.books.failed_cycles += 1
        self.books.cycles += 1
        self.at(self.next_tick(), self.cycle)

    def next_tick(self) -> float:
        """The next whole interval; with nothing there and nothing to do, the first one after the next event."""
        soonest = self.clock.now()
        if self.queue.is_empty and not machines_of(self.stage.emulator) and self.events:
            soonest = max(soonest, self.events[0][0])
        return self.books.began + ((soonest - self.books.began) // self.interval_s + 1) * self.interval_s

    def look(self, jobs: Mapping[str, WorkloadJob]) -> None:
        """New nodes and lost ones, and whatever can start."""
        now = self.clock.now()
        lost = [name for name in self.queue.lose() if name in self.running]
        for name in lost:
            del self.running[name]
            self.books.lose(name)
        self.queue.requeue([jobs[name].job for name in lost])
        for begun in self.queue.start():
            name = begun.job.name
            self.running[name] = next(self.numbers)
            self.moved_at = now
            self.books.start(name, now, len(begun.machines))
            self.at(now + jobs[name].duration_s, partial(self.end, name, self.running[name]))
        self.books.look(now, machines_of(self.stage.emulator), self.queue.busy)
