"""Let machines go: close in the scheduler → read the jobs again → delete → remove (user ask T14).

A job found on the second look reopens the node. Closing is written to the ledger first, so that a killed cycle's
half-closed nodes are finished or reopened by the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoscale_aks.errors import CloudError, SchedulerError
from autoscale_aks.ledger import MachineState
from autoscale_aks.model.node import Stage
from autoscale_aks.model.plan import ReleaseCause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reconcile.observe import Observation
    from autoscale_aks.reconcile.world import World
    from autoscale_aks.schedulers.port import SchedulerState


@dataclass(slots=True)
class Releases:
    """What became of the machines that were to go."""

    deleted: list[str] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    """Machine → why it could not go this time."""


def release(world: World, seen: Observation, plan: Plan) -> Releases:
    """Carry out the plan's releases and finish those an earlier cycle began."""
    done = Releases()
    causes = {released.node.name: released.cause for released in plan.releases}
    begun = [
        node.name
        for node in seen.snapshot.nodes
        if node.stage is Stage.DRAINING and seen.records[node.name].state is MachineState.CLOSING
    ]
    if not all(source.complete for source in seen.snapshot.sources):
        return done
    needs_closing = [name for name, cause in causes.items() if cause is ReleaseCause.IDLE]
    closed = _close(world, seen, [*needs_closing, *begun], done)
    at_once = [name for name, cause in causes.items() if cause is not ReleaseCause.IDLE]
    _delete(world, seen, [*at_once, *closed], done)
    return done


def _close(world: World, seen: Observation, names: list[str], done: Releases) -> list[str]:
    """The machines that are closed now and still have no job."""
    if not names:
        return []
    now = world.clock.now()
    world.ledger.record_seen(dict.fromkeys(names, MachineState.CLOSING), now)
    known = {seen.scheduler_names.get(name, name): name for name in names}
    try:
        closed = {
            known[name] for name in world.scheduler.close_nodes(tuple(known), "idle: released") if name in known
        }
        again = world.scheduler.read()
    except SchedulerError as error:
        done.kept.update(dict.fromkeys(names, str(error)))
        return []
    busy = {name for name in closed if _has_job(again, seen, name)} if again.complete else closed
    for name in names:
        if name not in closed:
            done.kept[name] = "the scheduler did not close it"
    reopen = sorted(busy | {name for name in names if name not in closed})
    if reopen:
        world.scheduler.reopen_nodes([seen.scheduler_names.get(name, name) for name in reopen])
        world.ledger.record_seen(dict.fromkeys(reopen, MachineState.READY), world.clock.now())
        done.reopened.extend(sorted(busy))
    return [name for name in names if name in closed and name not in busy]


def _has_job(state: SchedulerState, seen: Observation, name: str) -> bool:
    names = {name, seen.scheduler_names.get(name, name), seen.ready.get(name, name)}
    if any(state.running.get(known) for known in names):
        return True
    return any(node.job_ids for node in state.nodes or () if node.name in names or node.machine == name)


def _delete(world: World, seen: Observation, names: list[str], done: Releases) -> None:
    for pool, members in _by_pool(seen, names).items():
        try:
            outcome = world.cloud.delete_machines(pool, members)
        except CloudError as error:
            done.kept.update(dict.fromkeys(members, str(error)))
            continue
        world.ledger.record_seen(dict.fromkeys(outcome.accepted, MachineState.DELETING), world.clock.now())
        done.deleted.extend(outcome.accepted)
        done.kept.update({refused.name: refused.message or refused.code for refused in outcome.refused})
    if done.deleted:
        world.scheduler.remove_nodes([seen.scheduler_names.get(name, name) for name in done.deleted])


def _by_pool(seen: Observation, names: Iterable[str]) -> Mapping[str, list[str]]:
    pools: dict[str, list[str]] = {}
    for name in names:
        pools.setdefault(seen.records[name].pool, []).append(name)
    return pools
