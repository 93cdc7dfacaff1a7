"""Ledger × cloud × cluster × scheduler × age → one `Node` a machine, counted once (user asks T03, T13).

===========  ==========================================  =====================================================
LIST shows   and                                         then
===========  ==========================================  =====================================================
nothing      the listing is not complete                 as last known, or in flight: absence proves nothing
nothing      asked for less than VISIBILITY_GRACE_S ago  in flight: a create may not show yet
nothing      the ledger says rejected or deleting        gone
nothing      otherwise                                   gone: never made, evicted, or deleted by somebody else
Deleting     any                                         draining: offers nothing, still counts against limits
Failed       any, or its VM is gone                      failed: offers nothing, to be deleted
otherwise    the ledger says closing                     draining: its delete protocol goes on
otherwise    the nodes could not be read                 as last known
otherwise    the node is not ready                       in flight
otherwise    ready, and the scheduler has it ready       existing
otherwise    ready, and the scheduler closed it          existing, closed: offers nothing, left alone
===========  ==========================================  =====================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.node import Node, Stage

if TYPE_CHECKING:
    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.launch import ClusterNode, Machine
    from autoscale_aks.schedulers.port import SchedulerNode

VISIBILITY_GRACE_S: Final = 120.0
"""How long a machine that was asked for may be missing from a complete list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Everything known of one machine at one instant. None: that source does not know it."""

    record: MachineRecord
    machine: Machine | None
    listing_complete: bool
    cluster_node: ClusterNode | None
    reads_cluster_nodes: bool
    cluster_answered: bool = True
    """False when the cluster's nodes should have been read and could not be."""
    scheduler_node: SchedulerNode | None
    scheduler_reports_nodes: bool
    job_ids: tuple[str, ...] = ()


def join_machine(seen: Sighting, now: float) -> Node | None:
    """The machine as a node of the snapshot; None when it is gone."""
    record, machine = seen.record, seen.machine
    if machine is None:
        return None if _is_gone(seen, now) else _last_known(seen)
    if machine.is_deleting:
        return _node(seen, Stage.DRAINING, "Deleting")
    if machine.is_failed:
        return _node(seen, Stage.EXISTING, "Failed")
    if record.state in {MachineState.CLOSING, MachineState.DELETING}:
        return _node(seen, Stage.DRAINING, "Draining")
    if not _is_booted(seen):
        return _node(seen, Stage.IN_FLIGHT, "Creating")
    return _booted(seen)


def _last_known(seen: Sighting) -> Node:
    """A machine that no list shows and that may well be there.

    One that was ready stays so: as a machine that boots it would lose its idle time, and, older than the boot
    timeout, its capacity, and the work it has room for would be asked for again.
    """
    if seen.record.state in {MachineState.CLOSING, MachineState.DELETING}:
        return _node(seen, Stage.DRAINING, "Draining" if seen.record.state is MachineState.CLOSING else "Deleting")
    if seen.record.state is MachineState.READY:
        return _booted(seen)
    return _node(seen, Stage.IN_FLIGHT, "Creating")


def _booted(seen: Sighting) -> Node:
    if not seen.scheduler_reports_nodes:
        return _node(seen, Stage.EXISTING, "Ready")
    if seen.scheduler_node is None or seen.scheduler_node.state == "Booting":
        return _node(seen, Stage.IN_FLIGHT, "Joining")
    return _node(seen, Stage.EXISTING, seen.scheduler_node.state)


def _is_gone(seen: Sighting, now: float) -> bool:
    if not seen.listing_complete:
        return False
    if seen.record.state in {MachineState.INTENDED, MachineState.ACCEPTED, MachineState.UNKNOWN}:
        return now - seen.record.asked_at > VISIBILITY_GRACE_S
    return True


def _is_booted(seen: Sighting) -> bool:
    """Ready in the cluster; where no cluster is configured, a machine that was made counts (§2.4, §7.1).

    A cluster that does not answer proves nothing: what was ready stays ready (see `_last_known`).
    """
    if seen.reads_cluster_nodes and not seen.cluster_answered:
        return seen.record.state is MachineState.READY
    if seen.reads_cluster_nodes:
        return seen.cluster_node is not None and seen.cluster_node.ready
    return seen.machine is not None and seen.machine.provisioning_state == "Succeeded"


def _node(seen: Sighting, stage: Stage, state: str) -> Node:
    record, cluster, scheduler = seen.record, seen.cluster_node, seen.scheduler_node
    is_ready = stage is Stage.EXISTING and state == "Ready"
    return Node(
        name=record.name,
        nodearray=record.nodearray,
        vm_size=record.vm_size,
        hostname=scheduler.name if scheduler else cluster.name if cluster else record.node_name,
        state=state,
        stage=stage,
        placement_group=record.placement_group,
        zone=record.zone,
        resources=scheduler.resources if scheduler and is_ready else {},
        available=scheduler.available if scheduler and is_ready else {},
        job_ids=seen.job_ids,
        create_time=record.asked_at,
        idle_since=record.idle_since,
        private_ip=cluster.private_ip if cluster else None,
        instance_id=seen.machine.resource_id if seen.machine else None,
    )
