"""`azaks machines list|scale|delete`: machines of agent pools, directly, without scheduler or plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from autoscale_aks.cli.direct import (
    chosen_pools,
    direct_client,
    is_agreed,
    list_whole,
    pool_options,
    refuse_strangers,
    strangers_option,
    waiting,
    yes_option,
)
from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.main import DONE, IN_PART
from autoscale_aks.cli.options import config_option, format_option, quiet_option
from autoscale_aks.cli.output import console, counted, print_json, seconds
from autoscale_aks.cli.progress import GoneProgress
from autoscale_aks.cli.rows import Column, Listing, print_rows, row_options
from autoscale_aks.cli.scaling import scale
from autoscale_aks.config import load_config
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.model.launch import OWNER_TAG
from autoscale_aks.reconcile.names import NODEARRAY_TAG, is_ours
from autoscale_aks.units import natural_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.cloud.aks.client import AksClient
    from autoscale_aks.config import Config
    from autoscale_aks.model.launch import DeleteOutcome, Machine, MachineListing

Json = dict[str, Any]

_GONE_WAIT_S: Final = 600.0
_LONGEST_POLL_S: Final = 10.0


@click.group("machines")
def command() -> None:
    """List, create and delete machines directly, without scheduler, plan or ledger.

    Machines made here carry the configuration's owner mark: the next `azaks autoscale` adopts those in its pools,
    and they leave like any other when they have had no work for the idle timeout.

    \b
    Example: azaks machines scale -c autoscale.json --pool htc --count 100
    """


command.add_command(scale)


LISTING: Final = Listing(
    verb="machines",
    title="Machines",
    nothing="There is no machine.",
    columns=(
        Column(name="name", title="machine", meaning="Its name."),
        Column(name="pool", meaning="Its agent pool.", is_default=False),
        Column(name="vm_size", title="size", meaning="Its VM size."),
        Column(name="zone", meaning="Availability zone.", absent="-"),
        Column(name="spot", meaning="Whether it is a spot machine.", is_default=False),
        Column(name="state", meaning="What AKS says; Deleted: its VM is gone."),
        Column(name="owner", meaning="The owner its tag names.", absent="-"),
        Column(name="ours", meaning="Whether it has our mark.", is_default=False),
        Column(name="nodearray", meaning="Its node array, by its tag.", is_default=False),
        Column(name="node_name", meaning="Its Kubernetes node.", is_default=False),
        Column(name="age_s", title="age", meaning="Seconds since it was made.", is_number=True, show=seconds),
        Column(name="error_kind", meaning="What kind of error it failed with.", is_default=False),
        Column(name="error_code", meaning="AKS's code of it.", is_default=False),
        Column(name="error_message", meaning="AKS's words.", is_default=False),
    ),
)


@command.command("list")
@config_option
@pool_options
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only this state, such as Failed.")
@click.option("--ours", is_flag=True, help="Only machines with our owner mark.")
@row_options(LISTING)
@quiet_option
def list_(
    config_path: Path, pools: tuple[str, ...], nodearrays: tuple[str, ...], states: tuple[str, ...], ours: bool,
    choice: RowChoice, quiet: bool,
) -> int:  # fmt: skip
    """List machines with size, zone, state, owner and age; failed ones with their error.

    \b
    Exit status: 0 all listed; 1 a page could not be read.
    Example: azaks machines list -c autoscale.json --state Failed
    """
    config = load_config(config_path)
    configure_logging(config.logging)
    with (
        waiting(console(stderr=True), f"asking {config.aks.cluster}", quiet=quiet),
        direct_client(config, only_looks=True) as client,
    ):
        now = client.effects.now()
        listings = [client.list_machines(pool) for pool in chosen_pools(config, pools, nodearrays)]
    wanted = {state.lower() for state in states}

    def is_wanted(machine: Machine) -> bool:
        return (not wanted or _state(machine).lower() in wanted) and (not ours or is_ours(machine, config.aks.owner))

    found = {listing.pool: [one for one in listing.machines if is_wanted(one)] for listing in listings}
    if choice.is_for_people:
        _print_listings(listings, found, choice, config, now)
    else:
        machines = [_machine_entry(one, config, now) for machines in found.values() for one in machines]
        print_rows(LISTING, machines, choice, config.default_columns, within=lambda rows: _around(rows, listings))
    return DONE if all(listing.complete for listing in listings) else IN_PART


def _state(machine: Machine) -> str:
    """Evicted machines read `Succeeded`; what counts is that their VM is gone (§2.5)."""
    return "Deleted" if machine.vm_state == "Deleted" else machine.provisioning_state or "unknown"


def _around(rows: list[Json], listings: Sequence[MachineListing]) -> Json:
    return {
        "machines": rows,
        "pools": [
            {"pool": listing.pool, "complete": listing.complete, "detail": listing.detail, "pages": listing.pages}
            for listing in listings
        ],
    }


def _machine_entry(machine: Machine, config: Config, now: float) -> Json:
    return {
        "name": machine.name,
        "pool": machine.pool,
        "vm_size": machine.vm_size,
        "zone": machine.zone,
        "spot": machine.spot,
        "state": _state(machine),
        "owner": machine.tags.get(OWNER_TAG),
        "ours": is_ours(machine, config.aks.owner),
        "nodearray": machine.tags.get(NODEARRAY_TAG),
        "node_name": machine.node_name,
        "age_s": None if machine.created_at is None else round(max(0.0, now - machine.created_at)),
        "error_kind": machine.error_kind.value if machine.error_kind else None,
        "error_code": machine.error_code,
        "error_message": machine.error_message,
    }


def _print_listings(
    listings: Sequence[MachineListing], found: Mapping[str, Sequence[Machine]], choice: RowChoice, config: Config,
    now: float,
) -> None:  # fmt: skip
    out = console()
    for listing in listings:
        machines = sorted(found[listing.pool], key=lambda machine: natural_key(machine.name))
        if machines:
            rows = [_shown(machine, config, now) for machine in machines]
            print_rows(replace(LISTING, title=f"Pool {listing.pool}"), rows, choice, config.default_columns)
        _print_failures(machines, out)
        counts = ", ".join(f"{count:,} {state}" for state, count in sorted(Counter(map(_state, machines)).items()))
        said = counted(len(machines), "machine") + (f": {counts}" if counts else "")
        out.print(f"pool {listing.pool}: {said}", markup=False)
        if not listing.complete:
            out.print(f"note: the list of pool {listing.pool} is not complete: {listing.detail}", markup=False)


def _shown(machine: Machine, config: Config, now: float) -> Json:
    """The row as people want it: spot beside the size, and ours even where only the name says so."""
    entry = _machine_entry(machine, config, now)
    size = machine.vm_size + (" spot" if machine.spot else "")
    return {**entry, "vm_size": size, "owner": entry["owner"] or (config.aks.owner if entry["ours"] else None)}


def _print_failures(machines: Sequence[Machine], out: Console) -> None:
    for machine in machines:
        if machine.error_code:
            out.print(f"  {machine.name}: {machine.error_code}: {machine.error_message[:200]}", markup=False)


@command.command("delete")
@config_option
@pool_options
@click.argument("names", nargs=-1, metavar="[MACHINE]...")
@click.option("--all", "everything", is_flag=True, help="Every machine of ours in the pools.")
@click.option("--failed", is_flag=True, help="Every failed or evicted machine of ours in the pools.")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Until they are gone.")
@strangers_option
@yes_option
@format_option
@quiet_option
def delete(config_path: Path, names: tuple[str, ...], **options: Any) -> int:
    """Delete machines: those named, all of ours, or the failed ones of ours.

    Nodes are not drained and the scheduler is not asked: jobs on them are lost. A machine without our owner mark is
    refused, and then nothing at all is deleted. One that is not listed is deleted already.

    \b
    Exit status: 0 deleted; 1 some were refused or their end is unknown.
    Example: azaks machines delete -c autoscale.json --failed --yes
    """
    if not names and not options["everything"] and not options["failed"]:
        raise InputError([Problem("machines", "which? Name them, or give --all or --failed")])
    config = load_config(config_path)
    configure_logging(config.logging)
    out = console(stderr=options["form"] == "json")
    with direct_client(config) as client:
        pools = chosen_pools(config, options["pools"], options["nodearrays"])
        listed = [machine for pool in pools for machine in list_whole(client, pool)]
        _check_names(listed, names)
        chosen = _chosen(listed, names, config, everything=options["everything"], failed=options["failed"])
        foreign = [machine for machine in chosen if not is_ours(machine, config.aks.owner)]
        refuse_strangers(foreign, config.aks.owner, options["strangers"])
        absent = [name for name in dict.fromkeys(names) if name not in {machine.name for machine in listed}]
        if absent and not options["quiet"]:
            shown = ", ".join(absent[:5]) + (" …" if absent[5:] else "")
            out.print(f"not listed in {', '.join(pools)}, so nothing to delete: {shown}", markup=False)
        if chosen and not is_agreed(f"Delete {_described(chosen)}?", yes=options["yes"]):
            out.print("Nothing was deleted.")
            return DONE
        outcomes = _delete(client, chosen)
        leaving = sum(len(outcome.accepted) for outcome in outcomes) if options["wait"] else 0
        with GoneProgress(out, leaving, quiet=options["quiet"]) as progress:
            left = _wait_gone(client, outcomes, progress) if leaving else ()
    _print_deleted(outcomes, left, out, quiet=options["quiet"])
    if options["form"] == "json":
        print_json(_rendered_delete(outcomes, absent, left))
    return IN_PART if left or any(outcome.refused for outcome in outcomes) else DONE


def _check_names(listed: Sequence[Machine], names: Sequence[str]) -> None:
    """Raise InputError for a name that stands in several of the pools: names are unique in one only."""
    for name in dict.fromkeys(names):
        pools = [machine.pool for machine in listed if machine.name == name]
        if len(pools) > 1:
            message = f"{name} stands in the pools {', '.join(pools)}; say which with --pool. Nothing was deleted"
            raise InputError([Problem("machines", message)])


def _chosen(
    listed: Sequence[Machine], names: Sequence[str], config: Config, *, everything: bool, failed: bool
) -> list[Machine]:
    """Named ones whoever's they are, by --all and --failed only ours; those that leave already are left out."""
    named = set(names)
    return [
        machine
        for machine in listed
        if not machine.is_deleting
        and (
            machine.name in named
            or ((everything or (failed and machine.is_failed)) and is_ours(machine, config.aks.owner))
        )
    ]


def _described(machines: Sequence[Machine]) -> str:
    pools = ", ".join(dict.fromkeys(machine.pool for machine in machines))
    first = ", ".join(machine.name for machine in machines[:3]) + (" …" if machines[3:] else "")
    return f"{counted(len(machines), 'machine')} of pool {pools} ({first})"


def _delete(client: AksClient, machines: Sequence[Machine]) -> list[DeleteOutcome]:
    by_pool: dict[str, list[str]] = {}
    for machine in machines:
        by_pool.setdefault(machine.pool, []).append(machine.name)
    return [client.delete_machines(pool, names) for pool, names in by_pool.items()]


def _wait_gone(client: AksClient, outcomes: Sequence[DeleteOutcome], progress: GoneProgress) -> tuple[str, ...]:
    """The machines that are still listed when the time is up."""
    deadline = client.effects.now() + _GONE_WAIT_S
    pause_s = 0.5
    while True:
        left = tuple(
            machine.name
            for outcome in outcomes
            if outcome.accepted
            for machine in list_whole(client, outcome.pool)
            if machine.name in set(outcome.accepted)
        )
        progress.left(len(left))
        if not left or client.effects.now() >= deadline:
            return left
        client.effects.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_POLL_S)


def _print_deleted(outcomes: Sequence[DeleteOutcome], left: Sequence[str], out: Console, *, quiet: bool) -> None:
    if not quiet:
        accepted = sum(len(outcome.accepted) for outcome in outcomes)
        refused = sum(len(outcome.refused) for outcome in outcomes)
        out.print(f"{counted(accepted, 'machine')}: delete accepted; {refused:,} refused or unknown")
    for outcome in outcomes:
        for one in outcome.refused:
            out.print(f"  {one.name}: {one.state.value}: {one.code}: {one.message[:200]}", markup=False)
    if left:
        out.print(f"{counted(len(left), 'machine')} are still listed after {_GONE_WAIT_S:.0f} s: {', '.join(left[:5])}")


def _rendered_delete(outcomes: Sequence[DeleteOutcome], absent: Sequence[str], left: Sequence[str]) -> Json:
    return {
        "accepted": [name for outcome in outcomes for name in outcome.accepted],
        "refused": [
            {"name": one.name, "state": one.state.value, "kind": one.kind.value if one.kind else None,
             "code": one.code, "message": one.message}
            for outcome in outcomes
            for one in outcome.refused
        ],
        "not_listed": list(absent),
        "still_listed": list(left),
    }  # fmt: skip
