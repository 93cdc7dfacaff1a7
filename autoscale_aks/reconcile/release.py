"""Let machines go: close in the scheduler → read the jobs again → delete → remove (user ask T14).

A job found on the second look reopens the node. A node that the scheduler does not know takes no work; for it the
second look is all there is to do. Closing is written to the ledger first, so that a killed cycle's
half-closed nodes are finished or reopened by the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import CloudError, SchedulerError
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.plan import ReleaseCause
from autoscale_aks.reconcile import refused_deletes
from autoscale_aks.reconcile.queue_view import QueueView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World


_WHY: Final = "idle: released"
"""What the scheduler is told when a node is closed."""
_NOT_UP: Final = frozenset({"Down", "Booting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What people asked for by hand (user ask T20c)."""

    why: str = _WHY
    """What the scheduler is told when a node is closed."""
    drained: frozenset[str] = frozenset()
    """Machines that stay closed while they have work, and leave when it is done."""
    told: Mapping[str, frozenset[str]] = field(default_factory=frozendict)
    """Machine → ids of jobs on it of which somebody was told and said that they may be lost; of no other."""


@dataclass(slots=True)
class Releases:
    """What became of the machines that were to go."""

    deleted: list[str] = field(default_factory=list)
    reopened: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    """Machine → why it could not go this time."""
    waiting: list[str] = field(default_factory=list)
    """Machines that are drained and have work still."""
    notices: list[str] = field(default_factory=list)


def release(world: World, seen: Observation, plan: Plan, wishes: Wishes | None = None) -> Releases:
    """Carry out the plan's releases and finish those an earlier cycle began. No `wishes`: those of the ledger.

    Nothing is deleted on half a picture, and nothing that is protected by the time it would be (user asks T13c, T20a).
    """
    done = Releases()
    if not all(source.complete for source in seen.snapshot.sources):
        return done
    causes = {released.node.name: released.cause for released in plan.releases}
    guarded = {node.name for node in seen.snapshot.nodes if node.keep_alive}
    guarded.update(world.ledger.protections(world.clock.now()))
    _spare(world, seen, [name for name in seen.closing if name in guarded], done)
    # A failed machine that the scheduler does not know runs nothing. One that it knows may take a job at any moment,
    # as a late one may (an extension that failed leaves a VM that works), so both are closed and looked at again.
    failed = {name for name, cause in causes.items() if cause is ReleaseCause.FAILED}
    at_once = [name for name in causes if name in failed and name not in guarded and name not in seen.scheduler_names]
    overdue = {name for name, cause in causes.items() if cause is ReleaseCause.BOOT_TIMEOUT} | failed
    sent_away = [name for name in seen.requested.unwanted if name in seen.records and name not in causes]
    overdue.update(sent_away)
    needs_closing = [*(name for name in causes if name not in failed or name in seen.scheduler_names), *sent_away]
    wishes = Wishes(drained=frozenset(world.ledger.drains())) if wishes is None else wishes
    drained = [node.name for node in seen.snapshot.nodes if node.name in wishes.drained and _may_close(node)]
    names = [name for name in dict.fromkeys((*needs_closing, *seen.closing, *drained)) if name not in guarded]
    closed = _close(world, seen, names, overdue, done, wishes)
    _delete(world, seen, [*at_once, *closed], done)
    return done


def _may_close(node: Node) -> bool:
    return not node.is_failed and node.state != "Deleting"


def _spare(world: World, seen: Observation, names: list[str], done: Releases) -> None:
    """Reopen what was being closed when somebody protected it."""
    failure = reopen(world, seen, names)
    if failure is not None:
        done.kept.update(dict.fromkeys(names, f"protected, and not reopened: {failure}"))


def _close(
    world: World, seen: Observation, names: list[str], overdue: set[str], done: Releases, wishes: Wishes
) -> list[str]:
    """The machines that no work can land on any more and that still have no job.

    Work that is only assigned to a machine that never booted does not count (user ask T12b): `overdue` names those.
    """
    if not names:
        return []
    world.ledger.record_seen(dict.fromkeys(names, MachineState.CLOSING), world.clock.now())
    known = {seen.scheduler_names[name]: name for name in names if name in seen.scheduler_names}
    try:
        shut = (
            {known[name] for name in world.scheduler.close_nodes(tuple(known), wishes.why) if name in known}
            if known
            else set()
        )
        again = QueueView.of(world.scheduler.read())
    except SchedulerError as error:
        done.kept.update(dict.fromkeys(names, str(error)))
        return []
    open_still = set(known.values()) - shut
    open_still -= _dead(again, seen, open_still)
    working = again.working
    busy = {
        name
        for name in names
        if _has_job(again, working, seen, name, may_be_booting=name in overdue)
        and not _is_told(again, seen, name, wishes)
    }
    done.kept.update(dict.fromkeys(sorted(open_still), "the scheduler did not close it"))
    if not again.state.complete:
        done.kept.update(dict.fromkeys(names, "the jobs could not be read again"))
        open_still = set(names)
    waits = (busy & wishes.drained) - open_still
    if waits:
        done.waiting.extend(sorted(waits))
        done.notices.append(f"{len(waits)} machines are drained and still have work")
        names = [name for name in names if name not in waits]
        busy -= waits
    failure = reopen(world, seen, sorted(busy | open_still))
    if failure is None:
        done.reopened.extend(sorted(busy))
    else:
        done.kept.update(dict.fromkeys(sorted(busy | open_still), f"not reopened: {failure}"))
    return [name for name in names if name not in busy and name not in open_still]


def reopen(world: World, seen: Observation, names: list[str]) -> SchedulerError | None:
    """Take nodes back. When the scheduler fails they stay closing in the ledger, and the next cycle tries again.

    What somebody else had closed before us stays as it was.
    """
    if not names:
        return None
    ours = [name for name in names if name not in seen.closed_by_others]
    known = [seen.scheduler_names[name] for name in ours if name in seen.scheduler_names]
    try:
        if known:
            world.scheduler.reopen_nodes(known)
    except SchedulerError as error:
        return error
    world.ledger.record_seen({name: _state_before(seen, name) for name in names}, world.clock.now())
    return None


def _state_before(seen: Observation, name: str) -> MachineState:
    """What a machine is again when it is not closed any more: one that never was ready has still to boot."""
    was_ready = name in seen.ready or seen.records[name].ready_at is not None
    return MachineState.READY if was_ready else MachineState.LISTED


def _has_job(again: QueueView, working: frozenset[str], seen: Observation, name: str, *, may_be_booting: bool) -> bool:
    """Whether work is on the machine under any of its names. `working` are the names of nodes that say so."""
    record = seen.records[name]
    node = again.nodes.get(seen.scheduler_names.get(name, name)) or again.node_of(record, None)
    was_up = record.ready_at is not None and name not in seen.requested.unwanted
    if may_be_booting and not was_up and node is not None and node.state == "Booting":
        return False
    names = {name, seen.scheduler_names.get(name, name), seen.ready.get(name, name)}
    if any(again.state.running.get(known) for known in names) or again.jobs_on(record, node, None):
        return True
    return not working.isdisjoint(names)


def _dead(again: QueueView, seen: Observation, names: Iterable[str]) -> set[str]:
    """Those whose creation failed, or whose VM is gone, and whose nodes are not up: closed or not, they take no job."""
    failed = seen.failed_in_cloud
    nodes = {name: again.nodes.get(name) or again.nodes.get(seen.scheduler_names[name]) for name in names}
    return {name for name, node in nodes.items() if name in failed and (node is None or node.state in _NOT_UP)}


def _is_told(again: QueueView, seen: Observation, name: str, wishes: Wishes) -> bool:
    """Whether all work on the machine is work that somebody was told of and gave up."""
    told = wishes.told.get(name)
    if told is None:
        return False
    record, running = seen.records[name], again.state.running
    node = again.nodes.get(seen.scheduler_names.get(name, name)) or again.node_of(record, None)
    names = {name, seen.scheduler_names.get(name, name), seen.ready.get(name, name)}
    jobs = {*again.jobs_on(record, node, None), *(job for known in names for job in running.get(known, ()))}
    return bool(jobs) and jobs <= told


def _delete(world: World, seen: Observation, names: list[str], done: Releases) -> None:
    refused: dict[str, str] = {}
    since = world.ledger.flags(refused_deletes.FLAG)
    for pool, members in _by_pool(seen, names).items():
        for asked in refused_deletes.requests(members, since, world.clock.now()):
            try:
                outcome = world.cloud.delete_machines(pool, asked)
            except CloudError as error:
                refused.update(dict.fromkeys(asked, str(error)))
                continue
            world.ledger.record_seen(dict.fromkeys(outcome.accepted, MachineState.DELETING), world.clock.now())
            done.deleted.extend(outcome.accepted)
            refused.update({one.name: one.message or one.code for one in outcome.refused})
    done.kept.update(refused)
    done.notices.extend(refused_deletes.note(world, seen, refused, done.deleted))
    gone = [seen.scheduler_names[name] for name in done.deleted if name in seen.scheduler_names]
    try:
        if gone:
            world.scheduler.remove_nodes(gone)
    except SchedulerError as error:  # told again when the machines have left the list
        done.notices.append(f"the scheduler could not be told of {len(gone)} nodes that leave: {error}")


def _by_pool(seen: Observation, names: Iterable[str]) -> Mapping[str, list[str]]:
    pools: dict[str, list[str]] = {}
    for name in names:
        pools.setdefault(seen.records[name].pool, []).append(name)
    return pools
