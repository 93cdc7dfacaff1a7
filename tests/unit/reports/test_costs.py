"""Prices of plans, jobs, idle and protected machines (user ask T27)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from builders import array, f4, job, node, scenario
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.costs import Cost, CostReport, price_plan
from autoscale_aks.reports.demand import summarise

BUSY = {"available": {"ncpus": 0, "mem": "size::0b"}, "job_ids": ["1"]}


def priced(raw: dict[str, Any]) -> CostReport:
    snapshot, policy = decode_scenario(raw)
    return price_plan(plan(snapshot, policy), snapshot)


def arrays(price: float | None = 0.2) -> list[dict[str, Any]]:
    return [array("htc", f4(**({} if price is None else {"price": price})))]


def test_a_plan_costs_its_machines() -> None:
    found = priced(scenario(job("a", {"ncpus": 4}, iterations=3), arrays=arrays()))
    assert found.plan == Cost(3, Fraction("0.6"), 0)
    assert found.running == Cost()


def test_idle_and_protected_machines_are_told_apart_from_busy_ones() -> None:
    nodes = [node("htc-1", **BUSY), node("htc-2"), node("htc-3", keep_alive=True), node("htc-4", state="Creating")]
    found = priced(scenario(arrays=arrays(), nodes=nodes))
    assert (found.running.machines, found.running.per_hour) == (4, Fraction("0.8"))
    assert (found.idle.machines, found.idle.per_hour) == (2, Fraction("0.4"))
    assert (found.protected.machines, found.protected.per_hour) == (1, Fraction("0.2"))


def test_a_machine_that_the_plan_has_work_for_is_not_idle() -> None:
    found = priced(scenario(job("a", {"ncpus": 4}), arrays=arrays(), nodes=[node("htc-1"), node("htc-2")]))
    assert found.idle.machines == 1


def test_an_unknown_price_is_counted_apart_and_makes_the_sum_unknown() -> None:
    both = [array("htc", f4(price=0.2)), array("hpc", f4())]
    jobs = [job("a", {"ncpus": 4, "node.nodearray": "htc"}), job("b", {"ncpus": 4, "node.nodearray": "hpc"})]
    found = priced(scenario(*jobs, arrays=both))
    assert (found.plan.per_hour, found.plan.known, found.plan.unpriced) == (None, Fraction("0.2"), 1)
    assert found.jobs == (Fraction("0.2"), None)
    assert found.as_dict()["plan"]["price_per_hour"] is None


def test_jobs_share_the_price_of_a_machine_by_their_slots() -> None:
    jobs = [job("a", {"ncpus": 1}, iterations=3), job("b", {"ncpus": 1})]
    found = priced(scenario(*jobs, arrays=arrays()))
    assert found.jobs == (Fraction("0.15"), Fraction("0.05"))


def test_machines_of_the_site_itself_cost_nothing() -> None:
    raw = scenario(job("a", {"ncpus": 1}), arrays=arrays())
    raw["unmanaged_nodes"] = [{"name": "own", "resources": {"ncpus": 4}, "state": "Ready"}]
    snapshot, policy = decode_scenario(raw)
    found = price_plan(plan(snapshot, policy), snapshot)
    assert found.jobs in {(Fraction(0),), (Fraction("0.2"),)}
    assert sum(found.jobs, Fraction(0)) == (found.plan.known if found.plan.machines else 0)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=6))
def test_the_shares_of_all_jobs_add_up_to_the_plan(queue: list[tuple[int, int]]) -> None:
    jobs = [job(f"j{number}", {"ncpus": cpus}, iterations=count) for number, (cpus, count) in enumerate(queue)]
    found = priced(scenario(*jobs, arrays=arrays(0.192)))
    assert sum((share for share in found.jobs if share is not None), Fraction(0)) == found.plan.known


def test_under_a_budget_the_report_names_sizes_that_are_not_asked_for_want_of_a_price() -> None:
    snapshot, policy = decode_scenario(scenario(job("a", {"ncpus": 4}, iterations=3), arrays=arrays(None)))
    budgeted = replace(snapshot, limits=replace(snapshot.limits, budget_per_hour=Fraction(5)))
    told = "under a budget htc/Standard_F4 is not asked for: its price is not known"
    for seen, is_told in ((snapshot, False), (budgeted, True)):
        notes = summarise(plan(seen, policy), seen, policy=policy).notes
        assert any(note.startswith(told) for note in notes) is is_told
