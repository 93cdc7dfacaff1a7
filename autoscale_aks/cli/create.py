"""`azaks create`: machines by hand, planned and asked for by the loop's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.acting import (
    LISTING,
    ActRow,
    acting_world,
    agreed,
    begin,
    dry_run_option,
    finish,
    who,
    yes_option,
)
from autoscale_aks.cli.options import config_option, quiet_option
from autoscale_aks.cli.output import console, counted, money
from autoscale_aks.cli.progress import ChunkProgress
from autoscale_aks.cli.rows import row_options
from autoscale_aks.cli.wiring import reading_world
from autoscale_aks.config import load_config
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.model.plan import JobStatus
from autoscale_aks.reconcile.acts import CreateOrder, acting, create, plan_create
from autoscale_aks.reconcile.observe import observe
from autoscale_aks.reports.explain import did_you_mean
from autoscale_aks.reports.sentences import render_message, render_next

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from autoscale_aks.config import Config
    from autoscale_aks.model.plan import NodeClaim, Plan


@click.command("create")
@config_option
@click.option("--nodearray", required=True, metavar="NAME", help="The node array of the configuration.")
@click.option("--count", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Machines.")
@click.option("--vm-size", metavar="SIZE", help="Which size; without it the node array's order decides.")
@click.option("--zone", metavar="ZONE", help="In this zone.")
@click.option("--placement-group", metavar="GROUP", help="In this group: all of them or none.")
@dry_run_option
@yes_option
@row_options(LISTING, filters=False)
@quiet_option
def command(config_path: Path, **options: Any) -> int:
    """Create machines, whether or not jobs want them.

    They are planned under every limit, written to the ledger before their request leaves, and known to the scheduler
    like any other. With no work they leave after the idle timeout: protect what must stay, or set min_nodes.

    \b
    Exit status: 0 all accepted; 1 fewer than asked for;
    4 another run is the writer.
    Example: azaks create -c autoscale.json --nodearray htc --count 5 --dry-run
    """
    config = load_config(config_path)
    begin(config)
    order = _order(config, options)
    layout, quiet = options["choice"], options["quiet"]
    with reading_world(config) as world:
        decided = plan_create(world, observe(world).snapshot, order)
    if options["dry_run"] or not decided.claims:
        rows = [ActRow(claim.name, "would be done", claim.bucket.id) for claim in decided.claims]
        return finish("create", [*rows, *_missing(decided)], (), layout=layout, quiet=quiet)
    if not agreed(f"Create {_described(decided)}?", yes=options["yes"]):
        console(stderr=True).print("Nothing was created.")
        return 0
    with acting_world(config) as world, acting(world, "create") as act:
        decided = plan_create(world, act.seen.snapshot, order)
        act.summary |= {"by": who(), "names": len(decided.claims)}
        progress = ChunkProgress(console(stderr=True), quiet=quiet)
        progress.planned(decided)
        found = create(world, act, decided, progress.chunk_done)
    words = {LaunchState.ACCEPTED: "created", LaunchState.REJECTED: "refused", LaunchState.UNKNOWN: "unknown"}
    rows = [
        ActRow(one.name, words[one.state], ": ".join(part for part in (one.code, one.message) if part))
        for chunk in found.chunks
        for one in chunk.outcomes
    ]
    return finish("create", [*rows, *_missing(decided)], act.notices, layout=layout, quiet=quiet, plan_id=act.plan_id)


def _order(config: Config, options: dict[str, Any]) -> CreateOrder:
    """What is asked for. Raises InputError with each thing that the configuration does not have."""
    name, size, zone, group = (options[key] for key in ("nodearray", "vm_size", "zone", "placement_group"))
    if name not in config.nodearrays:
        hint = did_you_mean(name, list(config.nodearrays)) or f"; known are {', '.join(config.nodearrays)}"
        raise InputError([Problem("--nodearray", f'there is no node array "{name}"{hint}')])
    array = config.nodearrays[name].array
    problems: list[Problem] = []
    for option, wanted, known in (
        ("--vm-size", size, [one.vm_size for one in array.offerings]),
        ("--zone", zone, [one.zone for one in array.offerings if one.zone is not None]),
        ("--placement-group", group, [] if array.new_placement_groups else _groups(array.offerings)),
    ):
        is_free = option == "--placement-group" and array.new_placement_groups
        if wanted is not None and wanted not in known and not is_free:
            listed = ", ".join(dict.fromkeys(known)) or "none"
            problems.append(Problem(option, f'node array {name} has no "{wanted}"; it has {listed}'))
    if not array.enabled:
        problems.append(Problem("--nodearray", f"{name} is not enabled (nodearrays.{name}.enabled)"))
    if problems:
        raise InputError(problems)
    return CreateOrder(nodearray=name, count=options["count"], vm_size=size, zone=zone, placement_group=group)


def _groups(offerings: Iterable[Any]) -> list[str]:
    return [group for one in offerings for group in one.placement_groups]


def _missing(decided: Plan) -> list[ActRow]:
    """A row for what limits do not allow, with the next step."""
    (outcome,) = decided.outcomes
    if outcome.status is JobStatus.SUCCESS:
        return []
    missing = outcome.requested - outcome.slots
    said = "; ".join(part for part in (render_message(outcome.reason), render_next(outcome.reason)) if part)
    return [ActRow(f"{counted(missing, 'machine')} more", "not possible", f"{outcome.reason.code.value}: {said}")]


def _described(decided: Plan) -> str:
    sizes: dict[str, list[NodeClaim]] = {}
    for claim in decided.claims:
        sizes.setdefault(claim.bucket.id, []).append(claim)
    parts = ", ".join(f"{len(claims)} × {bucket}" for bucket, claims in sizes.items())
    return f"{counted(len(decided.claims), 'machine')} ({parts}) for {money(decided.price_per_hour)} an hour"
