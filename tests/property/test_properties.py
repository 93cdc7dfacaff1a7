"""Laws that hold for every scenario (matching.md §5–§9, batching.md B1–B3)."""

from __future__ import annotations

import copy
import json
from typing import Any

from builders import STANDARD, array, f4, job, node, outcome, scenario, solve
from checker import check
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_strategies import SIZES, constraints, facts, scenarios, trees

from autoscale_aks.matching.parse import parse_constraint
from autoscale_aks.planning.batching import wave_shapes

ROOM = ("LIMIT", "QUOTA", "LOST_TO_PRIORITY", "NO_BUCKET_MATCH", "TOO_BIG_FOR_ANY_NODE", "SHARED_RESOURCE")


def comparable(answer: dict[str, Any], *, without: str = "") -> list[Any]:
    """Where every job is, without reasons."""
    return [(e["name"], e["status"], e["nodes"]) for e in answer["jobs"] if e["name"] != without]


@settings(max_examples=4 * settings().max_examples)
@given(scenarios())
def test_every_answer_keeps_its_scenarios_rules(raw: dict[str, Any]) -> None:
    """A9 and all that the independent checker knows."""
    answer = solve(raw)
    assert answer["ok"], answer
    assert check(raw, answer) == []


@given(scenarios(), st.data())
def test_a7_a_failed_job_leaves_no_trace(raw: dict[str, Any], data: st.DataObject) -> None:
    answer = solve(raw)
    lost = [entry["name"] for entry in answer["jobs"] if not entry["slots"] and entry["reason"]["code"] in ROOM]
    if not lost:
        return
    gone = data.draw(st.sampled_from(lost))
    fewer = solve({**raw, "jobs": [entry for entry in raw["jobs"] if entry["name"] != gone]})
    assert comparable(fewer) == comparable(answer, without=gone)
    assert [fewer[key] for key in ("new_nodes", "waves", "shared_resources", "buckets")] == [
        answer[key] for key in ("new_nodes", "waves", "shared_resources", "buckets")
    ]


@given(scenarios())
def test_p5_the_same_input_gives_the_same_answer(raw: dict[str, Any]) -> None:
    assert json.dumps(solve(raw)) == json.dumps(solve(copy.deepcopy(raw)))


def turned(raw: Any) -> Any:
    """The same JSON with all keys the other way round."""
    if isinstance(raw, dict):
        return {key: turned(raw[key]) for key in reversed(raw)}
    return [turned(item) for item in raw] if isinstance(raw, list) else raw


@given(scenarios())
def test_p5_the_order_of_keys_means_nothing(raw: dict[str, Any]) -> None:
    other = {**turned(raw), "shared_resources": raw["shared_resources"]}
    assert comparable(solve(other)) == comparable(solve(raw))


@given(trees())
def test_c4_what_is_written_back_parses_to_an_equal_constraint(tree: dict[str, Any]) -> None:
    parsed = parse_constraint(tree)
    assert parse_constraint(json.loads(json.dumps(parsed.to_json()))) == parsed


ARENA = [
    array("a", *({**size, "max_count": 1} for size in SIZES.values()), resources={"project": "open"}),
    array(
        "b",
        f4(placement_groups=["pg0", "pg1"], last_capacity_failure=100),
        resources={"project": "closed"},
        spot=True,
        location="eastus",
    ),
]


def allowed(*asked: dict[str, Any]) -> list[list[str]]:
    """For each constraint: the buckets whose empty node holds it, in a world with many kinds of nodes."""
    raw = scenario(arrays=ARENA, nodes=[node("b-1", nodearray="b", hostname="ip-1", resources={"rack": "r7"})],
                   default_resources=STANDARD,
                   shared_resources={"version": {"value": "1.2"}})  # fmt: skip
    buckets = [
        (entry["name"], size["vm_size"], group)
        for entry in ARENA
        for size in entry["buckets"]
        for group in (None, *size.get("placement_groups", []))
    ]
    found = []
    for constraint in asked:
        jobs = [job(f"{index}", {"node.nodearray": name, "node.vm_size": size, "node.placement_group": group},
                    constraint)
                for index, (name, size, group) in enumerate(buckets)]  # fmt: skip
        found.append([entry["status"] for entry in solve({**raw, "jobs": jobs})["jobs"]])
    return found


plain_trees = trees(plain_only=True)


@given(plain_trees)
def test_c2_not_not_is_the_constraint_itself(tree: dict[str, Any]) -> None:
    once, twice = allowed(tree, {"not": {"not": tree}})
    assert once == twice


@given(facts(), plain_trees)
def test_c2_de_morgan_without_amounts(left: dict[str, Any], right: dict[str, Any]) -> None:
    first, second = allowed({"not": {"or": [left, right]}}, {"and": [{"not": left}, {"not": right}]})
    assert first == second
    first, second = allowed({"not": {"and": [left, right]}}, {"or": [{"not": left}, {"not": right}]})
    assert first == second


@given(plain_trees, plain_trees)
def test_c2_xor_of_two_is_one_without_the_other(left: dict[str, Any], right: dict[str, Any]) -> None:
    first, second = allowed(
        {"xor": [left, right]}, {"or": [{"and": [left, {"not": right}]}, {"and": [right, {"not": left}]}]}
    )
    assert first == second


LIFTED = st.sampled_from(["max_count", "array", "cluster", "quota", "node"])


@given(
    constraints(), st.integers(1, 30), st.integers(0, 5), LIFTED, st.sampled_from([{}, {"packing_strategy": "scatter"}])
)
def test_l3_more_room_never_places_fewer_slots_of_one_class_in_one_bucket(
    asked: list[Any], iterations: int, limit: int, lifted: str, shape: dict[str, Any]
) -> None:
    def slots(extra: int) -> int:
        bucket = {**SIZES["F4"], "max_count": limit + extra * (lifted == "max_count")}
        limits = {
            "cluster_max_nodes": limit + extra * (lifted == "cluster"),
            "regions": {"westus2": {"quota_cores": 4 * (limit + extra * (lifted == "quota"))}},
        }
        more = range(extra * (lifted == "node"))
        raw = scenario(
            {"name": "a", "constraints": asked, "iterations": iterations, **shape},
            limits=limits,
            arrays=[array("htc", bucket, max_count=limit + extra * (lifted == "array"))],
            shared_resources={"lic": {"initial": 5}},
            unmanaged_nodes=[{"hostname": f"op-{n}", "resources": {"ncpus": 2}} for n in more],
        )
        return int(outcome(solve(raw), "a")["slots"])

    assert slots(2) >= slots(0)


@given(scenarios())
def test_gangs_are_whole_or_absent_and_every_job_has_exactly_one_reason(raw: dict[str, Any]) -> None:
    for asked, entry in zip(raw["jobs"], solve(raw)["jobs"], strict=True):
        if "count" not in asked and ("chunks" in asked or asked.get("colocated") or asked.get("node_count")):
            assert entry["status"] != "partial"
        assert isinstance(entry["reason"]["code"], str)


@given(constraints(), st.integers(1, 12), st.integers(1, 4))
def test_an_array_of_n_is_n_single_jobs_of_the_same_shape(asked: list[Any], count: int, limit: int) -> None:
    world: dict[str, Any] = {"arrays": [array("htc", f4(max_count=limit))], "shared_resources": {"lic": {"initial": 5}}}
    whole = solve(scenario({"name": "a", "constraints": asked, "count": count}, **world))
    single = solve(scenario(*({"name": f"a{n}", "constraints": asked} for n in range(count)), **world))
    assert outcome(whole, "a")["slots"] == sum(entry["slots"] for entry in single["jobs"])
    assert [entry["available"] for entry in whole["new_nodes"]] == [entry["available"] for entry in single["new_nodes"]]
    assert (whole["shared_resources"], whole["puts"]) == (single["shared_resources"], single["puts"])


def test_b3_waves_are_exact_for_every_count_to_5000() -> None:
    caps = [1, 2, 3, 7, 10, 16, 25, 33, 49, 50]
    for cap in caps:
        for count in range(0, 5001, 1 if cap in {7, 50} else 13):
            shapes = wave_shapes(count, cap)
            puts = -(-count // cap)
            assert sum(workers * each for workers, each in shapes) == count
            assert sum(workers for workers, _ in shapes) == puts
            assert all(1 <= each <= cap for _, each in shapes)
            assert len(shapes) == (0 if not count else 1 if count % puts == 0 else 2)


@given(st.integers(0, 5000), st.integers(1, 50))
def test_b3_waves_are_exact(count: int, cap: int) -> None:
    shapes = wave_shapes(count, cap)
    assert sum(workers * each for workers, each in shapes) == count
    assert sum(workers for workers, _ in shapes) == -(-count // cap)
    assert all(1 <= each <= cap for _, each in shapes)
