"""Read every source once and join them into one Snapshot. Writes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.collector import paused_collector
from autoscale_aks.model.snapshot import NameSeries, Snapshot, Source
from autoscale_aks.reconcile.catalogue import equip
from autoscale_aks.reconcile.cloud_view import ask_cloud
from autoscale_aks.reconcile.fresh_nodes import rules_of_cycle
from autoscale_aks.reconcile.held import held_notices
from autoscale_aks.reconcile.joining import Joiner, only_scheduled, unrecorded_machines
from autoscale_aks.reconcile.lessons import learn
from autoscale_aks.reconcile.names import machine_prefix, number_of_name
from autoscale_aks.reconcile.observation import SCHEDULER, Observation
from autoscale_aks.reconcile.queue_view import QueueView
from autoscale_aks.reconcile.quota import measure
from autoscale_aks.reconcile.removals import under_way
from autoscale_aks.reconcile.requests import sort_requests, with_requests
from autoscale_aks.reconcile.shrinking import FLAG, Doubts
from autoscale_aks.reconcile.site_nodes import site_nodes
from autoscale_aks.reconcile.sparing import spare, spared_notices
from autoscale_aks.reconcile.unseen import find_unseen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.limits import Limits
    from autoscale_aks.reconcile.lessons import Lessons
    from autoscale_aks.reconcile.unseen import Unseen
    from autoscale_aks.reconcile.world import World

_PROPOSALS_KEPT_S = 3600.0


def observe(world: World) -> Observation:
    """One look at scheduler, cloud, cluster and ledger.

    Raises SchedulerError when the queue cannot be read: without it nothing can be decided. A cloud that cannot be
    asked is a fact of the snapshot (`blocked`, an incomplete source), not an error.
    """
    with paused_collector():  # a large queue is a hundred thousand objects that stay
        queue = QueueView.of(world.scheduler.read())
    world = equip(world)
    now = world.clock.now()
    known = {record.name: record for record in world.ledger.machines()}
    doubts = Doubts(now, {name: float(since) for name, since in world.ledger.flags(FLAG).items()})
    cloud = ask_cloud(world, known, doubts)
    queue.judge(known, cloud, doubts)
    unrecorded = unrecorded_machines(world, cloud, known, now)
    joined = Joiner(world, queue, cloud, world.ledger.protections(now), now, removing=under_way(world.ledger))
    for record in (*known.values(), *unrecorded, *only_scheduled(world, cloud, queue, known, now)):
        joined.add(record)
    learned = learn(world, joined)
    unseen = find_unseen(world, cloud)
    measured = measure(world, joined)
    equipped = world.equipment.notices if world.equipment is not None else ()
    requested = sort_requests(world.config, joined)
    snapshot = with_requests(_snapshot(world, joined, learned, unseen, measured.limits), requested)
    return Observation(
        snapshot=snapshot,
        requested=requested,
        records=joined.records,
        unrecorded=unrecorded,
        gone=tuple(joined.gone),
        closing=tuple(joined.closing),
        back_offs=learned.refused,
        failed=learned.failed,
        ready=joined.ready,
        listed=frozenset(cloud.machines),
        provisioned=cloud.provisioned,
        registered=frozenset(joined.registered),
        lost={node.name: node.lost_since for node in joined.nodes if node.lost_since is not None},
        scheduler_names=joined.scheduler_names,
        closed_by_others=frozenset(joined.closed_by_others),
        reports_nodes=queue.state.nodes is not None,
        takes_reasons=queue.state.takes_reasons,
        protections=joined.protections,
        turned=learned.turned,
        small=learned.small,
        shown=learned.shown,
        doubted=frozendict(doubts.since),
        listed_whole=unseen.whole,
        proposals=world.ledger.proposals(now - _PROPOSALS_KEPT_S),
        notices=(
            *spared_notices(snapshot.nodes, world.config),
            *held_notices(snapshot.nodes, joined.held),
            *learned.notices,
            *equipped,
            *measured.notices,
            *unseen.notices(world.config.limits),
        ),
        pools=cloud.pools,
        others=frozendict(measured.others),
        references=(*(world.equipment.sources if world.equipment is not None else ()), *measured.sources),
    )


def _snapshot(world: World, joined: Joiner, learned: Lessons, unseen: Unseen, limits: Limits) -> Snapshot:
    queue, cloud, config, now = joined.queue, joined.cloud, world.config, joined.now
    return Snapshot(
        now=now,
        default_resources=rules_of_cycle(config, queue.state),
        disable_default_resources=config.disable_default_resources,
        limits=limits,
        nodearrays=unseen.offered(learned.arrays, config.limits),
        nodes=spare(joined.nodes, config),
        unmanaged_nodes=site_nodes(config, joined),
        shared_resources=frozendict({**config.shared_resources, **queue.state.shared_resources}),
        jobs=queue.state.jobs,
        naming=frozendict({array.name: _series(world, array, joined.records) for array in config.arrays}),
        blocked=replace(cloud.blocked, back_offs=(*world.ledger.back_offs(now), *learned.back_offs)),
        sources=(Source(name=SCHEDULER, complete=queue.is_complete, detail=queue.doubt), *cloud.sources),
        problems=(*queue.state.problems, *(world.equipment.problems if world.equipment is not None else ())),
    )


def _series(world: World, array: NodeArray, records: Mapping[str, MachineRecord]) -> NameSeries:
    numbers = [number_of_name(name) or 0 for name, record in records.items() if record.nodearray == array.name]
    return NameSeries(
        prefix=machine_prefix(world.config.aks.owner, array.name),
        start=max([world.ledger.next_number(array.name), *(number + 1 for number in numbers)]),
    )
