"""What changed from one report to the next."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import array, f4, job, node, scenario

from autoscale_aks.errors import InputError
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.changes import Change, FigureChange, check_report, compare, render_changes
from autoscale_aks.reports.demand import render_demand, summarise
from autoscale_aks.reports.document import SCHEMA_ID, demand_text

Json = dict[str, Any]


def report_of(*jobs: Json, **more: Any) -> Json:
    snapshot, policy = decode_scenario(scenario(*jobs, **more))
    decided = plan(snapshot, policy)
    return json.loads(demand_text(render_demand(summarise(decided, snapshot, policy=policy), decided)))


def test_a_report_and_itself_have_no_changes() -> None:
    document = report_of(job("a"), job("big", {"ncpus": 99}))
    changes = compare(document, document)
    assert changes.is_empty
    assert render_changes(changes)["now_waiting"] == []


def test_starts_stops_and_waits_are_counted_then_and_now() -> None:
    idle = node("htc-1", last_match_time=0.0)
    before = report_of(job("a", {"ncpus": 4}, count=2), job("big", {"ncpus": 99}))
    now = report_of(job("b", {"ncpus": 4}, count=5, runnable=False), nodes=[idle], now="2026-11-22T08:00:00Z",
                    policy={"idle_timeout": 60})  # fmt: skip
    changes = compare(before, now)
    assert changes.starts == (Change("htc/Standard_F4", 2, 0),)
    assert changes.stops == (Change("htc/Standard_F4, idle", 0, 1),)
    assert [(one.before, one.now) for one in changes.waits] == [(0, 1), (1, 0)]
    assert FigureChange("machines", 2, 0) in changes.figures
    assert (changes.now_waiting, changes.no_longer_waiting) == (("b",), ("big",))


def test_a_reason_whose_figures_moved_is_the_same_reason() -> None:
    arrays = [array("htc", f4(max_count=2))]
    before = report_of(job("a", {"ncpus": 4}, count=5), arrays=arrays)
    now = report_of(job("a", {"ncpus": 4}, count=9), arrays=arrays)
    assert before["waiting"][0]["message"] != now["waiting"][0]["message"]
    changes = compare(before, now)
    assert changes.waits == ()
    assert FigureChange("waiting_slots", 3, 7) in changes.figures


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "is no demand report"),
        ({"jobs": []}, "is no demand report"),
        ({"schema": "autoscale_aks/demand-report/9"}, f"this program reads {SCHEMA_ID}"),
        ({"schema": SCHEMA_ID, "summary": {}}, "starts: expected a list of objects"),
        ({**{key: [1] for key in ("starts", "stops", "waiting", "in_flight", "jobs")}, "schema": SCHEMA_ID,
          "summary": {}}, "jobs: expected a list of objects"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused_with_the_reason(document: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_report(document, "old.json")
