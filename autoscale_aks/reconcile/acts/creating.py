"""Machines by hand: planned by the planner under every limit, asked for by the loop's own launch, known to the ledger.

The order is planned as jobs that take a whole new machine each, on a look in which no machine that is there has room.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from frozendict import frozendict

from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.planning.planner import plan
from autoscale_aks.reconcile.cycle import effective_policy
from autoscale_aks.reconcile.failover import Launched
from autoscale_aks.reconcile.launch import launch
from autoscale_aks.reconcile.new_nodes import add_nodes
from autoscale_aks.reconcile.observation import Requested

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.launch import ChunkOutcome
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.reconcile.acts.acting import Act
    from autoscale_aks.reconcile.world import World

_CLOSED = "Closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOrder:
    """So many machines of a node array. None: whatever the node array's order and the limits make it."""

    nodearray: str
    count: int
    vm_size: str | None = None
    zone: str | None = None
    placement_group: str | None = None
    """Machines of a group are made all or none."""


def plan_create(world: World, snapshot: Snapshot, order: CreateOrder) -> Plan:
    """What would be made of the order, and why not more: the plan's one job, its outcome, and the claims."""
    facts = {"vm_size": order.vm_size, "zone": order.zone}
    wanted = {f"node.{name}": value for name, value in facts.items() if value is not None}
    constraint: dict[str, Any] = {"node.nodearray": order.nodearray, **wanted}
    if order.placement_group is None:
        shape = JobShape(constraints=(frozendict(constraint), frozendict({"exclusive": True})), iterations=order.count)
    else:
        shape = JobShape(constraints=(frozendict(constraint),), node_count=order.count, colocated=True)
    full = tuple(replace(node, state=node.state if node.is_failed else _CLOSED) for node in snapshot.nodes)
    bare = replace(
        snapshot,
        jobs=(Job(name="machines by hand", shape=shape),),
        nodes=full,
        unmanaged_nodes=(),
        nodearrays=tuple(_with_group(array, order) for array in snapshot.nodearrays),
    )
    return replace(plan(bare, effective_policy(world, Requested()), world.kinds), releases=(), withheld=())


def _with_group(array: NodeArray, order: CreateOrder) -> NodeArray:
    """The node array with no group but the one that is meant."""
    if array.name != order.nodearray or order.placement_group is None:
        return array
    group = order.placement_group
    offerings = tuple(
        replace(one, placement_groups=(group,) if array.new_placement_groups or group in one.placement_groups else ())
        for one in array.offerings
    )
    return replace(array, new_placement_groups=False, offerings=offerings)


def create(world: World, act: Act, decided: Plan, on_chunk: Callable[[ChunkOutcome], None] | None = None) -> Launched:
    """Ask for the plan's machines, the intent first; the scheduler is told of those that were accepted."""
    chunks = launch(world, decided, act.plan_id, on_chunk)
    found = Launched(decided, chunks=list(chunks), rounds=[decided] if decided.claims else [])
    act.notices += add_nodes(world, act.seen, found)
    act.summary |= {"asked": len(decided.claims), "puts": sum(chunk.puts for chunk in chunks)}
    return found
