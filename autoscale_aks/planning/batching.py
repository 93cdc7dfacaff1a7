"""From a bucket's deficit to waves of equal chunks (contract batching.md B1–B3, B5, B6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.model.plan import LaunchBatch, Wave

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.plan import NodeClaim

MACHINES_PER_PUT: Final = 50
"""Most machines in one `BatchPutMachine` request, the URL's one included (aks-machine-api.md §2.7)."""


def wave_shapes(count: int, per_put: int = MACHINES_PER_PUT) -> tuple[tuple[int, int], ...]:
    """`(workers, per_worker)` of each wave of `count` machines: fewest PUTs, then waves, then equal chunks (B3).

    1000 → ((20, 50),); 96 → ((2, 48),); 97 → ((1, 50), (1, 47)); 53 → ((1, 50), (1, 3)); 0 → ().
    """
    if not 1 <= per_put <= MACHINES_PER_PUT:
        raise ValueError(f"machines per PUT must be 1 to {MACHINES_PER_PUT}, not {per_put}")
    if count <= 0:
        return ()
    puts = -(-count // per_put)
    if count % puts == 0:
        return ((puts, count // puts),)
    full, rest = divmod(count, per_put)
    return ((full, per_put), (1, rest))


def plan_waves(claims: Iterable[NodeClaim], per_put: int = MACHINES_PER_PUT) -> tuple[Wave, ...]:
    """Waves for all buckets in the order in which they first appear; chunk ids count through the whole plan (B6)."""
    by_bucket: dict[tuple[object, ...], tuple[Bucket, list[str]]] = {}
    for claim in claims:
        by_bucket.setdefault(claim.bucket.key, (claim.bucket, []))[1].append(claim.name)
    waves: list[Wave] = []
    chunks = 0
    for bucket, names in by_bucket.values():
        position = 0
        for workers, per_worker in wave_shapes(len(names), per_put):
            batches = _slices(bucket, names[position : position + workers * per_worker], per_worker, chunks)
            waves.append(Wave(bucket, per_worker, batches))
            position += workers * per_worker
            chunks += workers
    return tuple(waves)


def _slices(bucket: Bucket, names: Sequence[str], per_worker: int, first_chunk: int) -> tuple[LaunchBatch, ...]:
    return tuple(
        LaunchBatch(f"chunk_{first_chunk + index}", bucket, tuple(names[start : start + per_worker]))
        for index, start in enumerate(range(0, len(names), per_worker))
    )
