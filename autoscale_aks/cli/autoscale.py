"""`azaks autoscale`: one cycle."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.demand_face import print_demand
from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.main import DONE, IN_PART, UNAVAILABLE
from autoscale_aks.cli.metering import metered
from autoscale_aks.cli.options import config_option, format_option, quiet_option
from autoscale_aks.cli.output import console, print_json
from autoscale_aks.cli.progress import ChunkProgress
from autoscale_aks.cli.wiring import writing_world
from autoscale_aks.clock import SystemClock
from autoscale_aks.cloud.gate import Gate
from autoscale_aks.config import load_usable
from autoscale_aks.loop import Signals
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.reports.demand import render_demand, summarise

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from autoscale_aks.model.policy import Policy
    from autoscale_aks.reconcile import CycleReport


@click.command("autoscale")
@config_option
@format_option
@quiet_option
def command(config_path: Path, form: str, quiet: bool) -> int:
    """Run one cycle: observe, plan, apply, record.

    For cron. Only one run writes at a time: a second one exits with status 4 and says who is at it. A mistake in one
    bucket or node array leaves out only that, with status 1; its machines stay.

    \b
    Example: azaks autoscale -c autoscale.json
    """
    out = console(stderr=form == "json")
    config = load_usable(config_path)
    configure_logging(config.logging)
    clock = SystemClock()
    gate = Gate(clock.now)
    with Signals(gate.close, stop=[signal.SIGTERM], reload=[]), writing_world(config, clock, gate) as world:
        begun = clock.now()
        gate.begin(config.loop.cycle_deadline_s)
        for notice in world.ledger.notices:
            out.print(f"note: {notice}", markup=False)
        with metered(world) as done:
            report = run_cycle(world, ChunkProgress(out, quiet=quiet), until=begun + config.loop.cycle_deadline_s)
            done(report)
    seen = report.observation
    if form == "json":
        print_json(render_cycle(report, config.policy))
    else:
        print_demand(summarise(report.plan, seen.snapshot, seen.notices, policy=config.policy), out)
        print_cycle(report, out)
    if report.is_cloud_down:
        return UNAVAILABLE
    return DONE if report.is_clean and not config.left_out.problems else IN_PART


def print_cycle(report: CycleReport, out: Console) -> None:
    """What was asked, made and deleted."""
    counts = {state: len(report.names(state)) for state in LaunchState}
    out.print()
    out.print(
        f"asked for {report.asked:,} machines with {report.puts:,} PUTs: "
        f"{counts[LaunchState.ACCEPTED]:,} accepted, {counts[LaunchState.REJECTED]:,} rejected, "
        f"{counts[LaunchState.UNKNOWN]:,} unknown"
    )
    out.print(f"deleted {len(report.releases.deleted):,} machines")
    for name in report.releases.reopened:
        out.print(f"  {name}: reopened, a job landed on it", markup=False)
    for name, why in report.releases.kept.items():
        out.print(f"  {name}: not released: {why}", markup=False)
    for notice in report.notices:
        out.print(f"note: {notice}", markup=False)


def render_cycle(report: CycleReport, policy: Policy | None = None) -> dict[str, Any]:
    """The cycle as JSON: the demand report, and what was done about it."""
    seen = report.observation
    return {
        "plan_id": report.plan_id,
        "done": {
            "puts": report.puts,
            "accepted": report.names(LaunchState.ACCEPTED),
            "rejected": [
                {
                    "name": one.name,
                    "kind": one.kind.value if one.kind else None,
                    "code": one.code,
                    "message": one.message,
                }
                for chunk in report.chunks
                for one in chunk.outcomes
                if one.state is LaunchState.REJECTED
            ],
            "unknown": report.names(LaunchState.UNKNOWN),
            "deleted": report.releases.deleted,
            "reopened": report.releases.reopened,
            "kept": report.releases.kept,
            "withheld": [release.node.name for release in report.plan.withheld],
            "notices": list(report.notices),
        },
        "demand": render_demand(summarise(report.plan, seen.snapshot, seen.notices, policy=policy), report.plan),
    }
