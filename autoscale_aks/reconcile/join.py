"""One machine's facts from all sources, and the node they make by the reconcile table, counted once (T03, T13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.node import Node, Stage
from autoscale_aks.reconcile.stages import NO_CLOCKS, boot_deadline
from autoscale_aks.reconcile.table import (
    Action,
    Age,
    Cell,
    CloudSays,
    ClusterSays,
    LedgerSays,
    Ruling,
    SchedulerSays,
    decide,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.launch import ClusterNode, Machine
    from autoscale_aks.schedulers.port import SchedulerNode

VISIBILITY_GRACE_S: Final = 120.0
"""How long a machine that was asked for may be missing from a complete list, a delete may not show, and a machine that
was ready may be out of sight, before it means something."""

KEEP_ALIVE_TAG: Final = "azaks-keep-alive"
"""A tag that, set to `true` on a machine, keeps it from every delete (user ask T20)."""

_KNOWN: Final[Mapping[MachineState, LedgerSays]] = frozendict(
    {
        MachineState.INTENDED: LedgerSays.ASKED,
        MachineState.ACCEPTED: LedgerSays.ASKED,
        MachineState.UNKNOWN: LedgerSays.ASKED,
        MachineState.REJECTED: LedgerSays.REFUSED,
        MachineState.LISTED: LedgerSays.LISTED,
        MachineState.READY: LedgerSays.READY,
        MachineState.CLOSING: LedgerSays.CLOSING,
        MachineState.DELETING: LedgerSays.DELETING,
        MachineState.GONE: LedgerSays.REFUSED,
    }
)


_ANSWERED: Final = frozenset({MachineState.ACCEPTED, MachineState.UNKNOWN, MachineState.DELETING})
"""States whose change is the moment from which a list may lag: a request may leave long after it was written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Everything known of one machine at one instant. None: that source does not know it."""

    record: MachineRecord
    machine: Machine | None
    listing_complete: bool
    cluster_node: ClusterNode | None
    reads_cluster_nodes: bool
    cluster_answered: bool = True
    """False when the cluster's nodes should have been read and could not be, or not to be believed."""
    scheduler_node: SchedulerNode | None
    scheduler_reports_nodes: bool
    scheduler_answered: bool = True
    """False when the scheduler's list of nodes is not to be believed."""
    job_ids: tuple[str, ...] = ()
    is_protected: bool = False
    boot_timeout_s: float | None = None
    """None: rules about booting do not apply."""
    boot_stages_s: tuple[float, float, float] = NO_CLOCKS
    """The clocks of single stages (`BootStages`)."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The node (None when the machine is gone) and what the cycle does about it."""

    node: Node | None
    action: Action


def join_machine(seen: Sighting, now: float) -> Joined:
    """The machine as a node of the snapshot, by the reconcile table."""
    ruling = decide(cell_of(seen, now))
    return Joined(None if ruling.stage is None else _node(seen, ruling, ruling.stage, now), ruling.action)


def cell_of(seen: Sighting, now: float) -> Cell:
    """The table's cell of a machine."""
    return Cell(_cloud(seen), _cluster(seen), _scheduler(seen), _ledger(seen), _age(seen, now))


def _cloud(seen: Sighting) -> CloudSays:
    if seen.machine is None:
        return CloudSays.ABSENT if seen.listing_complete else CloudSays.UNSEEN
    if seen.machine.is_deleting:
        return CloudSays.DELETING
    if seen.machine.is_failed:
        return CloudSays.FAILED
    return CloudSays.MADE if seen.machine.provisioning_state == "Succeeded" else CloudSays.MAKING


def _cluster(seen: Sighting) -> ClusterSays:
    if not seen.reads_cluster_nodes:
        return ClusterSays.NOT_ASKED
    if not seen.cluster_answered or (seen.machine is None and seen.cluster_node is None):
        return ClusterSays.SILENT  # a machine that no list shows tells no node name to look for
    if seen.cluster_node is None:
        return ClusterSays.NOT_READY
    if seen.cluster_node.cordoned:
        return ClusterSays.CORDONED
    return ClusterSays.READY if seen.cluster_node.ready else ClusterSays.NOT_READY


def _scheduler(seen: Sighting) -> SchedulerSays:
    node = seen.scheduler_node
    if node is None:
        if seen.job_ids:
            return SchedulerSays.HIDDEN if seen.scheduler_reports_nodes else SchedulerSays.BUSY
        if not seen.scheduler_reports_nodes:
            return SchedulerSays.NOT_ASKED
        return SchedulerSays.ABSENT if seen.scheduler_answered else SchedulerSays.SILENT
    if node.state == "Booting":
        return SchedulerSays.ABSENT
    if node.state == "Down":
        return SchedulerSays.DOWN
    if node.state != "Ready":
        return SchedulerSays.CLOSED
    return SchedulerSays.BUSY if seen.job_ids else SchedulerSays.READY


def _ledger(seen: Sighting) -> LedgerSays:
    record, said = seen.record, _KNOWN[seen.record.state]
    if said not in {LedgerSays.ASKED, LedgerSays.LISTED}:
        return said
    is_adopted = said is LedgerSays.LISTED and (not record.is_asked_for or record.ready_at is not None)
    has_worked = bool(seen.job_ids) and _scheduler(seen) in {SchedulerSays.CLOSED, SchedulerSays.DOWN}
    return LedgerSays.FOUND if is_adopted or has_worked else said


def _age(seen: Sighting, now: float) -> Age:
    record = seen.record
    if record.state is MachineState.READY:
        since = record.lost_since if record.lost_since is not None else now
    elif record.state in _ANSWERED:
        since = max(record.asked_at, record.updated_at)
    else:
        since = record.asked_at
    return Age.YOUNG if now - since <= VISIBILITY_GRACE_S else Age.OLD


def _node(seen: Sighting, ruling: Ruling, stage: Stage, now: float) -> Node:
    record, cluster, scheduler = seen.record, seen.cluster_node, seen.scheduler_node
    is_ready = stage is Stage.EXISTING and ruling.state == "Ready"
    lost_since = record.lost_since
    if ruling.action is Action.LOSE and lost_since is None:
        lost_since = now
    return Node(
        name=record.name,
        nodearray=record.nodearray,
        vm_size=record.vm_size,
        hostname=scheduler.name if scheduler else cluster.name if cluster else record.node_name,
        state=ruling.state,
        stage=stage,
        placement_group=record.placement_group,
        zone=record.zone,
        keep_alive=seen.is_protected or _is_kept_alive(seen.machine),
        resources=scheduler.resources if scheduler and is_ready else {},
        available=scheduler.available if scheduler and is_ready else {},
        job_ids=() if _is_on_its_first_way_up(seen, ruling) else seen.job_ids,
        create_time=record.asked_at,
        idle_since=record.idle_since,
        boot_deadline=_deadline(seen, ruling, lost_since, now),
        lost_since=lost_since if ruling.action is Action.LOSE else None,
        surplus_since=record.surplus_since,
        is_late=record.is_late,
        private_ip=cluster.private_ip if cluster else None,
        instance_id=seen.machine.resource_id if seen.machine else None,
    )


def _is_kept_alive(machine: Machine | None) -> bool:
    return machine is not None and machine.tags.get(KEEP_ALIVE_TAG, "").lower() == "true"


def _is_on_its_first_way_up(seen: Sighting, ruling: Ruling) -> bool:
    """Work may be assigned to it and cannot run: it protects nothing, least of all a failed one (user ask T12b)."""
    is_coming = ruling.stage is Stage.IN_FLIGHT or ruling.action is Action.REMOVE
    return is_coming and seen.record.ready_at is None and _scheduler(seen) is SchedulerSays.ABSENT


def _deadline(seen: Sighting, ruling: Ruling, lost_since: float | None, now: float) -> float | None:
    if ruling.stage is not Stage.IN_FLIGHT or seen.boot_timeout_s is None:
        return None
    if ruling.action is Action.LOSE and lost_since is not None:
        return lost_since + VISIBILITY_GRACE_S
    deadline = boot_deadline(seen.record, seen.boot_timeout_s, seen.boot_stages_s)
    return max(deadline, now) if _is_out_of_sight(cell_of(seen, now)) else deadline


def _is_out_of_sight(cell: Cell) -> bool:
    """Whether it may have booted and nobody could see it: then its time is not up in this look."""
    return (
        cell.cloud is CloudSays.UNSEEN or cell.cluster is ClusterSays.SILENT or cell.scheduler is SchedulerSays.SILENT
    )
