"""Every reason code of matching.md §9: a scenario that gives it, its data, its message and the next action."""
# ruff: noqa: E501 -- the table of stories reads best one story a line

from __future__ import annotations

from typing import Any

import pytest
from builders import array, f2, f4, job, licence, node, outcome, scenario, solve
from checker import check

from autoscale_aks.model.reason import ReasonCode

LATER = "2026-11-22T08:05:00Z"
LIC = {"shared_resources": {"lic": {"initial": 1}}}
STORIES: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
    ("INVALID", "a negative amount", scenario(job("a", {"ncpus": -4})), ("jobs[0].constraints[0].ncpus", "-4")),
    ("INVALID", "no name", scenario({"constraints": []}), ("name",)),
    ("NOT_RUNNABLE", "held by its user", scenario(job("a", runnable=False, not_runnable_reason="JobHeldUser")), ("JobHeldUser",)),
    ("SATISFIED", "fits on a ready node", scenario(job(), nodes=[node()]), ("ready",)),
    ("WAITING_FOR_BOOT", "needs a new node", scenario(job()), ("boot",)),
    ("WAITING_FOR_BOOT", "in-flight node", scenario(job(), nodes=[node(stage="in-flight", state="Creating")]), ("boot",)),
    ("WAITING_FOR_BOOT", "creating node", scenario(job(), nodes=[node(state="Creating")]), ("boot",)),
    ("AUTH", "token refused", scenario(job(), blocked={"auth": "token expired"}), ("token expired",)),
    ("API_THROTTLED", "429", scenario(job(), blocked={"throttled_until": LATER}), (LATER,)),
    ("TOO_BIG_FOR_ANY_NODE", "memory", scenario(job("a", {"mem": "memory::460g"}), arrays=[array("htc", f4(memory_gb=448))]), ("mem", "460g", "448g")),
    ("TOO_BIG_FOR_ANY_NODE", "two clauses", scenario(job("a", {"ncpus": 3}, {"ncpus": 2}), arrays=[array("htc", f2(), f4())]), ("5", "4")),
    ("PLACEMENT_GROUP_TOO_SMALL", "known group", scenario(job(node_count=5, colocated=True), arrays=[array("htc", f4(placement_groups=["pg0"], max_placement_group_size=4))]), ("5", "4")),
    ("PLACEMENT_GROUP_TOO_SMALL", "new group", scenario(job(node_count=5, colocated=True), arrays=[array("htc", f4(max_placement_group_size=4), new_placement_groups=True)]), ("5", "4")),
    ("NO_BUCKET_MATCH", "a property", scenario(job("a", {"node.vm_size": "Standard_X"})), ("node.vm_size", "Standard_X", "Standard_F4")),
    ("NO_BUCKET_MATCH", "a resource", scenario(job("a", {"fpga": 1})), ("fpga", "not defined")),
    ("NO_BUCKET_MATCH", "never", scenario(job("a", {"never": "not on Sundays"})), ("not on Sundays",)),
    ("NO_BUCKET_MATCH", "not enabled", scenario(job(), arrays=[array(enabled=False)]), ("not enabled",)),
    ("NO_BUCKET_MATCH", "no bucket at all", scenario(job(), arrays=[]), ("bucket",)),
    ("NO_BUCKET_MATCH", "no group", scenario(job(node_count=2, colocated=True)), ("placement-group",)),
    ("SHARED_RESOURCE", "licences", scenario(job("b", licence(1)), job("a", {"ncpus": 1}, licence(1)), **LIC), ("lic", "asks 1", "0 left", "b")),
    ("SHARED_RESOURCE", "a gang's licences", scenario(job("a", {"ncpus": 1}, licence(1), node_count=2), **LIC), ("lic", "1 left")),
    ("SHARED_RESOURCE", "the chunks' licences", scenario({"name": "a", "constraints": [{"ncpus": 1}, licence(1)], "chunks": [{}, {"constraints": [{"ncpus": 1}]}]}, **LIC), ("lic",)),
    ("CAPACITY_BACKOFF", "a bucket that failed", scenario(job(), blocked={"back_offs": [{"until": LATER}]}), (LATER,)),
    ("CAPACITY_BACKOFF", "the job's own wish", scenario(job("a", {"capacity-failure-backoff": 300}), arrays=[array("htc", f4(last_capacity_failure=20))]), ("300", "20")),
    ("BOOT_CIRCUIT_OPEN", "machines that never join", scenario(job(), blocked={"back_offs": [{"code": "BOOT_CIRCUIT_OPEN", "until": LATER}]}), (LATER,)),
    ("LOST_TO_PRIORITY", "an earlier job", scenario(job("b", {"ncpus": 4}), job("a", {"ncpus": 4}), arrays=[array("htc", f4(max_count=1))]), ("b",)),
    ("LOST_TO_PRIORITY", "an earlier gang", scenario(job("b", {"ncpus": 4}, node_count=2), job("a", {"ncpus": 4}, node_count=2), arrays=[array("htc", f4(max_count=3))]), ("b",)),
    ("QUOTA", "family", scenario(job("a", {"ncpus": 4}, iterations=3), limits={"families": {"westus2": {"Standard_F4": {"quota_cores": 8}}}}), ("Standard_F4", "4 missing")),
    ("QUOTA", "region", scenario(job("a", {"ncpus": 4}, node_count=3), limits={"regions": {"westus2": {"quota_cores": 8}}}), ("westus2", "8 cores left", "4 missing")),
    ("QUOTA", "spot", scenario(job("a", {"ncpus": 4}, node_count=3), limits={"spot_regions": {"westus2": {"quota_cores": 8}}}, arrays=[array(spot=True)]), ("spot", "4 missing")),
    ("LIMIT", "max_count", scenario(job("a", {"ncpus": 4}, iterations=9), arrays=[array("htc", f4(max_count=2))]), ("0 nodes left", "7 missing")),
    ("LIMIT", "a licence it paid once", scenario(job("a", {"ncpus": 1}, licence(1, once=True), iterations=8), arrays=[array("htc", f4(max_count=1))], **LIC), ("nodes",)),
    ("LIMIT", "new groups", scenario(job(node_count=5, colocated=True), arrays=[array("htc", f4(max_count=4), new_placement_groups=True)]), ("4 nodes left",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "raw", "words"), [(c, r, w) for c, _, r, w in STORIES], ids=[f"{c}: {t}" for c, t, _, _ in STORIES]
)
def test_each_reason_has_its_story_its_data_and_a_next_action(
    code: str, raw: dict[str, Any], words: tuple[str, ...]
) -> None:
    answer = solve(raw)
    assert check(raw, answer) == []
    reason = answer["jobs"][-1]["reason"]
    assert reason["code"] == code, reason
    for word in words:
        assert word in reason["message"], reason
    assert bool(reason["next"]) == (code != "SATISFIED")


def test_every_code_of_the_closed_list_has_a_story() -> None:
    assert {code for code, *_ in STORIES} == {code.value for code in ReasonCode}


def test_the_earlier_code_of_the_list_wins() -> None:
    big = job("a", {"ncpus": 99})
    assert solve(scenario(big, blocked={"auth": "no"}))["jobs"][0]["reason"]["code"] == "AUTH"
    assert (
        solve(scenario({**big, "runnable": False}, blocked={"auth": "no"}))["jobs"][0]["reason"]["code"]
        == "NOT_RUNNABLE"
    )
    assert solve(scenario(job("a", {"ncpus": -1}, runnable=False)))["jobs"][0]["reason"]["code"] in {
        "INVALID",
        "NOT_RUNNABLE",
    }
    assert solve(scenario(job(), nodes=[node()], blocked={"auth": "no"}))["jobs"][0]["reason"]["code"] == "SATISFIED"


def test_a_partly_placed_job_carries_the_reason_of_its_remainder() -> None:
    answer = solve(scenario(job(iterations=9), arrays=[array("htc", f4(max_count=2))]))
    assert (outcome(answer, "a")["status"], outcome(answer, "a")["slots"]) == ("partial", 8)
    assert outcome(answer, "a")["reason"]["code"] == "LIMIT"


def test_each_bucket_stands_once_with_its_first_failing_criterion_closest_first() -> None:
    arrays = [array("htc", f2(), f4()), array("gpu", f4(vm_size="Standard_N6", gpu_count=1))]
    reason = solve(scenario(job("a", {"ncpus": 8, "node.gpu_count": 0}), arrays=arrays))["jobs"][0]["reason"]
    assert [miss["bucket"] for miss in reason["buckets"]] == ["htc/Standard_F4", "htc/Standard_F2"]
    named = solve(scenario(job("a", {"fpga": 1, "node.gpu_count": 3}), arrays=arrays))["jobs"][0]["reason"]["buckets"]
    assert sorted(miss["bucket"] for miss in named) == ["gpu/Standard_N6", "htc/Standard_F2", "htc/Standard_F4"]


def test_a_later_smaller_job_of_the_same_shape_has_a_reason_of_its_own() -> None:
    answer = solve(scenario(job("a", {"ncpus": 4}, count=100), job("b", {"ncpus": 4})))
    assert [entry["reason"]["code"] for entry in answer["jobs"]] == ["LIMIT", "LOST_TO_PRIORITY"]
    assert answer["jobs"][1]["reason"]["taken_by"] == ["a"]
    assert answer["jobs"][0]["reason"]["limit"]["missing"] == 90


def test_equal_jobs_share_equal_reasons() -> None:
    answer = solve(scenario(*(job(f"j{number}", {"ncpus": 4}) for number in range(14))))
    assert [entry["reason"]["code"] for entry in answer["jobs"]] == ["WAITING_FOR_BOOT"] * 10 + ["LOST_TO_PRIORITY"] * 4
