"""`azaks run`: a cycle an interval until it is told to stop."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.main import DONE
from autoscale_aks.cli.options import config_option, quiet_option
from autoscale_aks.cli.wiring import opened_world, remember, writing_locks
from autoscale_aks.clock import SystemClock
from autoscale_aks.cloud.gate import Gate
from autoscale_aks.config import load_config, load_usable
from autoscale_aks.loop import Resident, Signals, SocketWaiter, Station, WakeSocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from autoscale_aks.clock import Clock
    from autoscale_aks.config import Config
    from autoscale_aks.reconcile import CycleReport, World

log = logging.getLogger(__name__)


@click.command("run")
@config_option
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.1, max=86_400),
    default=30.0,
    show_default=True,
    help="Seconds from the beginning of one cycle to the beginning of the next.",
)
@quiet_option
def command(config_path: Path, interval_s: float, quiet: bool) -> int:
    """Run a cycle an interval, one line of log each, until SIGTERM or SIGINT.

    The request under way then ends and is recorded, no other is sent, and the status is 0. SIGHUP reads the
    configuration again between cycles; one with mistakes is refused and the old one stays. A cycle that fails is
    told of and the next one tried. A message on loop.wake_socket asks for a cycle soon. metrics.listen serves /metrics,
    and /healthz for probes.

    \b
    Example: azaks run -c autoscale.json --interval 30
    """
    config = load_usable(config_path)
    configure_logging(config.logging)
    for problem in config.left_out.problems:
        logging.getLogger("autoscale_aks.cycle").warning("left out of the configuration: %s", problem)
    if config.logging.config_file is None and not quiet:
        logging.getLogger("autoscale_aks.cycle").setLevel(logging.INFO)
    clock = SystemClock()
    gate = Gate(clock.now)
    with ExitStack() as stack:
        signals = stack.enter_context(Signals(gate.close))
        heart = stack.enter_context(writing_locks(config, clock, gate))
        path = config.loop.wake_socket
        wake = stack.enter_context(WakeSocket(path)) if path is not None else None
        after = _metered(config, clock, interval_s, stack)
        station = Station(
            open_world=lambda chosen: opened_world(chosen, clock, gate),
            load=lambda: load_config(config_path),
            remember=remember,
            reload_asked=signals.take_reload,
            clock=clock,
            gate=gate,
            waiter=SocketWaiter(signals, wake, settle_s=config.loop.wake_delay_s),
            after=after,
        )
        Resident(station, interval_s=interval_s).run(config)
        heart.check()
    return DONE


def _metered(
    config: Config, clock: Clock, interval_s: float, stack: ExitStack
) -> Callable[[World | None, CycleReport | None, float], None]:
    """What is told of every cycle: metrics and the health page, where the configuration wants any."""
    if config.metrics.listen is None and config.metrics.textfile is None:
        return lambda *_: None
    from autoscale_aks.cli.metering import Metering  # noqa: PLC0415  only where it is used
    from autoscale_aks.loop.exposition import MetricsServer, Pulse  # noqa: PLC0415

    limit_s = config.loop.cycle_deadline_s + 3 * interval_s
    pulse = Pulse(clock=clock, limit_s=limit_s, last=clock.now())
    metering = Metering(config, clock, pulse)
    if config.metrics.listen is not None:
        server = stack.enter_context(MetricsServer(config.metrics.listen, lambda: metering.page, pulse))
        log.info("metrics and health on %s:%d", config.metrics.listen[0], server.port)
    return metering.after
