"""Plans by price against plans in configured order (matching.md P2, A1): no job has fewer slots, none has less of what
it prefers, and the whole costs no more."""

from __future__ import annotations

from typing import Any

import pytest
from builders import array, job, outcome, scenario, sizes_of, solve
from checker import check
from hypothesis import given
from property.choosy_strategies import choosy_queues

Raw = dict[str, Any]


def by(raw: Raw, objective: str) -> Raw:
    return {**raw, "policy": {"objective": objective, "optimize_seconds": 0.05}}


def liking(raw: Raw, answer: Raw, index: int) -> int:
    """Over all slots of a job, how many options are left from the one that it got on (P2)."""
    known = {one["name"]: one for one in (*answer["new_nodes"], *answer["existing_nodes"])}
    lists = [(key, wanted) for part in raw["jobs"][index]["constraints"] for key, wanted in part.items()
             if isinstance(wanted, list)]  # fmt: skip
    found = 0
    for place in answer["jobs"][index]["nodes"]:
        here = known[place["name"]]
        facts = {"node.vm_size": here["vm_size"], "node.nodearray": here["nodearray"]}
        found += place["slots"] * sum(len(wanted) - wanted.index(facts[key]) for key, wanted in lists)
    return found


@given(choosy_queues())
def test_p2_no_job_has_less_of_what_it_prefers_than_in_configured_order(raw: Raw) -> None:
    ordered, cheap = solve(by(raw, "order")), solve(by(raw, "cost"))
    assert check(by(raw, "cost"), cheap) == []
    pairs = list(zip(cheap["jobs"], ordered["jobs"], strict=True))
    assert all(mine["slots"] >= theirs["slots"] for mine, theirs in pairs)
    if all(mine["slots"] == theirs["slots"] for mine, theirs in pairs):
        assert cheap["price_per_hour"] <= ordered["price_per_hour"] + 1e-9
        for index in range(len(pairs)):
            assert liking(raw, cheap, index) >= liking(raw, ordered, index)


def size(name: str, cpus: int, price: float, **extra: Any) -> Raw:
    return {"vm_size": name, "vcpu_count": cpus, "memory_gb": cpus * 4, "price": price, **extra}


def test_whom_price_moves_does_not_take_what_another_prefers() -> None:
    """By price the first job would take the only Fine there is, which the second one prefers."""
    raw = scenario(
        job("any", {"ncpus": 4}, count=2), job("choosy", {"ncpus": 4, "node.vm_size": ["Fine", "Plain"]}),
        arrays=[array("a", size("Plain", 4, 0.8), size("Fine", 4, 0.3, max_count=1))], policy={},
    )  # fmt: skip
    answer = solve(by(raw, "cost"))
    assert sizes_of(answer, "choosy") == ["Fine"]
    assert sizes_of(answer, "any") == ["Plain", "Plain"]


def test_free_room_beside_a_gang_does_not_take_a_job_away_from_what_it_prefers() -> None:
    """The choosy job was placed before the gang; the room beside the gang is free, but not what it prefers."""
    choosy = job("choosy", {"ncpus": 2, "node.vm_size": ["Fine", "Plain"]})
    plain = job("plain", {"ncpus": 2, "node.vm_size": ["Fine", "Plain"]}, {"exclusive": True})
    gang = job("gang", {"ncpus": 6, "node.vm_size": "Plain"}, node_count=2)
    sizes = (size("Plain", 8, 0.8), size("Fine", 2, 0.3))
    answer = solve(by(scenario(choosy, plain, gang, arrays=[array("a", *sizes)], policy={}), "cost"))
    assert sizes_of(answer, "choosy") == ["Fine"]
    assert sizes_of(answer, "gang") == ["Plain", "Plain"]


WASTEFUL = (job("three", {"ncpus": 3}, count=2), job("five", {"ncpus": 5}, count=2))
"""On nodes of 8 cores three nodes in order (3 + 3, 5, 5), two by price (3 + 5 each)."""
EIGHT = {"vm_size": "W", "vcpu_count": 8, "memory_gb": 8, "price": 4}


@pytest.mark.parametrize("shape", [{"packing_strategy": "scatter"}, {}], ids=["scattered", "an exclusive task"])
def test_nodes_that_were_saved_are_given_to_a_job_with_an_identity_too(shape: Raw) -> None:
    alone = [] if shape else [{"exclusive-task": True}]
    mine = job("mine", {"ncpus": 8}, *alone, iterations=3, **shape)
    raw = scenario(*WASTEFUL, mine, arrays=[array("a", EIGHT)], limits={"cluster_max_nodes": 5}, policy={})
    ordered, cheap = solve(by(raw, "order")), solve(by(raw, "cost"))
    assert (outcome(ordered, "mine")["slots"], outcome(cheap, "mine")["slots"]) == (2, 3)
    assert len(outcome(cheap, "mine")["nodes"]) == 3
    assert check(by(raw, "cost"), cheap) == []


def test_a_licence_taken_once_is_not_taken_again_for_the_rest_of_the_job() -> None:
    licence = {"shared-consumable": {"resources": ["lic"], "amount": 1, "decrement_once": True}}
    mine = job("mine", {"ncpus": 8}, licence, iterations=3)
    raw = scenario(*WASTEFUL, mine, arrays=[array("a", EIGHT)], limits={"cluster_max_nodes": 5}, policy={},
                   shared_resources={"lic": {"initial": 1, "current": 1}})  # fmt: skip
    cheap = solve(by(raw, "cost"))
    assert outcome(cheap, "mine")["slots"] == 3
    assert check(by(raw, "cost"), cheap) == []


def test_what_a_retried_job_may_share_is_its_own_only() -> None:
    """Jobs that are tried again get identities of their own: nobody is let onto a node that another job holds."""
    held = job("held", {"ncpus": 1}, {"exclusive-task": True}, iterations=2)
    late = job("late", {"ncpus": 1}, {"exclusive-task": True}, iterations=9)
    raw = scenario(held, *WASTEFUL, late, arrays=[array("a", EIGHT)], limits={"cluster_max_nodes": 4}, policy={})
    cheap = solve(by(raw, "cost"))
    assert check(by(raw, "cost"), cheap) == []
    assert outcome(cheap, "late")["slots"] == 8
    on = {entry["name"] for entry in outcome(cheap, "held")["nodes"]}
    assert on.isdisjoint(entry["name"] for entry in outcome(cheap, "late")["nodes"])


MIXED = (job("j3", {"ncpus": 3}, count=7), job("j5", {"ncpus": 5}, count=6), job("j2", {"ncpus": 2}, count=9))
"""48 cores or more of nodes; by price on nodes of 8 cores, filled better than in order."""


def arrays_of(answer: Raw) -> dict[str, int]:
    found = [entry["nodearray"] for entry in answer["new_nodes"]]
    return {name: found.count(name) for name in dict.fromkeys(found)}


@pytest.mark.parametrize("most", [None, 2, 4])
@pytest.mark.parametrize("seconds", [0, 0.2])
def test_p2_where_price_is_silent_priority_decides(most: int | None, seconds: float) -> None:
    offered = [size("Small", 4, 0.2), size("Large", 8, 0.39) | ({} if most is None else {"max_count": most})]
    arrays = [array("low", *offered), array("high", *offered, priority=5)]
    raw = scenario(*MIXED, arrays=arrays, policy={"objective": "cost", "optimize_seconds": seconds})
    answer = solve(raw)
    assert check(raw, answer) == []
    large = [entry["nodearray"] for entry in answer["new_nodes"] if entry["vm_size"] == "Large"]
    assert large.count("high") == min(len(large), most or len(large))
    assert all(entry["nodearray"] == "high" for entry in answer["new_nodes"] if entry["vm_size"] == "Small")


def test_p2_where_price_and_priority_are_silent_position_decides() -> None:
    sizes = [size("First", 8, 0.39, vm_family="f"), size("Second", 8, 0.39, vm_family="g")]
    raw = scenario(*MIXED, arrays=[array("a", *sizes)], policy={"objective": "cost"},
                   limits={"families": {"westus2": {"f": {"quota_cores": 40}, "g": {"quota_cores": 400}}}})  # fmt: skip
    answer = solve(raw)
    found = [entry["vm_size"] for entry in answer["new_nodes"]]
    assert found.count("First") == 5
    assert answer["cost"]["method"] != "placed"


def test_an_array_of_higher_priority_is_not_paid_more_for() -> None:
    arrays = [array("low", size("Large", 8, 0.39)), array("high", size("Large", 8, 0.4), priority=5)]
    assert set(arrays_of(solve(by(scenario(*MIXED, arrays=arrays, policy={}), "cost")))) == {"low"}
