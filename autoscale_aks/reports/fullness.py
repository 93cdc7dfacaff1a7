"""How full machines are: what runs takes, and what a plan places there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from autoscale_aks.units import Number, Size, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.matching.profile import Kind
    from autoscale_aks.units import Value

Resource: TypeAlias = tuple[str, str, Number, int, bool]
"""Name, title, total, what one unit is in the title's unit, and whether that is bytes."""


@dataclass(frozen=True, slots=True)
class Fullness:
    """How full a machine of one kind is before and after the plan. Machines that are equally full share one."""

    used: float
    """Share of the fullest resource that what runs takes."""
    filled: float
    """That with what the plan places there."""
    amounts: tuple[tuple[Number, Number], ...]
    """Of each resource, what is taken and what is planned."""
    resources: Sequence[Resource]


class Gauge:
    """Reads how full machines of one kind are; each amount that is left is worked out once."""

    __slots__ = ("_by_amounts", "_by_identity", "_names", "resources")

    def __init__(self, kind: Kind) -> None:
        self.resources: list[Resource] = []
        has_memory = False
        for name, value in kind.resources.items():
            total, unit = number_of(value), kind.units.get(name)
            if total is None or total <= 0 or (unit and has_memory):
                continue  # no amount, or one quantity under several names (V1)
            has_memory = has_memory or bool(unit)
            scale = unit if unit and not isinstance(value, Size) else 1
            self.resources.append(
                (name, "memory" if unit else name, total, scale, isinstance(value, Size) or bool(unit))
            )
        self._names = [name for name, *_ in self.resources]
        self._by_identity: dict[tuple[int, int], Fullness] = {}
        self._by_amounts: dict[tuple[Value, ...], Fullness] = {}

    def read(self, before: Mapping[str, Value], after: Mapping[str, Value]) -> Fullness:
        """How full a machine is of which so much is left before and after the plan.

        Both mappings live as long as the plan does, so that their identity names them.
        """
        key = (id(before), id(after))
        found = self._by_identity.get(key)
        if found is None:
            amounts = (*map(before.get, self._names), *map(after.get, self._names))
            if True in amounts or False in amounts:  # 1 and true are equal, but only one of them is an amount
                amounts = tuple([None if isinstance(value, bool) else value for value in amounts])
            found = self._by_amounts.get(amounts)
            if found is None:
                found = self._by_amounts[amounts] = self._work_out(before, after)
            self._by_identity[key] = found
        return found

    def _work_out(self, before: Mapping[str, Value], after: Mapping[str, Value]) -> Fullness:
        used = filled = 0.0
        amounts: list[tuple[Number, Number]] = []
        for name, _, total, _, _ in self.resources:
            left = _amount(before.get(name), total)
            rest = min(_amount(after.get(name), total), left)
            amounts.append((total - left, left - rest))
            whole = float(total)
            used, filled = max(used, float(total - left) / whole), max(filled, float(total - rest) / whole)
        return Fullness(used, filled, tuple(amounts), self.resources)


def _amount(value: Value, total: Number) -> Number:
    if type(value) is int and 0 <= value <= total:
        return value
    found = number_of(value)
    return total if found is None else max(0, min(found, total))
