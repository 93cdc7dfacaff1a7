"""Which node takes which slot (matching.md P1–P5, A0–A10)."""

from __future__ import annotations

from typing import Any

import pytest
from builders import array, code, f2, f4, job, licence, node, outcome, places, scenario, sizes_of, solve
from checker import check

GROUPED = {"placement_groups": ["pg0", "pg1"]}


def answer_of(*jobs: Any, **extra: Any) -> dict[str, Any]:
    raw = scenario(*jobs, **extra)
    answer = solve(raw)
    assert check(raw, answer) == []
    return answer


def new_sizes(answer: dict[str, Any]) -> list[str]:
    return [entry["vm_size"] for entry in answer["new_nodes"]]


# --- P: which bucket first ---


def test_p1_on_premise_nodes_come_before_all_buckets() -> None:
    answer = answer_of(
        job(iterations=9), nodes=[node()], unmanaged_nodes=[{"hostname": "onprem-1", "resources": {"ncpus": 3}}]
    )
    assert places(answer, "a") == {"onprem-1": 3, "htc-1": 4, "htc-2": 2}


def test_p1_a_node_array_that_is_not_enabled_gets_no_new_nodes_but_its_idle_ones_are_used() -> None:
    answer = answer_of(job(iterations=6), arrays=[array(enabled=False)], nodes=[node()])
    assert (places(answer, "a"), answer["new_nodes"]) == ({"htc-1": 4}, [])


def test_p2_preference_then_priority_then_order() -> None:
    arrays = [array("x", f4(), priority=1), array("y", f4(), priority=5), array("z", f4(), priority=5)]
    assert list(places(answer_of(job(), arrays=arrays), "a")) == ["y-1"]
    assert list(places(answer_of(job("a", {"node.nodearray": ["x", "z"]}), arrays=arrays), "a")) == ["x-1"]


def test_p2_with_objective_cost_the_price_of_what_the_class_can_use_decides_before_priority() -> None:
    by_slot = {"objective": "cost", "optimize_seconds": None}
    arrays = [array("x", f4(price=0.4), priority=9), array("y", f2(price=0.1))]
    assert list(places(answer_of(job(), arrays=arrays, policy=by_slot), "a")) == ["y-1"]
    assert list(places(answer_of(job(), arrays=arrays), "a")) == ["x-1"]
    wide = job("a", {"mem": "memory::4g"})
    cheap_slots = [array("x", f2(price=0.3)), array("y", f4(price=0.5))]
    assert list(places(answer_of(wide, arrays=cheap_slots, policy=by_slot), "a")) == ["y-1"]


def test_p3_buckets_outside_groups_first() -> None:
    arrays = [array("x", f4(max_count=2, **GROUPED), priority=9), array("y", f4(max_count=1))]
    answer = answer_of(job("a", {"ncpus": 4}, iterations=3), arrays=arrays)
    assert [entry["placement_group"] for entry in answer["new_nodes"]] == [None, None, None]


def test_p3_a_job_that_speaks_of_groups_takes_them_in_configuration_order() -> None:
    answer = answer_of(
        job("a", {"ncpus": 1, "node.placement_group": ["pg1", "pg0"]}), arrays=[array("htc", f4(**GROUPED))]
    )
    assert answer["new_nodes"][0]["placement_group"] == "pg1"


def test_p4_a_bucket_whose_empty_node_cannot_say_yes_may_hold_a_node_that_does() -> None:
    answer = answer_of(job("a", {"node.hostname": "ip-htc-7"}), nodes=[node("htc-1"), node("htc-7")])
    assert places(answer, "a") == {"htc-7": 1}


def test_p5_the_same_input_gives_the_same_answer() -> None:
    raw = scenario(job(iterations=9), job("b", {"ncpus": 2}, node_count=3), arrays=[array("htc", f4(**GROUPED), f2())])
    assert solve(raw) == solve(raw)


# --- A: placing ---


def test_a1_a_job_that_cannot_be_placed_never_hides_one_behind_it() -> None:
    answer = answer_of(job("a", {"ncpus": 99}), job("b", {"ncpus": 4}, node_count=11), job("c"))
    assert [entry["status"] for entry in answer["jobs"]] == ["failed", "failed", "success"]


A0 = [
    ({"iterations": 6}, {"htc-1": 4, "htc-2": 2}, None),
    ({"iterations": 6, "packing_strategy": "pack"}, {"htc-1": 4, "htc-2": 2}, None),
    ({"iterations": 2, "packing_strategy": "scatter"}, {"htc-1": 1, "htc-2": 1}, None),
    ({"iterations": 6, "colocated": True}, {"htc-1": 4, "htc-2": 2}, "pg0"),
    ({"iterations": 2, "colocated": True, "packing_strategy": "scatter"}, {"htc-1": 1, "htc-2": 1}, "pg0"),
    ({"node_count": 2}, {"htc-1": 1, "htc-2": 1}, None),
    ({"node_count": 2, "packing_strategy": "scatter"}, {"htc-1": 1, "htc-2": 1}, None),
    ({"node_count": 5, "packing_strategy": "pack"}, {"htc-1": 4, "htc-2": 1}, None),
    ({"node_count": 2, "colocated": True}, {"htc-1": 1, "htc-2": 1}, "pg0"),
    ({"node_count": 5, "colocated": True, "packing_strategy": "pack"}, {"htc-1": 4, "htc-2": 1}, "pg0"),
]


@pytest.mark.parametrize(("shape", "expected", "group"), A0)
def test_a0_which_rule_places_a_job(shape: dict[str, Any], expected: dict[str, int], group: str | None) -> None:
    answer = answer_of(job(**shape), arrays=[array("htc", f4(**GROUPED))])
    assert places(answer, "a") == expected
    assert {entry["placement_group"] for entry in answer["new_nodes"]} == {group}


@pytest.mark.parametrize(
    ("shape", "status"),
    [({"iterations": 9}, "partial"), ({"iterations": 3, "packing_strategy": "scatter"}, "partial"),
     ({"node_count": 3}, "failed"),
     ({"iterations": 9, "colocated": True}, "failed"), ({"node_count": 9, "packing_strategy": "pack"}, "failed")],
)  # fmt: skip
def test_a0_all_or_nothing_or_as_many_as_fit(shape: dict[str, Any], status: str) -> None:
    answer = answer_of(job(**shape), arrays=[array("htc", f4(max_count=2, **GROUPED))])
    assert outcome(answer, "a")["status"] == status


def test_a0_iterations_beside_node_count_are_ignored_with_a_warning() -> None:
    answer = answer_of(job(node_count=2, iterations=7))
    assert places(answer, "a") == {"htc-1": 1, "htc-2": 1}
    assert answer["errors"][0]["path"] == "jobs[0].iterations"


def test_a2_nodes_fill_in_natural_name_order() -> None:
    answer = answer_of(job(iterations=6), nodes=[node("htc-10"), node("htc-2")])
    assert places(answer, "a") == {"htc-2": 4, "htc-10": 2}


def test_a3_existing_first_over_all_buckets() -> None:
    nodes = [node("htc-1", vm_size="Standard_F2")]
    arrays = [array("htc", f4(), f2())]
    assert places(answer_of(job(iterations=3), arrays=arrays, nodes=nodes), "a") == {"htc-1": 2, "htc-2": 1}
    bucket = answer_of(job(iterations=3), arrays=arrays, nodes=nodes, policy={"placement_order": "bucket"})
    assert places(bucket, "a") == {"htc-2": 3}


def test_a3_an_idle_node_in_a_group_is_used_before_a_new_one_outside() -> None:
    answer = answer_of(job(), arrays=[array("htc", f4(**GROUPED))], nodes=[node(placement_group="pg1")])
    assert places(answer, "a") == {"htc-1": 1}


def test_a3_planned_nodes_are_filled_by_later_jobs_before_new_ones() -> None:
    answer = answer_of(job("a", {"ncpus": 3}, iterations=2), job("b", iterations=3))
    assert places(answer, "b") == {"htc-1": 1, "htc-2": 1, "htc-3": 1}


def test_a4_a_gang_goes_where_it_needs_the_fewest_new_nodes() -> None:
    arrays = [array("x", f4()), array("y", f4())]
    nodes = [node(f"y-{number}", nodearray="y") for number in (1, 2)]
    assert set(places(answer_of(job(node_count=3), arrays=arrays, nodes=nodes), "a")) == {"y-1", "y-2", "y-3"}
    bucket = answer_of(job(node_count=3), arrays=arrays, nodes=nodes, policy={"placement_order": "bucket"})
    assert set(places(bucket, "a")) == {"x-1", "x-2", "x-3"}


def test_a4_a_gang_spreads_when_no_bucket_takes_it_whole() -> None:
    answer = answer_of(job(node_count=4), arrays=[array("htc", f4(max_count=3), f2(max_count=3))])
    assert sizes_of(answer, "a") == ["Standard_F4"] * 3 + ["Standard_F2"]


def test_a4_nodes_partly_used_count_if_the_slot_fits() -> None:
    nodes = [node("htc-1", available={"ncpus": 1}), node("htc-2", available={"ncpus": 0.5})]
    assert places(answer_of(job(node_count=2), nodes=nodes), "a") == {"htc-1": 1, "htc-3": 1}


def test_a5_a_gang_is_never_split_over_two_groups() -> None:
    arrays = [array("htc", f4(max_placement_group_size=2, **GROUPED))]
    answer = answer_of(
        job("a", node_count=2, colocated=True),
        job("b", {"ncpus": 4}, node_count=2, colocated=True),
        job("c", {"ncpus": 4}, node_count=3, colocated=True),
        arrays=arrays,
    )
    assert [entry["placement_group"] for entry in answer["new_nodes"]] == ["pg0", "pg0", "pg1", "pg1"]
    assert code(answer, "c") == "PLACEMENT_GROUP_TOO_SMALL"


def test_a5_a_group_with_room_is_used_and_one_without_is_not() -> None:
    arrays = [array("htc", f4(max_placement_group_size=2, **GROUPED))]
    answer = answer_of(
        job(node_count=2, colocated=True), arrays=arrays, nodes=[node(placement_group="pg0", available={"ncpus": 0})]
    )
    assert {entry["placement_group"] for entry in answer["new_nodes"]} == {"pg1"}


def test_a5_new_groups_are_opened_only_where_the_array_says_so() -> None:
    gang = job(node_count=2, colocated=True)
    assert code(answer_of(gang), "a") == "NO_BUCKET_MATCH"
    answer = answer_of(gang, arrays=[array(new_placement_groups=True)])
    assert [entry["placement_group"] for entry in answer["new_nodes"]] == ["htc_pg0"] * 2
    known = answer_of(gang, arrays=[array("htc", f4(**GROUPED), new_placement_groups=True)])
    assert [entry["placement_group"] for entry in known["new_nodes"]] == ["pg0"] * 2


def test_a5_the_lowest_group_number_not_in_use_is_taken() -> None:
    gangs = [job(name, {"ncpus": 4}, node_count=2, colocated=True) for name in "ab"]
    answer = answer_of(*gangs, arrays=[array("htc", f4(max_placement_group_size=2), new_placement_groups=True)])
    assert [entry["placement_group"] for entry in answer["new_nodes"]] == ["htc_pg0"] * 2 + ["htc_pg1"] * 2


def test_a6_all_chunks_or_none() -> None:
    chunks = [{"constraints": [{"ncpus": 4}], "iterations": 1}, {"constraints": [{"ncpus": 2}], "iterations": 3}]
    answer = answer_of({"name": "a", "chunks": chunks})
    assert (outcome(answer, "a")["slots"], sum(places(answer, "a").values()), len(places(answer, "a"))) == (4, 4, 3)
    small = answer_of({"name": "a", "chunks": chunks}, arrays=[array("htc", f4(max_count=2))])
    assert (outcome(small, "a")["status"], small["new_nodes"]) == ("failed", [])


def test_a6_colocated_chunks_share_one_group_over_sizes() -> None:
    big = f4(vm_size="Standard_D8", vcpu_count=8, **GROUPED)
    chunks = [{"constraints": [{"ncpus": 8}]}, {"constraints": [{"ncpus": 2, "node.vm_size": "Standard_F4"}]}]
    answer = answer_of({"name": "a", "chunks": chunks, "colocated": True}, arrays=[array("htc", f4(**GROUPED), big)])
    assert {entry["placement_group"] for entry in answer["new_nodes"]} == {"pg0"}
    assert sorted(new_sizes(answer)) == ["Standard_D8", "Standard_F4"]


def test_an_exclusive_chunk_keeps_off_a_node_that_the_jobs_own_chunk_shares_with_other_work() -> None:
    chunks = [
        {"constraints": [{"ncpus": 1}], "node_count": 2},
        {"constraints": [{"ncpus": 1, "exclusive-task": True}], "node_count": 2},
    ]
    busy = [node(f"htc-{number}", available={"ncpus": 3}, job_ids=["earlier"]) for number in (1, 2)]
    answer = answer_of({"name": "a", "chunks": chunks}, nodes=busy)
    assert places(answer, "a") == {"htc-1": 1, "htc-2": 1, "htc-3": 1, "htc-4": 1}


def test_a6_once_a_job_is_once_over_all_chunks() -> None:
    chunks = [{"constraints": [{"ncpus": 1}]}, {"constraints": [{"ncpus": 2}]}]
    answer = answer_of(
        {"name": "a", "constraints": [licence(1, once=True)], "chunks": chunks},
        shared_resources={"lic": {"initial": 1}},
    )
    assert (outcome(answer, "a")["status"], answer["shared_resources"]) == ("success", {"lic": 0})


def test_a7_a_gang_that_fails_takes_neither_nodes_nor_licences_nor_limits() -> None:
    gang = job("g", {"ncpus": 4}, licence(1), node_count=3)
    after = job("b", {"ncpus": 4}, licence(2), iterations=1)
    extra: dict[str, Any] = {"arrays": [array("htc", f4(max_count=2))], "shared_resources": {"lic": {"initial": 3}}}
    answer = answer_of(gang, after, **extra)
    assert (outcome(answer, "g")["status"], places(answer, "b"), answer["shared_resources"]) == (
        "failed",
        {"htc-1": 1},
        {"lic": 1},
    )


def test_a7_a_group_tried_for_a_failed_gang_is_not_there_afterwards() -> None:
    extra: dict[str, Any] = {"arrays": [array("htc", f4(max_count=2), new_placement_groups=True)]}
    first, gang = job("a", {"ncpus": 4}), job("g", {"ncpus": 4}, colocated=True, node_count=2)
    last = job("c", {"ncpus": 1, "in-a-placement-group": True})
    assert places(answer_of(first, gang, last, **extra), "c") == places(answer_of(first, last, **extra), "c") == {}


@pytest.mark.parametrize(
    "state",
    [
        {"state": "Failed"},
        {"state": "Draining"},
        {"state": "Offline"},
        {"stage": "draining"},
        {"target_state": "Terminated"},
    ],
)
def test_a8_nodes_that_offer_nothing_take_nothing(state: dict[str, str]) -> None:
    assert places(answer_of(job(), nodes=[node(**state)]), "a") == {"htc-2": 1}


def test_a8_past_its_boot_timeout_a_node_offers_nothing() -> None:
    booting = node(state="Creating", stage="in-flight", create_time="2026-11-22T07:00:00Z")
    late = {"now": "2026-11-22T08:00:00Z", "nodes": [booting]}
    assert list(places(solve(scenario(job(), **late)), "a")) == ["htc-2"]
    patient = {**late, "policy": {"boot_timeout": {"default": 60, "htc": 7200}}}
    assert list(places(solve(scenario(job(), **patient)), "a")) == ["htc-1"]
    assert list(places(solve(scenario(job(), nodes=[booting])), "a")) == ["htc-1"]


def test_a8_running_work_keeps_what_it_takes_even_when_the_numbers_do_not_fit() -> None:
    assert places(answer_of(job(), nodes=[node(available={"ncpus": -3}, job_ids=["r"])]), "a") == {"htc-2": 1}


def test_a10_slots_that_take_nothing_share_one_node() -> None:
    for constraint in ({}, {"node.vm_size": "Standard_*"}, {"ncpus": 0}, {"or": [{}]}):
        assert places(answer_of(job("a", constraint, iterations=1000)), "a") == {"htc-1": 1000}


def test_a10_iterations_0_is_nothing_to_do_and_negative_amounts_are_errors() -> None:
    answer = answer_of(
        job("a", iterations=0),
        job("b", colocated=True, iterations=0),
        job("c", iterations=-1),
        job("d", {"ncpus": -0.5}),
    )
    assert [entry["status"] for entry in answer["jobs"]] == ["success", "success", "invalid", "invalid"]


def test_a_million_slots_are_one_answer_quickly() -> None:
    raw = scenario(job(iterations=1_000_000), job("b", count=1_000_000), arrays=[array("htc", f4(max_count=5000))])
    answer = solve(raw)
    assert outcome(answer, "a")["slots"] == 20_000
    assert answer["puts"] == 100


def test_a_fill_without_amounts_and_with_licences_ends() -> None:
    raw = scenario(
        job("a", licence(1, once=True), {"not": {"mem": "memory::60g"}}, iterations=3),
        shared_resources={"lic": {"initial": 3}},
    )
    assert places(solve(raw), "a") == {"htc-1": 3}
