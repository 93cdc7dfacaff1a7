"""What a cycle adds to the ledger's history (user ask T28b). Never a reason for a cycle to fail.

Jobs are compared with what the cycle before left in the ledger as one text (`waiting`), so that twenty thousand jobs
that wait as they did cost one comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.collector import paused_collector
from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger.history import CycleHistory, JobChange, TimelinePoint, plain_names
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.reconcile.failures import EVICTED
from autoscale_aks.reconcile.waiting import Waiting, compare, job_key, parse_groups, render_groups
from autoscale_aks.reports.stage_counts import count_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from autoscale_aks.reconcile.failover import Launched
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.release import Releases
    from autoscale_aks.reconcile.world import World

WAITING: Final = "waiting"
"""Memory of what waits: groups of jobs with their reason and since when."""
DIGEST: Final = "waiting digest"
"""Memory of what waits without its times, to see that nothing changed."""
WORKED: Final = "worked"
"""Memory of the machines that have had work."""
_QUIET_S: Final = 600.0
"""A point of the timeline is written at least this often."""


def record_history(world: World, seen: Observation, found: Launched, done: Releases, plan_id: str) -> tuple[str, ...]:
    """Add this cycle; a ledger that cannot take it is told of and nothing more."""
    if not world.config.ledger.history_days:
        return ()
    try:
        with paused_collector():
            entry = _entry(world, seen, found, done, plan_id)
        if not entry.is_empty:
            world.ledger.record_history(entry, world.config.ledger.history_days * 86_400.0)
    except LedgerError as error:
        return (f"history was not written: {error}",)
    return ()


def _entry(world: World, seen: Observation, found: Launched, done: Releases, plan_id: str) -> CycleHistory:
    now = world.clock.now()
    waiting = Waiting.of(found.plan)
    memories: dict[str, str] = {}
    jobs = tuple(_bought(found))
    if waiting.digest != world.ledger.memory(DIGEST):
        before = parse_groups(world.ledger.memory(WAITING))
        changes, groups = compare(before, waiting, _places(seen), now)
        jobs = (*changes, *jobs)
        memories = {DIGEST: waiting.digest, WAITING: render_groups(groups)}
    worked, events = _first_jobs(world, seen)
    return CycleHistory(
        at=now,
        plan_id=plan_id,
        machines=(*events, *_failures(seen)),
        jobs=jobs,
        memories=frozendict({**memories, **worked}),
        point=_point(world, seen, found, done, waiting, plan_id),
    )


def _places(seen: Observation) -> dict[str, str]:
    """Job, or array by its id → a machine it runs on."""
    found: dict[str, str] = {}
    for node in seen.snapshot.nodes:
        for job in node.job_ids:
            found.setdefault(job, f"on {node.name}")
            found.setdefault(job.partition("_")[0], f"on {node.name}")
    return found


def _bought(found: Launched) -> Iterator[JobChange]:
    """Machines that were accepted, by the jobs they are for."""
    accepted = set(found.names(LaunchState.ACCEPTED)) if found.rounds else set()
    if not accepted:
        return
    jobs: dict[str, list[str]] = {}
    for decided in found.rounds:
        first = len(decided.nodes) + len(decided.unmanaged_nodes)
        names = [claim.name for claim in decided.claims]
        for placement in decided.placements:
            end = placement.first_node + placement.nodes - first
            if end > 0 and not decided.jobs[placement.job].is_headroom:
                mine = names[max(placement.first_node - first, 0) : end]
                jobs.setdefault(job_key(decided.jobs[placement.job].name), []).extend(mine)
    said = {job: _described([name for name in names if name in accepted]) for job, names in jobs.items()}
    kept = {job: said[job] for job in plain_names(said) if said[job]}
    if kept:
        yield JobChange(event="bought", detail="", jobs=frozendict(kept))


def _described(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    unique = list(dict.fromkeys(names))
    return unique[0] if len(unique) == 1 else f"{unique[0]} … {unique[-1]} ({len(unique)} machines)"


def _first_jobs(world: World, seen: Observation) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """The memory of machines that have had work, where it changes, and the first job of each that is new to it."""
    busy = {node.name: node.job_ids[0] for node in seen.snapshot.nodes if node.job_ids}
    if not busy:
        return {}, []
    worked = set((world.ledger.memory(WORKED) or "").split("\n"))
    new = [name for name in busy if name not in worked]
    if not new:
        return {}, []
    there = {node.name for node in seen.snapshot.nodes}
    memory = "\n".join(plain_names(sorted(there & worked | busy.keys())))
    return {WORKED: memory}, [(name, "first job", busy[name]) for name in new]


def _failures(seen: Observation) -> Iterator[tuple[str, str, str]]:
    """Machines found failed that were not known to be."""
    for one in seen.failed:
        if seen.records[one.name].error_kind is None:
            event = "evicted" if one.code == EVICTED else "failed"
            yield one.name, event, ": ".join(part for part in (one.code, one.message) if part)


def _point(
    world: World, seen: Observation, found: Launched, done: Releases, waiting: Waiting, plan_id: str
) -> TimelinePoint | None:
    """This cycle's point of the timeline; None when nothing changed of late."""
    now, fleet = world.clock.now(), count_fleet(seen.snapshot)
    acts = {
        "asked": sum(len(decided.claims) for decided in found.rounds),
        **{state.value: len(found.names(state)) for state in LaunchState},
        "deleted": len(done.deleted),
        "kept": len(done.kept),
        "failed": sum(seen.records[one.name].error_kind is None for one in seen.failed),
    }
    counts: dict[str, float | None] = {
        **acts,
        "waiting_jobs": waiting.records,
        "waiting_slots": waiting.slots,
        "price_per_hour": None if fleet.unpriced else round(float(sum(fleet.price_per_hour.values())), 4),
    }
    last = world.ledger.last_point()
    same = last is not None and last.machines == fleet.by_stage and dict(last.counts) == counts
    if same and last is not None and not any(acts.values()) and 0 <= now - last.at < _QUIET_S:
        return None
    return TimelinePoint(at=now, plan_id=plan_id, machines=fleet.by_stage, counts=frozendict(counts))
