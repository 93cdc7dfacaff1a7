"""What placing is asked and what it writes down: orders, spans of slots, new nodes and their names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoscale_aks.planning.nodestate import MIXED

if TYPE_CHECKING:
    from autoscale_aks.model.snapshot import NameSeries
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.places import Column


@dataclass(frozen=True, slots=True)
class Span:
    """Per entry, `slots_each` slots on each of `nodes` nodes from `first` on; `job` is one record or one an entry."""

    job: int | Column
    first: Column
    nodes: Column
    slots_each: Column


@dataclass(frozen=True, slots=True)
class NewNodes:
    """Claims made at once: node numbers `first … first + count - 1`, named with consecutive numbers from `number`."""

    first: int
    count: int
    bucket: int
    number: int


@dataclass(slots=True)
class NameBook:
    """Which numbers new names may take, per node array."""

    series: dict[str, NameSeries]
    next_number: dict[str, int] = field(default_factory=dict)

    def fork(self) -> NameBook:
        """A copy on which names can be tried."""
        return NameBook(self.series, dict(self.next_number))

    def take_one(self, array: str) -> int:
        """The lowest free number."""
        series = self.series[array]
        number = self.next_number.get(array, series.start)
        while number in series.taken:
            number += 1
        self.next_number[array] = number + 1
        return number

    def take(self, array: str, count: int) -> list[tuple[int, int]]:
        """The lowest free numbers as `(first, length)` ranges."""
        series = self.series[array]
        number = self.next_number.get(array, series.start)
        if not series.taken:
            self.next_number[array] = number + count
            return [(number, count)]
        taken = sorted(used for used in series.taken if used >= number)
        ranges: list[tuple[int, int]] = []
        for used in [*taken, None]:
            length = count if used is None else min(count, used - number)
            if length > 0:
                ranges.append((number, length))
                number += length
                count -= length
            if count <= 0:
                break
            number = number if used is None else used + 1
        self.next_number[array] = number
        return ranges


@dataclass(frozen=True, slots=True)
class Order:
    """Slots of one part to be placed: for which job record, and as whose work.

    `tenant` is the identity that "the same job" means: each task of an array is a job of its own. MIXED where
    nothing of the class speaks of it.
    """

    part: Part
    job: int
    tenant: int = MIXED
