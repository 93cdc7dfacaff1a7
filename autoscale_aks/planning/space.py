"""What a plan is made in: buckets, the kinds of their nodes, and each class's options on them. Fixed for one plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.matching.evaluate import Untouched, criterion_holds
from autoscale_aks.matching.profile import MEMORY, Kind, Profile
from autoscale_aks.matching.resources import ResourceRules, resolve_kind
from autoscale_aks.model.bucket import Bucket, expand_buckets
from autoscale_aks.units import Number, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.matching.alternatives import Alternative
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.demand import JobClass, Part
    from autoscale_aks.units import Value

UNMANAGED: Final = -1
"""Number of the place that holds on-premise nodes; they come before all buckets (P1)."""
STRAYS: Final = -2
"""Number of the place that holds nodes whose bucket left the configuration; they come after all buckets."""


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """One alternative of a part, bound to a kind: what a slot takes, by dimension number."""

    needs: tuple[tuple[int, Number], ...]
    alternative: Alternative


@dataclass(slots=True, eq=False)
class Space:
    """Everything about buckets and nodes that does not change while jobs are placed."""

    snapshot: Snapshot
    rules: ResourceRules
    buckets: list[Bucket] = field(default_factory=list)
    empty: list[Profile] = field(default_factory=list)
    """Per bucket, its empty node."""
    profiles: list[Profile] = field(default_factory=list)
    """Per node: the snapshot's nodes, then its unmanaged nodes."""
    bucket_of: list[int | None] = field(default_factory=list)
    """Per node of the snapshot: its bucket's number; None where the configuration no longer has it."""
    dimensions: dict[str, int] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    """Buckets of placement groups that no node has opened yet; only the gang that tries them sees them (A5)."""
    _kinds: dict[Any, Kind] = field(default_factory=dict)
    _options: dict[tuple[int, int, int], tuple[Option, ...]] = field(default_factory=dict)
    _numbers: dict[tuple[str, str, str | None, str | None], int] = field(default_factory=dict)

    def add_bucket(self, bucket: Bucket) -> int:
        """Number of a bucket, new or known."""
        found = self._numbers.get(bucket.key)
        if found is None:
            found = self._numbers[bucket.key] = len(self.buckets)
            self.buckets.append(bucket)
            self.empty.append(Profile(self._bucket_kind(bucket, None, bucket.array.resources)))
        return found

    def numbers_of(self, bucket: Bucket) -> int:
        """Number of a bucket that is known."""
        return self._numbers[bucket.key]

    def add_node(self, node: Node, arrays: Mapping[str, NodeArray]) -> None:
        """Number a managed node and find its bucket; unlisted placement groups become known through their nodes."""
        array = arrays.get(node.nodearray or "")
        offering = _offering_of(array, node)
        if array is None or offering is None:
            self.bucket_of.append(None)
            self.profiles.append(self._stray(node, array))
            return
        number = self.add_bucket(Bucket(array, offering, node.placement_group))
        own = frozendict({**array.resources, **node.resources}) if node.resources else array.resources
        self.bucket_of.append(number)
        self.profiles.append(Profile(self._bucket_kind(self.buckets[number], node, own), node))

    def add_unmanaged(self, node: Node) -> None:
        """Number an on-premise node: it has only what the scheduler reports of it."""
        self.profiles.append(Profile(self._kind(("unmanaged",), {}, None, node, node.resources), node))

    def _stray(self, node: Node, array: NodeArray | None) -> Profile:
        facts = {"nodearray": node.nodearray, "vm_size": node.vm_size, "placement_group": node.placement_group}
        own = {**(array.resources if array else {}), **node.resources}
        return Profile(self._kind(tuple(facts.items()), facts, None, node, frozendict(own)), node)

    def _bucket_kind(self, bucket: Bucket, node: Node | None, own: Mapping[str, Value]) -> Kind:
        zone = (node.zone if node else None) or bucket.offering.zone
        return self._kind((self.numbers_of(bucket), zone), bucket_facts(bucket, zone), bucket, node, own)

    def _kind(
        self, key: Any, facts: Mapping[str, Any], bucket: Bucket | None, node: Node | None, own: Mapping[str, Value]
    ) -> Kind:
        live = node if self.rules.is_live else None
        key = (key, tuple((name, type(value), value) for name, value in sorted(own.items())), id(live) if live else 0)
        found = self._kinds.get(key)
        if found is None:
            source = "scheduler" if node is not None and node.resources else "nodearray"
            found = resolve_kind(
                len(self._kinds), self.rules, facts, own, self.snapshot.shared_resources,
                bucket=bucket, node=live, own_source=source,
            )  # fmt: skip
            self._kinds[key] = found
        return found

    @property
    def kinds(self) -> Iterable[Kind]:
        """Every kind of node there is."""
        return self._kinds.values()

    def number_dimensions(self, classes: Iterable[JobClass]) -> None:
        """Number every dimension that any class asks an amount of, on any kind."""
        names = sorted(
            {name for job_class in classes for part in job_class.parts for name in _asked(part.alternatives)}
        )
        schemas = {frozenset(kind.units) for kind in self.kinds}
        for name in names:
            for schema in schemas:
                dimension = MEMORY if name in schema else name
                self.dimensions.setdefault(dimension, len(self.dimensions))

    def options(self, part: Part, profile: Profile) -> tuple[Option, ...]:
        """The part's alternatives that this node's fixed facts allow, in order, bound to its dimensions."""
        key = (part.id, profile.kind.id, id(profile) if part.is_live else 0)
        found = self._options.get(key)
        if found is None:
            bound = (self._bind(alternative, profile) for alternative in part.alternatives)
            found = self._options[key] = tuple(option for option in bound if option is not None)
        return found

    def _bind(self, alternative: Alternative, profile: Profile) -> Option | None:
        untouched = Untouched(profile)
        if not all(criterion_holds(criterion, profile, untouched) for criterion in alternative.criteria):
            return None
        amounts: dict[int, Number] = {}
        for need in alternative.needs:
            dimension, amount = profile.amount(need)
            if amount == 0:
                if profile.resource(need.name) is None:
                    return None
            elif profile.total(dimension) is None:
                return None
            else:
                number = self.dimensions.get(dimension)
                if number is None:
                    return None
                amounts[number] = amounts.get(number, 0) + amount
        return Option(tuple(amounts.items()), alternative)

    def totals(self, profile: Profile) -> tuple[Number | None, ...]:
        """What an empty node of this kind holds of each dimension."""
        return tuple(profile.total(dimension) for dimension in self.dimensions)

    def left_on(self, node: Node, profile: Profile) -> tuple[tuple[Number | None, ...], bool]:
        """What is left of a live node by dimension, and whether any work is on it (A8)."""
        left: dict[str, Number] = {}
        busy = bool(node.job_ids)
        for name, value in node.available.items():
            amount = number_of(value)
            if amount is None:
                continue
            unit = profile.kind.units.get(name)
            dimension = name
            if unit is not None:
                dimension, amount = MEMORY, amount * (unit if not hasattr(value, "bytes") else 1)
            amount = max(amount, 0)
            left[dimension] = min(left.get(dimension, amount), amount)
            total = profile.total(dimension)
            busy = busy or (total is not None and amount < total)
        return tuple(left.get(dimension, profile.total(dimension)) for dimension in self.dimensions), busy


def build_space(snapshot: Snapshot, rules: ResourceRules) -> Space:
    """Number all buckets in configuration order, then all nodes."""
    space = Space(snapshot, rules)
    arrays = {array.name: array for array in snapshot.nodearrays}
    for array in snapshot.nodearrays:
        for bucket in expand_buckets(array):
            space.add_bucket(bucket)
    for node in snapshot.nodes:
        space.add_node(node, arrays)
    for node in snapshot.unmanaged_nodes:
        space.add_unmanaged(node)
    return space


def bucket_facts(bucket: Bucket, zone: str | None) -> Mapping[str, Any]:
    """The properties of a bucket's nodes that are known before they exist (matching.md §3)."""
    array, offering = bucket.array, bucket.offering
    return {
        "arch": offering.arch,
        "bucket_id": bucket.id,
        "colocated": bucket.placement_group is not None,
        "cores_per_socket": offering.cores_per_socket,
        "gpu_count": offering.gpu_count,
        "gpu_model": offering.gpu_model,
        "infiniband": offering.infiniband,
        "location": array.location,
        "memory": offering.memory,
        "nodearray": array.name,
        "pcpu_count": offering.pcpu_count,
        "placement_group": bucket.placement_group,
        "price": offering.price,
        "priority": array.priority,
        "software_configuration": array.software_configuration,
        "spot": array.spot,
        "vcpu_count": offering.vcpu_count,
        "vm_capabilities": offering.vm_capabilities,
        "vm_family": offering.vm_family,
        "vm_size": offering.vm_size,
        "zone": zone,
    }


def _offering_of(array: NodeArray | None, node: Node) -> Offering | None:
    """The array's offering of a node's size, of its own zone where there are several."""
    found = [offering for offering in array.offerings if offering.vm_size == node.vm_size] if array else []
    same_zone = [offering for offering in found if offering.zone == node.zone]
    return next(iter(same_zone or found), None)


def _asked(alternatives: Iterable[Alternative]) -> set[str]:
    names: set[str] = set()
    for alternative in alternatives:
        names.update(need.name for need in alternative.needs)
        for criterion in (*alternative.criteria, *alternative.moving):
            inner = getattr(criterion, "alternatives", None)
            for nested in (inner,) if inner is not None else getattr(criterion, "children", ()):
                if not isinstance(nested, tuple):
                    continue
                names |= _asked(nested)
    return names
