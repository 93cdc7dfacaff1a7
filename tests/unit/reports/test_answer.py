"""A plan as the JSON answer of scenario.md (Out)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from builders import array, f2, f4, job, licence, node, scenario, solve

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.answer import render_answer, render_value
from autoscale_aks.units import Size


def test_the_answer_has_every_key_of_the_contract() -> None:
    answer = solve(
        scenario(
            job(), nodes=[node("htc-9", state="Failed")], shared_resources={"lic": {"initial": 100, "current": 98}}
        )
    )
    assert set(answer) >= {"ok", "jobs", "buckets", "new_nodes", "existing_nodes", "matched", "unmatched", "failed",
                           "shared_resources",
                           "waves", "puts", "price_per_hour"}  # fmt: skip
    assert set(answer["jobs"][0]) == {"name", "status", "requested", "slots", "nodes", "reason"}
    assert set(answer["jobs"][0]["reason"]) >= {"code", "message", "next", "buckets"}
    assert set(answer["buckets"][0]) >= {"nodearray", "vm_size", "placement_group", "location", "available_before",
                                         "available_after",
                                         "new_nodes", "binding_limit"}  # fmt: skip
    assert set(answer["new_nodes"][0]) == {"name", "nodearray", "vm_size", "placement_group", "job_ids", "available"}
    assert set(answer["existing_nodes"][0]) >= {*answer["new_nodes"][0], "hostname", "state", "matched"}
    assert answer["shared_resources"] == {"lic": 98}


def test_matched_unmatched_and_failed_nodes() -> None:
    answer = solve(scenario(job(), nodes=[node("htc-1"), node("htc-2"), node("htc-3", state="Failed")]))
    assert (answer["matched"], answer["unmatched"], answer["failed"]) == (["htc-1"], ["htc-2"], ["htc-3"])
    assert [entry["matched"] for entry in answer["existing_nodes"]] == [True, False, False]


def test_a_node_names_the_jobs_that_run_there_and_those_that_will() -> None:
    answer = solve(scenario(job("a"), job("b"), nodes=[node(job_ids=["r"])]))
    assert answer["existing_nodes"][0]["job_ids"] == ["r", "a", "b"]
    assert solve(scenario(job("a"), job("b")))["new_nodes"][0]["job_ids"] == ["a", "b"]


def test_what_is_left_of_a_node_counts_what_was_used_before() -> None:
    answer = solve(scenario(job("a", {"mem": "memory::1g"}), nodes=[node(available={"ncpus": 2})]))
    assert answer["existing_nodes"][0]["available"]["ncpus"] == 2
    assert answer["existing_nodes"][0]["available"]["mem"] == "size::7g"


def test_requested_and_slots_count_iterations_nodes_and_records() -> None:
    jobs = [job("a", iterations=3), job("b", node_count=2), job("c", count=4), job("d", iterations=2, count=2),
            {"name": "e", "chunks": [{"iterations": 2}, {"node_count": 3}]}]  # fmt: skip
    answer = solve(scenario(*jobs))
    assert [(entry["requested"], entry["slots"]) for entry in answer["jobs"]] == [
        (3, 3),
        (2, 2),
        (4, 4),
        (4, 4),
        (5, 5),
    ]


def test_prices_add_up_exactly_and_unknown_is_never_free() -> None:
    arrays = [array("htc", f4(price=0.1, max_count=3), f2(price=0.2))]
    assert solve(scenario(job("a", {"ncpus": 4}, iterations=3), arrays=arrays))["price_per_hour"] == 0.3
    unknown = [array("htc", f4(price=0.1, max_count=1), f2())]
    assert solve(scenario(job(node_count=2), arrays=unknown))["price_per_hour"] is None
    assert solve(scenario(job(), nodes=[node()]))["price_per_hour"] == 0


def test_without_placements_the_node_lists_are_left_out() -> None:
    made = plan(*decode_scenario(scenario(job(), nodes=[node()])))
    whole, short = render_answer(made), render_answer(made, placements=False)
    assert set(whole) - set(short) == {"new_nodes", "existing_nodes", "matched", "unmatched", "failed"}
    assert "nodes" not in short["jobs"][0]
    assert short["jobs"][0]["slots"] == 1


def test_values_are_json() -> None:
    assert render_value(Size(1024**3)) == "size::1g"
    assert render_value(Size(Fraction(1, 3))) == "size::0.333333b"
    assert render_value(Fraction(1, 4)) == 0.25
    assert [render_value(value) for value in (True, None, "x", 3)] == [True, None, "x", 3]


def test_a_job_that_comes_back_to_a_node_stands_there_once() -> None:
    jobs = [job("a", {"ncpus": 1}, {"or": [{"ncpus": 1}, {"ngpus": 0}]}, iterations=4)]
    nodes = solve(scenario(*jobs))["jobs"][0]["nodes"]
    assert len({entry["name"] for entry in nodes}) == len(nodes)


def test_shared_values_and_decimals_are_shown() -> None:
    pools = {"lic": {"initial": 1}, "v": {"value": "1.2"}}
    answer = solve(scenario(job("a", licence(0.25)), shared_resources=pools))
    assert answer["shared_resources"] == {"lic": 0.75, "v": "1.2"}


def test_nodes_with_equal_amounts_left_are_rendered_once_and_true_is_not_one() -> None:
    there = [node(f"htc-{number}", available=left) for number, left in enumerate(({"n": 1}, {"n": 1}, {"n": True}))]
    snapshot, policy = decode_scenario(scenario(existing_nodes=there))
    nodes = render_answer(replace(plan(snapshot, policy), left=({},) * len(there)))["existing_nodes"]
    assert [one["available"]["n"] for one in nodes] == [1, 1, True]
    assert nodes[0]["available"] is nodes[1]["available"]
    assert nodes[2]["available"]["n"] is True
