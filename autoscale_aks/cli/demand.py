"""`azaks demand`: what would be done, from the very code that does it. Writes nothing anywhere but to `--output`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autoscale_aks.cli.cost_report import explain_cost_option, print_cost
from autoscale_aks.cli.demand_history import DAY_S, boot_seconds, timeline_of
from autoscale_aks.cli.demand_options import report_format, report_options
from autoscale_aks.cli.demand_output import Face, file_console, read_previous, write
from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.main import DONE, WOULD_CHANGE
from autoscale_aks.cli.options import config_option
from autoscale_aks.cli.output import console
from autoscale_aks.cli.wiring import reading_world
from autoscale_aks.collector import paused_collector
from autoscale_aks.config import load_usable
from autoscale_aks.reconcile import observe_and_plan
from autoscale_aks.reconcile.cycle import effective_policy
from autoscale_aks.reports.demand import summarise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.reports.figures import SourceRow


@click.command("demand")
@config_option
@report_format
@report_options
@explain_cost_option
def command(
    config_path: Path,
    form: str,
    output: Path | None,
    table_name: str | None,
    previous: Path | None,
    exit_code: bool,
    explain_cost: bool,
) -> int:
    """Show what would start, what would stop, and what waits and why.

    Reads the scheduler, the cloud and the ledger, and makes the plan that `autoscale` would carry out now. The
    cloud sees only GETs and the ledger's file does not change.

    The HTML page is one file that needs nothing else; the JSON has a schema (docs/schemas) and can be compared with
    later ones. With --exit-code the status is 3 when machines would start or stop.

    \b
    Examples: azaks demand -c autoscale.json
              azaks demand -c autoscale.json --format html -o demand.html
              azaks demand -c autoscale.json --format json -o now.json
              azaks demand -c autoscale.json --diff now.json --exit-code
    """
    earlier = read_previous(previous)
    config = load_usable(config_path)
    configure_logging(config.logging)
    with reading_world(config) as world:
        seen, plan = observe_and_plan(world)
        notices = (*seen.notices, *seen.requested.notices)
        records = world.ledger.machines(include_gone=True)
        policy, kinds = effective_policy(world, seen.requested), world.kinds
    with paused_collector():
        report = summarise(
            plan, seen.snapshot, notices, policy=policy, kinds=kinds, boot_s=boot_seconds(records),
            references=seen.references,
        )  # fmt: skip
        face = Face(report, plan, subject=f"{config.aks.cluster}, {config.aks.owner}", previous=earlier)
        if form == "table" and output is None:
            face.show(console())
            if explain_cost:
                print_cost(plan, policy, console(), report.sources)
        elif form == "table" and output is not None:
            write_table(face, output, (plan, policy, report.sources) if explain_cost else None)
        else:
            now = seen.snapshot.now or 0.0
            write(face.text(form, table_name, lambda: timeline_of(records, now - DAY_S, now)), output)
    if output is not None:
        click.echo(f"written to {output}", err=True)
    return WOULD_CHANGE if exit_code and report.would_change else DONE


def write_table(face: Face, path: Path, costs: tuple[Plan, Policy, Sequence[SourceRow]] | None = None) -> None:
    """The terminal's face as plain text in a file, with what `--explain-cost` says where `costs` are given."""
    import io  # noqa: PLC0415

    stream = io.StringIO()
    out = file_console(stream)
    face.show(out)
    if costs is not None:
        plan, policy, sources = costs
        print_cost(plan, policy, out, sources)
    write(stream.getvalue(), path)
