"""Read every source once and join them into one Snapshot. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.ledger.records import MachineRecord, MachineState
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.node import Stage
from autoscale_aks.model.snapshot import NameSeries, Snapshot, Source
from autoscale_aks.reconcile import sizes
from autoscale_aks.reconcile.back_offs import demote
from autoscale_aks.reconcile.circuits import gates, image_of, with_probes
from autoscale_aks.reconcile.cloud_view import MACHINES, CloudView, ask_cloud
from autoscale_aks.reconcile.failures import failed_machines, overdue_machines, refusals_of, turned_circuits
from autoscale_aks.reconcile.join import Joined, Sighting, join_machine
from autoscale_aks.reconcile.names import GROUP_TAG, NODEARRAY_TAG, PLAN_TAG, machine_prefix, number_of_name
from autoscale_aks.reconcile.queue_view import QueueView
from autoscale_aks.reconcile.shrinking import FLAG, Doubts
from autoscale_aks.reconcile.table import Action
from autoscale_aks.reports.sentences import render_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.ledger.guards import Circuit, Protection, SmallSize
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.launch import LaunchOutcome
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import BackOff
    from autoscale_aks.reconcile.world import World

__all__ = ["MACHINES", "Observation", "observe"]

_PROPOSALS_KEPT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A snapshot, and what `apply` needs of the sources it was made from."""

    snapshot: Snapshot
    records: Mapping[str, MachineRecord]
    """Every machine that is ours, by name."""
    unrecorded: tuple[MachineRecord, ...] = ()
    """Machines that carry our mark but were not in the ledger: to be adopted (user ask T33d)."""
    gone: tuple[str, ...] = ()
    closing: tuple[str, ...] = ()
    """Machines whose delete protocol an earlier cycle began."""
    back_offs: Mapping[BackOff, str] = field(default_factory=frozendict)
    """Buckets whose machines were found failed for capacity or quota, with the reason; in force at once."""
    failed: tuple[LaunchOutcome, ...] = ()
    """Machines whose creation failed after it was accepted, with the service's own words, or that did not boot."""
    ready: Mapping[str, str] = field(default_factory=frozendict)
    """Ready machines and their node names."""
    listed: frozenset[str] = frozenset()
    provisioned: frozenset[str] = frozenset()
    """Machines whose VM is made."""
    registered: frozenset[str] = frozenset()
    """Machines whose node the cluster or the scheduler knows."""
    lost: Mapping[str, float] = field(default_factory=frozendict)
    """Machines that were ready and are not, and since when."""
    scheduler_names: Mapping[str, str] = field(default_factory=frozendict)
    """Machine → the scheduler's name of its node."""
    protections: Mapping[str, Protection] = field(default_factory=frozendict)
    turned: tuple[Circuit, ...] = ()
    """Boot circuits that changed with this look; in force at once."""
    small: tuple[SmallSize, ...] = ()
    """Machines that were not known yet to have less than promised."""
    doubted: Mapping[str, float] = field(default_factory=frozendict)
    """Lists that lost most of what they had, and since when."""
    proposals: frozenset[str] = frozenset()
    """Machines that the cycle before wanted to release."""
    notices: tuple[str, ...] = ()


def observe(world: World) -> Observation:
    """One look at scheduler, cloud, cluster and ledger.

    Raises SchedulerError when the queue cannot be read: without it nothing can be decided. A cloud that cannot be
    asked is a fact of the snapshot (`blocked`, an incomplete source), not an error.
    """
    now = world.clock.now()
    queue = QueueView.of(world.scheduler.read())
    records = {record.name: record for record in world.ledger.machines()}
    doubts = Doubts(now, {name: float(since) for name, since in world.ledger.flags(FLAG).items()})
    cloud = ask_cloud(world, records, doubts)
    queue.judge(records, cloud, doubts)
    unrecorded = _unrecorded(world, cloud, records, now)
    only_scheduled = _only_scheduled(world, cloud, queue, records, now)
    records |= {record.name: record for record in (*unrecorded, *only_scheduled)}
    protections = world.ledger.protections(now)
    joined = _Joiner(world, queue, cloud, protections, now)
    for record in records.values():
        joined.add(record)
    return _observation(world, joined, records, unrecorded, doubts)


def _observation(
    world: World,
    joined: _Joiner,
    records: Mapping[str, MachineRecord],
    unrecorded: tuple[MachineRecord, ...],
    doubts: Doubts,
) -> Observation:
    now, queue, cloud, config, ledger = doubts.now, joined.queue, joined.cloud, world.config, world.ledger
    failed = failed_machines(cloud.machines.values())
    refused = refusals_of(failed, records, config.policy.back_off, now)
    known_small = ledger.small_sizes(now - sizes.KEPT_S)
    rules = parse_default_resources(config.default_resources, disable_defaults=config.disable_default_resources)
    small = sizes.find_small(joined.nodes, config.arrays, rules, config.shared_resources, known_small)
    ready = {node.name: node.hostname or node.name for node in joined.nodes if node.is_ready}
    failed = (*failed, *overdue_machines(joined.nodes, records, now))
    known_circuits = ledger.circuits()
    turned = turned_circuits(known_circuits, failed, ready, records, config, now)
    gate = gates(
        {one.key: one for one in (*known_circuits, *turned)}.values(),
        {array.name: image_of(config.nodearrays, array.name) for array in config.arrays},
        ((records[node.name], node.stage is Stage.IN_FLIGHT) for node in joined.nodes),
        config.policy.boot_circuit,
        now,
    )
    marks = ledger.family_marks(now)
    snapshot = Snapshot(
        now=now,
        default_resources=config.default_resources,
        disable_default_resources=config.disable_default_resources,
        limits=config.limits,
        nodearrays=with_probes(
            demote(sizes.observed(config.arrays, (*known_small, *small)), marks.keys()), gate.probes
        ),
        nodes=tuple(joined.nodes),
        shared_resources=frozendict({**config.shared_resources, **queue.state.shared_resources}),
        jobs=queue.state.jobs,
        naming=frozendict({array.name: _series(world, array, records) for array in config.arrays}),
        blocked=replace(cloud.blocked, back_offs=(*ledger.back_offs(now), *gate.back_offs, *refused)),
        sources=(
            Source(name="scheduler", complete=queue.is_complete, detail=queue.doubt),
            *cloud.sources,
        ),
        problems=queue.state.problems,
    )
    return Observation(
        snapshot=snapshot,
        records=records,
        unrecorded=unrecorded,
        gone=tuple(joined.gone),
        closing=tuple(joined.closing),
        back_offs=refused,
        failed=failed,
        ready=ready,
        listed=frozenset(cloud.machines),
        provisioned=frozenset(
            name for name, machine in cloud.machines.items() if machine.provisioning_state == "Succeeded"
        ),
        registered=frozenset(joined.registered),
        lost={node.name: node.lost_since for node in joined.nodes if node.lost_since is not None},
        scheduler_names=joined.scheduler_names,
        protections=joined.protections,
        turned=turned,
        small=small,
        doubted=frozendict(doubts.since),
        proposals=ledger.proposals(now - _PROPOSALS_KEPT_S),
        notices=(
            *(_protection_text(one) for one in joined.protections.values() if one.name in records),
            *sizes.describe_small((*known_small, *small)),
            *(f"{family} comes last among equals: {why}" for family, why in marks.items()),
            *(f"{_gate_text(back_off)}: {why}" for back_off, why in gate.back_offs.items()),
        ),
    )


def _protection_text(protection: Protection) -> str:
    until = "" if protection.until is None else f" until {render_time(protection.until)}"
    return f"{protection.name} is protected by {protection.owner}{until}: {protection.reason}"


def _gate_text(back_off: BackOff) -> str:
    where = f"{back_off.nodearray}/{back_off.vm_size}" + (f":{back_off.zone}" if back_off.zone else "")
    return f"BOOT_CIRCUIT_OPEN: machines of {where} do not join"


def _series(world: World, array: NodeArray, records: Mapping[str, MachineRecord]) -> NameSeries:
    numbers = [number_of_name(name) or 0 for name, record in records.items() if record.nodearray == array.name]
    return NameSeries(
        prefix=machine_prefix(world.config.aks.owner, array.name),
        start=max([world.ledger.next_number(array.name), *(number + 1 for number in numbers)]),
    )


@dataclass(slots=True)
class _Joiner:
    """Every machine once, whichever sources know it (user ask T03a)."""

    world: World
    queue: QueueView
    cloud: CloudView
    protections: Mapping[str, Protection]
    now: float
    nodes: list[Node] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    closing: list[str] = field(default_factory=list)
    registered: set[str] = field(default_factory=set)
    scheduler_names: dict[str, str] = field(default_factory=dict)

    def add(self, record: MachineRecord) -> None:
        """Join one machine and keep what the table says of it."""
        cluster_node = self.cloud.node_of(record.name)
        scheduler_node = self.queue.node_of(record, cluster_node)
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
        )
        self._keep(record, join_machine(seen, self.now))
        if scheduler_node is not None:
            self.scheduler_names[record.name] = scheduler_node.name
        if cluster_node is not None or (scheduler_node is not None and scheduler_node.state != "Booting"):
            self.registered.add(record.name)

    def _keep(self, record: MachineRecord, joined: Joined) -> None:
        if joined.node is None:
            self.gone.append(record.name)
            return
        if joined.action is Action.FINISH:
            self.closing.append(record.name)
        self.nodes.append(joined.node)


def _unrecorded(
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


def _only_scheduled(
    world: World, cloud: CloudView, queue: QueueView, records: Mapping[str, MachineRecord], now: float
) -> tuple[MachineRecord, ...]:
    """Machines that only the scheduler shows, while their pool's list is not whole: they count, and may well be there.

    They are not adopted: a list that shows them says more of them than their name does.
    """
    found: list[MachineRecord] = []
    for array in world.config.arrays:
        if array.agent_pool in cloud.complete_pools:
            continue
        prefix = machine_prefix(world.config.aks.owner, array.name)
        for name, node in queue.nodes.items():
            is_new = name not in records and name not in cloud.machines
            is_ours = name.startswith(prefix) and name.removeprefix(prefix).isdigit()
            if is_new and is_ours and node.state == "Ready":
                found.append(_scheduled_record(name, array, now))
    return tuple(found)


def _scheduled_record(name: str, array: NodeArray, now: float) -> MachineRecord:
    """A machine by its name alone. Of an array with one size it is that size; else its size is not known."""
    sizes_of = {offering.vm_size for offering in array.offerings}
    return MachineRecord(
        name=name,
        nodearray=array.name,
        pool=array.agent_pool,
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
