"""`azaks run`: a cycle an interval, for as long as it is let.

A cycle that fails is told of and the next one tried; only a lock that is lost, or a signal, ends the run.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

from autoscale_aks.errors import AutoscaleError, ConfigError, LedgerError, Problem
from autoscale_aks.loop.lines import describe_cycle, render_line
from autoscale_aks.loop.waiting import Wake
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from autoscale_aks.clock import Clock
    from autoscale_aks.cloud.gate import Gate
    from autoscale_aks.config import Config
    from autoscale_aks.loop.waiting import Waiter
    from autoscale_aks.reconcile import CycleReport, World

log: Final = logging.getLogger("autoscale_aks.cycle")
"""The one line a cycle, at level INFO; ERROR for a cycle that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """What a resident run works with; everything but the decision."""

    open_world: Callable[[Config], AbstractContextManager[World]]
    """The ports of a configuration, opened. The locks are held by the caller."""
    load: Callable[[], Config]
    """Read the configuration again. Raises ConfigError."""
    remember: Callable[[World], None]
    """Keep what the ports learned, after every cycle: a resident run may be killed at any moment."""
    reload_asked: Callable[[], bool]
    clock: Clock
    gate: Gate
    waiter: Waiter
    after: Callable[[World | None, CycleReport | None, float], None] = lambda *_: None
    """Told after every cycle: the ports, its report (None: it failed) and how many seconds it took."""


@final
class Resident:
    """Cycles at an interval, from the beginning of one to the beginning of the next (seconds)."""

    def __init__(self, station: Station, *, interval_s: float) -> None:
        self._station = station
        self._interval_s = interval_s
        self._cycles = 0
        self._woken = Wake.INTERVAL

    def run(self, config: Config) -> int:
        """Run until the gate is closed; how many cycles there were."""
        while self._station.gate.closed is None:
            config = self._serve(config)
        return self._cycles

    def _serve(self, config: Config) -> Config:
        """Cycles on ports that stay open; the configuration to go on with, on ports opened anew."""
        with ExitStack() as stack:
            world: World | None = None
            while self._station.gate.closed is None:
                if world is not None and not world.ledger.in_place:
                    log.warning("%s was taken away or replaced; it is opened anew", world.ledger.path)
                    return config
                begun = self._station.clock.now()
                plan_id = ""
                try:
                    if world is None:
                        world = stack.enter_context(self._station.open_world(config))
                        for notice in world.ledger.notices:
                            log.warning("%s", notice)
                    plan_id = world.new_plan_id()
                    self._cycle(world, plan_id, begun)
                except AutoscaleError as error:
                    self._tell(plan_id, begun, {"status": "failed", "error": f"{type(error).__name__}: {error}"})
                    self._station.after(world, None, self._station.clock.now() - begun)
                    is_broken = world is None or isinstance(error, LedgerError)
                else:
                    is_broken = False
                self._wait(begun)
                following = self._reloaded(config)
                if is_broken or following is not config:
                    return following
        return config

    def _cycle(self, world: World, plan_id: str, begun: float) -> None:
        deadline_s = world.config.loop.cycle_deadline_s
        self._station.gate.begin(deadline_s)
        try:
            report = run_cycle(replace(world, new_plan_id=lambda: plan_id), until=begun + deadline_s)
        finally:
            self._station.remember(world)
        for notice in report.notices:
            log.warning("plan=%s %s", plan_id, notice)
        self._tell(plan_id, begun, describe_cycle(report))
        self._station.after(world, report, self._station.clock.now() - begun)

    def _tell(self, plan_id: str, begun: float, found: dict[str, object]) -> None:
        self._cycles += 1
        took_s = self._station.clock.now() - begun
        head = {"plan": plan_id or "-", "cycle": self._cycles, "woken": self._woken.value, "seconds": took_s}
        level = logging.ERROR if found["status"] == "failed" else logging.INFO
        log.log(level, "%s", render_line({**head, **found}))

    def _wait(self, begun: float) -> None:
        """Until the next cycle is due. A clock that was set back does not make the wait longer than the interval."""
        if self._station.gate.closed is None:
            left_s = self._interval_s - (self._station.clock.now() - begun)
            self._woken = self._station.waiter.wait(min(max(left_s, 0.0), self._interval_s))

    def _reloaded(self, config: Config) -> Config:
        """The configuration for the next cycle: a new one when it was asked for and is good."""
        if not self._station.reload_asked():
            return config
        try:
            new = self._station.load()
            refuse_move(config, new)
        except ConfigError as error:
            for problem in error.problems:
                log.log(logging.ERROR, "the new configuration is refused, the old one stays: %s", problem)
            return config
        log.info("the configuration was read again")
        return new


def refuse_move(old: Config, new: Config) -> None:
    """Raise ConfigError for changes that a run which holds its locks cannot follow (they need a restart)."""
    problems = [
        Problem(path, "cannot change while the program runs; stop it and start it again")
        for path, before, after in (
            ("ledger.path", old.ledger.path, new.ledger.path),
            ("aks.owner", old.aks.owner, new.aks.owner),
            ("loop.lease", old.loop.lease, new.loop.lease),
            ("loop.wake_socket", old.loop.wake_socket, new.loop.wake_socket),
            ("loop.wake_delay_s", old.loop.wake_delay_s, new.loop.wake_delay_s),
            ("logging", old.logging, new.logging),
            ("metrics", old.metrics, new.metrics),
        )
        if before != after
    ]
    if problems:
        raise ConfigError(problems)
