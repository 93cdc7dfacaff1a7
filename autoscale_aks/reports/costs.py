"""What a plan, its jobs, idle and protected machines cost an hour (user ask T27). Pure.

An unknown price is never zero: it is counted apart (`unpriced`), and a sum that has one is a lower bound.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Cost:
    """Machines and their price an hour, in the currency of the prices."""

    machines: int = 0
    known: Fraction = Fraction(0)
    """Of those whose price is known."""
    unpriced: int = 0
    """Machines whose price is not."""

    @property
    def per_hour(self) -> Fraction | None:
        """The whole price; None when a part of it is not known."""
        return None if self.unpriced else self.known

    def plus(self, price: Fraction | None, machines: int = 1) -> Cost:
        """With so many machines more at a price each; None is unknown."""
        if price is None:
            return Cost(self.machines + machines, self.known, self.unpriced + machines)
        return Cost(self.machines + machines, self.known + price * machines, self.unpriced)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """The prices of one decision."""

    plan: Cost = Cost()
    """Machines that would start."""
    running: Cost = Cost()
    """Machines there are, in any stage."""
    idle: Cost = Cost()
    """Of these, ready ones without work that the plan has none for either."""
    protected: Cost = Cost()
    """Of these, those that no delete path touches."""
    jobs: tuple[Fraction | None, ...] = ()
    """For each job record of the plan: its share of the machines it is placed on, an hour. None: not known."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON, without the jobs."""
        return {name: _render(getattr(self, name)) for name in ("plan", "running", "idle", "protected")}


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
        """One machine's price; None when it is not known, or the configuration no longer has its size."""
        array, size = node.nodearray or "", node.vm_size or ""
        key = (array, size, node.zone)
        return self._exact[key] if key in self._exact else self._any_zone.get((array, size))

    def total(self, nodes: Iterable[Node]) -> Cost:
        """The price of many."""
        counts: dict[tuple[str | None, str | None, str | None], int] = {}
        firsts: dict[tuple[str | None, str | None, str | None], Node] = {}
        for node in nodes:
            key = (node.nodearray, node.vm_size, node.zone)
            counts[key] = counts.get(key, 0) + 1
            firsts.setdefault(key, node)
        found = Cost()
        for key, count in counts.items():
            found = found.plus(self.of(firsts[key]), count)
        return found


def price_plan(plan: Plan, snapshot: Snapshot, book: PriceBook | None = None) -> CostReport:
    """The prices of a plan and of what runs beside it."""
    book = book or PriceBook(snapshot)
    managed = len(snapshot.nodes)
    wanted: set[int] = set()
    for placement in plan.placements:
        if placement.first_node < managed:
            wanted.update(range(placement.first_node, min(placement.first_node + placement.nodes, managed)))
    started = Cost()
    for outcome in plan.buckets:
        if outcome.new_nodes:
            started = started.plus(outcome.bucket.offering.price, outcome.new_nodes)
    return CostReport(
        plan=started,
        running=book.total(snapshot.nodes),
        idle=book.total(
            node
            for number, node in enumerate(snapshot.nodes)
            if node.is_ready and not node.job_ids and number not in wanted
        ),
        protected=book.total(node for node in snapshot.nodes if node.keep_alive),
        jobs=price_jobs(plan, snapshot, book),
    )


def price_jobs(plan: Plan, snapshot: Snapshot, book: PriceBook) -> tuple[Fraction | None, ...]:
    """What each job record's places cost an hour.

    A machine's price is split over the slots the plan puts on it, so that the shares of a new machine add up to its
    price; of a machine that already runs jobs, the placed ones bear all of what the plan sees of it. On-premise nodes
    cost nothing.
    """
    prices: list[Fraction | None] = [book.of(node) for node in snapshot.nodes]
    prices += [Fraction(0)] * len(snapshot.unmanaged_nodes)
    prices += [claim.bucket.offering.price for claim in plan.claims]
    totals = [0] * len(prices)
    for placement in plan.placements:
        for number in range(placement.first_node, placement.first_node + placement.nodes):
            totals[number] += placement.slots_each
    shares: list[Fraction | None] = [_NOTHING] * len(plan.jobs)
    known: dict[tuple[int, int, int], Fraction | None] = {}
    for placement in plan.placements:
        job, slots = placement.job, placement.slots_each
        for number in range(placement.first_node, placement.first_node + placement.nodes):
            key = (id(prices[number]), slots, totals[number])
            if key not in known:
                price, total = prices[number], totals[number]
                known[key] = None if price is None else price * slots / total if total else _NOTHING
            more, so_far = known[key], shares[job]
            if so_far is _NOTHING:
                shares[job] = more
            else:
                shares[job] = None if more is None or so_far is None else so_far + more
    return tuple(shares)


def dearest_jobs(plan: Plan, prices: Sequence[Fraction | None], most: int = 5) -> tuple[tuple[str, Fraction], ...]:
    """The jobs that cost most an hour, by name; unknown prices are not compared."""
    known: dict[int, float] = {}
    for price in prices:
        if price and id(price) not in known:
            known[id(price)] = float(price)
    costly = (index for index, price in enumerate(prices) if price)
    found = heapq.nlargest(most, costly, key=lambda index: known[id(prices[index])])
    return tuple((plan.jobs[index].name, prices[index] or _NOTHING) for index in found)


_NOTHING: Final = Fraction(0)


def _render(cost: Cost) -> dict[str, Any]:
    return {
        "machines": cost.machines,
        "price_per_hour": None if cost.per_hour is None else float(cost.per_hour),
        "known_per_hour": float(cost.known),
        "unpriced_machines": cost.unpriced,
    }
