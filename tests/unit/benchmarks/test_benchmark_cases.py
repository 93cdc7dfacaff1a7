"""The benchmark's inputs are the same every time, and small ones pass both verifiers."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from checker import check

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.answer import render_answer
from benchmarks import generators as make
from benchmarks.accepted import ACCEPTED, goals_of, judge, with_measured
from benchmarks.audit import audit
from benchmarks.cases import CASES
from benchmarks.scenario import plain, to_scenario

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan

SMALL = {
    "million": lambda: make.million(200, 20, 10, 40),
    "heavy": lambda: make.million(200, 20, 10, 40, heavy=True),
    "limits": lambda: make.million_limits(2000, 20, 10, 8),
    "distinct": lambda: make.all_distinct(40, 36),
    "few": lambda: make.few_shapes(100, 28),
    "arrays": lambda: make.arrays_of_tasks(20, 30, 5, 3),
    "plain": lambda: make.trees(plain=True, total=200, shapes=60, nodes=10, buckets=216),
    "trees": lambda: make.trees(plain=False, total=200, shapes=60, nodes=10, buckets=216),
    "ray": lambda: make.ray_reconcile(13, 133),
}


def facts(case: make.Case) -> Any:
    """A case as plain data: shapes compare by identity."""
    return to_scenario(case)


@pytest.mark.parametrize("name", SMALL)
def test_the_same_case_is_built_every_time(name: str) -> None:
    assert facts(SMALL[name]()) == facts(SMALL[name]())


@pytest.mark.parametrize("name", SMALL)
def test_small_plans_pass_both_verifiers(name: str) -> None:
    case = SMALL[name]()
    assert audit(case.snapshot, case.policy, plan(case.snapshot, case.policy)) == []
    scenario = json.loads(json.dumps(to_scenario(case)))
    snapshot, policy = decode_scenario(scenario)
    found = plan(snapshot, policy)
    assert audit(snapshot, policy, found) == []
    assert check(scenario, json.loads(json.dumps(render_answer(found)))) == []


def test_the_estimate_of_cluster_autoscaler_takes_its_2595_nodes() -> None:
    case = make.binpacking_estimate()
    found = plan(case.snapshot, case.policy)
    assert len(found.claims) == 2595
    assert sum(outcome.slots for outcome in found.outcomes) == 51_000
    assert audit(case.snapshot, case.policy, found) == []


@pytest.mark.parametrize("make_text", [make.million_text, make.slurm_queue])
def test_text_reads_back_to_the_jobs_it_was_written_from(make_text: Any, tmp_path: Path) -> None:
    case = make_text(500, 20, 10, 40) if make_text is make.million_text else make_text(500, 20)
    path = tmp_path / "jobs"
    case.write(path)
    jobs = case.read(path)
    assert sum(job.count for job in jobs) == 500
    assert len({json.dumps(plain(job.shape.constraints)) for job in jobs}) == 20
    read = case.with_jobs(jobs)
    assert audit(read.snapshot, read.policy, plan(read.snapshot, read.policy)) == []


def test_a_line_of_text_is_as_short_as_the_issue_says(tmp_path: Path) -> None:
    case = make.million_text(2000, 100, 0, 40)
    path = tmp_path / "jobs"
    assert case.write is not None
    case.write(path)
    assert all(29 <= len(line) <= 42 for line in path.read_bytes().splitlines(keepends=True))


def tampered() -> dict[str, Any]:
    """Ways to spoil a good plan."""

    def placement(found: Plan, **fields: int) -> Plan:
        first, *rest = found.placements
        return dataclasses.replace(found, placements=(dataclasses.replace(first, **fields), *rest))

    return {
        "a slot too many": lambda p: placement(p, slots_each=10_000),
        "another node": lambda p: placement(p, first_node=len(p.nodes) + len(p.claims) + 1),
        "a claim less": lambda p: dataclasses.replace(p, claims=p.claims[:-1], left=p.left[:-1]),
        "a name twice": lambda p: dataclasses.replace(p, claims=(*p.claims[:-1], p.claims[0])),
        "no waves": lambda p: dataclasses.replace(p, waves=()),
        "nothing placed": lambda p: dataclasses.replace(p, placements=()),
        "full nodes": lambda p: dataclasses.replace(p, left=tuple({} for _ in p.left)),
    }


@pytest.mark.parametrize("spoil", tampered())
def test_the_audit_finds_a_spoilt_plan(spoil: str) -> None:
    case = SMALL["heavy"]()
    found = plan(case.snapshot, case.policy)
    assert audit(case.snapshot, case.policy, tampered()[spoil](found))


def test_the_audit_finds_work_that_was_left_out() -> None:
    case = SMALL["limits"]()
    found = plan(case.snapshot, case.policy)
    roomy = dataclasses.replace(case.snapshot, nodearrays=make.million(2000, 20, 10, 8).snapshot.nodearrays)
    assert any("left out" in text for text in audit(roomy, case.policy, found))


def test_the_audit_finds_a_broken_limit() -> None:
    case = SMALL["heavy"]()
    found = plan(case.snapshot, case.policy)
    limits = dataclasses.replace(case.snapshot.limits, cluster_max_nodes=len(found.nodes) + len(found.claims) - 1)
    assert any(
        "cluster" in text for text in audit(dataclasses.replace(case.snapshot, limits=limits), case.policy, found)
    )


ROW = {
    "case": "ca-51k", "violations": 0, "audit": [], "plan_s": 0.002, "plan_s_all": [0.002], "read_s": None,
    "read_s_all": [], "out_s": 0.001, "out_s_all": [0.001], "total_s": 0.002, "rss_mb": 20.0, "new_nodes": 2595,
    "price": 259.5, "placed": 51_000,
}  # fmt: skip


def test_what_is_worse_than_accepted_is_named(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    path.write_text(with_measured(path, [ROW], "here"), "utf-8")
    assert judge(path, [ROW]) == []
    assert judge(path, [{**ROW, "new_nodes": 2594, "plan_s": 0.0001}]) == []
    for worse in (
        {"new_nodes": 2596},
        {"price": 260.0},
        {"placed": 50_999},
        {"plan_s": 0.02},
        {"violations": 1, "audit": ["x"]},
    ):
        assert len(judge(path, [{**ROW, **worse}])) == 1
    assert judge(path, [{"case": "ca-51k", "error": "not finished"}]) == ["ca-51k: not finished"]


def test_goals_are_held_against_the_run() -> None:
    slow = {**ROW, "plan_s": 1.0, "new_nodes": 2600}
    assert [met for *_, met in goals_of([ROW])] == [True, True]
    assert [met for *_, met in goals_of([slow])] == [False, False]
    ratio = goals_of([{**ROW, "case": "plain"}, {**ROW, "case": "trees", "plan_s": 0.005}])
    assert ratio == [("trees", "≤ 3 × plain", "2.50 ×, written out 2.00 ×", True)]


def test_accepted_ranges_speak_of_cases_that_exist() -> None:
    accepted = json.loads(ACCEPTED.read_text("utf-8"))["cases"]
    assert set(accepted) <= set(CASES)
