"""Read every source once and join them into one Snapshot. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import AuthError, CloudError, ThrottledError
from autoscale_aks.ledger.records import MachineRecord, MachineState
from autoscale_aks.model.snapshot import Blocked, NameSeries, Snapshot, Source
from autoscale_aks.reconcile.back_offs import back_offs_of_failed
from autoscale_aks.reconcile.fresh_nodes import rules_of_cycle
from autoscale_aks.reconcile.group_pools import find_pools
from autoscale_aks.reconcile.join import Sighting, join_machine
from autoscale_aks.reconcile.names import GROUP_TAG, NODEARRAY_TAG, PLAN_TAG, is_ours, machine_prefix, number_of_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.launch import ClusterNode, Machine, MachineListing
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import BackOff
    from autoscale_aks.reconcile.world import World
    from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState


MACHINES: Final = "machines"
"""What the names of sources that list machines begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A snapshot, and what `apply` needs of the sources it was made from."""

    snapshot: Snapshot
    records: Mapping[str, MachineRecord]
    """Every machine that is ours, by name."""
    unrecorded: tuple[MachineRecord, ...] = ()
    """Machines that carry our mark but were not in the ledger: to be adopted (user ask T33d)."""
    gone: tuple[str, ...] = ()
    back_offs: Mapping[BackOff, str] = field(default_factory=frozendict)
    """Buckets whose machines were found failed for capacity or quota, with the reason; in force at once."""
    ready: Mapping[str, str] = field(default_factory=frozendict)
    """Ready machines and their node names."""
    listed: frozenset[str] = frozenset()
    scheduler_names: Mapping[str, str] = field(default_factory=frozendict)
    """Machine → the scheduler's name of its node."""
    pools: tuple[str, ...] = ()
    """The agent pools that were looked at."""


def observe(world: World) -> Observation:
    """One look at scheduler, cloud, cluster and ledger.

    Raises SchedulerError when the queue cannot be read: without it nothing can be decided. A cloud that cannot be
    asked is a fact of the snapshot (`blocked`, an incomplete source), not an error.
    """
    now = world.clock.now()
    queue = world.scheduler.read()
    cloud = _ask_cloud(world, now)
    records = {record.name: record for record in world.ledger.machines()}
    unrecorded = _unrecorded(world, cloud, records, now)
    records |= {record.name: record for record in unrecorded}
    records |= _half_closed(queue, cloud, records)
    nodes, gone = _join(world, queue, cloud, records, now)
    refused = back_offs_of_failed(cloud.machines.values(), records, now)
    config = world.config
    policy_names = {
        array.name: NameSeries(
            prefix=machine_prefix(config.aks.owner, array.name), start=_next_number(world, array.name, unrecorded)
        )
        for array in config.arrays
    }
    snapshot = Snapshot(
        now=now,
        default_resources=rules_of_cycle(config, queue),
        disable_default_resources=config.disable_default_resources,
        limits=config.limits,
        nodearrays=config.arrays,
        nodes=tuple(nodes),
        shared_resources=frozendict({**config.shared_resources, **queue.shared_resources}),
        jobs=queue.jobs,
        naming=frozendict(policy_names),
        blocked=replace(cloud.blocked, back_offs=(*world.ledger.back_offs(now), *refused)),
        sources=(Source(name="scheduler", complete=queue.complete), *cloud.sources),
        problems=queue.problems,
    )
    return Observation(
        snapshot=snapshot,
        records=records,
        unrecorded=unrecorded,
        gone=gone,
        back_offs=refused,
        ready={node.name: node.hostname or node.name for node in nodes if node.is_ready},
        listed=frozenset(cloud.machines),
        scheduler_names=_scheduler_names(queue, records, cloud),
        pools=cloud.pools,
    )


@dataclass(slots=True)
class _CloudView:
    machines: dict[str, Machine] = field(default_factory=dict)
    complete_pools: set[str] = field(default_factory=set)
    pools: tuple[str, ...] = ()
    nodes: dict[str, ClusterNode] = field(default_factory=dict)
    nodes_read: bool = False
    blocked: Blocked = field(default_factory=Blocked)
    sources: list[Source] = field(default_factory=list)

    def node_of(self, name: str) -> ClusterNode | None:
        """The Kubernetes node of a machine, by the node name the machine itself tells (§7.2)."""
        machine = self.machines.get(name)
        return self.nodes.get(machine.node_name) if machine is not None and machine.node_name else None


def _ask_cloud(world: World, now: float) -> _CloudView:
    view = _CloudView()
    not_before = world.ledger.not_before()
    if not_before is not None and not_before > now:
        view.blocked = Blocked(throttled_until=not_before)
        view.sources.append(Source(name=MACHINES, complete=False, detail="throttled"))
        return view
    view.pools, source = find_pools(world)
    view.sources.extend([source] if source is not None else [])
    for pool in view.pools:
        if not _list_pool(world, pool, view):
            return view
    if world.reads_cluster_nodes:
        try:
            view.nodes = {node.name: node for node in world.cloud.list_nodes(view.pools)}
            view.nodes_read = True
            view.sources.append(Source(name="nodes"))
        except CloudError as error:
            view.sources.append(Source(name="nodes", complete=False, detail=str(error)))
    return view


def _list_pool(world: World, pool: str, view: _CloudView) -> bool:
    """Whether the cloud answered; where it does not, asking for the next pool would only wait as long again."""
    name = f"{MACHINES} of pool {pool}"
    try:
        listing = world.cloud.list_machines(pool)
    except AuthError as error:
        view.blocked = replace(view.blocked, auth=str(error))
        view.sources.append(Source(name=name, complete=False, detail=str(error)))
    except ThrottledError as error:
        view.blocked = replace(view.blocked, throttled_until=error.retry_at)
        view.sources.append(Source(name=name, complete=False, detail=str(error)))
    except CloudError as error:
        view.sources.append(Source(name=name, complete=False, detail=str(error)))
    else:
        _note_listing(world, listing, view)
        view.sources.append(Source(name=name, complete=listing.complete, detail=listing.detail))
        return listing.answered
    return True


def _note_listing(world: World, listing: MachineListing, view: _CloudView) -> None:
    if listing.complete:
        view.complete_pools.add(listing.pool)
    owner = world.config.aks.owner
    for machine in listing.machines:
        if is_ours(machine, owner):
            view.machines[machine.name] = machine


def _unrecorded(
    world: World, cloud: _CloudView, records: Mapping[str, MachineRecord], now: float
) -> tuple[MachineRecord, ...]:
    """Records made from the marks of machines that the ledger does not know."""
    by_pool = {array.agent_pool: array.name for array in reversed(world.config.arrays)}
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
        )
        for machine in cloud.machines.values()
        if machine.name not in records
    )


def _half_closed(
    queue: SchedulerState, cloud: _CloudView, records: Mapping[str, MachineRecord]
) -> Mapping[str, MachineRecord]:
    """Machines that we have closed and that a ledger begun anew does not know to be closing.

    Their delete protocol goes on, or they would stay closed, and billed, for ever (user asks T13, T33d).
    """
    by_name = _nodes_by_machine(queue)
    found: dict[str, MachineRecord] = {}
    for record in records.values():
        node = _scheduler_node(by_name, record, cloud.node_of(record.name))
        is_open = record.state not in {MachineState.CLOSING, MachineState.DELETING}
        if is_open and node is not None and node.state == "Closed" and node.closed_by_us:
            found[record.name] = replace(record, state=MachineState.CLOSING)
    return found


def _next_number(world: World, nodearray: str, unrecorded: tuple[MachineRecord, ...]) -> int:
    numbers = [number_of_name(record.name) or 0 for record in unrecorded if record.nodearray == nodearray]
    return max([world.ledger.next_number(nodearray), *(number + 1 for number in numbers)])


def _join(
    world: World, queue: SchedulerState, cloud: _CloudView, records: Mapping[str, MachineRecord], now: float
) -> tuple[list[Node], tuple[str, ...]]:
    by_name = _nodes_by_machine(queue)
    nodes: list[Node] = []
    gone: list[str] = []
    for record in records.values():
        cluster_node = cloud.node_of(record.name)
        scheduler_node = _scheduler_node(by_name, record, cluster_node)
        seen = Sighting(
            record=record,
            machine=cloud.machines.get(record.name),
            listing_complete=record.pool in cloud.complete_pools,
            cluster_node=cluster_node,
            reads_cluster_nodes=world.reads_cluster_nodes,
            cluster_answered=cloud.nodes_read,
            scheduler_node=scheduler_node,
            scheduler_reports_nodes=queue.nodes is not None,
            job_ids=_jobs_on(queue, record, scheduler_node, cluster_node),
        )
        node = join_machine(seen, now)
        if node is None:
            gone.append(record.name)
        else:
            nodes.append(node)
    return nodes, tuple(gone)


def _nodes_by_machine(queue: SchedulerState) -> dict[str, SchedulerNode]:
    found: dict[str, SchedulerNode] = {}
    for node in queue.nodes or ():
        found[node.machine or node.name] = node
    return found


def _scheduler_node(
    by_name: Mapping[str, SchedulerNode], record: MachineRecord, cluster: ClusterNode | None
) -> SchedulerNode | None:
    """The scheduler's node of a machine: by our name, by its node's, or by the one it was last known by."""
    names = (record.name, cluster.name if cluster else None, record.node_name)
    return next((by_name[name] for name in names if name is not None and name in by_name), None)


def _jobs_on(
    queue: SchedulerState, record: MachineRecord, scheduler: SchedulerNode | None, cluster: ClusterNode | None
) -> tuple[str, ...]:
    names = {record.name, *((scheduler.name,) if scheduler else ()), *((cluster.name,) if cluster else ())}
    jobs = list(scheduler.job_ids) if scheduler else []
    for name in sorted(names):
        jobs.extend(job for job in queue.running.get(name, ()) if job not in jobs)
    return tuple(jobs)


def _scheduler_names(
    queue: SchedulerState, records: Mapping[str, MachineRecord], cloud: _CloudView
) -> Mapping[str, str]:
    by_name = _nodes_by_machine(queue)
    found: dict[str, str] = {}
    for name, record in records.items():
        scheduler_node = _scheduler_node(by_name, record, cloud.node_of(name))
        if scheduler_node is not None:
            found[name] = scheduler_node.name
    return found
