"""Pools that were never listed whole since the ledger was begun: what stands in them nobody knows (T13c, T33d).

A ledger that was lost is rebuilt from lists. Until a pool's list has once been whole, machines of it may be missing, so
nothing is made of its node arrays, nor under a cap over all node arrays: a machine that nobody counts would be passed
over, and its work asked for twice. From then on the ledger knows them, whatever later lists lack.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from autoscale_aks.reconcile.group_pools import group_pools

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.limits import Limits
    from autoscale_aks.reconcile.cloud_view import CloudView
    from autoscale_aks.reconcile.world import World

FLAG: Final = "listed whole: "
"""What the ledger's flags of pools that were seen whole begin with."""
_GROUPS: Final = "the list of pools"
"""Stands for the list that tells which placement groups have pools of their own."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What is new to the ledger with this look, and what it still lacks."""

    whole: frozenset[str] = frozenset()
    """Pools whose list was whole now, for the first time."""
    pools: tuple[str, ...] = ()
    """Pools whose list never was."""
    arrays: frozenset[str] = frozenset()
    """Node arrays whose machines may stand in them."""

    def offered(self, arrays: Iterable[NodeArray], limits: Limits) -> tuple[NodeArray, ...]:
        """The node arrays with nothing to be made of those whose machines, or whose caps, are not known."""
        if not self.arrays:
            return tuple(arrays)
        shared = _is_shared(limits)
        return tuple(
            replace(array, max_creates_per_cycle=0) if shared or array.name in self.arrays else array
            for array in arrays
        )

    def notices(self, limits: Limits) -> tuple[str, ...]:
        """Why nothing is made, in one sentence."""
        if not self.arrays:
            return ()
        scope = (
            "at all, for the node arrays share a cap" if _is_shared(limits) else f"of {', '.join(sorted(self.arrays))}"
        )
        were = f"{', '.join(self.pools)} {'were' if len(self.pools) > 1 else 'was'}"
        text = (
            f"nothing is made {scope}: {were} never listed whole since the ledger was begun, "
            "and machines that nobody counts may stand there"
        )
        return (text,)


def _is_shared(limits: Limits) -> bool:
    """Whether a cap of the site spans all node arrays. Azure's own are kept by Azure."""
    caps = (limits.cluster_max_nodes, limits.cluster_max_cores, limits.budget_per_hour)
    return any(cap is not None for cap in caps)


def find_unseen(world: World, cloud: CloudView) -> Unseen:
    """Compare the lists of this look with those the ledger knows to have been whole once."""
    known = world.ledger.flags(FLAG).keys()
    listed = cloud.complete_pools | ({_GROUPS} if cloud.pools_read else set())
    whole = frozenset(listed - known)
    if cloud.blocked.auth is not None or cloud.blocked.throttled_until is not None:
        return Unseen(whole)  # nothing can be asked for anyway, and the report says why
    seen = known | listed
    owners = {pool: {name} for pool, (name, _) in group_pools(world.config).items()}
    grouped = {name for names in owners.values() for name in names}
    for array in world.config.arrays:
        owners.setdefault(array.agent_pool, set()).add(array.name)
    lacking = [pool for pool in cloud.pools if pool not in seen]
    arrays = {name for pool in lacking for name in owners.get(pool, ())}
    if grouped and _GROUPS not in seen:
        lacking.append(_GROUPS)
        arrays |= grouped
    return Unseen(whole, tuple(lacking), frozenset(arrays))
