"""Making new machines known to the scheduler, again and again until it shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.errors import ConstraintError, SchedulerError
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.model.node import Node, Stage
from autoscale_aks.planning.minimum import claimed_nodes
from autoscale_aks.reconcile.sizes import promised
from autoscale_aks.schedulers.port import NewNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.reconcile.failover import Launched
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.sizes import Promises
    from autoscale_aks.reconcile.world import World
    from autoscale_aks.units import Value

_COMING = frozenset({MachineState.ACCEPTED, MachineState.LISTED})


def add_nodes(world: World, seen: Observation, found: Launched) -> tuple[str, ...]:
    """Tell the scheduler of accepted machines, and of those on their way that it does not show. Notices."""
    accepted = set(found.names(LaunchState.ACCEPTED))
    claims = [claim for plan in found.rounds for claim in plan.claims if claim.name in accepted]
    nodes = [*claimed_nodes(claims, seen.snapshot.now), *_unknown(seen)]
    if not nodes:
        return ()
    try:
        world.scheduler.add_nodes(describe_nodes(world, seen.snapshot, nodes))
    except SchedulerError as error:
        return (f"the scheduler could not be told of {len(nodes)} new nodes: {error}",)
    return ()


def _unknown(seen: Observation) -> list[Node]:
    """Machines on their way that the scheduler does not show, or whose address it may not have had when it was told."""
    if not seen.reports_nodes:
        return []
    return [
        node
        for node in seen.snapshot.nodes
        if node.stage is Stage.IN_FLIGHT
        and (node.name not in seen.scheduler_names or node.private_ip is not None)
        and seen.records[node.name].state in _COMING
        and seen.records[node.name].ready_at is None
    ]


def describe_nodes(world: World, snapshot: Snapshot, nodes: Iterable[Node]) -> tuple[NewNode, ...]:
    """What the scheduler is told of machines: each with what an empty node of its bucket has for jobs."""
    arrays = {array.name: array for array in snapshot.nodearrays}
    try:
        rules = parse_default_resources(snapshot.default_resources, disable_defaults=snapshot.disable_default_resources)
    except ConstraintError:  # the plan has said so
        rules = None
    promises: Promises = {}
    found: list[NewNode] = []
    for node in nodes:
        array = arrays.get(node.nodearray or "")
        resources: Mapping[str, Value] = frozendict()
        if array is not None and rules is not None:
            resources = promised(promises, array, node, rules, world.config.shared_resources)
        found.append(
            NewNode(
                name=node.name,
                nodearray=node.nodearray or "",
                vm_size=node.vm_size or "",
                placement_group=node.placement_group,
                zone=node.zone,
                resources=resources,
                address=node.private_ip,
            )
        )
    return tuple(found)
