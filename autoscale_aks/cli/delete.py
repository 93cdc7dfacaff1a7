"""`azaks delete`: let machines go now, by the loop's own protocol."""

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
from autoscale_aks.reconcile.acts import acting, choose, leave, plan_leaving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from autoscale_aks.model.node import Node
    from autoscale_aks.reconcile.acts import Leaving
    from autoscale_aks.reconcile.release import Releases


@click.command("delete")
@machine_options
@force_option
@dry_run_option
@yes_option
def command(config_path: Path, names: tuple[str, ...], filters: tuple[str, ...], **options: Any) -> int:
    """Delete machines: closed in the scheduler, looked at once more, then deleted.

    A machine with work stays unless --force is given, and then only the jobs that were shown before may be lost: one
    that lands later reopens the machine. A protected machine stays in any case. The cap of deletes a cycle and the
    brake on mass deletes are for the program's own decisions; here you decide.

    \b
    Exit status: 0 all deleted or gone; 1 some were not;
    4 another run is the writer.
    Example: azaks delete -c autoscale.json az1-htc-17 az1-htc-18
    azaks delete -c autoscale.json --filter node.vm_size=Standard_F4s_v2
    """
    require_choice(names, filters)
    config = load_config(config_path)
    begin(config)
    force, layout = options["force"], options["choice"]
    seen, choice = look(config, names, filters)
    planned = plan_leaving(seen, choice.nodes, force=force)
    rows = [*unknown_rows(choice), *refused_rows(planned)]
    if options["dry_run"] or not planned.nodes:
        shown = would(planned.nodes, _detail)
        return finish("delete", [*rows, *shown], (), layout=layout, quiet=options["quiet"])
    if planned.told:
        tell_of_jobs(planned.told)
    if not agreed(question("Delete", planned), yes=options["yes"]):
        console(stderr=True).print("Nothing was deleted.")
        return 0
    meant = {node.name for node in planned.nodes}
    with acting_world(config) as world, acting(world, "delete") as act:
        again = choose(act.seen.snapshot, names, parse_filters(filters), world.kinds)
        now = plan_leaving(act.seen, [node for node in again.nodes if node.name in meant], force=force)
        act.summary |= {"by": who(), "names": len(meant)}
        done = leave(world, act, now, planned.told, f"azaks delete by {who()}")
        gone = meant - {node.name for node in again.nodes}
    rows += [ActRow(name, "leaving already", "it is not there any more") for name in sorted(gone)]
    rows += [*(row for row in refused_rows(now) if row.name in meant), *release_rows(done)]
    return finish("delete", rows, act.notices, layout=layout, quiet=options["quiet"], plan_id=act.plan_id)


def question(verb: str, planned: Leaving) -> str:
    """What is asked before anything is done."""
    first = ", ".join(node.name for node in planned.nodes[:3]) + (" …" if planned.nodes[3:] else "")
    lost = sum(map(len, planned.told.values()))
    loss = f", and lose {counted(lost, 'job')} on {counted(len(planned.told), 'machine')}" if lost else ""
    return f"{verb} {counted(len(planned.nodes), 'machine')} ({first}){loss}?"


def tell_of_jobs(told: Mapping[str, frozenset[str]]) -> None:
    """Say which work would be lost, whether or not somebody is asked."""
    out = console(stderr=True)
    for name, jobs in told.items():
        out.print(f"{name} has work that will be lost: {', '.join(sorted(jobs))}", markup=False, style="yellow")


def refused_rows(planned: Leaving) -> list[ActRow]:
    """Machines that stay, and those that leave already."""
    stays = [ActRow(name, "kept", why) for name, why in planned.refused.items()]
    return [*stays, *(ActRow(name, "leaving already") for name in planned.leaving_already)]


def release_rows(done: Releases) -> list[ActRow]:
    """What became of the machines that were to go."""
    return [
        *(ActRow(name, "deleted") for name in done.deleted),
        *(ActRow(name, "reopened", "a job landed on it meanwhile") for name in done.reopened),
        *(ActRow(name, "waits for its jobs") for name in done.waiting),
        *(ActRow(name, "kept", why) for name, why in done.kept.items() if name not in done.reopened),
    ]


def _detail(node: Node) -> str:
    work = f"has work: {', '.join(node.job_ids)}" if node.job_ids else ""
    return "; ".join(part for part in (f"{node.nodearray}/{node.vm_size}", node.state, work) if part)
