"""Was every plain job placed where the rules say? (matching.md P2, P3, A2, A3, with exact prices and exact ties)

After each job in turn: no node that comes before its last one may still take a slot of it, and none at all once it
needed new nodes or was refused. Jobs of one amount a resource only: preferences, gangs and trees have rules of their
own, which this does not follow. Vectors over all nodes, so that a million jobs take seconds.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoscale_aks.model.policy import Policy
    from benchmarks.audit import Machine, Site, Wants

_DIGITS: Final = re.compile(r"(\d+)")
_NEVER: Final = 1 << 40
_LARGEST: Final = 1 << 62


class FirstFit:
    """The nodes as columns, and each shape's order of places."""

    def __init__(
        self,
        machines: Sequence[Machine],
        names: Sequence[str],
        live: int,
        sites: Sequence[Site],
        policy: Policy,
        amounts: Iterable[dict[str, Any]],
    ) -> None:
        if policy.placement_order.value != "existing-first":
            raise ValueError("the audit knows only existing-first")
        self._sites = sites
        self._by_cost = policy.objective.value == "cost"
        self._scale = _scales([site.totals for site in sites], [machine.left for machine in machines], amounts)
        self._names = sorted(self._scale)
        self._machines = machines
        self._left = np.full((len(self._names), len(machines)), -1, np.int64)
        self._born = np.full(len(machines), _NEVER, np.int64)
        self._born[:live] = -1
        numbers = {id(site): number for number, site in enumerate(sites)}
        self._site_of = np.array([numbers[id(machine.site)] for machine in machines], np.int64)
        by_name = sorted(range(len(machines)), key=lambda number: _natural(names[number]))
        self._position = np.empty(len(machines), np.int64)
        self._position[by_name] = np.arange(len(machines))
        prices = [site.offering.price for site in sites]
        scale = math.lcm(*(price.denominator for price in prices if price is not None))
        self._prices = [None if price is None else int(price * scale) for price in prices]
        self._orders: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.update(range(len(machines)))

    def update(self, numbers: Iterable[int]) -> None:
        """Nodes have changed."""
        for number in numbers:
            machine = self._machines[number]
            offers = machine.is_usable and not machine.is_sealed
            for row, name in enumerate(self._names):
                left = machine.left.get(name) if offers else None
                self._left[row, number] = -1 if left is None else left * self._scale[name]

    def check(self, job: int, wants: Wants, nodes: Sequence[int], *, is_short: bool) -> list[str]:
        """What is wrong with where a plain job was put; `update` was called for its nodes."""
        takes = wants.ways[0].takes
        own = np.fromiter(nodes, np.int64, len(nodes))
        made = own[self._born[own] == _NEVER]
        old = own[self._born[own] != _NEVER]
        ranks, keys = self._order(wants)
        room = (self._born < job) & (ranks >= 0)
        for name, amount in takes.items():
            room &= self._left[self._names.index(name)] >= int(amount * self._scale[name])
        self._born[made] = job
        found = []
        if (is_short or len(made)) and room.any():
            found.append(f"needs new nodes or is refused, although node {int(room.argmax())} has room (A3)")
        elif len(old) and room.any():
            last = keys[old].max()
            before = room & (keys < last)
            if before.any():
                found.append(f"is on node {int(old[keys[old].argmax()])}, although {int(before.argmax())} comes before")
        if len(made) > 1:
            left = [
                number for number in made
                if all(self._left[self._names.index(name), number] >= int(amount * self._scale[name])
                       for name, amount in takes.items())
            ]  # fmt: skip
            if len(left) > 1:
                found.append(f"{len(left)} of its new nodes have room for more (A2)")
        return found

    def note(self, job: int, nodes: Sequence[int]) -> None:
        """Nodes of a job that is not checked exist from now on."""
        for number in nodes:
            self._born[number] = min(self._born[number], job)

    def order_of_sites(self, wants: Wants) -> list[int]:
        """Sites that can take the shape, best first: outside groups first, then price a slot, priority, order."""
        takes = wants.ways[0].takes
        slots = []
        seen: dict[tuple[Any, ...], int] = {}
        for site in self._sites:
            totals = tuple(site.totals.get(name) for name in takes)
            if totals not in seen:
                fits = [
                    0 if total is None else int(total // takes[name]) for name, total in zip(takes, totals, strict=True)
                ]
                seen[totals] = min(fits)
            slots.append(seen[totals])
        common = math.lcm(*(count for count in seen.values() if count))

        def rank(number: int) -> tuple[Any, ...]:
            site, price = self._sites[number], self._prices[number] if self._by_cost else 0
            a_slot = (1, 0) if price is None else (0, price * (common // slots[number]))
            return (site.group is not None, a_slot, -site.array.priority, number)

        return sorted((number for number, count in enumerate(slots) if count), key=rank)

    def _order(self, wants: Wants) -> tuple[np.ndarray, np.ndarray]:
        """Per node: its place's rank (-1: none), and its place in the whole order."""
        found = self._orders.get(id(wants))
        if found is None:
            by_site = np.full(len(self._sites), -1, np.int64)
            for rank, number in enumerate(self.order_of_sites(wants)):
                by_site[number] = rank
            ranks = by_site[self._site_of]
            self._orders.clear()
            found = self._orders[id(wants)] = ranks, ranks * len(self._machines) + self._position
        return found


def _scales(*parts: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Per resource what makes all its amounts whole."""
    found: dict[str, int] = {}
    for amounts in parts:
        for each in amounts:
            for name, amount in each.items():
                if amount is not None:
                    found[name] = math.lcm(found.get(name, 1), Fraction(amount).denominator)
                    if amount * found[name] > _LARGEST:
                        raise ValueError(f"{name} {amount} is more than the audit can count")
    return found


def _natural(name: str) -> list[Any]:
    return [int(part) if index % 2 else part for index, part in enumerate(_DIGITS.split(name))]
