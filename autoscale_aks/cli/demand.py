"""`azaks demand`: what would be done, from the very code that does it. Writes nothing anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autoscale_aks.cli.cost_report import explain_cost_option, print_cost
from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.options import config_option, format_option
from autoscale_aks.cli.output import console, print_demand, print_json
from autoscale_aks.cli.wiring import reading_world
from autoscale_aks.config import load_config
from autoscale_aks.reconcile import observe_and_plan
from autoscale_aks.reports.demand import render_demand, summarise

if TYPE_CHECKING:
    from pathlib import Path


@click.command("demand")
@config_option
@format_option
@explain_cost_option
def command(config_path: Path, form: str, *, explain_cost: bool) -> None:
    """Show what would start, what would stop, and what waits and why.

    Reads the scheduler, the cloud and the ledger, and makes the plan that `autoscale` would carry out now. The
    cloud sees only GETs and the ledger's file does not change.

    \b
    Example: azaks demand -c autoscale.json --format json
    """
    config = load_config(config_path)
    configure_logging(config.logging)
    with reading_world(config) as world:
        seen, plan = observe_and_plan(world)
    report = summarise(plan, seen.snapshot, seen.notices)
    if form == "json":
        print_json(render_demand(report, plan))
    else:
        print_demand(report, console())
        if explain_cost:
            print_cost(plan, console())
