"""Azure's limits as limits of the plan: vCPU quota, node counts, subnet addresses (user ask T09, matching.md L1–L4).

The plan charges every machine of ours on its limits. A source's current value counts most of them too, and lags by
minutes; so what *others* use has to be found. Of our machines, by the time of the reading:

===========================================  ==========================================
asked for more than `settle_s` before it     counted in the value (settled)
asked for at most `settle_s` before it       perhaps counted: C, from 0 to R cores
asked for after it                           not counted
===========================================  ==========================================

    others = current value − settled − C

C is not told. What others used at the last look (kept in the ledger) is taken to be what they use now, as far as that
is possible: others = the last value, but at most `current − settled` and at least `current − settled − R`. So a machine
of ours is deducted from the moment it is asked for, is not deducted twice once the source has caught up, and where
nothing was known before, C is 0: too few machines are asked for then, never too many, until `settle_s` is over.

Missing and old numbers do not bind (L4): they are left out and reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

from frozendict import frozendict

from autoscale_aks.model.limits import CoreQuota
from autoscale_aks.model.snapshot import Source
from autoscale_aks.planning.limit_tree import family_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from autoscale_aks.config.references import QuotaConfig
    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.limits import Limits
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.sizes import Reading
    from autoscale_aks.reconcile.joining import Joiner
    from autoscale_aks.reconcile.world import World

T = TypeVar("T")

FLAG: Final = "others "
"""What the ledger's flags are called that hold what others use of a counter."""
REGIONAL: Final = "cores"
SPOT: Final = "lowPriorityCores"


@dataclass(frozen=True, slots=True)
class _Ours:
    """One machine of ours on a counter."""

    array: NodeArray
    offering: Offering
    asked_at: float
    is_sure: bool
    """Its VM is there for all we know: it is neither failed nor of unknown fate."""


@dataclass(slots=True)
class Measured:
    """The limits of a cycle, and what is to be kept and told."""

    limits: Limits
    others: dict[str, int] = field(default_factory=dict)
    """Counter → what others use, for the next cycle."""
    sources: list[Source] = field(default_factory=list)
    """What was read and binds, and how old it is."""
    notices: list[str] = field(default_factory=list)


def measure(world: World, joined: Joiner) -> Measured:
    """The configured limits with Azure's own laid over them; of two that speak of one thing the tighter binds."""
    found = Measured(limits=world.config.limits)
    if world.reference is None:
        return found
    settings = world.config.references.quota
    ours = tuple(_ours(joined))
    before = {name: int(value) for name, value in world.ledger.flags(FLAG).items() if _is_number(value)}
    meter = _Meter(settings, joined.now, ours, before, found, joined.cloud.strangers)
    arrays = tuple(array for array in world.config.arrays if array.enabled)
    if settings.rule.live:
        for location in dict.fromkeys(array.location for array in arrays):
            _quotas(world, meter, location, [array for array in arrays if array.location == location])
        _pools(world, meter, arrays)
    return found


def _ours(joined: Joiner) -> Iterable[_Ours]:
    arrays = {array.name: array for array in joined.world.config.arrays}
    for node in joined.nodes:
        array = arrays.get(node.nodearray or "")
        offering = None if array is None else _offering(array, node)
        if array is not None and offering is not None:
            record: MachineRecord | None = joined.records.get(node.name)
            asked_at = joined.now if record is None else record.asked_at
            is_sure = not node.is_failed and (record is None or record.state.value not in {"unknown", "rejected"})
            yield _Ours(array, offering, asked_at, is_sure)


def _offering(array: NodeArray, node: Node) -> Offering | None:
    """The offering whose quota a node is charged on by the plan; None: the plan does not charge it."""
    return next((one for one in array.offerings if one.vm_size == node.vm_size), None)


@dataclass(slots=True)
class _Meter:
    settings: QuotaConfig
    now: float
    ours: tuple[_Ours, ...]
    before: Mapping[str, int]
    found: Measured
    strangers: Mapping[str, int]
    """Pool → machines in it that are not ours."""

    def read(self, what: str, reading: Reading[T]) -> bool:
        """Whether a reading binds; tells why where it does not, or is old."""
        age = reading.age_s(self.now)
        if reading.value is None or age is None:
            if reading.detail:
                self.found.notices.append(f"{what} could not be read: {reading.detail}; it does not bind now")
            return False
        if age > self.settings.stale_s:
            why = f": {reading.detail}" if reading.detail else ""
            old = f"{what} is {age:.0f} s old and could not be read again{why}"
            self.found.notices.append(f"{old}; it does not bind now")
            return False
        if reading.is_stale:
            self.found.notices.append(f"{what} is {age:.0f} s old and could not be read again: {reading.detail}")
        self.found.sources.append(Source(name=what, age_s=age, detail=reading.source))
        return True

    def others(self, key: str, current: int, taken_at: float, cost: Callable[[_Ours], int]) -> int:
        """What others use of a counter; `cost` is what one machine of ours takes of it, 0 for none."""
        settled = recent = 0
        for one in self.ours:
            if one.asked_at > taken_at:
                continue
            if one.is_sure and one.asked_at <= taken_at - self.settings.settle_s:
                settled += cost(one)
            else:
                recent += cost(one)
        used = self.found.others[key] = others_now(current, settled, recent, self.before.get(key))
        return used


def others_now(current: int, settled: int, recent: int, before: int | None) -> int:
    """What others use, by the rule above; `before` is what they used at the last look, None where there was none."""
    most = max(0, current - settled)
    least = max(0, current - settled - recent)
    return most if before is None else min(max(before, least), most)


def _quotas(world: World, meter: _Meter, location: str, arrays: list[NodeArray]) -> None:
    reading = world.reference.usages(location) if world.reference is not None else None
    if reading is None or not meter.read(f"quota of {location}", reading):
        return
    usages, age = reading.value or {}, reading.age_s(meter.now)

    def quota(name: str, cost: Callable[[_Ours], int]) -> CoreQuota | None:
        key = family_key(name)
        usage = usages.get(key)
        if usage is None:
            meter.found.notices.append(f"{reading.source} of {location} says nothing of {name}; it does not bind now")
            return None
        used = meter.others(f"{location} {key}", usage.current, reading.taken_at or meter.now, cost)
        return CoreQuota(usage.limit, used, reading.source, age)

    def here(one: _Ours, *, spot: bool) -> bool:
        return one.array.location == location and one.array.spot is spot

    limits = meter.found.limits
    if any(array.spot for array in arrays):
        spot = quota(SPOT, lambda one: one.offering.quota_vcpus if here(one, spot=True) else 0)
        limits = replace(limits, spot_regions=_with(limits.spot_regions, location, spot))
    regular = [array for array in arrays if not array.spot]
    families: Mapping[str, CoreQuota] = limits.families.get(location, frozendict())
    for family in dict.fromkeys(one.vm_family for array in regular for one in array.offerings):
        key = family_key(family)
        counter = quota(family, lambda one, key=key: _family_cost(one, key) if here(one, spot=False) else 0)  # type: ignore[misc]
        named = next((name for name in families if family_key(name) == key), family)
        families = _with(families, named, counter)
    if families:
        limits = replace(limits, families=frozendict({**limits.families, location: families}))
    if regular:
        cores = quota(REGIONAL, lambda one: one.offering.quota_vcpus if here(one, spot=False) else 0)
        limits = replace(limits, regions=_with(limits.regions, location, cores))
    meter.found.limits = limits


def _family_cost(one: _Ours, key: str) -> int:
    return one.offering.quota_vcpus if family_key(one.offering.vm_family) == key else 0


def _with(known: Mapping[str, CoreQuota], name: str, read: CoreQuota | None) -> Mapping[str, CoreQuota]:
    """The site's own number and Azure's: the one that leaves less."""
    if read is None:
        return known
    stated = known.get(name)
    if stated is not None and _left(stated) <= _left(read):
        return known
    return frozendict({**known, name: read})


def _left(quota: CoreQuota) -> int:
    return quota.quota_cores - quota.used_elsewhere_cores


def _pools(world: World, meter: _Meter, arrays: tuple[NodeArray, ...]) -> None:
    """Nodes of the cluster and of each pool, and addresses of the pools' subnets."""
    settings, limits, strangers = meter.settings, meter.found.limits, meter.strangers
    if settings.nodes_per_pool is not None:
        names = tuple(dict.fromkeys(array.agent_pool for array in arrays))
        free = {name: max(0, settings.nodes_per_pool - strangers.get(name, 0)) for name in names}
        limits = replace(limits, pools=frozendict(free))
    reading = world.reference.pools() if world.reference is not None else None
    is_read = reading is not None and meter.read("the list of agent pools", reading)
    pools = (reading.value or ()) if reading is not None and is_read else ()
    elsewhere = sum(pool.count or 0 for pool in pools if not pool.takes_machines) + sum(strangers.values())
    most = settings.nodes_per_cluster
    meter.found.limits = _capped(limits, None if most is None else max(0, most - elsewhere))
    _subnets(world, meter, {pool.name: pool.subnet_id for pool in pools})


def _capped(limits: Limits, nodes: int | None) -> Limits:
    if nodes is None or (limits.cluster_max_nodes is not None and limits.cluster_max_nodes <= nodes):
        return limits
    return replace(limits, cluster_max_nodes=nodes)


def _subnets(world: World, meter: _Meter, of_pool: Mapping[str, str | None]) -> None:
    """Every subnet once, with all pools that stand in it; ids of resources are one in any letter case."""
    homes: dict[str, str] = {}
    for one in world.config.nodearrays.values():
        pool = one.array.agent_pool
        subnet = one.vnet_subnet_id or of_pool.get(pool)
        if subnet is not None:
            homes.setdefault(pool, subnet)
    pools_of: dict[str, list[str]] = {}
    for pool, subnet in homes.items():
        pools_of.setdefault(subnet.casefold(), []).append(pool)
    if world.reference is not None:
        world.reference.prepare((), [homes[pools[0]] for pools in pools_of.values()])
    for pools in pools_of.values():
        _subnet(world, meter, homes[pools[0]], pools)


def _subnet(world: World, meter: _Meter, subnet_id: str, pools: list[str]) -> None:
    name = subnet_id.rpartition("/")[2]
    reading = world.reference.subnet(subnet_id) if world.reference is not None else None
    if reading is None or not meter.read(f"subnet {name}", reading) or reading.value is None:
        return
    view, each = reading.value, meter.settings.addresses_per_node
    used = meter.others(
        f"subnet {subnet_id.casefold()}",
        view.used,
        reading.taken_at or meter.now,
        lambda one: each if one.array.agent_pool in pools else 0,
    )
    limits, quota = meter.found.limits, CoreQuota(view.usable, used, reading.source, reading.age_s(meter.now))
    meter.found.limits = replace(
        limits,
        subnets=frozendict({**limits.subnets, **dict.fromkeys(pools, quota)}),
        subnet_names=frozendict({**limits.subnet_names, **dict.fromkeys(pools, name)}),
        addresses_per_node=each,
    )


def _is_number(text: str) -> bool:
    return text.isdecimal()
