"""What a cycle saw and decided becomes what the ledger knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import SchedulerError
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.launch import LaunchOutcome, LaunchState
from autoscale_aks.model.node import Stage
from autoscale_aks.reconcile import unseen
from autoscale_aks.reconcile.failover import wanted_nodes
from autoscale_aks.reconcile.failures import record_failures
from autoscale_aks.reconcile.observed import KEPT_S as OBSERVED_KEPT_S
from autoscale_aks.reconcile.quota import FLAG as OTHERS
from autoscale_aks.reconcile.shrinking import FLAG

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reconcile.failover import Launched
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

_EARLY: Final = frozenset({MachineState.INTENDED, MachineState.ACCEPTED, MachineState.UNKNOWN, MachineState.REJECTED})


def record_sightings(world: World, seen: Observation) -> tuple[str, ...]:
    """Machines that are there, ready, lost or gone; what is gone frees the scheduler of its nodes. Notices."""
    notices, forgotten = _remove_gone(world, seen)
    now, ledger = world.clock.now(), world.ledger
    if seen.unrecorded:
        ledger.adopt(seen.unrecorded, now)
        notices += (f"{len(seen.unrecorded)} machines that the ledger did not know were taken in by their marks",)
    answered = [name for name in seen.listed if name in seen.records and _was_unknown(seen, name)]
    if answered:  # it was not refused after all: what was noted of the lost answer is no failure
        ledger.record_outcomes([LaunchOutcome(name=name, state=LaunchState.ACCEPTED) for name in answered], now)
    record_failures(world, seen)
    states = dict.fromkeys(forgotten, MachineState.GONE)
    for name in seen.listed:
        if name in seen.records and seen.records[name].state in _EARLY:
            states[name] = MachineState.LISTED
    for name in seen.ready:
        if seen.records[name].state in _EARLY | {MachineState.LISTED}:
            states[name] = MachineState.READY
    # A delete that arrived and was told of by nobody, a killed run's: what leaves is not missed when it has left.
    leaving = [node.name for node in seen.snapshot.nodes if node.state == "Deleting"]
    states |= {name: MachineState.DELETING for name in leaving if seen.records[name].state is MachineState.CLOSING}
    if states:
        ledger.record_seen(states, now, seen.ready)
    _record_stages(world, seen)
    for name in world.ledger.flags(FLAG).keys() | seen.doubted.keys():
        since = seen.doubted.get(name)
        ledger.set_flag(f"{FLAG}{name}", None if since is None else repr(since))
    for name in sorted(seen.listed_whole):
        ledger.set_flag(f"{unseen.FLAG}{name}", repr(now))
    _record_others(world, seen)
    if seen.shown:
        ledger.record_observed(seen.shown, now, now - OBSERVED_KEPT_S)
    if seen.small:
        ledger.record_small(seen.small, now)
    return notices


def _record_others(world: World, seen: Observation) -> None:
    """What others use of Azure's counters, where it changed."""
    known = world.ledger.flags(OTHERS)
    for name, used in seen.others.items():
        if known.get(name) != str(used):
            world.ledger.set_flag(f"{OTHERS}{name}", str(used))


def _was_unknown(seen: Observation, name: str) -> bool:
    return seen.records[name].state is MachineState.UNKNOWN


def _record_stages(world: World, seen: Observation) -> None:
    """Times of boot stages and of losses, where they are new."""
    records = seen.records
    provisioned = [name for name in seen.provisioned if records[name].provisioned_at is None]
    registered = [name for name in seen.registered if records[name].registered_at is None]
    if provisioned or registered:
        world.ledger.record_stages(provisioned, registered, world.clock.now())
    lost: dict[str, float | None] = {
        name: since for name, since in seen.lost.items() if records[name].lost_since != since
    }
    lost |= {name: None for name in seen.ready if records[name].lost_since is not None}
    if lost:
        world.ledger.set_lost(lost)


def _remove_gone(world: World, seen: Observation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Notices, and the machines that are done with. One whose node the scheduler has, or may have, is told of again."""
    hidden = set() if seen.is_scheduler_whole else {name for name in seen.gone if _had_a_node(seen, name)}
    gone = tuple(name for name in seen.gone if name in seen.scheduler_names or name not in hidden)
    known = {name: seen.scheduler_names[name] for name in seen.gone if name in seen.scheduler_names}
    try:
        if known:
            world.scheduler.remove_nodes(list(known.values()))
    except SchedulerError as error:
        notice = f"the scheduler could not be told of {len(known)} nodes that are gone: {error}"
        return (notice,), tuple(name for name in gone if name not in known)
    return (), gone


def _had_a_node(seen: Observation, name: str) -> bool:
    return seen.reports_nodes and seen.records[name].registered_at is not None


def record_wants(world: World, seen: Observation, found: Launched) -> None:
    """Since when machines have had no work and are not wanted, and which a gang left over."""
    now = world.clock.now()
    wanted = wanted_nodes(found.plan)
    idle: dict[str, float | None] = {}
    broken = _broken_plans(seen)
    surplus: dict[str, float | None] = dict.fromkeys(found.surplus, now)
    for number, node in enumerate(seen.snapshot.nodes):
        is_idle = node.is_ready and not node.job_ids and number not in wanted
        since = (node.idle_since if node.idle_since is not None else now) if is_idle else None
        if since != node.idle_since:
            idle[node.name] = since
        has_work = number in wanted or bool(node.job_ids)
        if node.stage is Stage.DRAINING or node.is_failed:
            continue
        if node.surplus_since is not None and has_work:
            surplus[node.name] = None
        elif node.surplus_since is None and not has_work and seen.records[node.name].plan_id in broken:
            surplus[node.name] = now
    if idle:
        world.ledger.set_idle(idle)
    if surplus:
        world.ledger.set_surplus(surplus)


def _broken_plans(seen: Observation) -> frozenset[str]:
    """Plans of which a machine was found failed just now: what else they made may be the rest of a gang (T04c).

    None where no gang waits: machines without work then leave by their idle timeout alone.
    """
    if not any(job.shape.node_count > 1 or job.shape.colocated or job.shape.chunks for job in seen.snapshot.jobs):
        return frozenset()
    records = seen.records
    return frozenset(records[one.name].plan_id for one in seen.failed if records[one.name].error_kind is None) - {""}


def record_proposals(world: World, seen: Observation, decided: Plan) -> None:
    """What this cycle wanted to release, for the next one to agree with."""
    names = [release.node.name for release in (*decided.releases, *decided.withheld)]
    if names or seen.proposals:
        world.ledger.set_proposals(names, world.clock.now())
