"""`azaks pool create|show|list|delete`: agent pools in Machines mode, directly (aks-machine-api.md §2.1)."""

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
from autoscale_aks.cli.output import console, counted, print_json
from autoscale_aks.cli.rows import Column, Listing, print_notes, print_rows, row_options
from autoscale_aks.config import load_config
from autoscale_aks.errors import AuthError, CloudError, InputError, Problem, ThrottledError
from autoscale_aks.reconcile.names import is_ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.cloud.aks.client import AksClient
    from autoscale_aks.config import Config
    from autoscale_aks.model.launch import Machine, PoolView

Json = dict[str, Any]

POOLS_PER_CLUSTER: Final = 100
"""AKS's limit (§2.7)."""


names_argument = click.argument("names", nargs=-1, metavar="[POOL]...")


@click.group("pool")
def command() -> None:
    """Create, show, list and delete agent pools in Machines mode.

    An agent pool only holds machines; it has no size and costs nothing by itself. `azaks autoscale` makes the pools
    that its plan needs, so these commands are for setting up, looking and clearing away.

    \b
    Example: azaks pool create -c autoscale.json --pool htc
    """


@command.command("create")
@config_option
@names_argument
@pool_options
@format_option
@quiet_option
def create(
    config_path: Path, names: tuple[str, ...], pools: tuple[str, ...], nodearrays: tuple[str, ...], form: str,
    quiet: bool,
) -> int:  # fmt: skip
    """Make agent pools in Machines mode and wait until they take machines.

    Without --pool: every pool that the configuration names. A pool that exists is left as it is.

    \b
    Exit status: 0 all there; 1 some could not be made.
    Example: azaks pool create -c autoscale.json
    """
    config = load_config(config_path)
    configure_logging(config.logging)
    out = console(stderr=form == "json")
    done: list[Json] = []
    with direct_client(config) as client:
        for pool in chosen_pools(config, (*names, *pools), nodearrays):
            with waiting(out, f"{pool}: until it takes machines", quiet=quiet):
                entry = _create(client, pool)
            done.append(entry)
            if not quiet:
                out.print(_said(entry), markup=False)
    if form == "json":
        print_json({"pools": done})
    return DONE if not any(entry["error"] for entry in done) else IN_PART


def _create(client: AksClient, pool: str) -> Json:
    started = client.effects.now()
    existed, error = False, None
    try:
        existed = client.get_pool(pool) is not None
        client.ensure_pool(pool)
    except (AuthError, ThrottledError):
        raise
    except CloudError as refusal:
        error = str(refusal)
    seconds = round(client.effects.now() - started, 1)
    return {"pool": pool, "created": not existed and error is None, "seconds": seconds, "error": error}


def _said(entry: Json) -> str:
    if entry["error"]:
        return f"{entry['pool']}: not there: {entry['error']}"
    return f"{entry['pool']}: " + (f"created in {entry['seconds']} s" if entry["created"] else "exists already")


LISTING: Final = Listing(
    verb="pool",
    title="Agent pools",
    nothing="The cluster has no agent pool.",
    columns=(
        Column(name="pool", meaning="Its name."),
        Column(name="mode", meaning="Machines, or one that this program leaves alone."),
        Column(name="state", meaning="What AKS says of it."),
        Column(name="power", meaning="Running or Stopped."),
        Column(name="nodearrays", title="node arrays", meaning="Node arrays that use it."),
    ),
)


@command.command("list")
@config_option
@row_options(LISTING)
@quiet_option
def list_(config_path: Path, choice: RowChoice, quiet: bool) -> None:
    """List all agent pools of the cluster, in any mode, and the node arrays that use them.

    \b
    Example: azaks pool list -c autoscale.json
    """
    config = load_config(config_path)
    configure_logging(config.logging)
    with (
        waiting(console(stderr=True), f"asking {config.aks.cluster}", quiet=quiet),
        direct_client(config, only_looks=True) as client,
    ):
        views = client.list_pool_views()
    entries = [_pool_entry(view, config) for view in views]
    missing = [pool for pool in config.agent_pools if pool not in {view.name for view in views}]
    print_rows(
        replace(LISTING, title=f"Agent pools of {config.aks.cluster}: {len(views)} of {POOLS_PER_CLUSTER}"),
        entries,
        choice,
        config.default_columns,
        within=lambda rows: {"pools": rows, "missing": missing, "limit": POOLS_PER_CLUSTER},
    )
    if missing and choice.form != "json":
        advice = "azaks pool create, or the first cycle that needs them makes them"
        print_notes([f"named by the configuration and not there: {', '.join(missing)}"], choice)
        print_notes([advice], choice, "next")


def _pool_entry(view: PoolView, config: Config) -> Json:
    return {
        "pool": view.name,
        "mode": view.mode,
        "state": view.provisioning_state,
        "power": view.power_state,
        "nodearrays": [array.name for array in config.arrays if array.agent_pool == view.name],
    }


@command.command("show")
@config_option
@names_argument
@pool_options
@format_option
def show(
    config_path: Path, names: tuple[str, ...], pools: tuple[str, ...], nodearrays: tuple[str, ...], form: str
) -> int:
    """Show agent pools: mode, state, and their machines by state, size, zone and owner.

    \b
    Exit status: 0 shown; 1 some are not there.
    Example: azaks pool show -c autoscale.json --pool htc
    """
    config = load_config(config_path)
    configure_logging(config.logging)
    with (
        waiting(console(stderr=True), f"asking {config.aks.cluster}", quiet=False),
        direct_client(config, only_looks=True) as client,
    ):
        chosen = chosen_pools(config, (*names, *pools), nodearrays)
        shown = [_describe(client, config, pool) for pool in chosen]
    if form == "json":
        print_json({"pools": shown})
    else:
        out = console()
        for entry in shown:
            _print_pool(entry, out)
    return DONE if all(entry["state"] for entry in shown) else IN_PART


def _describe(client: AksClient, config: Config, pool: str) -> Json:
    view = client.get_pool(pool)
    if view is None:
        return {"pool": pool, "state": None}
    entry = {**_pool_entry(view, config), "pool": pool}
    if not view.takes_machines:
        return entry
    listing = client.list_machines(pool)
    machines = listing.machines
    return {
        **entry,
        "complete": listing.complete,
        "machines": len(machines),
        "by_state": _counted([machine.provisioning_state for machine in machines]),
        "by_size": _counted([machine.vm_size + (" spot" if machine.spot else "") for machine in machines]),
        "by_zone": _counted([machine.zone or "none" for machine in machines]),
        "ours": sum(is_ours(machine, config.aks.owner) for machine in machines),
        "failed": sum(machine.is_failed for machine in machines),
    }


def _counted(values: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _print_pool(entry: Json, out: Console) -> None:
    if entry["state"] is None:
        out.print(f"{entry['pool']}: there is no such pool; next: azaks pool create --pool {entry['pool']}",
                  markup=False)  # fmt: skip
        return
    used_by = ", ".join(entry["nodearrays"]) or "no node array"
    out.print(f"{entry['pool']}: mode {entry['mode']}, {entry['state']}, used by {used_by}", markup=False)
    if "machines" not in entry:
        out.print("  not a pool of this program: only pools in Machines mode hold its machines")
        return
    whole = "" if entry["complete"] else " (the list is not complete)"
    out.print(f"  {counted(entry['machines'], 'machine')}, {entry['ours']:,} ours, {entry['failed']:,} failed{whole}")
    for name in ("by_state", "by_size", "by_zone"):
        if entry[name]:
            counts = ", ".join(f"{value} {count:,}" for value, count in entry[name].items())
            out.print(f"  {name.replace('_', ' ')}: {counts}", markup=False)


@command.command("delete")
@config_option
@names_argument
@click.option("--pool", "pools", multiple=True, metavar="NAME", help="Agent pool; may be given again.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Until it is gone.")
@strangers_option
@yes_option
@format_option
@quiet_option
def delete(
    config_path: Path, names: tuple[str, ...], pools: tuple[str, ...], wait: bool, strangers: bool, yes: bool,
    form: str, quiet: bool,
) -> int:  # fmt: skip
    """Delete agent pools in Machines mode with all their machines.

    Refused as a whole, before anything is sent, when any machine of them does not carry our owner mark. Nodes are
    not drained first: jobs on them are lost. A pool that is not there is deleted already.

    \b
    Exit status: 0 gone; 1 not gone yet, or not all of them.
    Example: azaks pool delete -c autoscale.json --pool htc --yes
    """
    if not names and not pools:
        raise InputError([Problem("--pool", "which? Name the pools that are to go")])
    config = load_config(config_path)
    configure_logging(config.logging)
    out = console(stderr=form == "json")
    with direct_client(config) as client:
        machines = {pool: _machines_to_lose(client, pool) for pool in dict.fromkeys((*names, *pools))}
        everything = [machine for found in machines.values() for machine in found]
        foreign = [machine for machine in everything if not is_ours(machine, config.aks.owner)]
        refuse_strangers(foreign, config.aks.owner, strangers)
        what = " and ".join(machines)
        if not is_agreed(f"Delete pool {what} with {counted(len(everything), 'machine')}?", yes=yes):
            out.print("Nothing was deleted.")
            return DONE
        with waiting(out, f"{what}: until it is gone", quiet=quiet):
            done = [_delete(client, pool, wait=wait) for pool in machines]
    for entry in done:
        if not quiet or entry["error"]:
            said = entry["error"] or ("gone" if entry["gone"] else "is being deleted")
            out.print(f"{entry['pool']}: {said}", markup=False)
    if form == "json":
        print_json({"pools": [{**entry, "machines": len(machines[entry["pool"]])} for entry in done]})
    return DONE if all(entry["gone"] or (not wait and not entry["error"]) for entry in done) else IN_PART


def _machines_to_lose(client: AksClient, pool: str) -> Sequence[Machine]:
    """What goes with a pool. Raises InputError for a pool that is not ours to delete: one in another mode."""
    view = client.get_pool(pool)
    if view is not None and not view.takes_machines:
        message = (
            f"{pool} is in mode {view.mode or 'unknown'}; only pools in Machines mode are deleted here, nothing was "
            f"sent. Use `az aks nodepool delete --name {pool}`"
        )
        raise InputError([Problem("--pool", message)])
    return list_whole(client, pool) if view is not None else ()


def _delete(client: AksClient, pool: str, *, wait: bool) -> Json:
    try:
        gone, error = client.delete_pool_to_the_end(pool, wait_s=None if wait else 0.0), None
    except (AuthError, ThrottledError):
        raise
    except CloudError as refusal:
        gone, error = False, str(refusal)
    return {"pool": pool, "gone": gone, "error": error}
