"""The objective `cost`: the best of several placements, bought anew where price decides, with its certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.model.policy import Objective, PlacementOrder
from autoscale_aks.planning.cost.assembling import build, place_on_free_room, retry_refused
from autoscale_aks.planning.cost.coarse import coarse_bound
from autoscale_aks.planning.cost.columns import generate
from autoscale_aks.planning.cost.keeping import keep
from autoscale_aks.planning.cost.ordered import is_sure_to_be_dearer
from autoscale_aks.planning.cost.posing import MOST_ITEMS, first_bound, pose, usable_buckets
from autoscale_aks.planning.cost.preferring import serves_best, serves_less
from autoscale_aks.planning.cost.proving import certify, certify_kept
from autoscale_aks.planning.cost.rounding import trimmed
from autoscale_aks.planning.cost.rules import RULES
from autoscale_aks.planning.cost.solver import solver_module
from autoscale_aks.planning.cost.tying import best_first
from autoscale_aks.planning.placer import Placer

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Certificate
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.planning.cost.keeping import Kept
    from autoscale_aks.planning.cost.posing import Posed
    from autoscale_aks.planning.cost.problem import Bound, Packing
    from autoscale_aks.planning.packing import State

_COLUMNS: Final = "columns"
_PLACED: Final = "placed"


@dataclass(frozen=True, slots=True)
class Choice:
    """A packing (None: what there was), what made it, what each rule would pay, the bound, and whether a
    solver was wanted and is not installed."""

    packing: Packing | None
    method: str
    paid: dict[str, Fraction | None]
    bound: Bound
    is_without_solver: bool = False


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What simple rules would buy: the cheapest packing (None: limits leave slots over with all), whose it is, all
    that hold, what each would pay, and a first bound."""

    best: Packing | None
    method: str
    known: tuple[Packing, ...]
    paid: dict[str, Fraction | None]
    bound: Bound


@dataclass(frozen=True, slots=True)
class _Parted:
    """A placement, what of it stands, and what of it can be bought anew."""

    base: Placer
    kept: Kept
    posed: Posed | None
    portfolio: Portfolio | None


def decide_by_cost(placer: Placer) -> tuple[Placer, Certificate | None]:
    """From the finished placement by the price of a slot: a placement that costs no more, and how far it can be from
    the least price.

    Never dearer than the placement in configured order, nor does it place fewer slots of any job (A1), nor has any job
    less of what it prefers (P2). That one is made only where it cannot be told beforehand that it would be dearer
    (`cost.ordered`), and where a job could like it better.
    """
    policy = placer.policy
    if policy.placement_order is PlacementOrder.BUCKET or placer.state.space.amounts is not np.int64:
        return _cheaper(placer, _in_configured_order(placer)), None
    with np.errstate(over="ignore"):  # coins a slot of next to nothing: infinitely many are meant
        return _decided(placer)


def _decided(placer: Placer) -> tuple[Placer, Certificate | None]:
    parted = _take_apart(placer)
    in_order = _to_be_placed_in_order(placer)
    least = _least_price(parted)
    if least is None or not serves_best(placer) or not is_sure_to_be_dearer(placer, in_order, least):
        in_order.place_all()
        if _cheaper(placer, in_order) is in_order:
            parted = _take_apart(in_order)
    return _decide(parted)


def _take_apart(base: Placer) -> _Parted:
    usable = usable_buckets(base)
    kept = keep(base, usable)
    place_on_free_room(base, kept)
    posed = pose(base, kept, usable)
    if posed is not None and len(posed.items) > MOST_ITEMS:
        bound = coarse_bound(posed.problem, base.policy.optimize_work or 0)
        return _Parted(base, kept, posed, Portfolio(None, _PLACED, (), {}, bound))
    return _Parted(base, kept, posed, None if posed is None else try_rules(posed))


def _least_price(parted: _Parted) -> Fraction | None:
    """What the cheapest placement so far costs; None when a price is unknown."""
    price, stands = price_of(parted.base), _price(parted.kept.state)
    if parted.posed is None or parted.portfolio is None or parted.portfolio.best is None or stands is None:
        return price
    bought = stands + parted.posed.price(parted.portfolio.best)
    return bought if price is None else min(price, bought)


def _decide(parted: _Parted) -> tuple[Placer, Certificate | None]:
    base, kept, posed = parted.base, parted.kept, parted.posed
    policy, price = base.policy, price_of(base)
    if posed is None or parted.portfolio is None:
        if kept.items:
            return base, None
        done = _finished(policy, base, kept.state)
        cost = price_of(done)
        return done, None if cost is None else certify_kept(cost)
    choice = choose(posed, parted.portfolio, policy.optimize_work or 0)
    if choice.packing is None and price is None:
        return base, None
    stands = _price(kept.state)
    bought = Fraction(0) if choice.packing is None else posed.price(choice.packing)
    if choice.packing is None or (price is not None and stands is not None and stands + bought >= price):
        done, bought = base, (price or Fraction(0)) - (stands or Fraction(0))
        choice = replace(choice, method=_PLACED)
    else:
        done = _finished(policy, base, build(kept, posed, best_first(posed, choice.packing)))
    cost = price_of(done)
    if cost is None:
        return done, None
    paid = {name: None if one is None else (cost - bought) + one for name, one in choice.paid.items()}
    certificate = certify(done, posed, choice.bound, cost, bought, paid, choice.method)
    return done, replace(certificate, is_without_solver=choice.is_without_solver)


def try_rules(posed: Posed) -> Portfolio:
    """What each rule of the portfolio would buy."""
    problem = posed.problem
    tried: dict[str, Packing | None] = {name: rule(problem) for name, rule in RULES.items()}
    if posed.placed is not None:
        tried[_PLACED] = posed.placed
    known = {name: trimmed(problem, one) for name, one in tried.items() if one is not None and problem.holds(one)}
    paid = {name: posed.price(known[name]) if name in known else None for name in tried}
    method = min(known, key=lambda name: paid[name] or 0, default=_PLACED)
    return Portfolio(known.get(method), method, tuple(known.values()), paid, first_bound(problem))


def choose(posed: Posed, portfolio: Portfolio, work: int) -> Choice:
    """The cheapest packing of the portfolio, or a cheaper one by columns where there is work to spend."""
    problem, best, method, bound = posed.problem, portfolio.best, portfolio.method, portfolio.bound
    if work > 0 and len(posed.items) <= MOST_ITEMS:
        found, bound = generate(problem, list(portfolio.known), bound, work)
        if found is not None and problem.holds(found) and (best is None or posed.price(found) < posed.price(best)):
            best, method = found, _COLUMNS
    return Choice(best, method, portfolio.paid, bound, work > 0 and solver_module() is None)


def _finished(policy: Policy, base: Placer, state: State) -> Placer:
    done = Placer(base.snapshot, policy, base.demand, state, base.start, tenants=base.tenants)
    retry_refused(done, base)
    return done


def _to_be_placed_in_order(placer: Placer) -> Placer:
    """The same jobs, to be placed as the objective `order` places them."""
    policy = replace(placer.policy, objective=Objective.ORDER)
    return Placer(placer.snapshot, policy, placer.demand, placer.start.fork(), placer.start)


def _in_configured_order(placer: Placer) -> Placer:
    found = _to_be_placed_in_order(placer)
    found.place_all()
    return found


def _cheaper(by_price: Placer, in_order: Placer) -> Placer:
    """The placement to start from: by price, unless the configured order places a slot more, serves what some job
    prefers better, or costs less for the same."""
    ours, theirs = by_price.placed, in_order.placed
    fewer = any(mine < other for mine, other in zip(ours, theirs, strict=True))
    first, second = price_of(by_price), price_of(in_order)
    dearer = ours == theirs and first is not None and second is not None and second < first
    return in_order if fewer or dearer or serves_less(by_price, in_order) else by_price


def price_of(placer: Placer) -> Fraction | None:
    """What the new nodes cost an hour; None when a price is unknown."""
    return _price(placer.state)


def _price(state: State) -> Fraction | None:
    nodes: dict[int, int] = {}
    for made in state.new_nodes:
        nodes[made.bucket] = nodes.get(made.bucket, 0) + made.count
    total = Fraction(0)
    for bucket, count in nodes.items():
        price = state.space.buckets[bucket].offering.price
        if price is None:
            return None
        total += price * count
    return total
