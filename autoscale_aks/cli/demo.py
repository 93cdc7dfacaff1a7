"""`azaks demo`: the main job end to end against the embedded emulator, over real HTTP, without Azure."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from autoscale_aks.cli.autoscale import print_cycle
from autoscale_aks.cli.demand_face import print_demand
from autoscale_aks.cli.main import DONE, IN_PART
from autoscale_aks.cli.output import console, money, table
from autoscale_aks.cli.progress import ChunkProgress
from autoscale_aks.cli.wiring import reading_world, with_emulator, writing_world
from autoscale_aks.cloud.aks.readiness import new_node_percentiles
from autoscale_aks.config import LedgerConfig, SchedulerConfig, load_config
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings
from autoscale_aks.errors import ConfigError, Problem
from autoscale_aks.loop import run_until
from autoscale_aks.reconcile import observe_and_plan, run_cycle
from autoscale_aks.reconcile.group_pools import find_pools
from autoscale_aks.reports.demand import summarise

if TYPE_CHECKING:
    from rich.console import Console

    from autoscale_aks.config import Config
    from autoscale_aks.emulator.server import EmulatorServer
    from autoscale_aks.reconcile import CycleReport, World

SPEED: Final = 30.0
"""Emulated seconds per second: a boot of a minute and a half takes three seconds."""
LATENCY_S: Final = 0.05
_READY_WAIT_S: Final = 40.0
_POLL_S: Final = 0.25
_LAST_CYCLES: Final = 40


@dataclass(slots=True)
class _Story:
    """What the demo checks at its end."""

    planned: int = 0
    made: int = 0
    deleted: int = 0
    puts: int = 0
    failures: list[str] | None = None

    def fail(self, what: str) -> None:
        self.failures = [*(self.failures or ()), what]


@click.command("demo")
@click.option(
    "--conf",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("conf"),
    show_default=True,
    help="Where demo/autoscale.json and sample/ are.",
)
def command(directory: Path) -> int:
    """Run a captured Slurm queue against the emulator: demand, machines, ready nodes, and everything gone again.

    Exit status 0 only if every planned machine existed at the end of scale-out and none at the end of scale-in.

    \b
    Example: azaks demo --conf conf
    """
    out = console()
    config = load_config(directory / "demo" / "autoscale.json")
    cluster = ClusterSpec(
        subscription=config.aks.subscription,
        resource_group=config.aks.resource_group,
        name=config.aks.cluster,
        location=config.aks.location or "southcentralus",
    )
    settings = EmulatorSettings(clusters=(cluster,), speed=SPEED, latency_s=LATENCY_S)
    with tempfile.TemporaryDirectory(prefix="azaks-demo-") as scratch, _emulator(settings) as emulator:
        config = replace(
            with_emulator(config, emulator.base_url), ledger=LedgerConfig(path=Path(scratch) / "ledger.sqlite")
        )
        out.print(
            f"An emulated AKS cluster answers on {emulator.base_url}; its clock runs {SPEED:.0f} times as fast.\n"
        )
        story = _tell(config, directory / "sample", emulator, out)
    for failure in story.failures or ():
        out.print(f"FAILED: {failure}", style="red")
    return IN_PART if story.failures else DONE


def _emulator(settings: EmulatorSettings) -> EmulatorServer:
    try:
        from autoscale_aks.emulator.server import EmulatorServer  # noqa: PLC0415  an extra, which --help must not need
    except ImportError as error:
        raise ConfigError(
            [Problem("demo", f"needs the extra: pip install autoscale_aks[emulator] ({error})")]
        ) from error
    return EmulatorServer(settings)


def _tell(config: Config, samples: Path, emulator: EmulatorServer, out: Console) -> _Story:
    story = _Story()
    busy, empty = _queue(config, samples / "slurm"), _queue(config, samples / "slurm-empty")
    _chapter(out, "1. The demand report: what a cycle would do now (azaks demand)")
    with reading_world(busy) as world:
        seen, plan = observe_and_plan(world)
        print_demand(summarise(plan, seen.snapshot, policy=busy.policy), out)
    _check(story, not _writes(emulator), "the dry run sent writes")
    _chapter(out, "2. One cycle: the same plan goes out (azaks autoscale)")
    with writing_world(busy) as world:
        report = run_cycle(world, ChunkProgress(out))
        print_cycle(report, out)
        _scale_out(world, report, emulator, out, story)
        _check(story, [claim.name for claim in report.plan.claims] == [claim.name for claim in plan.claims],
               "the cycle did not do what the report said")  # fmt: skip
        _chapter(out, "4. The next cycle: the nodes are there, so there is nothing to start")
        again = run_cycle(world, ChunkProgress(out))
        out.print(f"{len(again.plan.claims)} machines to start, {len(again.releases.deleted)} to stop.")
        _check(story, not again.plan.claims, "the second cycle asked for machines again")
    _chapter(out, "5. The work ends: idle machines leave")
    with writing_world(empty) as world:
        _scale_in(world, emulator, out, story)
    _chapter(out, "In all")
    _sum_up(story, report, out)
    return story


def _queue(config: Config, capture: Path) -> Config:
    """The configuration with the queue read from captured files."""
    settings = {**config.scheduler.settings, "capture_dir": str(capture.resolve())}
    return replace(config, scheduler=SchedulerConfig(type=config.scheduler.type, settings=settings))


def _scale_out(world: World, report: CycleReport, emulator: EmulatorServer, out: Console, story: _Story) -> None:
    planned = {claim.name for claim in report.plan.claims}
    made = machine_names(emulator)
    story.planned, story.made, story.puts = len(planned), len(made), report.puts
    _check(story, bool(planned), "nothing was planned")
    _check(
        story, made == planned, f"{len(planned - made)} planned machines are missing, {len(made - planned)} are extra"
    )
    _chapter(out, "3. Machines become nodes")
    started = min((chunk.started_at for chunk in report.chunks), default=world.clock.now())
    ready = _wait_ready(world, len(planned))
    reached = new_node_percentiles(0, len(planned), ready, started)
    rows = [
        (
            percentage,
            f"{entry.target_nodes:,}",
            "never" if entry.elapsed_s is None else f"{entry.elapsed_s:.1f}",
            "" if entry.elapsed_s is None else f"{entry.elapsed_s * SPEED:,.0f}",
        )
        for percentage, entry in reached.items()
    ]
    columns = ("share", "nodes ready", "seconds here", "seconds on the emulated clock")
    out.print(table("Readiness since the first PUT", columns, rows, right=(1, 2, 3)))
    _check(story, len(ready) >= len(planned), f"only {len(ready)} of {len(planned)} nodes became ready")


def _wait_ready(world: World, expected: int) -> list[float]:
    """When each new node was first seen ready."""
    first_seen: dict[str, float] = {}
    pools, _ = find_pools(world)
    deadline = world.clock.now() + _READY_WAIT_S
    while len(first_seen) < expected and world.clock.now() < deadline:
        now = world.clock.now()
        for node in world.cloud.list_nodes(pools):
            if node.ready:
                first_seen.setdefault(node.name, now)
        world.clock.sleep(_POLL_S)
    return sorted(first_seen.values())


def _scale_in(world: World, emulator: EmulatorServer, out: Console, story: _Story) -> None:
    out.print(
        f"The queue is empty now; machines leave after {world.config.policy.idle_timeout.default_s:.0f} idle seconds."
    )

    def is_over(report: CycleReport) -> bool:
        deleted = report.releases.deleted
        story.deleted += len(deleted)
        if deleted:
            out.print(f"{len(deleted):,} idle machines: closed, looked at again, delete accepted")
        return not report.observation.snapshot.nodes

    run_until(world, is_over, interval_s=0.5, cycles=_LAST_CYCLES)
    left = machine_names(emulator)
    out.print(f"{len(left)} machines are left.")
    _check(story, not left, f"{len(left)} machines are still there")


def machine_names(emulator: EmulatorServer) -> set[str]:
    """What really exists, asked of the emulator's own store."""
    emulator.catch_up()
    return {machine.name for pool in emulator.state.pools() for machine in pool.listed()}


def _writes(emulator: EmulatorServer) -> int:
    return sum(entry.method != "GET" for entry in emulator.journal.entries())


def _sum_up(story: _Story, report: CycleReport, out: Console) -> None:
    price = report.plan.price_per_hour
    out.print(
        f"planned {story.planned:,} machines, made {story.made:,} with {story.puts:,} PUTs, "
        f"deleted {story.deleted:,}; while they ran they would have cost ${money(price)} an hour."
    )


def _check(story: _Story, holds: bool, failure: str) -> None:
    if not holds:
        story.fail(failure)


def _chapter(out: Console, title: str) -> None:
    out.print()
    out.rule(title, align="left", style="dim")
