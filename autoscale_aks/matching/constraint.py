"""The node constraint language as values (contract matching.md §5). Parsing is in `parse`, judging in `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from autoscale_aks.units import Number, Size, Value, exact, exact_text, size_text

if TYPE_CHECKING:
    from autoscale_aks.matching.profile import Profile

Json: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class MinResource:
    """`{"ncpus": 4}`: at least that much is left; takes it, per slot. Amount 0 asks that the resource exists (A10)."""

    name: str
    amount: Number | Size

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {self.name: write_value(self.amount)}


@dataclass(frozen=True, slots=True)
class ResourceValue:
    """`{"project": "open"}`: the resource equals the value; strings may be wildcards (C3)."""

    name: str
    value: Value

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {self.name: write_value(self.value)}


@dataclass(frozen=True, slots=True)
class ResourceList:
    """`{"os": ["el8", "el9"]}`: the resource equals any of them; earlier ones are preferred (P2)."""

    name: str
    values: tuple[Value, ...]

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {self.name: [write_value(value) for value in self.values]}


@dataclass(frozen=True, slots=True)
class NodeProperty:
    """`{"node.vm_size": ["Standard_F16", "Standard_E*"]}`: the property equals any; earlier ones are preferred."""

    name: str
    values: tuple[Value, ...]
    is_list: bool = True

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        written = [write_value(value) for value in self.values]
        return {f"node.{self.name}": written if self.is_list else written[0]}


@dataclass(frozen=True, slots=True)
class And:
    """All hold, all take; amounts of the same resource add up. Empty: holds (A10)."""

    children: tuple[Constraint, ...]

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"and": [child.to_json() for child in self.children]}


@dataclass(frozen=True, slots=True)
class Or:
    """The first alternative that fits together with all else counts (C2). Empty: never holds (A10)."""

    children: tuple[Constraint, ...]

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"or": [child.to_json() for child in self.children]}


@dataclass(frozen=True, slots=True)
class Xor:
    """Exactly one holds, judged alone on the node as it is (C2); takes what that one takes."""

    children: tuple[Constraint, ...]

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"xor": [child.to_json() for child in self.children]}


@dataclass(frozen=True, slots=True)
class Not:
    """The child does not hold, judged alone on the node as it is (C2). Takes nothing."""

    child: Constraint

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"not": self.child.to_json()}


@dataclass(frozen=True, slots=True)
class Never:
    """Never holds; the text is the reason."""

    why: str

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"never": self.why}


@dataclass(frozen=True, slots=True)
class Exclusive:
    """No other work on the node, one slot of this job only; takes the node. False asks for nothing (C1)."""

    wanted: bool = True

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"exclusive": self.wanted}


@dataclass(frozen=True, slots=True)
class ExclusiveTask:
    """No other job's work on the node; several slots of this job may share it. False asks for nothing (C1)."""

    wanted: bool = True

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"exclusive-task": self.wanted}


@dataclass(frozen=True, slots=True)
class InPlacementGroup:
    """The node is, or is not, in a placement group."""

    wanted: bool

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"in-a-placement-group": self.wanted}


@dataclass(frozen=True, slots=True)
class CapacityFailureBackoff:
    """The bucket's last capacity failure is older than that many seconds, or there was none."""

    seconds: Number

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"capacity-failure-backoff": write_value(self.seconds)}


@dataclass(frozen=True, slots=True)
class SharedConsumable:
    """Every source has the amount left; takes it from every source, once a slot, or once a job (C5)."""

    sources: tuple[str, ...]
    amount: Number
    once: bool = False

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {
            "shared-consumable": {
                "resources": list(self.sources),
                "amount": write_value(self.amount),
                "decrement_once": self.once,
            }
        }


@dataclass(frozen=True, slots=True)
class SharedNonConsumable:
    """The shared resource's current value equals the requested one."""

    resource: str
    value: Value

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        return {"shared-non-consumable": {"resource": self.resource, "value": write_value(self.value)}}


class CustomConstraint(Protocol):
    """A kind a site registered itself (C6): a hashable value that judges a node by its facts and takes nothing."""

    kind: str

    def holds_on(self, profile: Profile) -> bool:
        """Whether a node with these facts satisfies it. Must depend on nothing else (P5)."""
        ...

    def to_json(self) -> Json:
        """Writes itself back (C4)."""
        ...

    def __hash__(self) -> int: ...


Leaf: TypeAlias = (
    MinResource
    | ResourceValue
    | ResourceList
    | NodeProperty
    | Never
    | Exclusive
    | ExclusiveTask
    | InPlacementGroup
    | CapacityFailureBackoff
    | SharedConsumable
    | SharedNonConsumable
)
Constraint: TypeAlias = Leaf | And | Or | Xor | Not | CustomConstraint


def write_value(value: Value) -> Json:
    """A value as JSON that parses to an equal one; decimals keep their digits."""
    if isinstance(value, Size):
        return size_text(value)
    if isinstance(value, bool) or value is None or isinstance(value, int | str):
        return value
    as_float = float(value)
    return as_float if exact(as_float) == value else Decimal(exact_text(value))
