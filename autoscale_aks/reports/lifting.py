"""The same state with some of its limits out of the way, by which a report finds what they hold back. Pure."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.reason import LimitKind
from autoscale_aks.planning.limit_tree import family_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.limits import CoreQuota, Limits
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.reason import Binding
    from autoscale_aks.model.snapshot import Snapshot

LimitKey = tuple[LimitKind, str]
"""A limit: what it counts, and its name."""

STRUCTURAL: Final = frozenset({LimitKind.GROUP_NODES, LimitKind.PLAN_SIZE, LimitKind.UNPRICED, LimitKind.RESTRICTED})
"""Limits that no raise takes away."""
_ANY_PRICE: Final = Fraction(10**8)
"""A budget that never binds. It is there all the same, so that sizes of unknown price stay out (user ask T27d)."""


def budgets_of(snapshot: Snapshot) -> set[LimitKey]:
    """Every budget there may be."""
    return {(LimitKind.BUDGET, "cluster"), *((LimitKind.ARRAY_BUDGET, array.name) for array in snapshot.nodearrays)}


def key_of(binding: Binding | None) -> LimitKey | None:
    """The limit that binds; None where none does, or none that a raise would take away."""
    if binding is None or binding.kind in STRUCTURAL:
        return None
    return limit_key(binding.kind, binding.name)


def limit_key(kind: LimitKind, name: str) -> LimitKey:
    """A limit's key; families are one however they are spelled."""
    return (kind, family_key(name) if kind is LimitKind.FAMILY_QUOTA else name)


def lift(snapshot: Snapshot, lifted: set[LimitKey]) -> Snapshot:
    """The snapshot without these limits; those of the policy: `lift_policy`."""
    return replace(
        snapshot,
        limits=_lift_limits(snapshot.limits, lifted),
        nodearrays=tuple(_lift_array(array, lifted) for array in snapshot.nodearrays),
    )


def _lift_limits(limits: Limits, lifted: set[LimitKey]) -> Limits:
    return replace(
        limits,
        cluster_max_cores=None if (LimitKind.CLUSTER_CORES, "cluster") in lifted else limits.cluster_max_cores,
        cluster_max_nodes=None if (LimitKind.CLUSTER_NODES, "cluster") in lifted else limits.cluster_max_nodes,
        pools=frozendict(
            {pool: most for pool, most in limits.pools.items() if (LimitKind.POOL_NODES, pool) not in lifted}
        ),
        subnets=frozendict(
            {
                pool: quota
                for pool, quota in limits.subnets.items()
                if (LimitKind.SUBNET_ADDRESSES, limits.subnet_names.get(pool, pool)) not in lifted
            }
        ),
        budget_per_hour=_any_price(limits.budget_per_hour, is_lifted=(LimitKind.BUDGET, "cluster") in lifted),
        regions=_without(limits.regions, LimitKind.REGION_QUOTA, lifted),
        spot_regions=_without(limits.spot_regions, LimitKind.SPOT_QUOTA, lifted),
        families=frozendict(
            {
                region: frozendict(
                    {
                        family: quota
                        for family, quota in families.items()
                        if (LimitKind.FAMILY_QUOTA, family_key(f"{family} in {region}")) not in lifted
                    }
                )
                for region, families in limits.families.items()
            }
        ),
    )


def _without(quotas: Mapping[str, CoreQuota], kind: LimitKind, lifted: set[LimitKey]) -> Mapping[str, CoreQuota]:
    return frozendict({name: quota for name, quota in quotas.items() if (kind, name) not in lifted})


def _lift_array(array: NodeArray, lifted: set[LimitKey]) -> NodeArray:
    def kept(kind: LimitKind, name: str, most: int | None) -> int | None:
        return None if (kind, name) in lifted else most

    offerings = []
    for one in array.offerings:
        name = f"{array.name}/{one.vm_size}" + (f":{one.zone}" if one.zone else "")
        offerings.append(
            replace(
                one,
                max_count=kept(LimitKind.BUCKET_NODES, name, one.max_count),
                available_count=kept(LimitKind.BUCKET_AVAILABLE, name, one.available_count),
            )
        )
    return replace(
        array,
        max_count=kept(LimitKind.ARRAY_NODES, array.name, array.max_count),
        max_core_count=kept(LimitKind.ARRAY_CORES, array.name, array.max_core_count),
        max_creates_per_cycle=kept(LimitKind.ARRAY_CREATES, array.name, array.max_creates_per_cycle),
        budget_per_hour=_any_price(array.budget_per_hour, is_lifted=(LimitKind.ARRAY_BUDGET, array.name) in lifted),
        offerings=tuple(offerings),
    )


def _any_price(budget: Fraction | None, *, is_lifted: bool) -> Fraction | None:
    return _ANY_PRICE if is_lifted and budget is not None else budget


def lift_policy(policy: Policy, lifted: set[LimitKey]) -> Policy:
    """The policy without these limits."""
    return replace(policy, max_creates_per_cycle=None) if (LimitKind.CYCLE_CREATES, "policy") in lifted else policy
