"""Certificates: a plan's price, a bound on the least price, and the dual values that prove the bound."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.plan import Certificate, LimitPrice, SlotPrice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.planning.cost.posing import Posed
    from autoscale_aks.planning.cost.problem import Bound
    from autoscale_aks.planning.placer import Placer

_STEPS: Final = 1 << 24
"""Dual values are whole multiples of a coin's 2^24-th part: slots' rounded down, limits' up: they stay valid."""
_SAFE: Final = 1 - 1e-9


def certify(
    placer: Placer, posed: Posed, bound: Bound, cost: Fraction, bought: Fraction,
    rules: Mapping[str, Fraction | None], method: str,
) -> Certificate:  # fmt: skip
    """The certificate of a plan that costs `cost`, of which `bought` was decided by price."""
    coin, first = posed.problem.coin, first_jobs(placer)
    buckets = placer.start.space.buckets
    slots = tuple(
        SlotPrice(
            first[item.job_class.id],
            int(demand),
            Fraction(floor(price * _SAFE * _STEPS), _STEPS) * coin,
            tuple(buckets[bucket] for bucket in posed.buckets[allowed].tolist())
            if placer.router.scores(item.part) is not None
            else None,
        )
        for item, demand, price, allowed in zip(
            posed.items, posed.problem.demand, bound.slot_prices.tolist(), posed.problem.allowed, strict=True
        )
    )
    limits = tuple(
        LimitPrice(kind, name, int(left * unit), Fraction(ceil(price * _STEPS), _STEPS) * coin / int(unit))
        for (kind, name), left, unit, price in zip(
            posed.limits, posed.problem.room, posed.units, bound.limit_prices.tolist(), strict=True
        )
    )
    kept = cost - bought
    least = sum((one.price * one.slots for one in slots), Fraction(0))
    least -= sum((one.price * one.left for one in limits), Fraction(0))
    return Certificate(
        cost=cost,
        bound=kept + max(least, Fraction(0)),
        kept=kept,
        slots=slots,
        limits=limits,
        rules=frozendict(rules),
        method=method,
    )


def certify_kept(cost: Fraction) -> Certificate:
    """Of a plan in which nothing was decided by price: its own price is the bound."""
    return Certificate(cost=cost, bound=cost, kept=cost)


def first_jobs(placer: Placer) -> dict[int, int]:
    """By class, the number of its first job."""
    found: dict[int, int] = {}
    for index, one in enumerate(placer.demand.class_of):
        if one is not None:
            found.setdefault(one.id, index)
    return found
