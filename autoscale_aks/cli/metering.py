"""From the configuration's `metrics` to a meter that is fed after every cycle; never a reason for a cycle to fail."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

from autoscale_aks.errors import AutoscaleError, LedgerError
from autoscale_aks.loop.metrics import Meter
from autoscale_aks.reconcile.history import WAITING
from autoscale_aks.reconcile.waiting import oldest_by_reason, parse_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autoscale_aks.clock import Clock
    from autoscale_aks.config import Config
    from autoscale_aks.loop.exposition import Pulse
    from autoscale_aks.reconcile import CycleReport, World

log: Final = logging.getLogger(__name__)
COUNTERS: Final = "metrics"
"""The ledger's flag with the counters, for the next process."""


@final
class Metering:
    """Feeds a meter and shows it where the configuration says."""

    def __init__(self, config: Config, clock: Clock, pulse: Pulse | None = None) -> None:
        self._config = config
        self._clock = clock
        self._pulse = pulse
        self._meter = Meter()
        self._restored = False
        self.page = b""
        self._render()

    def after(self, world: World | None, report: CycleReport | None, took_s: float) -> None:
        """A cycle ended; no report: it failed, and without a world the ledger could not be opened."""
        now = self._clock.now()
        if self._pulse is not None:
            self._pulse.beat()
        try:
            if world is not None and not self._restored:
                self._meter.restore(world.ledger.flag(COUNTERS))
                self._restored = True
            if report is None or world is None:
                self._meter.cycle_failed(now=now, took_s=took_s)
            else:
                oldest = oldest_by_reason(parse_groups(world.ledger.memory(WAITING)))
                self._meter.cycle_done(report, world.config, now=now, took_s=took_s, oldest=oldest)
            if world is not None:
                world.ledger.set_flag(COUNTERS, self._meter.dump())
        except LedgerError as error:
            log.warning("the counters of the metrics are not kept: %s", error)
        self._render()

    def _render(self) -> None:
        from autoscale_aks.loop.exposition import render_metrics, write_textfile  # noqa: PLC0415  only where it is used

        self.page = render_metrics(self._meter)
        path = self._config.metrics.textfile
        if path is not None and self._meter.values["last_cycle_timestamp_seconds"]:
            try:
                write_textfile(path, self.page)
            except OSError as error:
                log.warning("metrics.textfile %s cannot be written: %s", path, error.strerror or error)


@contextmanager
def metered(world: World) -> Iterator[Callable[[CycleReport], None]]:
    """One cycle, for cron: hand over its report; one that raises is counted as failed. Off unless configured."""
    if world.config.metrics.textfile is None:
        yield lambda _: None
        return
    metering = Metering(world.config, world.clock)
    begun = world.clock.now()

    def done(report: CycleReport) -> None:
        metering.after(world, report, world.clock.now() - begun)

    try:
        yield done
    except AutoscaleError:
        metering.after(world, None, world.clock.now() - begun)
        raise
