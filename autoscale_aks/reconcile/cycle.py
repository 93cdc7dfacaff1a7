"""The cycle itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from autoscale_aks.collector import paused_collector
from autoscale_aks.errors import SchedulerError
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.reconcile.catalogue import equip
from autoscale_aks.reconcile.cloud_view import MACHINES
from autoscale_aks.reconcile.deciding import brake, decide, headroom_jobs
from autoscale_aks.reconcile.failover import describe_moves, launch_all
from autoscale_aks.reconcile.group_pools import remove_empty_pools
from autoscale_aks.reconcile.history import record_history
from autoscale_aks.reconcile.job_reasons import explain_jobs
from autoscale_aks.reconcile.new_nodes import add_nodes
from autoscale_aks.reconcile.observe import observe
from autoscale_aks.reconcile.recording import record_proposals, record_sightings, record_wants
from autoscale_aks.reconcile.release import Releases, release
from autoscale_aks.reconcile.removals import finish_removals
from autoscale_aks.reconcile.requests import in_the_schedulers_words, powered_policy, settle

if TYPE_CHECKING:
    from autoscale_aks.model.launch import ChunkOutcome
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.reconcile.failover import Progress
    from autoscale_aks.reconcile.observation import Observation, Requested
    from autoscale_aks.reconcile.world import World


KEPT_S: Final = 30 * 86_400.0
"""How long the ledger remembers machines that are gone; their names never come back all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """What one cycle saw, decided and did."""

    plan_id: str
    observation: Observation
    plan: Plan
    """The decision before anything was sent: what a dry run shows."""
    final: Plan
    """The decision after all refusals: what waits now, and what the releases followed."""
    rounds: tuple[Plan, ...] = ()
    """Every plan whose machines were asked for: `plan`, and what its refusals were planned to become."""
    chunks: tuple[ChunkOutcome, ...] = ()
    releases: Releases = field(default_factory=Releases)
    notices: tuple[str, ...] = ()

    @property
    def asked(self) -> int:
        """Machines that were asked for, in all rounds."""
        return sum(len(plan.claims) for plan in self.rounds)

    @property
    def puts(self) -> int:
        """PUTs that were sent."""
        return sum(chunk.puts for chunk in self.chunks)

    def names(self, state: LaunchState) -> list[str]:
        """Machines whose create ended in this state."""
        return [outcome.name for chunk in self.chunks for outcome in chunk.outcomes if outcome.state is state]

    @property
    def is_clean(self) -> bool:
        """Whether everything that was decided was accepted, if not of one bucket, then of another."""
        if self.names(LaunchState.UNKNOWN) or self.releases.kept:
            return False
        return not self.names(LaunchState.REJECTED) or self._is_made_good

    @property
    def _is_made_good(self) -> bool:
        """Whether the last plan serves as much as the first one, and none of its machines was refused."""
        refused = set(self.names(LaunchState.REJECTED))
        is_served = _served(self.final) >= _served(self.plan)
        return self.final is not self.plan and is_served and all(one.name not in refused for one in self.final.claims)

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
    world = equip(world)
    seen = observe(world)
    policy = effective_policy(world, seen.requested)
    with paused_collector():
        decided = decide(seen.snapshot, policy, world.kinds, headroom_jobs(world.config, world.clock.now()))
    return seen, brake(in_the_schedulers_words(decided, seen.requested), policy, seen.proposals)


def effective_policy(world: World, requested: Requested) -> Policy:
    """The site's policy within what the wire can carry (batching.md B5) and what the scheduler itself powers."""
    policy = powered_policy(world.config.policy, requested)
    return replace(policy, machines_per_put=min(policy.machines_per_put, world.machines_per_put))


def run_cycle(world: World, progress: Progress | None = None, *, until: float | None = None) -> CycleReport:
    """Observe, plan, apply, record. The caller holds the writer's lock.

    After `until` (seconds since the epoch; None: no deadline) no further round of requests is begun. Raises
    SchedulerError when the queue cannot be read and LedgerError when intents cannot be written; nothing has been sent
    then.
    """
    world = equip(world, until=until)
    plan_id = world.new_plan_id()
    world.ledger.begin_cycle(plan_id, world.clock.now())
    try:
        seen, decided = observe_and_plan(world)
    except SchedulerError as error:
        world.ledger.end_cycle(plan_id, world.clock.now(), "scheduler unavailable", {"error": str(error)})
        raise
    if progress is not None:
        progress.planned(decided)
    notices = record_sightings(world, seen)
    if world.halted() is None:
        notices += finish_removals(world, seen)
    if seen.requested.wanted:
        world.ledger.readmit(seen.requested.names)
    policy = effective_policy(world, seen.requested)
    found = launch_all(world, seen, decided, policy, plan_id=plan_id, until=until, progress=progress)
    notices += (*describe_moves(found), *add_nodes(world, seen, found))
    halted = world.halted()
    releases = Releases(notices=[f"nothing was let go: {halted}"]) if halted else release(world, seen, found.plan)
    notices += (*releases.notices, *settle(world, seen.requested, found, releases))
    notices += remove_empty_pools(world, seen, (decided, *found.rounds, found.plan))
    notices += explain_jobs(world, seen, found.plan)
    record_wants(world, seen, found)
    record_proposals(world, seen, decided)
    notices += record_history(world, seen, found, releases, plan_id)
    report = CycleReport(
        plan_id=plan_id,
        observation=seen,
        plan=decided,
        final=found.plan,
        rounds=tuple(found.rounds),
        chunks=tuple(found.chunks),
        releases=releases,
        notices=notices,
    )
    world.ledger.end_cycle(plan_id, world.clock.now(), _status(report), _summary(report))
    kept_s = max(KEPT_S, world.config.ledger.history_days * 86_400.0)
    world.ledger.forget_gone(world.clock.now() - kept_s)
    return report


def _served(decided: Plan) -> int:
    """Slots that have a place."""
    return sum(outcome.slots for outcome in decided.outcomes)


def _status(report: CycleReport) -> str:
    if report.is_cloud_down:
        return "cloud unavailable"
    return "ok" if report.is_clean else "incomplete"


def _summary(report: CycleReport) -> dict[str, object]:
    return {
        "asked": report.asked,
        "accepted": len(report.names(LaunchState.ACCEPTED)),
        "rejected": len(report.names(LaunchState.REJECTED)),
        "unknown": len(report.names(LaunchState.UNKNOWN)),
        "puts": report.puts,
        "deleted": len(report.releases.deleted),
        "reopened": len(report.releases.reopened),
        "kept": len(report.releases.kept),
        "withheld": len(report.plan.withheld),
    }
