"""The cycle itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from autoscale_aks.collector import paused_collector
from autoscale_aks.errors import SchedulerError
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.planning.planner import plan
from autoscale_aks.reconcile.group_pools import remove_empty_pools
from autoscale_aks.reconcile.launch import launch
from autoscale_aks.reconcile.observe import MACHINES, Observation, observe
from autoscale_aks.reconcile.release import Releases, release

if TYPE_CHECKING:
    from autoscale_aks.model.launch import ChunkOutcome
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.reconcile.world import World


KEPT_S: Final = 30 * 86_400.0
"""How long the ledger remembers machines that are gone; their names never come back all the same."""


class Progress(Protocol):
    """Told of every step as it happens."""

    def planned(self, plan: Plan) -> None:
        """The decision is made; nothing has been sent."""
        ...

    def chunk_done(self, outcome: ChunkOutcome) -> None:
        """One request was answered; the same chunk may come again with a later truth."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """What one cycle saw, decided and did."""

    plan_id: str
    observation: Observation
    plan: Plan
    chunks: tuple[ChunkOutcome, ...] = ()
    releases: Releases = field(default_factory=Releases)
    notices: tuple[str, ...] = ()

    @property
    def puts(self) -> int:
        """PUTs that were sent."""
        return sum(chunk.puts for chunk in self.chunks)

    def names(self, state: LaunchState) -> list[str]:
        """Machines whose create ended in this state."""
        return [outcome.name for chunk in self.chunks for outcome in chunk.outcomes if outcome.state is state]

    @property
    def is_clean(self) -> bool:
        """Whether everything that was decided was also accepted."""
        return not (self.names(LaunchState.REJECTED) or self.names(LaunchState.UNKNOWN) or self.releases.kept)

    @property
    def is_cloud_down(self) -> bool:
        """Whether the cloud let nothing be done: no token, throttled, or no list of it could be read."""
        blocked = self.observation.snapshot.blocked
        if blocked.auth is not None or blocked.throttled_until is not None:
            return True
        lists = [source for source in self.observation.snapshot.sources if source.name.startswith(MACHINES)]
        return not any(source.complete for source in lists) and not self.names(LaunchState.ACCEPTED)


def observe_and_plan(world: World) -> tuple[Observation, Plan]:
    """The decision without its effects: what `demand` shows is what `autoscale` does (user ask T25a)."""
    seen = observe(world)
    with paused_collector():
        return seen, plan(seen.snapshot, effective_policy(world), world.kinds)


def effective_policy(world: World) -> Policy:
    """The site's policy within what the wire can carry (batching.md B5)."""
    policy = world.config.policy
    return replace(policy, machines_per_put=min(policy.machines_per_put, world.machines_per_put))


def run_cycle(world: World, progress: Progress | None = None) -> CycleReport:
    """Observe, plan, apply, record. The caller holds the writer's lock.

    Raises SchedulerError when the queue cannot be read and LedgerError when intents cannot be written; nothing has
    been sent then.
    """
    plan_id = world.new_plan_id()
    world.ledger.begin_cycle(plan_id, world.clock.now())
    try:
        seen, decided = observe_and_plan(world)
    except SchedulerError as error:
        world.ledger.end_cycle(plan_id, world.clock.now(), "scheduler unavailable", {"error": str(error)})
        raise
    if progress is not None:
        progress.planned(decided)
    notices = _record_sightings(world, seen)
    chunks = launch(world, decided, plan_id, progress.chunk_done if progress else None)
    accepted = [outcome.name for chunk in chunks for outcome in chunk.outcomes if outcome.state is LaunchState.ACCEPTED]
    notices += _add_nodes(world, accepted)
    halted = world.halted()
    releases = Releases(notices=[f"nothing was let go: {halted}"]) if halted else release(world, seen, decided)
    notices += tuple(releases.notices)
    notices += remove_empty_pools(world, seen, decided)
    _record_idle(world, seen, decided)
    report = CycleReport(
        plan_id=plan_id, observation=seen, plan=decided, chunks=chunks, releases=releases, notices=notices
    )
    world.ledger.end_cycle(plan_id, world.clock.now(), _status(report), _summary(report))
    world.ledger.forget_gone(world.clock.now() - KEPT_S)
    return report


def _status(report: CycleReport) -> str:
    if report.is_cloud_down:
        return "cloud unavailable"
    return "ok" if report.is_clean else "incomplete"


def _record_sightings(world: World, seen: Observation) -> tuple[str, ...]:
    """What was seen becomes what is known; machines that are gone free the scheduler of their nodes."""
    notices, forgotten = _remove_gone(world, seen)
    now = world.clock.now()
    if seen.unrecorded:
        world.ledger.adopt(seen.unrecorded, now)
        notices += (f"{len(seen.unrecorded)} machines that the ledger did not know were taken in by their marks",)
    for back_off, why in seen.back_offs.items():
        world.ledger.add_back_off(back_off, why, now)
    states = dict.fromkeys(forgotten, MachineState.GONE)
    early = {MachineState.INTENDED, MachineState.ACCEPTED, MachineState.UNKNOWN, MachineState.REJECTED}
    for name in seen.listed:
        if name in seen.records and seen.records[name].state in early:
            states[name] = MachineState.LISTED
    for name in seen.ready:
        if seen.records[name].state in early | {MachineState.LISTED}:
            states[name] = MachineState.READY
    if states:
        world.ledger.record_seen(states, now, seen.ready)
    return notices


def _remove_gone(world: World, seen: Observation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Notices, and the machines that are done with. One whose node the scheduler still has is told of again."""
    known = {name: seen.scheduler_names[name] for name in seen.gone if name in seen.scheduler_names}
    try:
        if known:
            world.scheduler.remove_nodes(list(known.values()))
    except SchedulerError as error:
        notice = f"the scheduler could not be told of {len(known)} nodes that are gone: {error}"
        return (notice,), tuple(name for name in seen.gone if name not in known)
    return (), seen.gone


def _add_nodes(world: World, names: list[str]) -> tuple[str, ...]:
    """Make accepted machines known to the scheduler; a scheduler that fails here gets them in the next cycle."""
    if not names:
        return ()
    try:
        world.scheduler.add_nodes(names)
    except SchedulerError as error:
        return (f"the scheduler could not be told of {len(names)} new nodes: {error}",)
    return ()


def _record_idle(world: World, seen: Observation, decided: Plan) -> None:
    """Since when ready machines have had no work and are not wanted by a plan."""
    now = world.clock.now()
    wanted = {
        number
        for placement in decided.placements
        for number in range(placement.first_node, placement.first_node + placement.nodes)
    }
    idle: dict[str, float | None] = {}
    for number, node in enumerate(seen.snapshot.nodes):
        is_idle = node.is_ready and not node.job_ids and number not in wanted
        since = (node.idle_since if node.idle_since is not None else now) if is_idle else None
        if since != node.idle_since:
            idle[node.name] = since
    if idle:
        world.ledger.set_idle(idle)


def _summary(report: CycleReport) -> dict[str, object]:
    return {
        "asked": len(report.plan.claims),
        "accepted": len(report.names(LaunchState.ACCEPTED)),
        "rejected": len(report.names(LaunchState.REJECTED)),
        "unknown": len(report.names(LaunchState.UNKNOWN)),
        "puts": report.puts,
        "deleted": len(report.releases.deleted),
        "reopened": len(report.releases.reopened),
        "kept": len(report.releases.kept),
    }
