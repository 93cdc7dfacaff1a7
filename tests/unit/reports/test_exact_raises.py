"""What a limit lacks for the whole queue: exact, each limit once, and enough (user asks T01a, T09a, T09f)."""

from __future__ import annotations

from typing import Any

import pytest
from builders import array, f2, f4, job, node, scenario, solve
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.model.reason import LimitKind, ReasonCode
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.demand import DemandReport, summarise

Json = dict[str, Any]
FAMILY = {"westus2": {"standardDSv3Family": {"quota_cores": 8, "used_elsewhere_cores": 0}}}


def report_of(raw: Json) -> DemandReport:
    snapshot, policy = decode_scenario(raw)
    return summarise(plan(snapshot, policy), snapshot, policy=policy)


def family_bound(*jobs: Json, **extra: Any) -> Json:
    sizes = [f4(vm_family="standardDSv3Family", max_count=None)]
    return scenario(*jobs, arrays=[array("htc", *sizes)], limits={"families": FAMILY}, **extra)


def missing(report: DemandReport) -> dict[str, int]:
    return {row.title: row.missing for row in report.limits if row.missing}


def test_the_next_action_names_the_limit_and_exactly_what_the_queue_lacks_of_it() -> None:
    report = report_of(family_bound(job("a", {"ncpus": 4}, count=20)))
    (row,) = report.waits
    assert row.next_action == "raise standardDSv3Family in westus2 by 72 cores"
    assert row.message == "family quota standardDSv3Family in westus2: 0 cores left, 72 missing"
    assert report.actions == ("raise standardDSv3Family in westus2 by 72 cores",)


def test_a_limit_that_stops_several_groups_is_added_up_once() -> None:
    jobs = [job(name, {"ncpus": 4, **more}, count=5) for name, more in (("a", {}), ("b", {"mem": "memory::1g"}),
                                                                        ("c", {"mem": "memory::2g"}))]  # fmt: skip
    report = report_of(family_bound(*jobs))
    assert missing(report) == {"family quota standardDSv3Family in westus2": 15 * 4 - 8}
    assert len({row.next_action for row in report.waits if row.code == "QUOTA"}) == 1


def test_jobs_that_share_a_machine_are_not_counted_a_machine_each() -> None:
    jobs = [job(name, {"ncpus": 1}) for name in "abcdefghijkl"]
    report = report_of(family_bound(*jobs, job("first", {"ncpus": 4}, count=1)))
    used = 4 + 12
    assert missing(report) == {"family quota standardDSv3Family in westus2": used - 8}


def test_the_rest_of_a_job_that_is_placed_in_part_is_all_that_is_missing() -> None:
    report = report_of(family_bound(job("a", {"ncpus": 1}, iterations=11)))
    assert missing(report) == {"family quota standardDSv3Family in westus2": 4}


def test_behind_one_limit_the_next_one_is_found() -> None:
    raw = family_bound(job("a", {"ncpus": 4}, count=20))
    raw["limits"]["regions"] = {"westus2": {"quota_cores": 20, "used_elsewhere_cores": 0}}
    report = report_of(raw)
    assert missing(report) == {
        "family quota standardDSv3Family in westus2": 72,
        "regional quota westus2": 60,
    }
    assert report.actions[0] == "raise standardDSv3Family in westus2 by 72 cores"


def test_machines_that_exist_are_in_use_and_not_missing() -> None:
    raw = scenario(
        job("a", {"ncpus": 4}, count=9),
        arrays=[array("htc", f4(max_count=6))],
        nodes=[node("htc-1", available={"ncpus": 0}), node("htc-2", available={"ncpus": 0})],
    )
    (row,) = [row for row in report_of(raw).limits if row.kind is LimitKind.BUCKET_NODES]
    assert (row.limit, row.used, row.added, row.left, row.missing) == (6, 2, 4, 0, 5)


def test_where_nothing_waits_for_a_limit_nothing_is_missing() -> None:
    report = report_of(scenario(job("a", {"ncpus": 99}), job("b", {"ncpus": 4}, count=3)))
    assert missing(report) == {}
    assert report.actions == ("ask for less, or offer a larger VM size (a)",)


def test_demand_of_each_bucket_says_what_it_would_take_beyond_its_limits() -> None:
    raw = scenario(job("a", {"ncpus": 4}, count=9), arrays=[array("htc", f4(max_count=6))])
    (row,) = report_of(raw).buckets
    assert (row.there, row.new, row.beyond, row.more, row.binding) == (0, 6, 3, 0, "bucket nodes htc/Standard_F4")


@pytest.mark.parametrize("cap", ["cluster_max_nodes", "cluster_max_cores"])
def test_caps_of_the_cluster_are_raised_by_what_is_missing(cap: str) -> None:
    raw = scenario(job("a", {"ncpus": 4}, count=9), arrays=[array("htc", f4(max_count=None))], limits={cap: 4})
    assert list(missing(report_of(raw)).values()) == [5 if cap == "cluster_max_nodes" else 32]


@st.composite
def short_queues(draw: st.DrawFn) -> Json:
    """Queues that one family quota, one node array's cap and one bucket's count may stop."""
    jobs = [
        job(f"j{number}", {"ncpus": draw(st.integers(1, 4))}, iterations=draw(st.integers(1, 12)))
        for number in range(draw(st.integers(1, 5)))
    ]
    sizes = [
        f4(vm_family="standardDSv3Family", max_count=draw(st.one_of(st.none(), st.integers(0, 5)))),
        f2(vm_family="standardDSv3Family", max_count=draw(st.one_of(st.none(), st.integers(0, 5)))),
    ]
    return scenario(
        *jobs,
        arrays=[array("htc", *sizes, max_count=draw(st.one_of(st.none(), st.integers(0, 6))))],
        limits={"families": {"westus2": {"standardDSv3Family": {"quota_cores": draw(st.integers(0, 30))}}}},
    )


def raised(raw: Json, report: DemandReport) -> Json:
    """The scenario after somebody did what the report says."""
    by = {(row.kind, row.name): row.missing for row in report.limits}
    (nodearray,) = raw["nodearrays"]
    quota = raw["limits"]["families"]["westus2"]["standardDSv3Family"]
    buckets = [
        {**one, "max_count": one["max_count"] and one["max_count"] + by.get(
            (LimitKind.BUCKET_NODES, f"htc/{one['vm_size']}"), 0)}
        if one["max_count"] is not None and one["max_count"] > 0
        else {**one, "max_count": None if one["max_count"] is None else
              by.get((LimitKind.BUCKET_NODES, f"htc/{one['vm_size']}"), 0)}
        for one in nodearray["buckets"]
    ]  # fmt: skip
    most = nodearray["max_count"]
    return {
        **raw,
        "nodearrays": [{**nodearray, "buckets": buckets,
                        "max_count": None if most is None else most + by.get((LimitKind.ARRAY_NODES, "htc"), 0)}],
        "limits": {"families": {"westus2": {"standardDSv3Family": {
            "quota_cores": quota["quota_cores"] + by.get(
                (LimitKind.FAMILY_QUOTA, "standardDSv3Family in westus2"), 0)}}}},
    }  # fmt: skip


def carried_out(raw: Json) -> Json:
    """The scenario after the plan was carried out: its machines are there and full of what they were for."""
    answer = solve(raw)
    there = [
        {"name": f"made-{number}", "nodearray": one["nodearray"], "vm_size": one["vm_size"],
         "available": one["available"]}
        for number, one in enumerate(answer["new_nodes"])
    ]  # fmt: skip
    left = {entry["name"]: entry["requested"] - entry["slots"] for entry in answer["jobs"]}
    jobs = [{**one, "iterations": left[one["name"]]} for one in raw["jobs"] if left[one["name"]]]
    return {**raw, "existing_nodes": there, "jobs": jobs}


@given(short_queues())
def test_what_the_report_says_is_enough_and_nothing_of_it_is_too_much(raw: Json) -> None:
    report = report_of(raw)
    after = report_of(raised(carried_out(raw), report))
    short = {ReasonCode.QUOTA.value, ReasonCode.LIMIT.value, ReasonCode.LOST_TO_PRIORITY.value}
    assert [row for row in after.waits if row.code in short] == []
    assert all(row.left == 0 for row in after.limits if missing(report).get(row.title))
