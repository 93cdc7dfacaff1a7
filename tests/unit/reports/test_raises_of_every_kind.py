"""Every kind of limit is lifted where it binds; what it lacks is exact, in its own unit (T09a, T09f, T27d)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from builders import array, f2, f4, job, node, scenario
from frozendict import frozendict
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.model.limits import CoreQuota
from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import PRICE_STEPS, LimitKind
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.demand import summarise
from autoscale_aks.reports.document import render_demand
from autoscale_aks.reports.page_shapes import limit_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.reports.demand import DemandReport

Amounts = dict[LimitKind, int]
BUDGETS = (LimitKind.BUDGET, LimitKind.ARRAY_BUDGET)
KINDS = (LimitKind.POOL_NODES, LimitKind.SUBNET_ADDRESSES, *BUDGETS)
ACTIONS = {
    LimitKind.POOL_NODES: "raise quota.nodes_per_pool of htc by 4 nodes",
    LimitKind.SUBNET_ADDRESSES: "free 4 addresses of subnet lan, or use a larger subnet",
    LimitKind.BUDGET: "raise limits.budget_per_hour by 1 an hour",
    LimitKind.ARRAY_BUDGET: "raise nodearrays.htc.budget_per_hour by 1 an hour",
}


def bound(snapshot: Snapshot, amounts: Mapping[LimitKind, int]) -> Snapshot:
    """The snapshot under these limits: nodes of the pool, addresses of its subnet, steps of money."""

    def money(kind: LimitKind) -> Fraction | None:
        return Fraction(amounts[kind], PRICE_STEPS) if kind in amounts else None

    pools, addresses = amounts.get(LimitKind.POOL_NODES), amounts.get(LimitKind.SUBNET_ADDRESSES)
    limits = replace(
        snapshot.limits,
        pools=frozendict({} if pools is None else {"htc": pools}),
        subnets=frozendict({} if addresses is None else {"htc": CoreQuota(addresses)}),
        subnet_names=frozendict(htc="lan"),
        budget_per_hour=money(LimitKind.BUDGET),
    )
    arrays = tuple(replace(one, budget_per_hour=money(LimitKind.ARRAY_BUDGET)) for one in snapshot.nodearrays)
    return replace(snapshot, limits=limits, nodearrays=arrays)


def report_of(snapshot: Snapshot, policy: Policy) -> DemandReport:
    return summarise(plan(snapshot, policy), snapshot, policy=policy)


def queue(jobs: int = 7, **more: Any) -> dict[str, Any]:
    return scenario(job("a", {"ncpus": 4}, count=jobs), arrays=[array("htc", f4(price=0.25, max_count=None))], **more)


def waiting(snapshot: Snapshot, policy: Policy) -> bool:
    return any(one.status is not JobStatus.SUCCESS for one in plan(snapshot, policy).outcomes)


@pytest.mark.parametrize("kind", KINDS)
def test_each_limit_says_exactly_what_it_lacks_and_how_to_mend_it(kind: LimitKind) -> None:
    snapshot, policy = decode_scenario(queue())
    unit = PRICE_STEPS // 4 if kind in BUDGETS else 1
    amounts = {kind: 3 * unit}
    report = report_of(bound(snapshot, amounts), policy)
    (row,) = [row for row in report.limits if row.missing]
    assert (row.kind, row.limit, row.added, row.missing) == (kind, 3 * unit, 3 * unit, 4 * unit)
    assert report.actions == (ACTIONS[kind],)
    assert not waiting(bound(snapshot, {kind: row.limit + row.missing}), policy)
    assert waiting(bound(snapshot, {kind: row.limit + row.missing - 1}), policy)


@pytest.mark.parametrize("kind", BUDGETS)
def test_a_budget_is_told_in_money_in_every_face(kind: LimitKind) -> None:
    snapshot, policy = decode_scenario(queue(nodes=[node("htc-1", available={"ncpus": 0}, job_ids=["x"])]))
    shown = bound(snapshot, {kind: PRICE_STEPS})
    decided = plan(shown, policy)
    report = summarise(decided, shown, policy=policy)
    (row,) = [row for row in report.limits if row.kind is kind]
    (said,) = [one for one in render_demand(report, decided)["limits"] if one["kind"] == kind.value]
    assert (said["unit"], said["limit"], said["used"], said["added"]) == ("an hour", 1.0, 0.25, 0.75)
    assert (said["left"], said["missing"]) == (0.0, 1.0)
    assert limit_bar(row).text == "0.25 in use, 0.75 by this plan, 1 missing, of 1 an hour"
    (waits,) = report.waits
    assert waits.message == f"{row.title}: 0 an hour left, 1 an hour missing"


def test_money_that_is_asked_for_is_never_rounded_to_too_little() -> None:
    snapshot, policy = decode_scenario(scenario(job("a", {"ncpus": 4}), arrays=[array("htc", f4(price=0.19204))]))
    report = report_of(bound(snapshot, {LimitKind.BUDGET: 0}), policy)
    assert report.actions == ("raise limits.budget_per_hour by 0.1921 an hour",)


def test_a_size_of_unknown_price_stays_out_when_a_budget_is_lifted() -> None:
    raw = scenario(
        job("a", {"ncpus": 4}, count=7), arrays=[array("htc", f4(max_count=None), f4(vm_size="Dear", price=0.5))]
    )
    snapshot, policy = decode_scenario(raw)
    report = report_of(bound(snapshot, {LimitKind.BUDGET: PRICE_STEPS}), policy)
    assert {row.title: row.missing for row in report.limits if row.missing} == {"budget": 5 * PRICE_STEPS // 2}


def test_where_only_the_price_is_missing_no_limit_is_to_be_raised() -> None:
    snapshot, policy = decode_scenario(scenario(job("a", {"ncpus": 4}), arrays=[array("htc", f4())]))
    report = report_of(bound(snapshot, {LimitKind.BUDGET: PRICE_STEPS}), policy)
    assert [row for row in report.limits if row.missing] == []
    assert report.actions == ("state its price in the bucket or in prices.overrides, or take the budget out (a)",)


@st.composite
def short_queues(draw: st.DrawFn) -> tuple[Snapshot, Policy, Amounts]:
    jobs = [
        job(f"j{number}", {"ncpus": draw(st.integers(1, 4))}, iterations=draw(st.integers(1, 9)))
        for number in range(draw(st.integers(1, 4)))
    ]
    prices = st.sampled_from([0.25, 0.1, 0.333, 0])
    sizes = [f4(price=draw(prices), max_count=None), f2(price=draw(prices), max_count=None)]
    snapshot, policy = decode_scenario(scenario(*jobs, arrays=[array("htc", *sizes)]))
    amounts = {
        kind: draw(st.integers(0, 8)) * (PRICE_STEPS // 7 if kind in BUDGETS else 1)
        for kind in draw(st.sets(st.sampled_from(KINDS), min_size=1))
    }
    return snapshot, policy, amounts


@given(short_queues())
def test_with_every_raise_granted_nothing_waits_and_nothing_is_left_of_what_was_raised(
    case: tuple[Snapshot, Policy, Amounts],
) -> None:
    snapshot, policy, amounts = case
    first = plan(bound(snapshot, amounts), policy)
    lacks = {row.kind: row.missing for row in report_of(bound(snapshot, amounts), policy).limits}
    rest = tuple(
        replace(one, shape=replace(one.shape, iterations=outcome.requested - outcome.slots))
        for one, outcome in zip(first.jobs, first.outcomes, strict=True)
        if outcome.slots < outcome.requested
    )
    granted = {}
    for kind, amount in amounts.items():
        costs = (PRICE_STEPS * (one.bucket.offering.price or 0) for one in first.claims)
        spent = sum(map(int, costs)) if kind in BUDGETS else len(first.claims)
        granted[kind] = amount - spent + lacks.get(kind, 0)
    after = bound(replace(snapshot, jobs=rest), granted)
    report = report_of(after, policy)
    assert report.waits == ()
    assert all(row.left == 0 for row in report.limits if lacks.get(row.kind))
