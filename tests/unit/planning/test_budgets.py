"""Budgets are limits of the plan, in exact prices an hour (user ask T27d)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from builders import array, f2, f4, job, node, scenario

from autoscale_aks.model.reason import PRICE_STEPS, LimitKind, ReasonCode
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.answer import render_reason
from autoscale_aks.reports.sentences import render_message, render_next

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.snapshot import Snapshot


def decided(raw: dict[str, Any], in_all: str | None = None, **arrays: str) -> Plan:
    snapshot, policy = decode_scenario(raw)
    return plan(budgeted(snapshot, in_all, arrays), policy)


def budgeted(snapshot: Snapshot, in_all: str | None, arrays: dict[str, str]) -> Snapshot:
    limits = replace(snapshot.limits, budget_per_hour=None if in_all is None else Fraction(in_all))
    found = tuple(
        replace(one, budget_per_hour=Fraction(arrays[one.name]) if one.name in arrays else None)
        for one in snapshot.nodearrays
    )
    return replace(snapshot, limits=limits, nodearrays=found)


def work(iterations: int = 20) -> dict[str, Any]:
    return job("a", {"ncpus": 4}, iterations=iterations)


@pytest.mark.parametrize(
    ("budget", "nodes"), [("0.6", 3), ("0.5999999999", 2), ("0.1", 0), ("0", 0), ("2", 10), ("0.600000001", 3)]
)
def test_a_budget_clips_to_what_it_pays_for_exactly(budget: str, nodes: int) -> None:
    raw = scenario(work(), arrays=[array("htc", f4(price=0.2))])
    assert len(decided(raw, budget).claims) == nodes


def test_a_price_in_thirds_is_never_paid_for_too_little() -> None:
    raw = scenario(work(), arrays=[array("htc", f4(price=0.3333333333))])
    assert len(decided(raw, "0.9999999999").claims) == 2


def test_machines_that_run_are_paid_first_and_never_stopped_for_a_budget() -> None:
    nodes = [node(f"htc-{number}", available={"ncpus": 0}, job_ids=["x"]) for number in range(4)]
    raw = scenario(work(), arrays=[array("htc", f4(price=0.2))], nodes=nodes)
    assert len(decided(raw, "1").claims) == 1
    over = decided(raw, "0.5")
    assert (len(over.claims), over.releases) == (0, ())


def test_each_array_has_its_budget_and_all_have_one_together() -> None:
    raw = scenario(work(40), arrays=[array("htc", f4(price=0.2)), array("hpc", f4(price=0.4))])
    by_array = [claim.bucket.array.name for claim in decided(raw, htc="0.4", hpc="1.2").claims]
    assert (by_array.count("htc"), by_array.count("hpc")) == (2, 3)
    together = [claim.bucket.array.name for claim in decided(raw, "1", htc="0.4").claims]
    assert (together.count("htc"), together.count("hpc")) == (2, 1)


def test_the_budget_that_binds_is_named_with_what_is_left_and_what_to_do() -> None:
    raw = scenario(job("a", {"ncpus": 4}, node_count=5), arrays=[array("htc", f4(price=0.2))])
    (outcome,) = decided(raw, "0.5").outcomes
    assert outcome.reason.code is ReasonCode.LIMIT
    binding = outcome.reason.binding
    assert binding is not None
    assert (binding.kind, binding.left, binding.missing) == (LimitKind.BUDGET, PRICE_STEPS // 2, PRICE_STEPS // 2)
    assert render_message(outcome.reason) == "budget: 0.5 an hour left, 0.5 an hour missing"
    assert render_next(outcome.reason) == "raise limits.budget_per_hour by 0.5 an hour"
    assert render_reason(outcome.reason)["limit"] == {"kind": "budget", "name": "cluster", "left": 0.5, "missing": 0.5}
    (mine,) = decided(raw, htc="0.5").outcomes
    assert render_next(mine.reason) == "raise nodearrays.htc.budget_per_hour by 0.5 an hour"


def test_under_a_budget_a_size_of_unknown_price_is_not_asked_for_and_the_reason_says_so() -> None:
    raw = scenario(work(1), arrays=[array("htc", f4())])
    (outcome,) = decided(raw, "100").outcomes
    assert outcome.reason.binding is not None
    assert outcome.reason.binding.kind is LimitKind.UNPRICED
    assert "price of htc/Standard_F4 is not known" in render_message(outcome.reason)
    assert "prices.overrides" in render_next(outcome.reason)
    assert len(decided(raw).claims) == 1


def test_the_next_priced_size_is_taken_instead() -> None:
    raw = scenario(job("a", {"ncpus": 2}), arrays=[array("htc", f4(), f2(price=0.1))])
    (claim,) = decided(raw, "1").claims
    assert claim.bucket.vm_size == "Standard_F2"


def test_what_costs_nothing_takes_nothing_of_a_budget() -> None:
    raw = scenario(work(), arrays=[array("htc", f4(price=0))])
    assert len(decided(raw, "0").claims) == 10
