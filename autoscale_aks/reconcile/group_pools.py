"""Agent pools of placement groups: which are ours, which have to be looked at, and which can go (user ask T08, §2.7).

Where a node array's `placement_group_scope` is `pool`, each of its groups has an agent pool of its own. Their names
follow from those of owner, node array and group alone (`names.group_pool`), so that a lost ledger loses none: the names
of all groups there can be are computed, and the cluster is asked which of them exist.

A pool that holds no machine, of ours or of anybody, and that no plan wants is deleted when it has been so for the node
array's idle timeout: it costs nothing, but a cluster can have 100. A pool whose group was taken out of the
configuration is looked at as long as the ledger knows machines of it, and is never deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import CloudError
from autoscale_aks.model.snapshot import Source
from autoscale_aks.reconcile.names import group_pool, pool_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.config import Config
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

NEW_GROUPS: Final = 1000
"""Groups `NODEARRAY_pgN` with N below this are found again after a lost ledger."""

_EMPTY_SINCE: Final = "empty group pool"


def group_pools(config: Config) -> Mapping[str, tuple[str, str]]:
    """The agent pool of every group there can be, with its node array and group; empty where no group is a pool."""
    found: dict[str, tuple[str, str]] = {}
    for nodearray in config.nodearrays.values():
        if nodearray.placement_group_scope != "pool":
            continue
        array = nodearray.array
        groups = [group for offering in array.offerings for group in offering.placement_groups]
        if array.new_placement_groups:
            groups += [f"{array.name}_pg{number}" for number in range(NEW_GROUPS)]
        for group in dict.fromkeys(groups):
            found.setdefault(group_pool(config.aks.owner, array.name, group), (array.name, group))
    return frozendict(found)


def find_pools(world: World) -> tuple[tuple[str, ...], Source | None]:
    """Every agent pool that may hold machines of ours, and the source that told of the groups' pools, if any was asked.

    When the cluster's pools cannot be read, the groups' pools that the ledger knows are looked at, and the source is
    not complete: machines that only a lost ledger knew of may stand in the others.
    """
    configured = world.config.agent_pools
    ours = group_pools(world.config)
    if not ours:
        return configured, None
    grouped = [record.pool for record in world.ledger.machines() if record.placement_group]
    try:
        existing = [pool for pool in world.cloud.list_pools() if pool in ours]
    except CloudError as error:
        return tuple(dict.fromkeys((*configured, *grouped))), Source(name="pools", complete=False, detail=str(error))
    return tuple(dict.fromkeys((*configured, *grouped, *existing))), Source(name="pools")


def name_clash(config: Config, bucket: Bucket) -> str | None:
    """Why the pool that a bucket's group should have is not its own: two names fell on one hash. None: it is."""
    pool = pool_of(config, bucket)
    if pool == bucket.array.agent_pool:
        return None
    owner = group_pools(config).get(pool, (bucket.array.name, bucket.placement_group))
    if owner == (bucket.array.name, bucket.placement_group) and pool not in config.agent_pools:
        return None
    other = f"node array {owner[0]}, group {owner[1]}" if pool not in config.agent_pools else "a node array"
    return f"agent pool {pool} already belongs to {other}; give placement group {bucket.placement_group} another name"


def remove_empty_pools(world: World, seen: Observation, plans: Iterable[Plan]) -> tuple[str, ...]:
    """Delete groups' pools that have long been empty; what could not be done, for the cycle's notices.

    `plans` are all of the cycle: a pool that any of them wanted may have machines that `seen` does not know yet.
    """
    ours = group_pools(world.config)
    if not ours:
        return ()
    wanted = {pool_of(world.config, wave.bucket) for plan in plans for wave in plan.waves}
    used = wanted | {record.pool for name, record in seen.records.items() if name not in seen.gone}
    notices = []
    for pool in seen.pools:
        if pool in ours and pool not in used:
            notices += _remove_when_idle(world, pool, ours[pool][0])
        elif pool in ours:
            _note_empty(world, pool, None)
    return tuple(notices)


def _remove_when_idle(world: World, pool: str, nodearray: str) -> list[str]:
    now = world.clock.now()
    since = world.ledger.flag(f"{_EMPTY_SINCE}:{pool}")
    if since is None:
        _note_empty(world, pool, now)
        return []
    if now - float(since) < world.config.policy.idle_timeout.of(nodearray):
        return []
    try:
        listing = world.cloud.list_machines(pool)
        if listing.complete and not listing.machines:
            world.cloud.delete_pool(pool)
            _note_empty(world, pool, None)
    except CloudError as error:
        return [f"the empty agent pool {pool} could not be deleted: {error}"]
    return []


def _note_empty(world: World, pool: str, since: float | None) -> None:
    name = f"{_EMPTY_SINCE}:{pool}"
    text = None if since is None else f"{since:.3f}"
    if (world.ledger.flag(name) is None) != (text is None):
        world.ledger.set_flag(name, text)
