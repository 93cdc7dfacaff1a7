"""What a plan is made in: buckets, the kinds of their nodes, and each class's options on them. Fixed for one plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from frozendict import frozendict

from autoscale_aks.matching.evaluate import Untouched, criterion_holds, is_preference, list_score
from autoscale_aks.matching.profile import MEMORY, Kind, Profile
from autoscale_aks.matching.resources import ResourceRules, resolve_kind
from autoscale_aks.model.bucket import Bucket, expand_buckets
from autoscale_aks.planning.keys import json_key
from autoscale_aks.units import Number, exact, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.matching.alternatives import Alternative, Criterion
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.demand import JobClass, Part
    from autoscale_aks.planning.places import Column
    from autoscale_aks.units import Value

UNMANAGED: Final = -1
"""Number of the place that holds on-premise nodes; they come before all buckets (P1)."""
_LARGEST_VECTOR: Final = 1 << 55
"""Amounts up to here stay exact in 64-bit vectors, sums included."""
STRAYS: Final = -2
"""Number of the place that holds nodes whose bucket left the configuration; they come after all buckets."""


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """One alternative of a part, bound to a kind: what a slot takes, by dimension number, in scaled whole numbers."""

    needs: tuple[tuple[int, int], ...]
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
    _offerings: dict[tuple[str, str, str | None], Offering | None] = field(default_factory=dict)
    _arrays: dict[str, NodeArray] = field(init=False)
    _alike: dict[tuple[str | None, str | None, str | None, str | None], int] = field(default_factory=dict)
    """Bucket of nodes that have nothing of their own and are as their bucket says."""
    _criteria: dict[Any, Column] = field(default_factory=dict)
    _defined: dict[tuple[str, bool], Column] = field(default_factory=dict)
    _schemas: list[tuple[Profile, Column | None]] = field(default_factory=list)
    _schema_count: int = -1
    _usable: dict[int, Column] = field(default_factory=dict)
    _totals: dict[int, tuple[int | None, ...]] = field(default_factory=dict)
    _every: Column = field(default_factory=lambda: np.ones(0, bool))
    scales: list[int] = field(default_factory=list)
    """Per dimension, what amounts are multiplied by to be whole."""
    amounts: type = np.int64
    least: list[int] = field(default_factory=list)
    """Per dimension, what every slot of every part takes at least, scaled."""

    def __post_init__(self) -> None:
        self._arrays = {array.name: array for array in self.snapshot.nodearrays}

    def add_bucket(self, bucket: Bucket) -> int:
        """Number of a bucket, new or known."""
        found = self._numbers.get(bucket.key)
        if found is None:
            found = self._numbers[bucket.key] = len(self.buckets)
            self.buckets.append(bucket)
            own = bucket.array.resources
            if bucket.offering.observed:
                own = frozendict({**own, **bucket.offering.observed})
            self.empty.append(Profile(self._bucket_kind(bucket, None, own)))
        return found

    def numbers_of(self, bucket: Bucket) -> int:
        """Number of a bucket that is known."""
        return self._numbers[bucket.key]

    def add_node(self, node: Node) -> None:
        """Number a managed node and find its bucket; unlisted placement groups become known through their nodes."""
        alike = (node.nodearray, node.vm_size, node.zone, node.placement_group)
        known = None if node.resources else self._alike.get(alike)
        if known is not None:
            self.bucket_of.append(known)
            self.profiles.append(Profile(self.empty[known].kind, node))
            return
        array = self._arrays.get(node.nodearray or "")
        offering = None if array is None else self._offering_of(array, node)
        if array is None or offering is None:
            self.bucket_of.append(None)
            self.profiles.append(self._stray(node, array))
            return
        number = self._numbers.get((array.name, offering.vm_size, offering.zone, node.placement_group))
        if number is None:
            number = self.add_bucket(Bucket(array, offering, node.placement_group))
        own = array.resources
        if offering.observed or node.resources:
            own = frozendict({**own, **offering.observed, **node.resources})
        self.bucket_of.append(number)
        if not node.resources and node.zone in {None, offering.zone} and not self.rules.is_live:
            self._alike[alike] = number
            self.profiles.append(Profile(self.empty[number].kind, node))
            return
        self.profiles.append(Profile(self._bucket_kind(self.buckets[number], node, own), node))

    def _offering_of(self, array: NodeArray, node: Node) -> Offering | None:
        """The array's offering of a node's size, of its own zone where there are several."""
        key = (array.name, node.vm_size or "", node.zone)
        if key not in self._offerings:
            found = [offering for offering in array.offerings if offering.vm_size == node.vm_size]
            same_zone = [offering for offering in found if offering.zone == node.zone]
            self._offerings[key] = next(iter(same_zone or found), None)
        return self._offerings[key]

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

    @property
    def kind_count(self) -> int:
        """How many kinds there are now."""
        return len(self._kinds)

    def number_dimensions(self, classes: Iterable[JobClass], said: Mapping[str, Sequence[Number]]) -> None:
        """Number every dimension that any class asks an amount of on any kind, and find whole-number scales.

        `said` holds, by resource, the amounts nodes say are left that decide on a scale: fractions and the largest.
        """
        needs = {
            (need.name, need.amount): need for job_class in classes for part in job_class.parts for need in part.amounts
        }
        schemas = {frozenset(kind.units.items()): Profile(kind) for kind in self.kinds}
        amounts: dict[str, list[Number]] = {}
        for name in sorted({need.name for need in needs.values()}):
            for profile in schemas.values():
                amounts.setdefault(MEMORY if name in profile.kind.units else name, [])
        self.dimensions = {name: number for number, name in enumerate(amounts)}
        for need in needs.values():
            for profile in schemas.values():
                dimension, amount = profile.amount(need)
                amounts[dimension].append(amount)
        for kind in self.kinds:
            for dimension, found in amounts.items():
                if dimension in kind.totals:
                    found.append(kind.totals[dimension])
        for name, left in said.items():
            for profile in schemas.values():
                unit = profile.kind.units.get(name)
                amounts.get(MEMORY if unit else name, []).extend(amount * (unit or 1) for amount in left)
        self._choose_scales(amounts)
        self.least = self._find_least(classes)

    def _find_least(self, classes: Iterable[JobClass]) -> list[int]:
        """By dimension, what every slot of every part takes at least, scaled."""
        least: dict[str, Number] | None = None
        for profile, _ in self.schemas():
            for job_class in classes:
                for part in job_class.parts:
                    for alternative in part.alternatives:
                        asked: dict[str, Number] = {}
                        for need in alternative.needs:
                            dimension, amount = profile.amount(need)
                            asked[dimension] = asked.get(dimension, 0) + amount
                        if least is None:
                            least = asked
                            continue
                        least = {name: min(amount, asked.get(name, 0)) for name, amount in least.items()}
        found = least or {}
        return [self.scaled(number, found.get(name, 0)) for number, name in enumerate(self.dimensions)]

    def _choose_scales(self, amounts: Mapping[str, list[Number]]) -> None:
        """Scales that make every need and total whole, and 64 bits where they are enough."""
        self.scales = [lcm(*{amount.denominator for amount in found}) for found in amounts.values()]
        largest = max(map(_largest, amounts.values(), self.scales), default=0)
        self.amounts = np.int64 if largest < _LARGEST_VECTOR else object

    def scaled(self, dimension: int, amount: Number) -> int:
        """An amount as the whole number that columns hold; a fraction of a step is cut off (it fits nothing)."""
        return int(amount * self.scales[dimension])

    def unscaled(self, dimension: int, amount: int) -> Number:
        """The amount again."""
        scale = self.scales[dimension]
        return amount if scale == 1 else exact(Fraction(amount, scale))

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
        return self.bind_needs(alternative, profile)

    def usable_kinds(self, part: Part) -> Column:
        """Truth by kind: whether any alternative's fixed facts allow it."""
        found = self._usable.get(part.id)
        if found is None or len(found) < self.kind_count:
            profiles = (Profile(kind) for kind in self.kinds)
            found = np.fromiter((bool(self.options(part, profile)) for profile in profiles), bool, self.kind_count)
            self._usable[part.id] = found
        return found

    def bind_needs(self, alternative: Alternative, profile: Profile) -> Option | None:
        """What one slot takes on a kind; None when the kind does not define what is asked."""
        for need in alternative.needs:
            dimension, amount = profile.amount(need)
            if amount == 0:
                if profile.resource(need.name) is None:
                    return None
            elif dimension not in self.dimensions or profile.total(dimension) is None:
                return None
        return self.bind_amounts(alternative, profile)

    def bind_amounts(self, alternative: Alternative, profile: Profile) -> Option:
        """What one slot takes, by the way this kind views its memory."""
        amounts: dict[int, int] = {}
        for need in alternative.needs:
            dimension, amount = profile.amount(need)
            if amount:
                number = self.dimensions[dimension]
                amounts[number] = amounts.get(number, 0) + int(amount * self.scales[number])
        return Option(tuple(amounts.items()), alternative)

    def bind(self, alternative: Alternative) -> list[tuple[Option, Column]]:
        """The alternative's options with the kinds each is for: one for each way of viewing memory."""
        masks = [self.criterion_mask(criterion) for criterion in alternative.criteria]
        found: list[tuple[Option, Column]] = []
        for profile, mask in self.schemas():
            defined = [self.defines(need.name, amount=bool(profile.amount(need)[1])) for need in alternative.needs]
            here = self.every_kind
            for one in (*masks, *defined, *(() if mask is None else (mask,))):
                if one is not here:
                    here = one if here is self.every_kind else here & one
            if here is self.every_kind or here.any():
                found.append((self.bind_amounts(alternative, profile), here))
        if len(found) > 1 and all(option.needs == found[0][0].needs for option, _ in found):
            together = np.logical_or.reduce([mask for _, mask in found])
            return [(found[0][0], self._whole(together))]
        return found

    def schemas(self) -> list[tuple[Profile, Column | None]]:
        """The ways of viewing memory there are, each with its kinds; None: all of them."""
        if self._schema_count != self.kind_count:
            by_units: dict[Any, list[int]] = {}
            for number, kind in enumerate(self.kinds):
                by_units.setdefault(frozenset(kind.units.items()), []).append(number)
            kinds = list(self.kinds)
            self._schemas = []
            for members in by_units.values():
                mask = None
                if len(by_units) > 1:
                    mask = np.zeros(self.kind_count, bool)
                    mask[members] = True
                self._schemas.append((Profile(kinds[members[0]]), mask))
            self._schema_count = self.kind_count
        return self._schemas

    def defines(self, name: str, *, amount: bool) -> Column:
        """Truth by kind: whether it holds an amount of a resource, or the resource at all (A10)."""
        key = (name, amount)
        found = self._defined.get(key)
        if found is None or len(found) < self.kind_count:
            values = (kind.resources.get(name) for kind in self.kinds)
            found = self._whole(
                np.fromiter(
                    ((number_of(value) if amount else value) is not None for value in values), bool, self.kind_count
                )
            )
            self._defined[key] = found
        return found

    @property
    def every_kind(self) -> Column:
        """Truth for every kind; always the same object, so that masks can be told to be it."""
        if len(self._every) != self.kind_count:
            self._every = np.ones(self.kind_count, bool)
        return self._every

    def _whole(self, mask: Column) -> Column:
        return self.every_kind if mask.all() else mask

    def criterion_mask(self, criterion: Criterion) -> Column:
        """Truth by kind of a fixed criterion, judged once however many classes say it."""
        source: Any = getattr(criterion, "source", criterion)
        key = (type(criterion), getattr(criterion, "index", None), json_key(source.to_json()))
        found = self._criteria.get(key)
        if found is None or len(found) < self.kind_count:
            profiles = (Profile(kind) for kind in self.kinds)
            found = np.fromiter(
                (criterion_holds(criterion, profile, Untouched(profile)) for profile in profiles),
                bool,
                self.kind_count,
            )
            self._criteria[key] = found
        return found

    def list_scores(self, criterion: Criterion) -> Column:
        """By kind, what a criterion adds to the preference score (P2); worked out once however many classes say it."""
        if not is_preference(criterion):
            return np.zeros(self.kind_count, np.int64)
        key = ("score", type(criterion), json_key(criterion.to_json()))
        found = self._criteria.get(key)
        if found is None or len(found) < self.kind_count:
            scores = (list_score(criterion, Profile(kind)) for kind in self.kinds)
            found = self._criteria[key] = np.fromiter(scores, np.int64, self.kind_count)
        return found

    def totals(self, profile: Profile) -> tuple[int | None, ...]:
        """What an empty node of this kind holds of each dimension, scaled."""
        return self.totals_of(profile.kind)

    def totals_of(self, kind: Kind) -> tuple[int | None, ...]:
        """The same of a kind."""
        found = self._totals.get(kind.id)
        if found is None:
            amounts = [kind.totals.get(dimension) for dimension in self.dimensions]
            found = self._totals[kind.id] = tuple(
                [
                    None if amount is None else int(amount * scale)
                    for amount, scale in zip(amounts, self.scales, strict=True)
                ]
            )
        return found


def build_space(snapshot: Snapshot, rules: ResourceRules) -> Space:
    """Number all buckets in configuration order, then all nodes."""
    space = Space(snapshot, rules)
    for array in snapshot.nodearrays:
        for bucket in expand_buckets(array):
            space.add_bucket(bucket)
    for node in snapshot.nodes:
        space.add_node(node)
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


def _largest(amounts: list[Number], scale: int) -> int:
    return max((int(amount * scale) for amount in amounts), default=0)
