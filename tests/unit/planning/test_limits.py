"""What new nodes may use together (matching.md L1–L4) and which limit an answer names."""

from __future__ import annotations

from typing import Any

import pytest
from builders import array, code, f2, f4, job, node, outcome, scenario, solve
from checker import check


def wide(iterations: int = 20, **extra: Any) -> dict[str, Any]:
    return job("a", {"ncpus": 4}, iterations=iterations, **extra)


def placed(raw: dict[str, Any]) -> int:
    answer = solve(raw)
    assert check(raw, answer) == []
    return int(outcome(answer, "a")["slots"])


CORES = {"quota_cores": 12}
LIMITS = [
    ("bucket nodes", {"arrays": [array("htc", f4(max_count=3))]}),
    ("bucket availability", {"arrays": [array("htc", f4(available_count=3))]}),
    ("node array nodes", {"arrays": [array("htc", max_count=3)]}),
    ("node array cores", {"arrays": [array("htc", max_core_count=15)]}),
    ("cluster cores", {"limits": {"cluster_max_cores": 12}}),
    ("cluster nodes", {"limits": {"cluster_max_nodes": 3}}),
    ("regional quota", {"limits": {"regions": {"westus2": {"quota_cores": 20, "used_elsewhere_cores": 8}}}}),
    ("regional spot quota", {"limits": {"spot_regions": {"westus2": CORES}}, "arrays": [array("htc", spot=True)]}),
    ("family quota", {"limits": {"families": {"westus2": {"standard_f4": CORES}}}}),
    ("creates a cycle", {"policy": {"max_creates_per_cycle": 3}}),
]


@pytest.mark.parametrize(("kind", "extra"), LIMITS, ids=[kind for kind, _ in LIMITS])
def test_l1_l3_each_limit_clips_independent_work_and_is_named(kind: str, extra: dict[str, Any]) -> None:
    raw = scenario(wide(), **extra)
    assert placed(raw) == 3
    reason = outcome(solve(raw), "a")["reason"]
    assert reason["limit"]["kind"] == kind
    assert reason["code"] == ("QUOTA" if "quota" in kind else "LIMIT")
    assert reason["limit"]["missing"] > 0
    assert str(reason["limit"]["missing"]) in reason["message"]
    assert reason["next"]


@pytest.mark.parametrize(("kind", "extra"), LIMITS, ids=[kind for kind, _ in LIMITS])
def test_l3_gangs_are_all_or_nothing(kind: str, extra: dict[str, Any]) -> None:
    assert placed(scenario(job("a", {"ncpus": 4}, node_count=4), **extra)) == 0
    assert placed(scenario(job("a", {"ncpus": 4}, node_count=3), **extra)) == 3


def test_l1_a_spot_array_does_not_use_regular_quota() -> None:
    limits = {"regions": {"westus2": {"quota_cores": 0}}, "families": {"westus2": {"Standard_F4": {"quota_cores": 0}}}}
    assert placed(scenario(wide(3), limits=limits, arrays=[array("htc", spot=True)])) == 3
    assert placed(scenario(wide(3), limits={"spot_regions": {"westus2": {"quota_cores": 0}}})) == 3


@pytest.mark.parametrize(
    "extra", [{}, {"stage": "in-flight", "state": "Creating"}, {"state": "Failed"}, {"stage": "draining"}]
)
def test_l1_every_machine_of_the_file_is_deducted_in_any_stage(extra: dict[str, Any]) -> None:
    used = [node("htc-1", available={"ncpus": 0}, **extra)]
    for _, limit in LIMITS:
        if "policy" in limit or "available_count" in str(limit):
            continue
        live = [{**used[0]}]
        assert placed(scenario(wide(), nodes=live, **limit)) == 2


def test_l1_a_buckets_count_is_over_its_groups_and_an_arrays_over_its_sizes() -> None:
    groups = {"arrays": [array("htc", f4(max_count=3, placement_groups=["pg0"]))]}
    assert (
        placed(scenario(job("a", {"ncpus": 4}, {"node.placement_group": [None, "pg0"]}, iterations=9), **groups)) == 3
    )
    sizes = {"arrays": [array("htc", f4(), f2(), max_count=3)]}
    assert placed(scenario(job("a", {"ncpus": 2}, iterations=9, packing_strategy="scatter"), **sizes)) == 3


def test_l1_a_family_counts_over_arrays_and_only_in_its_region() -> None:
    arrays = [array("x", f4(vm_family="F"), location="westus2"), array("y", f4(vm_family="F"), location="eastus")]
    limits = {"families": {"westus2": {"F": {"quota_cores": 4}}, "eastus": {"F": {"quota_cores": 8}}}}
    assert placed(scenario(wide(), arrays=arrays, limits=limits)) == 3
    both = [array("x", f4(vm_family="standard F Family")), array("y", f4(vm_family="STANDARDFFAMILY"))]
    assert (
        placed(scenario(wide(), arrays=both, limits={"families": {"westus2": {"standardFFamily": {"quota_cores": 8}}}}))
        == 2
    )


def test_l1_a_groups_size_counts_its_nodes_of_every_size() -> None:
    size = {"placement_groups": ["pg0"], "max_placement_group_size": 3}
    raw = scenario(job("a", {"ncpus": 2, "in-a-placement-group": True}, iterations=9, packing_strategy="scatter"),
                   arrays=[array("htc", f4(**size), f2(**size))])  # fmt: skip
    assert placed(raw) == 3


def test_l2_constrained_core_sizes_use_their_parents_vcpus_for_quota_only() -> None:
    arrays = [array("htc", f4(quota_vcpus=8))]
    assert placed(scenario(wide(), arrays=arrays, limits={"regions": {"westus2": {"quota_cores": 24}}})) == 3
    assert placed(scenario(wide(), arrays=arrays, limits={"cluster_max_cores": 24})) == 6


def test_l4_missing_quota_does_not_block() -> None:
    limits = {"regions": {"eastus": {"quota_cores": 0}}, "families": {"westus2": {"other": {"quota_cores": 0}}}}
    assert placed(scenario(wide(5), limits=limits)) == 5


def test_limits_may_already_be_exceeded() -> None:
    raw = scenario(
        wide(),
        nodes=[node(f"htc-{number}", available={"ncpus": 0}) for number in range(1, 5)],
        limits={"cluster_max_nodes": 2},
    )
    assert placed(raw) == 0
    assert code(solve(raw), "a") == "LIMIT"


def test_what_an_exceeded_limit_lacks_counts_from_what_is_used() -> None:
    lowered = {"families": {"westus2": {"Standard_F4": {"quota_cores": 40, "used_elsewhere_cores": 100}}}}
    (answer,) = solve(scenario(wide(4), limits=lowered))["jobs"]
    assert answer["reason"]["message"] == "family quota Standard_F4 in westus2: 0 cores left, 76 missing"


def test_buckets_report_what_was_and_is_available_and_what_binds() -> None:
    answer = solve(scenario(wide(3), arrays=[array("htc", f4(), f2(max_count=None), max_core_count=20)]))
    first = answer["buckets"][0]
    assert (first["available_before"], first["available_after"], first["new_nodes"]) == (5, 2, 3)
    assert first["binding_limit"] == "node array cores htc"
    assert answer["buckets"][1]["available_before"] == 10


def test_without_any_limit_the_bucket_says_so() -> None:
    free = {"vm_size": "Standard_F4", "vcpu_count": 4, "memory_gb": 8}
    bucket = solve(scenario(job(), arrays=[array("htc", free)]))["buckets"][0]
    assert (bucket["available_before"], bucket["binding_limit"]) == (None, None)
