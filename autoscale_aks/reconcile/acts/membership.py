"""Nodes of the scheduler, without their machines: make them known again, or forget them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoscale_aks.reconcile import removals
from autoscale_aks.reconcile.new_nodes import describe_nodes
from autoscale_aks.reconcile.queue_view import QueueView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.model.node import Node
    from autoscale_aks.reconcile.acts.acting import Act
    from autoscale_aks.reconcile.world import World


@dataclass(slots=True)
class Membership:
    """What became of the nodes."""

    done: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    """Machine → why nothing was done."""


def join_nodes(world: World, act: Act, nodes: Sequence[Node]) -> Membership:
    """Make nodes known to the scheduler and open to work. Raises SchedulerError."""
    found = Membership()
    joining: list[Node] = []
    for node in nodes:
        if node.state == "Deleting" or node.is_failed:
            found.kept[node.name] = f"is {node.state.lower()}"
        elif node.name in act.seen.closing:
            found.kept[node.name] = "is being closed and deleted"
        else:
            joining.append(node)
    if joining:
        world.scheduler.add_nodes(describe_nodes(world, act.seen.snapshot, joining))
        known = [act.seen.scheduler_names[node.name] for node in joining if node.name in act.seen.scheduler_names]
        if known:
            world.scheduler.reopen_nodes(known)
    found.done = [node.name for node in joining]
    act.summary |= {"joined": len(joining)}
    return found


def remove_nodes(world: World, act: Act, nodes: Sequence[Node], *, force: bool) -> Membership:
    """Close, look for work again, and let the scheduler forget; the machines stay. Raises SchedulerError.

    What is cut short after the first close is ended by the next cycle (`removals`).
    """
    found = Membership()
    names: dict[str, str] = {}
    for node in nodes:
        known = act.seen.scheduler_names.get(node.name)
        if known is None:
            found.kept[node.name] = "is not known to the scheduler"
        elif node.job_ids and not force:
            found.kept[node.name] = f"has work: {', '.join(node.job_ids[:3])}; drain it, or repeat with --force"
        else:
            names[known] = node.name
    if not names:
        return found
    removals.begin(world, names.values())
    told = {node.name: frozenset(node.job_ids) for node in nodes}
    shut = set(world.scheduler.close_nodes(tuple(names), "removed by hand"))
    again = QueueView.of(world.scheduler.read())
    leaving: list[str] = []
    back: list[str] = []
    for known, name in names.items():
        record = act.seen.records[name]
        jobs = set(again.jobs_on(record, again.nodes.get(name) or again.node_of(record, None), None))
        if known not in shut:
            found.kept[name] = "the scheduler did not close it"
            back.append(known)
        elif jobs - told[name] or (jobs and not force):
            found.kept[name] = "a job landed on it; it is open again"
            back.append(known)
        else:
            leaving.append(known)
    if back:
        world.scheduler.reopen_nodes(back)
    if leaving:
        world.scheduler.remove_nodes(leaving)
    removals.end(world.ledger, names.values())
    found.done = [names[known] for known in leaving]
    act.summary |= {"removed": len(leaving)}
    return found
