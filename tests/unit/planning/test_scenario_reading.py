"""Scenario files: required keys, defaults, and every problem at once with its path (scenario.md)."""

from __future__ import annotations

from typing import Any

import pytest
from builders import array, code, f4, job, node, outcome, places, scenario, solve, solve_text
from checker import check


def errors(raw: Any) -> dict[str, str]:
    answer = solve(raw)
    assert answer["ok"] is False, answer
    return {error["path"]: error["message"] for error in answer["errors"]}


def test_an_empty_scenario_names_both_required_lists() -> None:
    assert set(errors({})) == {"nodearrays", "jobs"}


def test_empty_lists_are_a_scenario() -> None:
    answer = solve({"nodearrays": [], "jobs": []})
    assert (answer["ok"], answer["jobs"], answer["waves"], answer["puts"], answer["price_per_hour"]) == (
        True,
        [],
        [],
        0,
        0,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,",
        "nul",
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": 1e999999999999}',
        '{"a": ' + "9" * 6000 + "}",
        "[" * 100_000,
    ],
)
def test_text_that_is_no_json_is_an_error(text: str) -> None:
    answer = solve_text(text)
    assert answer["ok"] is False
    assert answer["errors"][0]["message"]


@pytest.mark.parametrize("text", ["[]", "null", "3", '"x"', "true"])
def test_json_that_is_no_object_is_an_error(text: str) -> None:
    assert "expected a scenario object" in solve_text(text)["errors"][0]["message"]


def test_all_problems_of_the_frame_come_at_once_with_their_paths() -> None:
    found = errors(
        {
            "nodearray": [], "now": "yesterday", "nodearrays": [{"buckets": {}, "spt": True, "priority": "high"}, 3],
            "limits": {"cluster_max_core": 1, "cluster_max_nodes": -1, "regions": {"westus2": {"quota": 1}},
                       "families": {"w": 3}},
            "policy": {"objective": "cheap", "placement_order": 3, "machines_per_put": 51, "idle_timeout": "long"},
            "default_resources": [{"nam": "x"}], "shared_resources": {"lic": 3}, "sources": [{"complete": "yes"}],
            "blocked": {"back_offs": [{"code": "X", "until": True}], "auth": 3}, "disable_default_resources": 1,
            "jobs": {},
        }
    )  # fmt: skip
    assert set(found) >= {
        "nodearray", "now", "nodearrays[0].name", "nodearrays[0].buckets", "nodearrays[0].spt",
        "nodearrays[0].priority", "nodearrays[1]",
        "limits.cluster_max_core", "limits.cluster_max_nodes", "limits.regions.westus2.quota",
        "limits.regions.westus2.quota_cores",
        "limits.families.w", "policy.objective", "policy.placement_order", "policy.machines_per_put",
        "policy.idle_timeout",
        "default_resources[0].nam", "shared_resources.lic", "sources[0].name", "sources[0].complete",
        "blocked.back_offs[0].code",
        "blocked.back_offs[0].until", "blocked.auth", "disable_default_resources", "jobs",
    }  # fmt: skip
    assert 'did you mean "nodearrays"?' in found["nodearray"]
    assert 'did you mean "cluster_max_cores"?' in found["limits.cluster_max_core"]
    assert 'did you mean "spot"?' in found["nodearrays[0].spt"]


def test_two_arrays_of_one_name_are_an_error() -> None:
    assert "nodearrays[1].name" in errors(scenario(arrays=[array("x"), array("x")]))


BAD_JOBS: list[tuple[Any, str]] = [
    (3, "jobs[0]"), (None, "jobs[0]"), ({}, "jobs[0].name"), ({"name": ""}, "jobs[0].name"), ({"name": 3},
                                                                                              "jobs[0].name"),
    (job("a", iteration=3), "jobs[0].iteration"), (job("a", iterations=-1), "jobs[0].iterations"),
    (job("a", iterations=1.5), "jobs[0].iterations"), (job("a", iterations=True), "jobs[0].iterations"),
    (job("a", iterations="3"), "jobs[0].iterations"), (job("a", node_count=None), "jobs[0].node_count"),
    (job("a", colocated="yes"), "jobs[0].colocated"), (job("a", packing_strategy="balance"),
                                                       "jobs[0].packing_strategy"),
    (job("a", count=-2), "jobs[0].count"), (job("a", chunks={}), "jobs[0].chunks"), (job("a", chunks=[3]),
                                                                                     "jobs[0].chunks[0]"),
    (job("a", chunks=[{"constraints": [{"ncpus": -1}]}]), "jobs[0].chunks[0].constraints[0].ncpus"),
    (job("a", chunks=[{"nodes": 1}]), "jobs[0].chunks[0].nodes"), ({"name": "a", "constraints": 3},
                                                                   "jobs[0].constraints"),
    (job("a", [1]), "jobs[0].constraints[0]"), (job("a", priority="high"), "jobs[0].priority"), (job("a",
                                                                                                     runnable=1),
                                                                                                     "jobs[0].runnable"),
    (job("a", executing_hostnames=[3]), "jobs[0].executing_hostnames[0]"),
    (job("a", {"ncpus": 10**400}), "jobs[0].constraints[0].ncpus"), (job("a", priority=10**400), "jobs[0].priority"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "path"), BAD_JOBS, ids=[path for _, path in BAD_JOBS])
def test_a_fault_inside_one_job_makes_that_one_invalid_and_the_rest_is_planned(bad: Any, path: str) -> None:
    raw = scenario(bad, job("b"))
    answer = solve(raw)
    assert [entry["status"] for entry in answer["jobs"]] == ["invalid", "success"]
    assert answer["errors"][0]["path"] == path
    assert check(raw, answer) == []


BAD_NODES: list[tuple[Any, str]] = [
    (3, "existing_nodes[0]"), ({}, "existing_nodes[0].name"), (node(state=5), "existing_nodes[0].state"),
    (node(stage="gone"), "existing_nodes[0].stage"), (node(vm_size=None), "existing_nodes[0].vm_size"),
    (node(nodearray=3), "existing_nodes[0].nodearray"), (node(nam="x"), "existing_nodes[0].nam"),
    (node(available={"ncpus": [1]}), "existing_nodes[0].available.ncpus"), (node(resources=3),
                                                                            "existing_nodes[0].resources"),
    (node(job_ids="r"), "existing_nodes[0].job_ids"), (node(create_time="soon"), "existing_nodes[0].create_time"),
    (node(keep_alive=None), "existing_nodes[0].keep_alive"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "path"), BAD_NODES, ids=[path for _, path in BAD_NODES])
def test_a_faulty_node_is_left_out_and_reported_and_the_rest_is_planned(bad: Any, path: str) -> None:
    answer = solve(scenario(job(), nodes=[bad, node("htc-2")]))
    assert places(answer, "a") == {"htc-2": 1}
    assert path in [error["path"] for error in answer["errors"]]


def test_the_name_of_a_faulty_node_stays_taken() -> None:
    assert [entry["name"] for entry in solve(scenario(job(), nodes=[node("htc-1", state=5)]))["new_nodes"]] == ["htc-2"]


def test_a_node_that_stands_twice_is_taken_once() -> None:
    answer = solve(scenario(job(iterations=8), nodes=[node(), node()]))
    assert places(answer, "a") == {"htc-1": 4, "htc-2": 4}
    assert answer["errors"][0]["path"] == "existing_nodes[1].name"


@pytest.mark.parametrize(
    ("bad", "path"),
    [({"vm_size": "x"}, "vcpu_count"), (f4(memory_gb="8g"), "memory_gb"), (f4(memory_gb=-1), "memory_gb"),
     (f4(vcpus=4), "vcpus"),
     (f4(placement_groups="pg0"), "placement_groups"), (f4(price="cheap"), "price"), (f4(vcpu_count=3.5),
                                                                                      "vcpu_count")],
)  # fmt: skip
def test_a_faulty_bucket_is_left_out_and_reported_and_the_rest_is_planned(bad: Any, path: str) -> None:
    answer = solve(scenario(job(), arrays=[array("x", bad), array("y")]))
    assert places(answer, "a") == {"y-1": 1}
    assert f"nodearrays[0].buckets[0].{path}" in [error["path"] for error in answer["errors"]]


def test_a_size_that_stands_twice_in_an_array_is_reported() -> None:
    answer = solve(scenario(job(), arrays=[array("htc", f4(max_count=1), f4(max_count=5))]))
    assert any(error["path"].startswith("nodearrays[0].buckets[1]") for error in answer["errors"])


@pytest.mark.parametrize("big", [10**400, 1e300, 10**20])
def test_numbers_past_all_reason_are_errors_not_crashes(big: Any) -> None:
    for raw in ({"now": big}, {"blocked": {"throttled_until": big}}, {"blocked": {"back_offs": [{"until": big}]}},
                {"sources": [{"name": "s", "age_s": big}]}, {"policy": {"idle_timeout": big}},
                {"arrays": [array(resources={"x": big})]}, {"limits": {"cluster_max_nodes": big}}):  # fmt: skip
        solve(scenario(job("a", {"x": 0.5}), **raw))


def test_defaults_are_those_of_the_table() -> None:
    bare = {
        "nodearrays": [{"name": "x", "buckets": [{"vm_size": "S", "vcpu_count": 4, "memory_gb": 1}]}],
        "jobs": [{"name": "a"}],
    }
    wishes = {"location": "westus2", "spot": False, "priority": 1, "zone": None, "price": None, "gpu_count": 0,
              "infiniband": False,
              "pcpu_count": 4, "vm_family": "S"}  # fmt: skip
    bare["jobs"][0]["constraints"] = [{f"node.{key}": value for key, value in wishes.items()}]
    answer = solve(bare)
    assert outcome(answer, "a") | {"requested": 1, "slots": 1} == outcome(answer, "a")
    live = {**bare, "existing_nodes": [{"hostname": "h1", "nodearray": "x", "vm_size": "S"}], "jobs": [{"name": "a"}]}
    assert code(solve(live), "a") == "SATISFIED"
    assert answer["price_per_hour"] is None


def test_a_group_holds_100_by_default() -> None:
    raw = scenario(
        job(node_count=101, colocated=True), arrays=[array("htc", f4(max_count=200, placement_groups=["pg0"]))]
    )
    assert code(solve(raw), "a") == "PLACEMENT_GROUP_TOO_SMALL"


def test_new_names_are_the_lowest_free_numbers_of_any_node_in_the_file() -> None:
    nodes = [node("htc-2", state="Failed"), node("htc-4", stage="draining"), node("htc-x"), node("htc-03")]
    raw = scenario(
        job("a", {"ncpus": 4, "node.exists": False}, iterations=3), nodes=nodes, unmanaged_nodes=[{"hostname": "htc-1"}]
    )
    answer = solve(raw)
    assert check(raw, answer) == []
    assert [entry["name"] for entry in answer["new_nodes"]] == ["htc-3", "htc-5", "htc-6"]


def test_json_numbers_are_read_without_rounding() -> None:
    text = (
        '{"nodearrays":[{"name":"x","resources":{"t":0.3},'
        '"buckets":[{"vm_size":"S","vcpu_count":1,"memory_gb":1,"max_count":1}]}],'
        '"jobs":[{"name":"a","constraints":[{"t":0.1}],"iterations":4}]}'
    )
    assert solve_text(text)["jobs"][0]["slots"] == 3


def test_the_order_of_keys_in_a_file_means_nothing() -> None:
    raw = scenario(
        job("a", {"ncpus": 1, "mem": "memory::1g"}), job("b", {"or": [{"ncpus": 2}], "and": []}), nodes=[node()]
    )
    turned = {key: raw[key] for key in reversed(raw)}
    turned["jobs"] = [{key: entry[key] for key in reversed(entry)} for entry in raw["jobs"]]
    assert solve(turned) == solve(raw)
