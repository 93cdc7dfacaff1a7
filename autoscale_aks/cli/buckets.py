"""`azaks buckets`: what may be launched, what its nodes will have, and whose word that is."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.options import format_option
from autoscale_aks.cli.output import console, money, print_json, table
from autoscale_aks.cli.wiring import reading_world
from autoscale_aks.config import load_config
from autoscale_aks.errors import Problem, ScenarioError
from autoscale_aks.planning.scenario import decode_scenario, parse_json
from autoscale_aks.reconcile.cycle import effective_policy
from autoscale_aks.reconcile.observe import observe
from autoscale_aks.reports.buckets import check_resource, list_buckets, render_buckets
from autoscale_aks.reports.explain import render_binding
from autoscale_aks.units import format_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.reports.buckets import BucketListing, BucketRow


@dataclass(frozen=True, slots=True)
class Question:
    """What a question is asked about: a live look at everything, or a scenario."""

    snapshot: Snapshot
    policy: Policy
    kinds: Kinds


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`-c CONFIG` or `--scenario FILE|-`, one of them."""
    scenario = click.option("--scenario", metavar="FILE|-", help="A scenario file instead; - reads stdin.")
    config = click.option(
        "-c",
        "--config",
        "config_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The configuration file (autoscale.json): scheduler, cloud and ledger are read.",
    )
    return config(scenario(command))


def read_question(config_path: Path | None, scenario: str | None) -> Question:
    """Look at everything once, or read the scenario. Writes nothing anywhere. Raises what reading them raises."""
    if (config_path is None) == (scenario is None):
        raise click.UsageError("Give either -c CONFIG or --scenario FILE.")
    if config_path is not None:
        with reading_world(load_config(config_path)) as world:
            seen = observe(world)
            return Question(seen.snapshot, effective_policy(world, seen.requested), world.kinds)
    snapshot, policy = decode_scenario(parse_json(_text(str(scenario))))
    return Question(snapshot, policy, {})


def _text(source: str) -> str:
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([Problem(source, f"cannot be read: {error}")]) from error


@click.command("buckets")
@source_options
@click.option("--resource", metavar="NAME", help="Only this resource: its value on each bucket and where it is from.")
@format_option
def command(config_path: Path | None, scenario: str | None, resource: str | None, form: str) -> None:
    """List the buckets: size, price, what may be launched now and which limit binds, resources.

    Entries of default_resources that can never apply are warned of. Existing and in-flight machines are charged on
    the limits; waiting jobs are not.

    \b
    Example: azaks buckets -c autoscale.json --resource mem
    """
    question = read_question(config_path, scenario)
    listing = list_buckets(question.snapshot, question.policy)
    if resource is not None:
        check_resource(listing, resource)
    if form == "json":
        print_json(render_buckets(listing, resource))
        return
    out = console()
    if resource is None:
        _print_buckets(listing, out)
    else:
        _print_resource(listing, resource, out)
    for warning in listing.warnings:
        out.print(f"warning: {warning}", style="yellow", markup=False)


def _print_buckets(listing: BucketListing, out: Console) -> None:
    if not listing.rows:
        out.print("There is no bucket.")
        return
    rows = [
        (
            row.bucket.id,
            f"{row.bucket.offering.vcpu_count:,}",
            format_value(row.bucket.offering.memory),
            money(row.bucket.offering.price),
            _available(row),
            render_binding(row.outcome) + _state(row),
        )
        for row in listing.rows
    ]
    columns = ("bucket", "cores", "memory", "$/h", "available", "binding limit")
    out.print(table("Buckets", columns, rows, right=(1, 2, 3, 4)))
    out.print()
    own = [(row.bucket.id, _own_resources(row)) for row in listing.rows]
    out.print(table("Resources (built-in ones left out)", ("bucket", "resources"), own))


def _available(row: BucketRow) -> str:
    return "any" if row.outcome.available_before is None else f"{row.outcome.available_before:,}"


def _state(row: BucketRow) -> str:
    """What keeps new nodes away beside limits."""
    states = []
    if not row.bucket.array.enabled:
        states.append("not enabled")
    if row.retry_at:
        states.append(f"in back-off, retry at {row.retry_at}")
    return f"; {', '.join(states)}" if states and render_binding(row.outcome) else ", ".join(states)


def _own_resources(row: BucketRow) -> str:
    return " ".join(
        f"{name}={format_value(value)}"
        for name, value in sorted(row.resources.items())
        if row.sources.get(name) != "built-in"
    )


def _print_resource(listing: BucketListing, resource: str, out: Console) -> None:
    rows = [
        (
            row.bucket.id,
            format_value(row.resources[resource]) if resource in row.resources else "not defined",
            row.source_path(resource) or "",
        )
        for row in listing.rows
    ]
    out.print(table(f"Resource {resource}", ("bucket", "value", "from"), rows, right=(1,)))
    used = dict.fromkeys(row.sources.get(resource) for row in listing.rows)
    for source in used:
        entry = listing.entry(source)
        if entry is not None:
            shown = json.dumps(entry, default=lambda value: dict(value) if hasattr(value, "keys") else float(value))
            out.print(f"{source}: {shown}", style="dim", markup=False)
