"""The facts of a node, existing or not: what every criterion is judged against."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.matching.properties import LIVE_PROPERTIES, PATH_PROPERTIES
from autoscale_aks.units import MEMORY_UNITS, Number, Size, Value, exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.matching.constraint import MinResource
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.model.node import Node

MEMORY: Final = "memory"
"""The dimension that all views of a node's memory are charged on (V1)."""

MACHINE_ID: Final = "ccnodeid"
"""The machine's id as a resource (D6); only a live node has one."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What many nodes have in common: a bucket's facts and the resources resolved on them.

    `units` names the views of the node's memory and the bytes one unit of each stands for; `totals` holds the
    consumable amounts by dimension.
    """

    id: int
    bucket: Bucket | None
    properties: Mapping[str, Any]
    resources: Mapping[str, Value]
    units: Mapping[str, int]
    totals: Mapping[str, Number]
    shared: Mapping[str, SharedResource]
    has_machine_id: bool = True
    sources: Mapping[str, str] = field(default_factory=dict)
    """Resource → where its value came from (`default_resources[2]`, `nodearray`, `scheduler`, `built-in`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A kind, seen as one node of it: the empty node of a bucket (`node` is None) or a live one."""

    kind: Kind
    node: Node | None = None

    def property(self, name: str) -> Any:
        """`node.NAME` (§3); null when the node does not have it."""
        if name in LIVE_PROPERTIES:
            return _live_property(self.node, name)
        for prefix in PATH_PROPERTIES:
            if name.startswith(prefix):
                return self._path(prefix, name.removeprefix(prefix))
        return self.kind.properties.get(name)

    def _path(self, prefix: str, rest: str) -> Any:
        if prefix == "resources.":
            return self.resource(rest)
        found: Any = self.kind.properties.get(prefix[:-1])
        for part in rest.split(".") if prefix == "software_configuration." else (rest,):
            found = found.get(part) if hasattr(found, "get") else None
        return found

    def resource(self, name: str) -> Value:
        """The value a resource is defined with (its total when it is consumable); None when undefined."""
        found = self.kind.resources.get(name)
        if found is None and name == MACHINE_ID and self.kind.has_machine_id and self.node is not None:
            return self.node.instance_id
        return found

    def amount(self, need: MinResource) -> tuple[str, Number]:
        """The dimension a need is charged on and how much: GB resources in GB, memory views in bytes (V4)."""
        unit = self.kind.units.get(need.name)
        if unit is None:
            return need.name, _plain_amount(need)
        return MEMORY, need.amount.bytes if isinstance(need.amount, Size) else need.amount * unit

    def total(self, dimension: str) -> Number | None:
        """What an empty node of this kind holds of a dimension; None when it defines no such amount."""
        return self.kind.totals.get(dimension)


def _plain_amount(need: MinResource) -> Number:
    """The amount on a resource of its own: a size asked of a resource in GB counts in GB (V4)."""
    if not isinstance(need.amount, Size):
        return need.amount
    return exact(Fraction(need.amount.bytes) / MEMORY_UNITS.get(need.name, 1))


def _live_property(node: Node | None, name: str) -> Any:
    if node is None:
        return {"exists": False, "keep_alive": False}.get(name)
    if name == "exists":
        return True
    if name == "hostname_or_uuid":
        return node.hostname or node.instance_id
    name = name.removesuffix("_unix") if name.endswith("_time_unix") else name
    found = getattr(node, name, None)
    return exact(found) if isinstance(found, float) else found
