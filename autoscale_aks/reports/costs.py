"""What a plan, its jobs, idle and protected machines cost an hour (user ask T27). Pure.

An unknown price is never zero: it is counted apart (`unpriced`), and a sum that has one is a lower bound.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from autoscale_aks.model.bucket import NodeArray
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

    plan: Cost
    """Machines that would start."""
    running: Cost
    """Machines there are, in any stage."""
    idle: Cost
    """Of these, ready ones without work that the plan has none for either."""
    protected: Cost
    """Of these, those that no delete path touches."""
    jobs: tuple[Fraction | None, ...]
    """For each job record of the plan: its share of the machines it is placed on, an hour. None: not known."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON, without the jobs."""
        return {name: _render(getattr(self, name)) for name in ("plan", "running", "idle", "protected")}


def price_plan(plan: Plan, snapshot: Snapshot) -> CostReport:
    """The prices of a plan and of what runs beside it."""
    wanted = _used_nodes(plan)
    prices = [_price(node, snapshot.nodearrays) for node in snapshot.nodes]
    idle = [
        price
        for number, (node, price) in enumerate(zip(snapshot.nodes, prices, strict=True))
        if node.is_ready and not node.job_ids and number not in wanted
    ]
    starts = Counter(claim.bucket.offering.price for claim in plan.claims)
    started = Cost()
    for price, machines in starts.items():
        started = started.plus(price, machines)
    return CostReport(
        plan=started,
        running=_sum(prices),
        idle=_sum(idle),
        protected=_sum(price for node, price in zip(snapshot.nodes, prices, strict=True) if node.keep_alive),
        jobs=price_jobs(plan, snapshot, prices),
    )


def price_jobs(plan: Plan, snapshot: Snapshot, prices: Sequence[Fraction | None]) -> tuple[Fraction | None, ...]:
    """What each job record's places cost an hour.

    A machine's price is split over the slots the plan puts on it, so that the shares of a new machine add up to its
    price; of a machine that already runs jobs, the placed ones bear all of what the plan sees of it. On-premise nodes
    cost nothing.
    """
    first_claim = len(plan.nodes) + len(plan.unmanaged_nodes)
    totals: dict[int, int] = {}
    for placement in plan.placements:
        for number in range(placement.first_node, placement.first_node + placement.nodes):
            totals[number] = totals.get(number, 0) + placement.slots_each
    shares: list[Fraction | None] = [Fraction(0)] * len(plan.jobs)
    for placement in plan.placements:
        for number in range(placement.first_node, placement.first_node + placement.nodes):
            price: Fraction | None = Fraction(0)
            if number >= first_claim:
                price = plan.claims[number - first_claim].bucket.offering.price
            elif number < len(snapshot.nodes):
                price = prices[number]
            so_far = shares[placement.job]
            if price is None or so_far is None:
                shares[placement.job] = None
            elif totals[number]:
                shares[placement.job] = so_far + price * placement.slots_each / totals[number]
    return tuple(shares)


def _used_nodes(plan: Plan) -> frozenset[int]:
    return frozenset(
        number
        for placement in plan.placements
        for number in range(placement.first_node, placement.first_node + placement.nodes)
    )


def _price(node: Node, arrays: Iterable[NodeArray]) -> Fraction | None:
    """A machine's price by its node array's offering; None when the configuration no longer has it."""
    for array in arrays:
        if array.name == node.nodearray:
            return next((one.price for one in array.offerings if one.vm_size == node.vm_size), None)
    return None


def _sum(prices: Iterable[Fraction | None]) -> Cost:
    found = Cost()
    for price, machines in Counter(prices).items():
        found = found.plus(price, machines)
    return found


def _render(cost: Cost) -> dict[str, Any]:
    return {
        "machines": cost.machines,
        "price_per_hour": None if cost.per_hour is None else float(cost.per_hour),
        "known_per_hour": float(cost.known),
        "unpriced_machines": cost.unpriced,
    }
