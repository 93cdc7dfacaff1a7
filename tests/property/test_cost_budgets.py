"""Plans by price under budgets (user ask T27d): no budget is broken, none is taken for less than it is, bounds hold."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from builders import array, job, scenario
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.model.reason import PRICE_STEPS, LimitKind
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

SMALL = {"vm_size": "Small", "vcpu_count": 4, "memory_gb": 8, "price": 0.2}
BIG = {"vm_size": "Big", "vcpu_count": 8, "memory_gb": 32, "price": 0.35}
POLICIES = ({"objective": "order"}, {"objective": "cost", "optimize_seconds": 0}, {"objective": "cost"})


def budgeted(raw: dict[str, Any], in_all: Fraction | None, arrays: Mapping[str, Fraction]) -> tuple[Snapshot, Policy]:
    snapshot, policy = decode_scenario(raw)
    nodearrays = tuple(replace(one, budget_per_hour=arrays.get(one.name)) for one in snapshot.nodearrays)
    limits = replace(snapshot.limits, budget_per_hour=in_all)
    return replace(snapshot, limits=limits, nodearrays=nodearrays), policy


def spent(decided: Plan, name: str | None = None) -> Fraction:
    found = (one.bucket for one in decided.claims if name in {None, one.bucket.array.name})
    return sum((one.offering.price or Fraction(0) for one in found), Fraction(0))


@st.composite
def queues(draw: st.DrawFn) -> tuple[dict[str, Any], Fraction | None, dict[str, Fraction]]:
    jobs = [
        job(f"j{number}", {"ncpus": draw(st.integers(1, 7)), "mem": f"memory::{draw(st.integers(1, 12))}g"},
            count=draw(st.integers(1, 8)))
        for number in range(draw(st.integers(1, 4)))
    ]  # fmt: skip
    money = st.integers(0, 60).map(lambda tenths: Fraction(tenths, 10))
    prices = st.sampled_from([0.1, 0.2, 1 / 3, 0.35, 0.7])
    arrays = [array(name, {**SMALL, "price": draw(prices)}, {**BIG, "price": draw(prices)}) for name in "ab"]
    own = {name: draw(money) for name in draw(st.sets(st.sampled_from("ab")))}
    return scenario(*jobs, arrays=arrays, policy={}), draw(st.none() | money), own


@given(queues(), st.sampled_from(POLICIES))
def test_no_budget_is_broken_and_no_bound_lies_above_its_plan(
    case: tuple[dict[str, Any], Fraction | None, dict[str, Fraction]], policy: dict[str, Any]
) -> None:
    raw, in_all, own = case
    decided = plan(*budgeted({**raw, "policy": policy}, in_all, own))
    assert in_all is None or spent(decided) <= in_all
    assert all(spent(decided, name) <= most for name, most in own.items())
    assert decided.certificate is None or 0 <= decided.certificate.bound <= decided.certificate.cost


@given(queues())
def test_a_plan_by_price_under_budgets_places_no_less_than_in_order(
    case: tuple[dict[str, Any], Fraction | None, dict[str, Fraction]],
) -> None:
    raw, in_all, own = case
    ordered, cheap = (plan(*budgeted({**raw, "policy": one}, in_all, own)) for one in (POLICIES[0], POLICIES[2]))
    pairs = list(zip(cheap.outcomes, ordered.outcomes, strict=True))
    assert all(mine.slots >= theirs.slots for mine, theirs in pairs)
    assert any(mine.slots > theirs.slots for mine, theirs in pairs) or spent(cheap) <= spent(ordered)


def rich(budget: str | None) -> Plan:
    """A queue worth some 70 an hour at best."""
    jobs = [job(f"j{n}", {"ncpus": n, "mem": f"memory::{n}g"}, count=300) for n in (1, 2, 3)]
    raw = scenario(*jobs, arrays=[array("a", SMALL, BIG)], policy={"objective": "cost"})
    return plan(*budgeted(raw, None if budget is None else Fraction(budget), {}))


@pytest.mark.parametrize("budget", ["200", "100000"])
def test_a_budget_that_does_not_bind_changes_nothing_however_large_it_is(budget: str) -> None:
    free, bound = rich(None), rich(budget)
    assert spent(bound) == spent(free)
    assert free.certificate is not None
    assert bound.certificate is not None
    assert bound.certificate.method == free.certificate.method
    assert float(bound.certificate.bound) == pytest.approx(float(free.certificate.bound), rel=1e-4)


def test_the_certificate_says_what_is_left_of_a_budget() -> None:
    certificate = rich("200").certificate
    assert certificate is not None
    (budget,) = [one for one in certificate.limits if one.kind is LimitKind.BUDGET]
    assert budget.left == 200 * PRICE_STEPS
