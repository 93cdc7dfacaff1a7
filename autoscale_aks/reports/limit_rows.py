"""Every limit with what is used of it, and the increase that the waiting queue needs (user ask T09). Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.node import Stage
from autoscale_aks.model.reason import PRICE_STEPS, LimitKind, ReasonCode
from autoscale_aks.model.snapshot import Blocked
from autoscale_aks.planning.limit_tree import build_limit_tree, family_key
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.space import build_space
from autoscale_aks.reports.limits import AZURES, find_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.limits import CoreQuota, Limits
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.space import Space

COLUMNS: Final = ("limit", "kind", "limit_value", "used", "in_flight", "left", "unit", "source", "age_s")
MISSING_COLUMNS: Final = ("limit", "kind", "location", "limit_value", "needed", "increase", "unit", "request")
_NO_ROWS: Final = frozenset({LimitKind.GROUP_NODES, LimitKind.UNPRICED, LimitKind.RESTRICTED})
"""Counters whose numbers say nothing by themselves."""
_ROUNDS: Final = 8
"""Times that increases are tried and added to; one is enough unless jobs take other buckets than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """One limit now. Amounts are in `unit`; budgets are prices an hour."""

    limit: str
    kind: str
    limit_value: float
    used: float
    """By everybody, in-flight machines of ours included."""
    in_flight: float
    """By machines of ours that are on their way."""
    left: float
    unit: str
    source: str
    age_s: float | None

    def as_dict(self) -> dict[str, Any]:
        """By column name."""
        return {name: getattr(self, name) for name in COLUMNS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Increase:
    """What to ask for: so much more of one limit."""

    kind: LimitKind
    limit: str
    """The family, the region, or the subnet."""
    location: str
    limit_value: int
    needed: int
    """The limit with which the queue is served."""

    @property
    def increase(self) -> int:
        """The difference."""
        return self.needed - self.limit_value

    @property
    def request(self) -> str:
        """As one sentence for whoever grants it."""
        if self.kind is LimitKind.SUBNET_ADDRESSES:
            return f"make room for {self.increase} more addresses in subnet {self.limit}"
        what = {LimitKind.REGION_QUOTA: "Total Regional vCPUs", LimitKind.SPOT_QUOTA: "Total Regional Spot vCPUs"}
        name = what.get(self.kind, self.limit)
        return f"raise {name} in {self.location} from {self.limit_value} to {self.needed} vCPUs"

    def as_dict(self) -> dict[str, Any]:
        """By column name."""
        return {
            "limit": self.limit,
            "kind": self.kind.value,
            "location": self.location,
            "limit_value": self.limit_value,
            "needed": self.needed,
            "increase": self.increase,
            "unit": self.kind.unit,
            "request": self.request,
        }


def list_limits(snapshot: Snapshot, policy: Policy) -> tuple[LimitRow, ...]:
    """Every limit that stands over some bucket, in the buckets' order. Raises ConstraintError as planning does."""
    use = _Use.of(snapshot, policy)
    rows = []
    for (kind, name), capacity in use.capacity.items():
        quota = _quota_of(snapshot.limits, kind, name)
        elsewhere = quota.used_elsewhere_cores if quota is not None else 0
        total = capacity + elsewhere
        used, in_flight = use.used[kind, name] + elsewhere, use.in_flight[kind, name]
        steps = PRICE_STEPS if kind.is_budget else 1
        rows.append(
            LimitRow(
                limit=name,
                kind=kind.value,
                limit_value=_scaled(total, steps),
                used=_scaled(used, steps),
                in_flight=_scaled(in_flight, steps),
                left=_scaled(max(0, total - used), steps),
                unit=kind.unit or "an hour",
                source=(quota.source if quota is not None else "") or "configuration",
                age_s=None if quota is None else quota.age_s,
            )
        )
    return tuple(rows)


def _scaled(amount: int, steps: int) -> float:
    return amount if steps == 1 else amount / steps


@dataclass(frozen=True, slots=True)
class _Use:
    """What our machines take of each counter, by (kind, name)."""

    capacity: Mapping[tuple[LimitKind, str], int]
    used: Mapping[tuple[LimitKind, str], int]
    in_flight: Mapping[tuple[LimitKind, str], int]

    @classmethod
    def of(cls, snapshot: Snapshot, policy: Policy) -> _Use:
        """Counted by the planner's own tree, once with all machines and once without those in flight."""
        capacity, used = _charged(snapshot, policy)
        settled = tuple(node for node in snapshot.nodes if node.stage is not Stage.IN_FLIGHT)
        _, without = _charged(replace(snapshot, nodes=settled), policy)
        return cls(capacity, used, {key: amount - without.get(key, 0) for key, amount in used.items()})


def _charged(
    snapshot: Snapshot, policy: Policy
) -> tuple[dict[tuple[LimitKind, str], int], dict[tuple[LimitKind, str], int]]:
    space = _space(snapshot)
    tree = build_limit_tree(snapshot, policy, space.buckets, space.bucket_of)
    capacity: dict[tuple[LimitKind, str], int] = {}
    used: dict[tuple[LimitKind, str], int] = {}
    for index, counter in enumerate(tree.counters):
        if counter.kind not in _NO_ROWS:
            capacity[counter.kind, counter.name] = tree.capacity[index]
            used[counter.kind, counter.name] = tree.used.get(index, 0)
    return capacity, used


def _space(snapshot: Snapshot) -> Space:
    rules = parse_default_resources(snapshot.default_resources, disable_defaults=snapshot.disable_default_resources)
    return build_space(snapshot, rules)


def missing_limits(snapshot: Snapshot, policy: Policy, kinds: Kinds) -> tuple[Increase, ...]:
    """The smallest increases with which no job waits for one of Azure's limits; empty when none does.

    Counted as the demand report counts (`find_limits`), but with Azure's limits lifted and none of the site's own, and
    as if there were time. It is tried: where jobs then take other buckets and still wait, it is added to.
    """
    calm = replace(policy, max_creates_per_cycle=None)
    raised, increases = _patient(snapshot), dict[tuple[LimitKind, str], Increase]()
    for _ in range(_ROUNDS):
        rows, _ = find_limits(raised, calm, plan(raised, calm, kinds), _space(raised), kinds, only=AZURES)
        short = [row for row in rows if row.kind in AZURES and row.missing]
        if not short:
            break
        for row in short:
            increases[row.kind, row.name] = _increase(snapshot, raised, row.kind, row.name, row.missing)
            raised = replace(raised, limits=_raised(raised.limits, row.kind, row.name, row.missing))
    return tuple(increases.values())


def _patient(snapshot: Snapshot) -> Snapshot:
    """The snapshot as if there were time: no cap a cycle, nothing left alone after a refusal, no throttle."""
    kept = tuple(one for one in snapshot.blocked.back_offs if one.code == ReasonCode.BOOT_CIRCUIT_OPEN.value)
    return replace(
        snapshot,
        blocked=Blocked(back_offs=kept),
        nodearrays=tuple(replace(array, max_creates_per_cycle=None) for array in snapshot.nodearrays),
    )


def _increase(snapshot: Snapshot, raised: Snapshot, kind: LimitKind, name: str, lack: int) -> Increase:
    first, now = _quota_of(snapshot.limits, kind, name), _quota_of(raised.limits, kind, name)
    limit = first.quota_cores if first is not None else 0
    family, _, location = name.partition(" in ")
    return Increase(
        kind=kind,
        limit=family,
        location=location or ("" if kind is LimitKind.SUBNET_ADDRESSES else name),
        limit_value=limit,
        needed=(now.quota_cores if now is not None else limit) + lack,
    )


def _quota_of(limits: Limits, kind: LimitKind, name: str) -> CoreQuota | None:
    """The quota behind a counter of the tree."""
    if kind is LimitKind.FAMILY_QUOTA:
        family, _, location = name.rpartition(" in ")
        families = limits.families.get(location, {})
        return next((one for known, one in families.items() if family_key(known) == family_key(family)), None)
    if kind is LimitKind.SUBNET_ADDRESSES:
        return next((one for pool, one in limits.subnets.items() if limits.subnet_names.get(pool, pool) == name), None)
    places = {LimitKind.REGION_QUOTA: limits.regions, LimitKind.SPOT_QUOTA: limits.spot_regions}
    return places[kind].get(name) if kind in places else None


def _raised(limits: Limits, kind: LimitKind, name: str, by: int) -> Limits:
    def more(quota: CoreQuota) -> CoreQuota:
        return replace(quota, quota_cores=quota.quota_cores + by)

    def changed(known: Mapping[str, CoreQuota], is_it: Callable[[str], bool]) -> dict[str, CoreQuota]:
        return {key: more(quota) if is_it(key) else quota for key, quota in known.items()}

    if kind is LimitKind.FAMILY_QUOTA:
        family, _, location = name.rpartition(" in ")
        wanted = family_key(family)
        families = changed(limits.families[location], lambda known: family_key(known) == wanted)
        return replace(limits, families={**limits.families, location: families})
    if kind is LimitKind.SUBNET_ADDRESSES:
        subnets = changed(limits.subnets, lambda pool: limits.subnet_names.get(pool, pool) == name)
        return replace(limits, subnets=subnets)
    if kind is LimitKind.SPOT_QUOTA:
        return replace(limits, spot_regions=changed(limits.spot_regions, lambda key: key == name))
    return replace(limits, regions=changed(limits.regions, lambda key: key == name))
