"""The machines of a look in numbers: by node array and stage, and what they cost an hour."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.node import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import Snapshot

STAGES: Final = ("in-flight", "idle", "busy", "unavailable", "failed", "draining")
"""`unavailable`: made, and closed by somebody, down or lost. `idle` and `busy` are ready."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Machines of one look. A machine that leaves is counted as long as it is there."""

    machines: Mapping[tuple[str, str], int]
    """(node array, stage) → machines."""
    price_per_hour: Mapping[str, Fraction]
    """Node array → the price of its machines whose price is known."""
    unpriced: int
    """Machines whose price is not known; they cost all the same."""

    @property
    def by_stage(self) -> Mapping[str, int]:
        """Stage → machines of all node arrays; every stage is there."""
        found = dict.fromkeys(STAGES, 0)
        for (_, stage), count in self.machines.items():
            found[stage] += count
        return frozendict(found)


def stage_word(node: Node) -> str:
    """The stage of a machine, one of `STAGES`."""
    if node.is_failed:
        return "failed"
    if node.stage is Stage.DRAINING:
        return "draining"
    if node.stage is not Stage.EXISTING:
        return "in-flight"
    if not node.is_ready:
        return "unavailable"
    return "busy" if node.job_ids else "idle"


def count_fleet(snapshot: Snapshot) -> Fleet:
    """Count the snapshot's machines. A size that no node array offers has no price."""
    prices = {
        (array.name, offering.vm_size): offering.price
        for array in snapshot.nodearrays
        for offering in reversed(array.offerings)
    }
    alike: dict[tuple[object, ...], Node] = {}
    kinds: Counter[tuple[object, ...]] = Counter()
    for node in snapshot.nodes:
        key = (node.nodearray, node.vm_size, node.state, id(node.stage), not node.job_ids)
        kinds[key] += 1
        alike.setdefault(key, node)
    machines: Counter[tuple[str, str]] = Counter()
    price: dict[str, Fraction] = {array.name: Fraction(0) for array in snapshot.nodearrays}
    unpriced = 0
    for facts, count in kinds.items():
        node = alike[facts]
        array = node.nodearray or ""
        machines[array, stage_word(node)] += count
        one = prices.get((array, node.vm_size or ""))
        if one is None:
            unpriced += count
        else:
            price[array] += one * count
    return Fleet(frozendict(machines), frozendict(price), unpriced)
