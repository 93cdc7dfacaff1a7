"""`azaks simulate`: a workload replayed in virtual time through the real cycle, on the emulator (user ask T26)."""

from __future__ import annotations

import itertools
import random
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from frozendict import frozendict

from autoscale_aks.cli.main import DONE, IN_PART
from autoscale_aks.cli.options import config_option, quiet_option, read_text
from autoscale_aks.cli.rows import Column, Listing, print_rows, row_options
from autoscale_aks.cli.terminal import busy, write_lines
from autoscale_aks.cli.wiring import build_client, smallest_batch, with_emulator
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.config import LedgerConfig, load_config
from autoscale_aks.errors import ConfigError, Problem
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.planning.scenario import parse_json
from autoscale_aks.reconcile import World
from autoscale_aks.reconcile.catalogue import GIB, known_offline
from autoscale_aks.reports.simulation import render_simulation, rows_by_bucket, sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.clock import Clock
    from autoscale_aks.config import Config
    from autoscale_aks.emulator.server import EmulatorServer
    from autoscale_aks.schedulers.port import SchedulerPort
    from autoscale_aks.simulator import Stage

START: Final = 1_800_000_000.0
"""When every simulation begins, so that equal ones are equal: 2027-01-15T08:00:00Z."""
LISTING: Final = Listing(
    verb="simulate",
    title="Machines",
    nothing="No machine was made.",
    columns=(
        Column(name="nodearray", title="node array", meaning="Its node array."),
        Column(name="vm_size", title="VM size", meaning="Its VM size."),
        Column(name="machines", meaning="How many were made.", is_number=True),
        Column(name="machine_hours", title="machine-hours", meaning="How long they were there.", is_number=True,
               show=lambda hours: f"{hours:,.1f}"),
        Column(name="busy_hours", meaning="How long they had work.", is_number=True, is_default=False,
               show=lambda hours: f"{hours:,.1f}"),
        Column(name="busy", meaning="The share of their time in which they had work.", is_number=True,
               show=lambda share: f"{share:.0%}"),
        Column(name="cost", meaning="What they cost; none: a price is not known.", is_number=True, absent="?",
               show=lambda cost: f"{cost:,.2f}"),
    ),
)  # fmt: skip


@click.command("simulate")
@click.argument("workload_path", metavar="WORKLOAD", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@click.option(
    "--interval", type=click.FloatRange(min=1), default=30.0, show_default=True, help="Seconds from cycle to cycle."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of boot times and faults.")
@click.option("--settings", "settings_path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The emulator's switches as JSON: boot times, faults, quota.")  # fmt: skip
@row_options(LISTING)
@quiet_option
def command(workload_path: Path, config_path: Path, interval: float, choice: RowChoice, **options: Any) -> int:
    """Replay a workload in virtual time on an emulated cluster: waiting times, machine-hours, cost, waste.

    Nothing of the site is touched: neither its cluster nor its ledger nor its scheduler. WORKLOAD is JSON,
    {"jobs": [{"at": 0, "duration": 600, "constraints": [{"ncpus": 4}]}]}. Exit status 1 when jobs had not ended.

    \b
    Example: azaks simulate workload.json -c autoscale.json --interval 30
    """
    from autoscale_aks.simulator import read_workload, simulate  # noqa: PLC0415  needs an extra, --help must not

    workload = read_workload(parse_json(read_text(str(workload_path)), str(workload_path)), str(workload_path))
    with (
        busy(f"simulating {len(workload.jobs):,} jobs", quiet=options["quiet"]),
        staged(load_config(config_path), seed=options["seed"], settings_path=options["settings_path"]) as stage,
    ):
        run = simulate(workload, stage, interval_s=interval)
    rows = [
        {**row, "busy": row["busy_hours"] / row["machine_hours"] if row["machine_hours"] else None}
        for row in rows_by_bucket(run)
    ]
    if choice.is_for_people:
        write_lines([*sentences(run), ""])
    print_rows(LISTING, rows, choice, within=lambda shown: {**render_simulation(run), "by_bucket": shown})
    return IN_PART if run.unfinished else DONE


@contextmanager
def staged(config: Config, *, seed: int = 0, settings_path: Path | None = None) -> Iterator[Stage]:
    """An emulated cluster that stands still, with what the configuration calls its own, and an empty ledger."""
    from autoscale_aks.simulator import Stage  # noqa: PLC0415

    with ExitStack() as stack:
        emulator = stack.enter_context(_emulator(config, seed, settings_path))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="azaks-simulate-")))
        there = replace(with_emulator(config, emulator.base_url), ledger=LedgerConfig(path=folder / "ledger.sqlite"))
        there = known_offline(replace(there, aks=replace(there.aks, credential=("emulator",))))
        yield Stage(config=there, emulator=emulator, open_world=partial(_world, there, seed))


@contextmanager
def _world(config: Config, seed: int, scheduler: SchedulerPort, clock: Clock) -> Iterator[World]:
    dice, plans = random.Random(seed), itertools.count(1)  # noqa: S311  jitter is no secret
    effects = Effects(now=clock.now, sleep=clock.sleep, random=dice.random)
    with (
        Ledger.open(config.ledger.path, now=clock.now()) as ledger,
        build_client(config, ledger, effects=effects) as client,
    ):
        yield World(
            config=config,
            scheduler=scheduler,
            cloud=client,
            ledger=ledger,
            clock=clock,
            machines_per_put=smallest_batch(config),
            reads_cluster_nodes=True,
            kinds=frozendict(),
            new_plan_id=lambda: f"{next(plans):012d}",
        )


def _emulator(config: Config, seed: int, settings_path: Path | None) -> EmulatorServer:
    try:
        from autoscale_aks.emulator.server import EmulatorServer  # noqa: PLC0415  an extra, which --help must not need
        from autoscale_aks.emulator.settings import ClusterSpec  # noqa: PLC0415
        from autoscale_aks.emulator.settings_file import load_settings  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            [Problem("simulate", f"needs the extra: pip install autoscale_aks[emulator] ({error})")]
        ) from error
    try:
        given = load_settings(settings_path, speed=0.0)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError([Problem(str(settings_path), str(error))]) from error
    cluster = ClusterSpec(
        subscription=config.aks.subscription,
        resource_group=config.aks.resource_group,
        name=config.aks.cluster,
        location=config.aks.location or ClusterSpec().location,
    )
    sizes = _sizes(known_offline(config)) if given.sizes is None else given.sizes
    settings = replace(given, clusters=(cluster,), seed=seed, start_time=START, request_log_size=100, sizes=sizes)
    return EmulatorServer(settings)


def _sizes(config: Config) -> dict[str, dict[str, Any]]:
    """The emulator's sizes, and those of the configuration that it does not have."""
    from autoscale_aks.emulator.catalog import Catalog  # noqa: PLC0415

    sizes = {one.name: asdict(one) for one in Catalog(None, {})}
    known = {name.casefold() for name in sizes}
    for one in (offering for array in config.arrays for offering in array.offerings):
        if one.vm_size.casefold() not in known:
            sizes[one.vm_size] = {
                "family": one.vm_family,
                "vcpus": one.quota_vcpus,
                "vcpus_available": one.vcpu_count,
                "memory_gib": float(Fraction(one.memory.bytes) / GIB),
                "gpus": one.gpu_count,
                "rdma": one.infiniband,
            }
    return sizes
