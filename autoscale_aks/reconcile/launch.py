"""Create what the plan claims: intent first, then the requests, then their outcomes (house.md §4, step 9)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import AuthError, CloudError, PoolLimitError, ThrottledError
from autoscale_aks.ledger.records import MachineRecord, MachineState
from autoscale_aks.model.launch import (
    ChunkOutcome,
    FaultKind,
    LaunchOutcome,
    LaunchRequest,
    LaunchState,
    MachineSpec,
)
from autoscale_aks.reconcile.back_offs import SCARCE, back_off_for, larger_back_offs
from autoscale_aks.reconcile.failures import mark_family
from autoscale_aks.reconcile.group_pools import name_clash
from autoscale_aks.reconcile.names import GROUP_TAG, NODEARRAY_TAG, PLAN_TAG, number_of_name, pool_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.plan import LaunchBatch, Plan
    from autoscale_aks.model.snapshot import BackOff
    from autoscale_aks.reconcile.world import World


POOL_LIMIT: Final = "PoolLimit"
"""Code of machines whose placement group's pool the cluster has no room for."""


def launch(
    world: World, plan: Plan, plan_id: str, on_chunk: Callable[[ChunkOutcome], None] | None = None
) -> tuple[ChunkOutcome, ...]:
    """Send every chunk of the plan. The ledger knows of each machine before its request leaves."""
    batches = [batch for wave in plan.waves for batch in wave.batches]
    if not batches:
        return ()
    now = world.clock.now()
    pools = {batch.chunk_id: pool_of(world.config, batch.bucket) for batch in batches}
    records = [record for batch in batches for record in _records(batch, pools[batch.chunk_id], plan_id, now)]
    world.ledger.record_intents(records, _next_numbers(records), now)
    refused = _ensure_pools(world, batches, pools)
    requests = [_request(world, batch, plan_id) for batch in batches if pools[batch.chunk_id] not in refused]
    outcomes = {outcome.chunk_id: outcome for outcome in _refuse(batches, pools, refused, now)}
    for outcome in outcomes.values():
        _note(world, outcome, on_chunk)
    if requests:
        sent = world.cloud.create_machines(requests, lambda outcome: _note(world, outcome, on_chunk))
        outcomes |= {outcome.chunk_id: outcome for outcome in sent}
    final = [one for outcome in outcomes.values() for one in outcome.outcomes]
    world.ledger.record_outcomes(final, world.clock.now())
    _back_off(world, records, outcomes)
    return tuple(outcomes[batch.chunk_id] for batch in batches)


def _note(world: World, outcome: ChunkOutcome, on_chunk: Callable[[ChunkOutcome], None] | None) -> None:
    world.ledger.record_outcomes(outcome.outcomes, world.clock.now())
    if on_chunk is not None:
        on_chunk(outcome)


def _records(batch: LaunchBatch, pool: str, plan_id: str, now: float) -> list[MachineRecord]:
    bucket = batch.bucket
    return [
        MachineRecord(
            name=name,
            nodearray=bucket.array.name,
            pool=pool,
            vm_size=bucket.vm_size,
            zone=bucket.offering.zone,
            spot=bucket.array.spot,
            placement_group=bucket.placement_group,
            plan_id=plan_id,
            chunk_id=batch.chunk_id,
            state=MachineState.INTENDED,
            asked_at=now,
            updated_at=now,
        )
        for name in batch.names
    ]


def _next_numbers(records: Sequence[MachineRecord]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for record in records:
        number = number_of_name(record.name)
        if number is not None:
            numbers[record.nodearray] = max(numbers.get(record.nodearray, 0), number + 1)
    return numbers


def _ensure_pools(world: World, batches: Sequence[LaunchBatch], pools: Mapping[str, str]) -> dict[str, CloudError]:
    """Pools that cannot take machines, with the reason; all others can."""
    clashes = {
        pool: CloudError(clash)
        for pool, bucket in {pools[batch.chunk_id]: batch.bucket for batch in batches}.items()
        if (clash := name_clash(world.config, bucket)) is not None
    }
    wanted = [pool for pool in dict.fromkeys(pools.values()) if pool not in clashes]
    return {**clashes, **world.cloud.ensure_pools(wanted)}


def _refuse(
    batches: Sequence[LaunchBatch], pools: Mapping[str, str], refused: Mapping[str, CloudError], now: float
) -> list[ChunkOutcome]:
    return [
        ChunkOutcome(
            chunk_id=batch.chunk_id,
            pool=pools[batch.chunk_id],
            outcomes=tuple(
                LaunchOutcome(
                    name=name,
                    state=LaunchState.REJECTED,
                    kind=_kind_of(error),
                    code=POOL_LIMIT if isinstance(error, PoolLimitError) else "PoolNotReady",
                    message=str(error),
                )
                for name in batch.names
            ),
            started_at=now,
            ended_at=now,
            attempts=0,
            puts=0,
        )
        for batch in batches
        if (error := refused.get(pools[batch.chunk_id])) is not None
    ]


def _kind_of(error: CloudError) -> FaultKind:
    if isinstance(error, AuthError):
        return FaultKind.AUTH
    if isinstance(error, PoolLimitError):
        return FaultKind.QUOTA
    return FaultKind.THROTTLE if isinstance(error, ThrottledError) else FaultKind.UNKNOWN


def machine_tags(bucket: Bucket, plan_id: str) -> Mapping[str, str]:
    """A machine's own tags: what a lost ledger is rebuilt from (user ask T33d)."""
    group = {GROUP_TAG: bucket.placement_group} if bucket.placement_group else {}
    return frozendict({NODEARRAY_TAG: bucket.array.name, PLAN_TAG: plan_id, **group})


def _request(world: World, batch: LaunchBatch, plan_id: str) -> LaunchRequest:
    bucket = batch.bucket
    template = world.config.nodearrays[bucket.array.name].template_for(bucket.vm_size)
    tags = machine_tags(bucket, plan_id)
    return LaunchRequest(
        chunk_id=batch.chunk_id,
        template=replace(
            template,
            pool=pool_of(world.config, bucket),
            node_labels=frozendict({**template.node_labels, **_group_label(bucket)}),
        ),
        machines=tuple(MachineSpec(name=name, zone=bucket.offering.zone, tags=tags) for name in batch.names),
    )


def _group_label(bucket: Bucket) -> Mapping[str, str]:
    """A machine's placement group as a node label, where Kubernetes takes the name as a value."""
    group = bucket.placement_group or ""
    return {GROUP_TAG: group} if group[-1:].isalnum() else {}


def _back_off(world: World, records: Sequence[MachineRecord], outcomes: Mapping[str, ChunkOutcome]) -> None:
    """Leave buckets alone that refused, and let their families come last (user ask T08b).

    A full cluster says nothing of a size (`POOL_LIMIT`).
    """
    now, times = world.clock.now(), world.config.policy.back_off
    by_name = {record.name: record for record in records}
    held: set[BackOff] = set()
    for chunk in outcomes.values():
        for outcome in chunk.outcomes:
            record = by_name[outcome.name]
            back_off = back_off_for(record, outcome, times, now)
            if outcome.state is not LaunchState.REJECTED or outcome.code == POOL_LIMIT:
                continue
            if back_off is None or back_off in held:
                continue
            larger = larger_back_offs(world.config.arrays, record, outcome, back_off)
            held.update((back_off, *larger))
            for each in (back_off, *larger):
                world.ledger.add_back_off(each, f"{outcome.code}: {outcome.message}", now)
            if outcome.kind in SCARCE:
                mark_family(world, record, f"{outcome.code}: {outcome.message}", now + times.family_s)
