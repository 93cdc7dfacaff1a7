"""Equal needs give one and the same shape object, so that a plan compiles them once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from frozendict import deepfreeze

from autoscale_aks.model.job import Chunk, JobShape, PackingStrategy
from autoscale_aks.units import Size, exact_text, number_of, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.units import Number, Value

Constraints = tuple["Mapping[str, Any]", ...]
"""Frozen constraint objects."""

NO_SHAPE: Final = JobShape()
"""Of a record that cannot be read."""


class ShapeStore:
    """Makes shapes; asked for the same again it returns the same object."""

    def __init__(self) -> None:
        self._shapes: dict[Any, JobShape] = {}

    def slots(self, constraints: Constraints, count: int = 1) -> JobShape:
        """One slot, or `count` slots packed, all of them or none (A0: node_count with `pack`)."""
        if count == 1:
            return self._keep(constraints=constraints)
        return self._keep(constraints=constraints, node_count=count, packing_strategy=PackingStrategy.PACK)

    def nodes(self, constraints: Constraints, count: int, *, colocated: bool = False) -> JobShape:
        """One slot on each of `count` different nodes (A4), in one placement group when `colocated` (A5)."""
        return self._keep(constraints=constraints, node_count=count, colocated=colocated)

    def colocated_slots(self, constraints: Constraints, count: int) -> JobShape:
        """`count` slots packed in one placement group, all of them or none (A5)."""
        return self._keep(constraints=constraints, iterations=count, colocated=True)

    def chunks(self, constraints: Constraints, chunks: tuple[Chunk, ...], *, colocated: bool = False) -> JobShape:
        """Several kinds of slots, all or none (A6). `constraints` hold for the job as a whole."""
        return self._keep(constraints=constraints, chunks=chunks, colocated=colocated)

    def _keep(self, **parts: Any) -> JobShape:
        chunks = tuple((chunk.constraints, chunk.iterations, chunk.node_count) for chunk in parts.get("chunks", ()))
        key = (
            parts["constraints"],
            parts.get("iterations", 1),
            parts.get("node_count", 0),
            parts.get("colocated", False),
            parts.get("packing_strategy"),
            chunks,
        )
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = JobShape(**parts)
        return found


def written(value: Value) -> Any:
    """A value as our constraint language writes it."""
    if isinstance(value, Size):
        return size_text(value)
    number = number_of(value)
    if number is not None and not isinstance(number, int):
        return float(exact_text(number))
    return value


def present(name: str, value: Value) -> dict[str, Any]:
    """At least that much has to be there, and nothing is taken: a double negation takes nothing (matching.md C2)."""
    return {"not": {"not": {name: written(value)}}}


def takes_once(takings: Iterable[tuple[str, Number]]) -> list[dict[str, Any]]:
    """What one job takes of shared resources, once (C5)."""
    return [
        {"shared-consumable": {"resources": (name,), "amount": amount, "decrement_once": True}}
        for name, amount in takings
    ]


def frozen(parts: Iterable[Mapping[str, Any]]) -> Constraints:
    """Constraint objects that never change."""
    found: Constraints = deepfreeze(tuple(parts))
    return found
