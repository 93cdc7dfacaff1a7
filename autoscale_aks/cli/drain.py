"""`azaks drain`: machines take no new work, finish what they have, and leave (user ask T20c)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from frozendict import frozendict

from autoscale_aks.cli.acting import (
    ActRow,
    acting_world,
    agreed,
    begin,
    dry_run_option,
    finish,
    look,
    machine_options,
    noting_ledger,
    parse_filters,
    require_choice,
    unknown_rows,
    who,
    would,
    yes_option,
)
from autoscale_aks.cli.delete import question, refused_rows, release_rows
from autoscale_aks.cli.output import console
from autoscale_aks.clock import SystemClock
from autoscale_aks.config import load_config
from autoscale_aks.errors import LockHeldError
from autoscale_aks.reconcile.acts import acting, choose, drain_now, plan_leaving
from autoscale_aks.reconcile.release import reopen

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.config import Config


@click.command("drain")
@machine_options
@click.option("--reason", default="", help="Why, for whoever looks later.")
@click.option("--undo", is_flag=True, help="Take the drain back: the machines take work again.")
@dry_run_option
@yes_option
def command(config_path: Path, names: tuple[str, ...], filters: tuple[str, ...], **options: Any) -> int:
    """Drain machines: closed now, deleted when their work is done; new ones come only if there is demand.

    Works beside a running loop, which then carries it out in its next cycle. A protected machine is not drained.
    Work that must not be waited for: `azaks delete --force`.

    \b
    Exit status: 0 all drained; 1 some were not.
    Example: azaks drain -c autoscale.json az1-htc-17 --reason "bad DIMM"
    """
    require_choice(names, filters)
    config = load_config(config_path)
    begin(config)
    seen, choice = look(config, names, filters)
    layout, quiet = options["choice"], options["quiet"]
    if options["undo"]:
        rows = [*unknown_rows(choice), *_undo(config, [node.name for node in choice.nodes])]
        return finish("drain", rows, (), layout=layout, quiet=quiet)
    planned = plan_leaving(seen, choice.nodes, force=False, waits=True)
    rows = [*unknown_rows(choice), *refused_rows(planned)]
    if options["dry_run"] or not planned.nodes:
        shown = would(planned.nodes, lambda node: f"waits for {', '.join(node.job_ids)}" if node.job_ids else "now")
        return finish("drain", [*rows, *shown], (), layout=layout, quiet=quiet)
    if not agreed(question("Drain", replace(planned, told=frozendict())), yes=options["yes"]):
        console(stderr=True).print("Nothing was drained.")
        return 0
    meant = [node.name for node in planned.nodes]
    now = SystemClock().now()
    try:
        done, notices, plan_id = _carry_out(config, names, filters, meant, options["reason"])
    except LockHeldError as error:
        with noting_ledger(config.ledger.path, now) as ledger:
            ledger.drain(meant, owner=who(), reason=options["reason"], now=now)
        done = [ActRow(name, "drained", "its next cycle closes it") for name in meant]
        notices, plan_id = (f"the loop that runs goes on with it: {str(error).split(';')[0]}",), ""
    return finish("drain", [*rows, *done], notices, layout=layout, quiet=quiet, plan_id=plan_id)


def _carry_out(
    config: Config, names: tuple[str, ...], filters: tuple[str, ...], meant: list[str], reason: str
) -> tuple[list[ActRow], tuple[str, ...], str]:
    """Close them, and delete those without work. Raises LockHeldError, with nothing done, when a loop runs."""
    with acting_world(config) as world, acting(world, "drain") as act:
        again = choose(act.seen.snapshot, names, parse_filters(filters), world.kinds)
        now = plan_leaving(act.seen, [one for one in again.nodes if one.name in set(meant)], force=False, waits=True)
        marked = [node.name for node in now.nodes]
        world.ledger.drain(marked, owner=who(), reason=reason, now=world.clock.now())
        act.summary |= {"by": who(), "names": len(marked)}
        done = drain_now(world, act, now, f"azaks drain by {who()}" + (f": {reason}" if reason else ""))
    return [*refused_rows(now), *release_rows(done)], act.notices, act.plan_id


def _undo(config: Config, names: list[str]) -> list[ActRow]:
    """Take drains back; what is closed for one is opened where no loop holds the lock, else by its next cycle."""
    now = SystemClock().now()
    with noting_ledger(config.ledger.path, now) as ledger:
        taken = ledger.undrain(names)
    rows = [ActRow(name, "kept", "was not drained") for name in names if name not in taken]
    if not taken:
        return rows
    try:
        with acting_world(config) as world, acting(world, "drain --undo") as act:
            failure = reopen(world, act.seen, [name for name in act.seen.closing if name in taken])
            detail = "" if failure is None else f"not reopened yet: {failure}"
    except LockHeldError:
        detail = "a running loop opens it again if it has work, and lets it go if it has none"
    return [*rows, *(ActRow(name, "taken back", detail) for name in sorted(taken))]
