"""`azaks join` and `azaks remove`: nodes of the scheduler, without touching their machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.acting import (
    ActRow,
    acting_world,
    agreed,
    begin,
    dry_run_option,
    finish,
    force_option,
    look,
    machine_options,
    parse_filters,
    require_choice,
    unknown_rows,
    who,
    would,
    yes_option,
)
from autoscale_aks.cli.output import console, counted
from autoscale_aks.config import load_config
from autoscale_aks.reconcile.acts import acting, choose, join_nodes, remove_nodes

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.config import Config
    from autoscale_aks.reconcile.acts.membership import Membership


@click.command("join")
@machine_options
@dry_run_option
def command(config_path: Path, names: tuple[str, ...], filters: tuple[str, ...], **options: Any) -> int:
    """Make machines known to the scheduler again, and open them to work.

    The loop does so for machines it made; this is for one that the scheduler has lost, or that `remove` took away.

    \b
    Exit status: 0 all joined; 1 some were not; 4 another run is the writer.
    Example: azaks join -c autoscale.json az1-htc-17
    """
    return _act("join", config_path, names, filters, {**options, "yes": True, "force": False})


@click.command("remove")
@machine_options
@force_option
@dry_run_option
@yes_option
def remove(config_path: Path, names: tuple[str, ...], filters: tuple[str, ...], **options: Any) -> int:
    """Let the scheduler forget nodes; their machines stay, and cost.

    Closed, looked at once more, then removed; a node with work stays unless --force is given. A machine that the
    scheduler does not know is lost to the loop, which deletes it after the boot timeout: protect what must stay.

    \b
    Exit status: 0 all removed; 1 some were not; 4 another run is the writer.
    Example: azaks remove -c autoscale.json az1-htc-17
    """
    return _act("remove", config_path, names, filters, options)


def _act(
    verb: str, config_path: Path, names: tuple[str, ...], filters: tuple[str, ...], options: dict[str, Any]
) -> int:
    require_choice(names, filters)
    config = load_config(config_path)
    begin(config)
    layout, quiet = options["choice"], options["quiet"]
    _, choice = look(config, names, filters)
    rows = unknown_rows(choice)
    if options["dry_run"] or not choice.nodes:
        return finish(verb, [*rows, *would(choice.nodes, lambda node: node.state)], (), layout=layout, quiet=quiet)
    question = f"{verb.capitalize()} {counted(len(choice.nodes), 'node')}?"
    if not agreed(question, yes=options["yes"]):
        console(stderr=True).print("Nothing was done.")
        return 0
    meant = {node.name for node in choice.nodes}
    done, notices, plan_id = _carry_out(config, verb, (names, filters), meant, force=options["force"])
    word = "joined" if verb == "join" else "removed"
    rows += [ActRow(name, word) for name in done.done]
    rows += [ActRow(name, "kept", why) for name, why in done.kept.items()]
    return finish(verb, rows, notices, layout=layout, quiet=quiet, plan_id=plan_id)


def _carry_out(
    config: Config, verb: str, asked: tuple[tuple[str, ...], tuple[str, ...]], meant: set[str], *, force: bool
) -> tuple[Membership, tuple[str, ...], str]:
    with acting_world(config) as world, acting(world, verb) as act:
        again = choose(act.seen.snapshot, asked[0], parse_filters(asked[1]), world.kinds)
        nodes = [node for node in again.nodes if node.name in meant]
        act.summary |= {"by": who(), "names": len(nodes)}
        done = join_nodes(world, act, nodes) if verb == "join" else remove_nodes(world, act, nodes, force=force)
    return done, act.notices, act.plan_id
