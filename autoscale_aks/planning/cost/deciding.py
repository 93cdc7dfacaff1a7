"""The objective `cost`: the best of several placements, bought anew where price decides, with its certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.model.policy import Objective, PlacementOrder
from autoscale_aks.planning.cost.assembling import build, place_on_free_room, retry_refused
from autoscale_aks.planning.cost.columns import generate
from autoscale_aks.planning.cost.keeping import keep
from autoscale_aks.planning.cost.posing import first_bound, pose, usable_buckets
from autoscale_aks.planning.cost.proving import certify, certify_kept
from autoscale_aks.planning.cost.rounding import trimmed
from autoscale_aks.planning.cost.rules import RULES
from autoscale_aks.planning.placer import Placer

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Certificate
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.planning.cost.posing import Posed
    from autoscale_aks.planning.cost.problem import Bound, Packing
    from autoscale_aks.planning.packing import State

_COLUMNS: Final = "columns"
_PLACED: Final = "placed"


@dataclass(frozen=True, slots=True)
class Choice:
    """A packing (None: what there was), what made it, what each rule would pay in coins, and the bound."""

    packing: Packing | None
    method: str
    paid: dict[str, int | None]
    bound: Bound


def decide_by_cost(placer: Placer) -> tuple[Placer, Certificate | None]:
    """From the finished placement by the price of a slot: a placement that costs no more, and how far it can be from
    the least price.

    Never dearer than the placement in configured order, nor does it place fewer slots of any job (A1).
    """
    policy = placer.policy
    base = _cheaper(placer, _in_configured_order(placer))
    price = price_of(base)
    if policy.placement_order is PlacementOrder.BUCKET or base.state.space.amounts is not np.int64:
        return base, None
    usable = usable_buckets(base)
    kept = keep(base, usable)
    place_on_free_room(base, kept)
    posed = pose(base, kept, usable)
    if posed is None:
        if kept.items:
            return base, None
        done = _finished(policy, base, kept.state)
        cost = price_of(done)
        return done, None if cost is None else certify_kept(cost)
    choice = choose(posed, policy.optimize_work or 0)
    if choice.packing is None and price is None:
        return base, None
    stands = _price(kept.state)
    coins = None if choice.packing is None else posed.problem.cost(choice.packing) * posed.problem.coin
    if choice.packing is None or (
        price is not None and stands is not None and coins is not None and stands + coins >= price
    ):
        done, bought = base, (price or Fraction(0)) - (stands or Fraction(0))
        choice = replace(choice, method=_PLACED)
    else:
        done = _finished(policy, base, build(kept, posed, choice.packing))
        bought = coins or Fraction(0)
    cost = price_of(done)
    if cost is None:
        return done, None
    paid = {
        name: None if coins is None else (cost - bought) + coins * posed.problem.coin
        for name, coins in choice.paid.items()
    }
    return done, certify(done, posed, choice.bound, cost, bought, paid, choice.method)


def choose(posed: Posed, work: int) -> Choice:
    """The cheapest packing of the portfolio, and a cheaper one by columns where there is work to spend."""
    problem = posed.problem
    tried: dict[str, Packing | None] = {name: rule(problem) for name, rule in RULES.items()}
    if posed.placed is not None:
        tried[_PLACED] = posed.placed
    known = {name: trimmed(problem, one) for name, one in tried.items() if one is not None and problem.holds(one)}
    paid = {name: problem.cost(known[name]) if name in known else None for name in tried}
    method = min(known, key=lambda name: paid[name] or 0, default=_PLACED)
    best, bound = known.get(method), first_bound(problem)
    if work > 0:
        found, bound = generate(problem, list(known.values()), bound, work)
        if found is not None and problem.holds(found) and (best is None or problem.cost(found) < problem.cost(best)):
            best, method = found, _COLUMNS
    return Choice(best, method, paid, bound)


def _finished(policy: Policy, base: Placer, state: State) -> Placer:
    done = Placer(base.snapshot, policy, base.demand, state, base.start)
    retry_refused(done, base)
    return done


def _in_configured_order(placer: Placer) -> Placer:
    """The same jobs placed as the objective `order` places them."""
    policy = replace(placer.policy, objective=Objective.ORDER)
    found = Placer(placer.snapshot, policy, placer.demand, placer.start.fork(), placer.start)
    found.place_all()
    return found


def _cheaper(by_price: Placer, in_order: Placer) -> Placer:
    """The placement to start from: by price, unless the configured order places a slot more or costs less for it."""
    ours, theirs = by_price.placed, in_order.placed
    fewer = any(mine < other for mine, other in zip(ours, theirs, strict=True))
    first, second = price_of(by_price), price_of(in_order)
    dearer = ours == theirs and first is not None and second is not None and second < first
    if not fewer and not dearer:
        return by_price
    return in_order


def price_of(placer: Placer) -> Fraction | None:
    """What the new nodes cost an hour; None when a price is unknown."""
    return _price(placer.state)


def _price(state: State) -> Fraction | None:
    total = Fraction(0)
    for made in state.new_nodes:
        price = state.space.buckets[made.bucket].offering.price
        if price is None:
            return None
        total += price * made.count
    return total
