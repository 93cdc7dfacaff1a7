"""Which machines there are: each once, whichever of ledger, cloud, cluster and scheduler know it (user ask T03a)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from autoscale_aks.ledger.records import MachineRecord, MachineState
from autoscale_aks.reconcile.group_pools import group_pools
from autoscale_aks.reconcile.held import held_by
from autoscale_aks.reconcile.join import Joined, Sighting, join_machine
from autoscale_aks.reconcile.names import GROUP_TAG, NODEARRAY_TAG, PLAN_TAG, machine_prefix
from autoscale_aks.reconcile.table import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.ledger.guards import Protection
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.node import Node
    from autoscale_aks.reconcile.cloud_view import CloudView
    from autoscale_aks.reconcile.queue_view import QueueView
    from autoscale_aks.reconcile.world import World
    from autoscale_aks.schedulers.port import SchedulerNode


_LEAVING: Final = frozenset({MachineState.CLOSING, MachineState.DELETING})


@dataclass(slots=True)
class Joiner:
    """Every machine once, whichever sources know it (user ask T03a)."""

    world: World
    queue: QueueView
    cloud: CloudView
    protections: Mapping[str, Protection]
    now: float
    removing: frozenset[str] = frozenset()
    """Machines whose nodes a person's act has closed, to take them from the scheduler and not to delete them."""
    records: dict[str, MachineRecord] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    closing: list[str] = field(default_factory=list)
    registered: set[str] = field(default_factory=set)
    scheduler_names: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    """Machines that were never ready as far as is known → what keeps work off their nodes, where something does."""

    closed_by_others: set[str] = field(default_factory=set)
    _spellings: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def ready(self) -> Mapping[str, str]:
        """Ready machines and their node names."""
        return {node.name: node.hostname or node.name for node in self.nodes if node.is_ready}

    def add(self, record: MachineRecord) -> None:
        """Join one machine and keep what the table says of it."""
        record = self._spelled(record)
        cluster_node = self.cloud.node_of(record.name)
        scheduler_node = self.queue.node_of(record, cluster_node)
        if record.name not in self.removing:
            record = _half_closed(record, scheduler_node)
        self.records[record.name] = record
        seen = Sighting(
            record=record,
            machine=self.cloud.machines.get(record.name),
            listing_complete=record.pool in self.cloud.complete_pools,
            cluster_node=cluster_node,
            reads_cluster_nodes=self.world.reads_cluster_nodes,
            cluster_answered=self.cloud.nodes_read,
            scheduler_node=scheduler_node,
            scheduler_reports_nodes=self.queue.state.nodes is not None,
            scheduler_answered=not self.queue.doubt,
            job_ids=self.queue.jobs_on(record, scheduler_node, cluster_node),
            is_protected=record.name in self.protections,
            boot_timeout_s=self.world.config.policy.boot_timeout.of(record.nodearray),
            boot_stages_s=self.world.config.policy.boot_stages.of(record.nodearray),
        )
        self._keep(record, join_machine(seen, self.now))
        if record.ready_at is None and (why := held_by(cluster_node, scheduler_node)):
            self.held[record.name] = why
        if scheduler_node is not None:
            self.scheduler_names[record.name] = scheduler_node.name
            if scheduler_node.state == "Closed" and not scheduler_node.closed_by_us and record.state not in _LEAVING:
                self.closed_by_others.add(record.name)
        if cluster_node is not None or (scheduler_node is not None and scheduler_node.state != "Booting"):
            self.registered.add(record.name)

    def _spelled(self, record: MachineRecord) -> MachineRecord:
        """With its VM size in the configuration's letter case, in which everything else looks for it (§9.1)."""
        if not self._spellings:
            names = (((one.name, size.vm_size.casefold()), size.vm_size)
                     for one in self.world.config.arrays for size in one.offerings)  # fmt: skip
            self._spellings = dict(names)
        spelled = self._spellings.get((record.nodearray, record.vm_size.casefold()), record.vm_size)
        return record if spelled == record.vm_size else replace(record, vm_size=spelled)

    def _keep(self, record: MachineRecord, joined: Joined) -> None:
        if joined.node is None:
            self.gone.append(record.name)
            return
        if joined.action is Action.FINISH:
            self.closing.append(record.name)
        self.nodes.append(joined.node)


def _half_closed(record: MachineRecord, node: SchedulerNode | None) -> MachineRecord:
    """A machine that we have closed and that a ledger begun anew does not know to be closing.

    Its delete protocol goes on, or it would stay closed, and billed, for ever (user asks T13, T33d).
    """
    if record.state in _LEAVING or node is None or node.state != "Closed" or not node.closed_by_us:
        return record
    return replace(record, state=MachineState.CLOSING)


def unrecorded_machines(
    world: World, cloud: CloudView, records: Mapping[str, MachineRecord], now: float
) -> tuple[MachineRecord, ...]:
    """Records made from the marks of machines that the ledger does not know."""
    by_pool = {array.agent_pool: array.name for array in reversed(world.config.arrays)}
    unknown = [machine for machine in cloud.machines.values() if machine.name not in records]
    believed_gone = world.ledger.believed_gone(machine.name for machine in unknown) if unknown else frozenset()
    return tuple(
        MachineRecord(
            name=machine.name,
            nodearray=machine.tags.get(NODEARRAY_TAG) or by_pool.get(machine.pool, machine.pool),
            pool=machine.pool,
            vm_size=machine.vm_size,
            zone=machine.zone,
            spot=machine.spot,
            placement_group=machine.tags.get(GROUP_TAG),
            plan_id=machine.tags.get(PLAN_TAG, ""),
            chunk_id="",
            state=MachineState.LISTED,
            asked_at=machine.created_at or now,
            updated_at=now,
            node_name=machine.node_name,
            error_kind="unknown" if machine.name in believed_gone else None,
            error_message="believed gone, and listed again" if machine.name in believed_gone else "",
        )
        for machine in unknown
    )


def only_scheduled(
    world: World, cloud: CloudView, queue: QueueView, records: Mapping[str, MachineRecord], now: float
) -> tuple[MachineRecord, ...]:
    """Machines that only the scheduler shows, while their pool's list is not whole: they count, and may well be there.

    They are not adopted: a list that shows them says more of them than their name does.
    """
    found: list[MachineRecord] = []
    for array in world.config.arrays:
        pool = _unread_pool(world, cloud, array)
        if pool is None:
            continue
        prefix = machine_prefix(world.config.aks.owner, array.name)
        for name, node in queue.nodes.items():
            is_new = name not in records and name not in cloud.machines
            is_ours = name.startswith(prefix) and name.removeprefix(prefix).isdigit()
            if is_new and is_ours and node.state == "Ready":
                found.append(_scheduled_record(name, array, pool, now))
    return tuple(found)


def _unread_pool(world: World, cloud: CloudView, array: NodeArray) -> str | None:
    """A pool that a node array's machines may stand in and whose list is not whole; None: all were seen whole."""
    groups = group_pools(world.config)
    pools = (array.agent_pool, *(pool for pool in cloud.pools if groups.get(pool, ("", ""))[0] == array.name))
    unread = next((pool for pool in pools if pool not in cloud.complete_pools), None)
    if unread is None and not cloud.pools_read:
        return next((pool for pool in groups if groups[pool][0] == array.name and pool not in pools), None)
    return unread


def _scheduled_record(name: str, array: NodeArray, pool: str, now: float) -> MachineRecord:
    """A machine by its name alone. Of an array with one size it is that size; else its size is not known."""
    sizes_of = {offering.vm_size for offering in array.offerings}
    return MachineRecord(
        name=name,
        nodearray=array.name,
        pool=pool,
        vm_size=sizes_of.pop() if len(sizes_of) == 1 else "",
        zone=None,
        spot=array.spot,
        placement_group=None,
        plan_id="",
        chunk_id="",
        state=MachineState.READY,
        asked_at=now,
        updated_at=now,
        ready_at=now,
    )
