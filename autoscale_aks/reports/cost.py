"""What a plan costs and how far that is from the least price (docs/calculations.md, Cost)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.policy import Objective, PlacementOrder
from autoscale_aks.reports.words import counted, price_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.model.plan import Certificate, LimitPrice, Plan, SlotPrice
    from autoscale_aks.model.policy import Policy


@dataclass(frozen=True, slots=True)
class CostRow:
    """One line: of a bucket, or of a rule that was tried."""

    name: str
    machines: int | None
    price_per_hour: Fraction | None
    over_bound: Fraction | None
    """How much more than the bound, as a share of it."""


def render_cost(certificate: Certificate, plan: Plan) -> dict[str, Any]:
    """The `cost` object of a plan's JSON. Prices are per hour, exact ones rounded to what a float holds."""
    return {
        "price_per_hour": float(certificate.cost),
        "bound_per_hour": float(certificate.bound),
        "gap": float(certificate.gap),
        "kept_per_hour": float(certificate.kept),
        "method": certificate.method,
        "is_without_solver": certificate.is_without_solver,
        "rules": {name: None if cost is None else float(cost) for name, cost in certificate.rules.items()},
        "limits": [
            {"kind": one.kind.value, "name": one.name, "left": one.left, "price": float(one.price)}
            for one in certificate.limits
        ],
        "slots": [_slot_price(one, plan) for one in certificate.slots],
    }


def _slot_price(one: SlotPrice, plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = {"job": plan.jobs[one.job].name, "slots": one.slots, "price": float(one.price)}
    if one.buckets is not None:
        found["buckets"] = [bucket.id for bucket in one.buckets]
    return found


def certificate_text(certificate: Certificate) -> str:
    """How far the plan's price can be from the least there is, in one sentence (user ask T27)."""
    cost, bound = price_text(certificate.cost), price_text(certificate.bound)
    if not certificate.cost:
        return "Nothing has to be bought, which is proved to be the least."
    if certificate.gap <= _NOTHING_MORE:
        proof = "which is the least it can be"
    else:
        proof = f"at most {share_text(certificate.gap)} more than the least there can be (lower bound ${bound})"
    kept = (
        f"; ${price_text(certificate.kept)} of it stands as placed, no price decides on it" if certificate.kept else ""
    )
    return f"The plan costs ${cost} an hour, {proof}{kept}.{_WITHOUT_SOLVER if certificate.is_without_solver else ''}"


_WITHOUT_SOLVER: Final = " Only simple rules were tried: the extra `optimize` (HiGHS) is not installed."


_NOTHING_MORE: Final = Fraction(1, 10**6)


def share_text(share: Fraction) -> str:
    """`1.250 %`. Rounded up, so that what is proved is not said better than it is; nothing is said of a millionth."""
    steps = math.ceil(share * 100_000) if share > _NOTHING_MORE else 0
    return f"{steps / 1000:,.3f} %"


def why_no_bound(plan: Plan, policy: Policy) -> str:
    """Why a plan has no certificate, as a sentence; empty where it has one."""
    if plan.certificate is not None:
        return ""
    if policy.objective is not Objective.COST:
        return "No bound: the objective is the configured order; set policy.objective to cost."
    if policy.optimize_work is None:
        return "No bound: policy.optimize_seconds is null; 0 gives a bound without a search."
    if policy.placement_order is PlacementOrder.BUCKET:
        return "No bound: it needs policy.placement_order existing-first."
    if unpriced := unpriced_text(plan):
        return f"No bound: the price of {unpriced} is not known; state it in prices.overrides."
    return "No bound: there are too many kinds of slots, or amounts too fine to be reckoned with."


def unpriced_text(plan: Plan) -> str:
    """New machines of unknown price, by bucket: `htc/Standard_X (9 machines)`; empty where there are none."""
    found = [one for one in plan.buckets if one.new_nodes and one.bucket.offering.price is None]
    names = [f"{one.bucket.id} ({counted(one.new_nodes, 'machine')})" for one in found]
    return ", ".join([*names[:_MOST_NAMES], *([f"{len(names) - _MOST_NAMES} more"] if names[_MOST_NAMES:] else [])])


_MOST_NAMES: Final = 5


def render_explained(plan: Plan, policy: Policy) -> dict[str, Any]:
    """`--explain-cost` as JSON: cost by bucket, bound and gap against every simple rule, and what binds."""
    certificate = plan.certificate
    return {
        "sentence": why_no_bound(plan, policy) if certificate is None else certificate_text(certificate),
        "buckets": [_cost_row(row) for row in bucket_rows(plan)],
        "against": [] if certificate is None else [_cost_row(row) for row in rule_rows(certificate)],
        "limits": []
        if certificate is None
        else [
            {"kind": one.kind.value, "name": one.name, "price": float(one.price)} for one in binding_limits(certificate)
        ],
    }


def _cost_row(row: CostRow) -> dict[str, Any]:
    found: dict[str, Any] = {"name": row.name}
    if row.machines is not None:
        found["machines"] = row.machines
    found["price_per_hour"] = None if row.price_per_hour is None else float(row.price_per_hour)
    if row.machines is None:
        found["over_bound"] = None if row.over_bound is None else float(row.over_bound)
    return found


def bucket_rows(plan: Plan) -> tuple[CostRow, ...]:
    """What the new machines of each bucket cost, dearest first."""
    rows = [
        CostRow(outcome.bucket.id, outcome.new_nodes, _times(outcome.bucket.offering.price, outcome.new_nodes), None)
        for outcome in plan.buckets
        if outcome.new_nodes
    ]
    return tuple(sorted(rows, key=lambda row: -(row.price_per_hour or 0)))


def rule_rows(certificate: Certificate) -> tuple[CostRow, ...]:
    """The plan, its bound, and what each simple rule would pay for the same slots, cheapest first."""
    tried = sorted(certificate.rules.items(), key=lambda entry: (entry[1] is None, entry[1] or 0))
    rows = [
        CostRow("lower bound", None, certificate.bound, None),
        CostRow("this plan", None, certificate.cost, certificate.gap),
    ]
    rows += [CostRow(name, None, cost, _over(cost, certificate.bound)) for name, cost in tried]
    return tuple(rows)


def binding_limits(certificate: Certificate) -> Sequence[LimitPrice]:
    """Limits that make the plan dearer: one more unit of them would save their price."""
    return [one for one in certificate.limits if one.price > Fraction(1, 10**9)]


def _times(price: Fraction | None, machines: int) -> Fraction | None:
    return None if price is None else price * machines


def _over(cost: Fraction | None, bound: Fraction) -> Fraction | None:
    return None if cost is None or not bound else (cost - bound) / bound
