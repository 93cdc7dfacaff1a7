"""What machines cost an hour; one unknown price makes a sum unknown, never smaller (user ask T27a)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import Snapshot


class PriceBook:
    """Prices an hour of the sizes that the configuration offers."""

    __slots__ = ("_any_zone", "_exact")

    def __init__(self, snapshot: Snapshot) -> None:
        self._exact: dict[tuple[str, str, str | None], Fraction | None] = {}
        self._any_zone: dict[tuple[str, str], Fraction | None] = {}
        for array in snapshot.nodearrays:
            for one in array.offerings:
                self._exact.setdefault((array.name, one.vm_size, one.zone), one.price)
                self._any_zone.setdefault((array.name, one.vm_size), one.price)

    def of(self, node: Node) -> Fraction | None:
        """One machine's price; None when it is not known."""
        array, size = node.nodearray or "", node.vm_size or ""
        key = (array, size, node.zone)
        return self._exact[key] if key in self._exact else self._any_zone.get((array, size))

    def total(self, nodes: Iterable[Node]) -> Fraction | None:
        """The price of many; None when any of them is not known."""
        total = Fraction(0)
        counts: dict[tuple[str | None, str | None, str | None], int] = {}
        firsts: dict[tuple[str | None, str | None, str | None], Node] = {}
        for node in nodes:
            key = (node.nodearray, node.vm_size, node.zone)
            counts[key] = counts.get(key, 0) + 1
            firsts.setdefault(key, node)
        for key, count in counts.items():
            price = self.of(firsts[key])
            if price is None:
                return None
            total += price * count
        return total
