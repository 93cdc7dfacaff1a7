"""What one bucket refuses is asked of the next in the same cycle (user asks T04c, T08c, T08e).

Each round plans again on the same look, with the machines that were accepted in flight and the new back-offs in force:
so only what is missing is asked for, by the same rules, within each job's own constraints, and gangs move as a whole or
not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from autoscale_aks.collector import paused_collector
from autoscale_aks.model.launch import FaultKind, LaunchState
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.model.snapshot import BackOff
from autoscale_aks.planning.minimum import arrays_after, claimed_nodes, names_after, policy_after
from autoscale_aks.reconcile.back_offs import is_regional, region_holds
from autoscale_aks.reconcile.deciding import brake, decide, headroom_jobs
from autoscale_aks.reconcile.launch import POOL_LIMIT, launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.job import Job
    from autoscale_aks.model.launch import ChunkOutcome, LaunchOutcome
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

ROUNDS: Final = 5
"""Most times that machines are asked for in one cycle: the plan, and four candidates more."""
MOVES_ON: Final = frozenset({FaultKind.CAPACITY, FaultKind.QUOTA, FaultKind.VALIDATION})
"""Refusals that another bucket may not share."""
_ENDS: Final = frozenset({FaultKind.AUTH, FaultKind.THROTTLE})
"""Refusals of the whole cloud."""


class Progress(Protocol):
    """Told of every step as it happens."""

    def planned(self, plan: Plan) -> None:
        """The decision is made; nothing has been sent. Told again when refused machines are planned elsewhere."""

    def chunk_done(self, outcome: ChunkOutcome) -> None:
        """One request was answered; the same chunk may come again with a later truth."""


@dataclass(slots=True)
class Launched:
    """What became of a cycle's requests, over all rounds."""

    plan: Plan
    """The last decision: what the releases and idle times of this cycle follow."""
    chunks: list[ChunkOutcome] = field(default_factory=list)
    rounds: list[Plan] = field(default_factory=list)
    """Every plan whose machines were asked for, in order."""
    surplus: frozenset[str] = frozenset()
    """Machines accepted in this cycle that its last plan has no work for."""

    def names(self, state: LaunchState) -> list[str]:
        """Machines whose request ended in this state."""
        return [one.name for chunk in self.chunks for one in chunk.outcomes if one.state is state]


def launch_all(
    world: World,
    seen: Observation,
    decided: Plan,
    policy: Policy,
    *,
    plan_id: str,
    until: float | None = None,
    progress: Progress | None = None,
) -> Launched:
    """Ask for the plan's machines, and for what is refused elsewhere, until `until` (None: no deadline)."""
    found = Launched(decided)
    on_chunk: Callable[[ChunkOutcome], None] | None = progress.chunk_done if progress else None
    snapshot, headroom = seen.snapshot, headroom_jobs(world.config, seen.snapshot.now or 0.0)
    for number in range(1, ROUNDS + 1):
        if not found.plan.claims:
            break
        sent = launch(world, found.plan, plan_id, on_chunk)
        found.rounds.append(found.plan)
        found.chunks.extend(sent)
        has_time = (until is None or world.clock.now() < until) and world.halted() is None
        if number == ROUNDS or not has_time or not _moves_on(sent):
            if any(one.state is LaunchState.REJECTED for chunk in sent for one in chunk.outcomes):
                snapshot = _after(world, snapshot, found.plan, sent)
                found.surplus = _surplus(found, _kept(world, snapshot, policy, headroom))
                return found
            break
        snapshot = _after(world, snapshot, found.plan, sent)
        found.plan = _again(world, seen, snapshot, found, policy, headroom)
        if progress is not None and found.plan.claims:
            progress.planned(found.plan)
    if len(found.rounds) > 0 and found.plan is not found.rounds[0]:
        found.surplus = _surplus(found, found.plan)
    return found


def _kept(world: World, snapshot: Snapshot, policy: Policy, headroom: tuple[Job, ...]) -> Plan:
    """What the machines that came are good for when nothing more is asked for: a gang without its rest has no work."""
    with paused_collector():
        return decide(snapshot, replace(policy, max_creates_per_cycle=0), world.kinds, headroom)


def _moves_on(sent: Iterable[ChunkOutcome]) -> bool:
    """Whether another bucket may take what was refused; a cloud that wants no requests gets none."""
    kinds = {one.kind for chunk in sent for one in chunk.outcomes if one.state is LaunchState.REJECTED}
    return not kinds.isdisjoint(MOVES_ON) and kinds.isdisjoint(_ENDS)


def _after(world: World, snapshot: Snapshot, asked: Plan, sent: Iterable[ChunkOutcome]) -> Snapshot:
    """The same look, with the machines that come in flight and the refusals in force."""
    refused = {one.name: one for chunk in sent for one in chunk.outcomes if one.state is LaunchState.REJECTED}
    coming = [claim for claim in asked.claims if claim.name not in refused]
    held = [
        _held(claim.bucket) for claim in asked.claims if claim.name in refused and _tells_nothing(refused[claim.name])
    ]
    full = {
        claim.bucket.array.location
        for claim in asked.claims
        if claim.name in refused and is_regional(refused[claim.name])
    }
    held.extend(region_holds(snapshot.nodearrays, full))
    back_offs = (*snapshot.blocked.back_offs, *world.ledger.back_offs(world.clock.now()), *held)
    return replace(
        snapshot,
        nodearrays=arrays_after(snapshot.nodearrays, asked.claims),
        nodes=(*snapshot.nodes, *claimed_nodes(coming, snapshot.now)),
        naming=names_after(snapshot.naming, asked.claims),
        blocked=replace(snapshot.blocked, back_offs=tuple(dict.fromkeys(back_offs))),
    )


def _tells_nothing(refusal: LaunchOutcome) -> bool:
    """Whether no back-off follows from a refusal: it would be asked for again at once."""
    return refusal.kind not in MOVES_ON or refusal.code == POOL_LIMIT


def _held(bucket: Bucket) -> BackOff:
    """Not again in this cycle: the next one asks anew."""
    return BackOff(
        code=ReasonCode.CAPACITY_BACKOFF.value,
        nodearray=bucket.array.name,
        vm_size=bucket.vm_size,
        zone=bucket.offering.zone,
        spot=bucket.array.spot,
    )


def _again(
    world: World, seen: Observation, snapshot: Snapshot, found: Launched, policy: Policy, headroom: tuple[Job, ...]
) -> Plan:
    left = policy_after(policy, sum(len(plan.claims) for plan in found.rounds))
    with paused_collector():
        decided = brake(decide(snapshot, left, world.kinds, headroom), policy, seen.proposals)
    first = sum(plan.puts for plan in found.rounds)
    waves = tuple(
        replace(wave, batches=tuple(replace(batch, chunk_id=_later(batch.chunk_id, first)) for batch in wave.batches))
        for wave in decided.waves
    )
    return replace(decided, waves=waves)


def _later(chunk_id: str, first: int) -> str:
    """Chunk ids count on through the rounds of a cycle (batching.md B6)."""
    return f"chunk_{int(chunk_id.removeprefix('chunk_')) + first}"


def _surplus(found: Launched, last: Plan) -> frozenset[str]:
    """Accepted machines whose gang found no room elsewhere, or found it without them."""
    wanted = wanted_nodes(last)
    names = {node.name: number for number, node in enumerate(last.nodes)}
    accepted = found.names(LaunchState.ACCEPTED)
    return frozenset(name for name in accepted if name in names and names[name] not in wanted)


def wanted_nodes(decided: Plan) -> frozenset[int]:
    """Numbers of the nodes that the plan has work for."""
    return frozenset(
        number
        for placement in decided.placements
        for number in range(placement.first_node, placement.first_node + placement.nodes)
    )


def describe_moves(found: Launched) -> tuple[str, ...]:
    """What was refused and where it was asked for instead, one sentence a round."""
    refused = [one for chunk in found.chunks for one in chunk.outcomes if one.state is LaunchState.REJECTED]
    codes = sorted({one.code for one in refused if one.kind in MOVES_ON})
    moved: dict[str, int] = {}
    for plan in found.rounds[1:]:
        for claim in plan.claims:
            moved[claim.bucket.id] = moved.get(claim.bucket.id, 0) + 1
    if not codes:
        return ()
    said = f"{len(refused):,} machines were refused ({', '.join(codes)})"
    if not moved:
        return (f"{said}; no other bucket can take their work now",)
    targets = ", ".join(f"{count:,} of {bucket}" for bucket, count in moved.items())
    return (f"{said}; in the same cycle asked for {targets}",)
