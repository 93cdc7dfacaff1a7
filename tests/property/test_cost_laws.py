"""Laws of plans by price (docs/calculations.md, Cost): all rules of the language hold, nothing is placed less or paid
more than in configured order, preferences stand above price, and the bound is a bound."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest
from builders import array, job, scenario, solve
from checker import check
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_strategies import scenarios

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario


def by_cost(raw: dict[str, Any], seconds: float = 0.05) -> dict[str, Any]:
    """The same scenario, decided by price."""
    return {**raw, "policy": {**raw["policy"], "objective": "cost", "optimize_seconds": seconds}}


@given(scenarios(), st.sampled_from([0, 0.05]))
def test_a_plan_by_price_keeps_every_rule(raw: dict[str, Any], seconds: float) -> None:
    asked = by_cost(raw, seconds)
    assert check(asked, solve(asked)) == []


@given(scenarios())
def test_p5_a_plan_by_price_is_the_same_every_time(raw: dict[str, Any]) -> None:
    asked = by_cost(raw)
    assert json.dumps(solve(asked)) == json.dumps(solve(copy.deepcopy(asked)))


@given(scenarios())
def test_nothing_is_placed_less_nor_paid_more_than_in_configured_order(raw: dict[str, Any]) -> None:
    ordered, cheap = solve({**raw, "policy": {**raw["policy"], "objective": "order"}}), solve(by_cost(raw))
    slots = [(mine["slots"], theirs["slots"]) for mine, theirs in zip(cheap["jobs"], ordered["jobs"], strict=True)]
    assert all(mine >= theirs for mine, theirs in slots)
    prices = cheap["price_per_hour"], ordered["price_per_hour"]
    if None not in prices and all(mine == theirs for mine, theirs in slots):
        assert prices[0] <= prices[1] + 1e-9


@given(scenarios())
def test_no_plan_is_cheaper_than_its_bound(raw: dict[str, Any]) -> None:
    snapshot, policy = decode_scenario(by_cost(raw))
    certificate = plan(snapshot, policy).certificate
    if certificate is not None:
        assert 0 <= certificate.kept <= certificate.bound <= certificate.cost


sizes = st.tuples(st.integers(1, 8), st.integers(1, 16), st.integers(1, 20))
shapes = st.tuples(st.integers(1, 5), st.integers(0, 6), st.integers(1, 3))


def least_price(offered: list[tuple[int, int, int]], asked: list[tuple[int, int]], cores: int | None) -> int | None:
    """By trying every way of sharing slots out over nodes."""

    def cheapest(cpus: int, mem: int) -> list[tuple[int, int]]:
        return [(price, size) for size, memory, price in offered if size >= cpus and memory >= mem]

    best: list[int | None] = [None]

    def share(index: int, nodes: list[tuple[int, int]]) -> None:
        if index == len(asked):
            ways = [cheapest(*one) for one in nodes]
            for way in itertools.product(*ways):
                if cores is None or sum(size for _, size in way) <= cores:
                    paid = sum(price for price, _ in way)
                    best[0] = paid if best[0] is None else min(best[0], paid)
            return
        for at in range(len(nodes) + 1):
            cpus, mem = nodes[at] if at < len(nodes) else (0, 0)
            grown = (cpus + asked[index][0], mem + asked[index][1])
            if cheapest(*grown):
                share(index + 1, [*nodes[:at], grown, *nodes[at + 1 :]])

    share(0, [])
    return best[0]


@settings(deadline=None)
@given(
    st.lists(sizes, min_size=1, max_size=3), st.lists(shapes, min_size=1, max_size=3), st.none() | st.integers(4, 24)
)
def test_the_least_price_lies_between_bound_and_plan(
    offered: list[tuple[int, int, int]], asked: list[tuple[int, int, int]], cores: int | None
) -> None:
    slots = [(cpus, mem) for cpus, mem, count in asked for _ in range(count)][:5]
    buckets = [
        {"vm_size": f"S{number}", "vcpu_count": cpus, "memory_gb": mem, "price": price}
        for number, (cpus, mem, price) in enumerate(offered)
    ]
    jobs = [job(f"j{n}", {"ncpus": cpus, "mem": f"memory::{mem}g"}) for n, (cpus, mem) in enumerate(slots)]
    limits = {} if cores is None else {"cluster_max_cores": cores}
    raw = by_cost(scenario(*jobs, arrays=[array("a", *buckets)], limits=limits, policy={}), 0.2)
    answer = solve(raw)
    assert check(raw, answer) == []
    placed = [one for one, entry in zip(slots, answer["jobs"], strict=True) if entry["slots"]]
    least = least_price(offered, placed, cores)
    assert least is not None
    assert answer["cost"]["bound_per_hour"] <= least + 1e-6
    assert least <= answer["cost"]["price_per_hour"]


def test_p2_what_a_job_prefers_is_never_given_up_for_price() -> None:
    dear = {"vm_size": "Dear", "vcpu_count": 8, "memory_gb": 16, "price": 9}
    cheap = {"vm_size": "Cheap", "vcpu_count": 8, "memory_gb": 16, "price": 1}
    choosy = job("choosy", {"ncpus": 3, "node.vm_size": ["Dear", "Cheap"]}, count=5)
    plain = job("plain", {"ncpus": 3}, count=5)
    answer = solve(by_cost(scenario(choosy, plain, arrays=[array("a", cheap, dear)], policy={})))
    size = {entry["name"]: entry["vm_size"] for entry in answer["new_nodes"]}
    assert {size[at["name"]] for at in answer["jobs"][0]["nodes"]} == {"Dear"}
    assert sorted(size.values()) == ["Cheap", "Cheap", "Dear", "Dear", "Dear"]


def test_a_saved_quota_places_who_was_refused() -> None:
    """In order 3 + 3, 5 and 5 of 8 cores take three nodes, and the quota is gone; 3 + 5 take two."""
    wide = {"vm_size": "W", "vcpu_count": 8, "memory_gb": 8, "price": 4}
    jobs = [job("three", {"ncpus": 3}, count=2), job("five", {"ncpus": 5}, count=2), job("late", {"ncpus": 8})]
    raw = scenario(*jobs, arrays=[array("a", wide)], limits={"cluster_max_nodes": 3}, policy={})
    assert [entry["slots"] for entry in solve(raw)["jobs"]] == [2, 2, 0]
    answer = solve(by_cost(raw))
    assert [entry["slots"] for entry in answer["jobs"]] == [2, 2, 1]
    assert answer["cost"]["gap"] == pytest.approx(0, abs=1e-6)


def test_without_the_solver_the_portfolio_decides_and_a_bound_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoscale_aks.planning.cost.columns.solver_module", lambda: None)
    buckets = [{"vm_size": f"S{n}", "vcpu_count": n, "memory_gb": 2 * n, "price": price}
               for n, price in ((4, 0.2), (8, 0.39), (16, 0.7))]  # fmt: skip
    jobs = [job(f"j{n}", {"ncpus": n, "mem": f"memory::{n}g"}, count=40) for n in (1, 3, 5)]
    answer = solve(by_cost(scenario(*jobs, arrays=[array("a", *buckets)], policy={})))
    cost = answer["cost"]
    assert cost["method"] != "columns"
    assert 0 < cost["bound_per_hour"] <= cost["price_per_hour"] == min(filter(None, cost["rules"].values()))
