"""What new nodes may still use, and which limit binds (contract matching.md L1–L4)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autoscale_aks.model.reason import PRICE_STEPS, Binding, LimitKind

if TYPE_CHECKING:
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.limits import CoreQuota
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

MOST_NEW_NODES: Final = 1_000_000
"""New nodes of one plan at the very most, whatever is asked: a plan must end and fit in memory."""

UNBOUND: Final = 1 << 60
"""More nodes than anybody asks for: no limit binds."""


_ONLY_NEW: Final = frozenset(
    {
        LimitKind.BUCKET_AVAILABLE,
        LimitKind.CYCLE_CREATES,
        LimitKind.ARRAY_CREATES,
        LimitKind.UNPRICED,
        LimitKind.RESTRICTED,
    }
)
"""Counters that speak of new nodes only, so that existing ones are not charged on them."""


@dataclass(frozen=True, slots=True)
class _Counter:
    kind: LimitKind
    name: str


@dataclass(frozen=True, slots=True)
class _Charge:
    """What one new node of a bucket takes from a counter; `allowance` is added to what the counter holds."""

    counter: int
    cost: int
    allowance: int = 0


@dataclass(slots=True)
class LimitTree:
    """Counters and who is charged on them. Each counts once over all its buckets and groups (L1)."""

    counters: list[_Counter] = field(default_factory=list)
    capacity: list[int] = field(default_factory=list)
    charges: list[tuple[_Charge, ...]] = field(default_factory=list)
    """Per bucket, in the planner's numbering."""
    used: dict[int, int] = field(default_factory=dict)
    """Counter → what is charged on it; the only thing that changes while jobs are placed."""
    new_nodes: int = 0
    """New nodes of the plan so far, held against MOST_NEW_NODES."""
    closed: set[int] = field(default_factory=set)
    """Buckets that were seen to get no more nodes: what is used only grows."""
    _index: dict[tuple[LimitKind, str], int] = field(default_factory=dict)

    def fork(self) -> LimitTree:
        """A copy on which nodes can be tried."""
        return LimitTree(
            self.counters, self.capacity, self.charges, dict(self.used), self.new_nodes, set(self.closed), self._index
        )

    def available(self, bucket: int) -> int:
        """New nodes the bucket may still get in this plan."""
        return min(self.allowed(bucket), MOST_NEW_NODES - self.new_nodes)

    def allowed(self, bucket: int) -> int:
        """New nodes that limits allow the bucket; UNBOUND when none binds."""
        fewest = UNBOUND
        for charge in self.charges[bucket]:
            counter = charge.counter
            nodes = (self.capacity[counter] + charge.allowance - self.used.get(counter, 0)) // charge.cost
            if nodes < fewest:
                if nodes <= 0:
                    self.closed.add(bucket)
                    return 0
                fewest = nodes
        return fewest

    def take(self, bucket: int, nodes: int, *, are_new: bool = True) -> None:
        """Charge nodes of a bucket. The caller has asked `available` first, where they are new."""
        self.new_nodes += nodes if are_new else 0
        for charge in self.charges[bucket]:
            if are_new or self.counters[charge.counter].kind not in _ONLY_NEW:
                self.used[charge.counter] = self.used.get(charge.counter, 0) + charge.cost * nodes

    def binding(self, bucket: int, wanted: int) -> Binding | None:
        """The limit that allows the fewest new nodes, and what it is short of for `wanted`; None when none binds."""
        tightest = min(self.charges[bucket], key=self._nodes, default=None)
        if MOST_NEW_NODES - self.new_nodes < min(wanted, self.allowed(bucket)):
            return Binding(LimitKind.PLAN_SIZE, "plan", MOST_NEW_NODES - self.new_nodes, wanted)
        if tightest is None:
            return None
        left = self._left(tightest)  # below 0 where more is used than there may be: that has to be raised too
        counter = self.counters[tightest.counter]
        return Binding(counter.kind, counter.name, max(left, 0), max(0, wanted * tightest.cost - left))

    def _left(self, charge: _Charge) -> int:
        return self.capacity[charge.counter] + charge.allowance - self.used.get(charge.counter, 0)

    def _nodes(self, charge: _Charge) -> int:
        return max(0, self._left(charge) // charge.cost)

    def counter(self, kind: LimitKind, name: str, capacity: int) -> int:
        """Index of a counter, made with its capacity when it is new. Families are one however they are spelled."""
        key = (kind, family_key(name) if kind is LimitKind.FAMILY_QUOTA else name)
        found = self._index.get(key)
        if found is None:
            found = self._index[key] = len(self.counters)
            self.counters.append(_Counter(kind, name))
            self.capacity.append(capacity)
        return found


def build_limit_tree(
    snapshot: Snapshot, policy: Policy, buckets: list[Bucket], bucket_of: list[int | None]
) -> LimitTree:
    """The tree over all buckets, with every machine of the snapshot, in any stage, already charged.

    `bucket_of` gives each node's bucket; None where the configuration no longer has it.
    """
    tree = LimitTree()
    for bucket in buckets:
        add_bucket(tree, snapshot, policy, bucket)
    for bucket_number, nodes in Counter(bucket_of).items():
        if bucket_number is not None:
            tree.take(bucket_number, nodes, are_new=False)
    for node, index in zip(snapshot.nodes, bucket_of, strict=True):
        if index is None:
            _charge_stranger(tree, node)
    return tree


def add_bucket(tree: LimitTree, snapshot: Snapshot, policy: Policy, bucket: Bucket) -> None:
    """Append one bucket's charges; counters it shares with others are found, not made again."""
    array, offering = bucket.array, bucket.offering
    charges: list[_Charge] = []

    def charge(kind: LimitKind, name: str, limit: int | None, cost: int = 1) -> None:
        if limit is not None:
            charges.append(_Charge(tree.counter(kind, name, limit), max(cost, 1)))

    ungrouped = f"{array.name}/{offering.vm_size}" + (f":{offering.zone}" if offering.zone else "")
    if offering.restriction is not None:  # first, so that it is named beside limits that are used up as well
        charge(LimitKind.RESTRICTED, f"{ungrouped} ({offering.restriction})", 0)
    limits = snapshot.limits
    if array.spot:
        quota = limits.spot_regions.get(array.location)
        charge(LimitKind.SPOT_QUOTA, array.location, _cores_left(quota), offering.quota_vcpus)
    else:
        charge(LimitKind.FAMILY_QUOTA, f"{offering.vm_family} in {array.location}",
               _cores_left(_family(snapshot, array.location, offering.vm_family)), offering.quota_vcpus)  # fmt: skip
        quota = limits.regions.get(array.location)
        charge(LimitKind.REGION_QUOTA, array.location, _cores_left(quota), offering.quota_vcpus)
    charge(LimitKind.POOL_NODES, array.agent_pool, limits.pools.get(array.agent_pool))
    if array.agent_pool in limits.subnets:
        subnet = limits.subnet_names.get(array.agent_pool, array.agent_pool)
        left = _cores_left(limits.subnets[array.agent_pool])
        charge(LimitKind.SUBNET_ADDRESSES, subnet, left, limits.addresses_per_node)
    charge(LimitKind.CLUSTER_CORES, "cluster", limits.cluster_max_cores, offering.vcpu_count)
    charge(LimitKind.CLUSTER_NODES, "cluster", limits.cluster_max_nodes)
    charge(LimitKind.ARRAY_CORES, array.name, array.max_core_count, offering.vcpu_count)
    charge(LimitKind.ARRAY_NODES, array.name, array.max_count)
    charge(LimitKind.BUCKET_NODES, ungrouped, offering.max_count)
    charge(LimitKind.BUCKET_AVAILABLE, ungrouped, offering.available_count)
    charge(LimitKind.CYCLE_CREATES, "policy", policy.max_creates_per_cycle)
    charge(LimitKind.ARRAY_CREATES, array.name, array.max_creates_per_cycle)
    for kind, name, budget in (
        (LimitKind.BUDGET, "cluster", limits.budget_per_hour),
        (LimitKind.ARRAY_BUDGET, array.name, array.budget_per_hour),
    ):
        if budget is not None and offering.price is None:
            charge(LimitKind.UNPRICED, ungrouped, 0)
        elif budget is not None and offering.price:
            charge(kind, name, math.floor(budget * PRICE_STEPS), math.ceil(offering.price * PRICE_STEPS))
    if bucket.placement_group is not None:
        group = tree.counter(LimitKind.GROUP_NODES, f"{array.name}/{bucket.placement_group}", 0)
        charges.append(_Charge(group, 1, offering.max_placement_group_size))
    tree.charges.append(tuple(charges))


def _charge_stranger(tree: LimitTree, node: Node) -> None:
    """A machine whose bucket left the configuration still counts as a node of its array and of the cluster."""
    for index, counter in enumerate(tree.counters):
        in_array = counter.kind is LimitKind.ARRAY_NODES and counter.name == node.nodearray
        if in_array or counter.kind is LimitKind.CLUSTER_NODES:
            tree.used[index] = tree.used.get(index, 0) + 1


def _cores_left(quota: CoreQuota | None) -> int | None:
    return None if quota is None else quota.quota_cores - quota.used_elsewhere_cores


def _family(snapshot: Snapshot, location: str, family: str) -> CoreQuota | None:
    """Families are compared without spaces and letter case, which Azure does not keep consistent (§9.1)."""
    families = snapshot.limits.families.get(location, {})
    if family in families:
        return families[family]
    wanted = family_key(family)
    return next((quota for name, quota in families.items() if family_key(name) == wanted), None)


def family_key(family: str) -> str:
    """A VM family's name as it compares."""
    return family.replace(" ", "").casefold()
