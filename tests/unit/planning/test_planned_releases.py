"""Which machines are to leave: failed, never booted, idle too long; never when in doubt."""

from __future__ import annotations

from typing import Any

import pytest
from builders import job, node, scenario, solve

NOW = "2026-11-22T08:00:00Z"
LONG_AGO = "2026-11-22T06:00:00Z"
JUST_NOW = "2026-11-22T07:58:00Z"
IDLE = {"idle_since": LONG_AGO}


def releases(*nodes: Any, jobs: Any = (), **extra: Any) -> list[tuple[str, str]]:
    answer = solve(scenario(*jobs, nodes=nodes, **{"now": NOW, **extra}))
    assert answer["ok"], answer
    return [(entry["name"], entry["cause"]) for entry in answer["releases"]]


def test_failed_never_booted_and_idle_nodes_leave_most_certain_first() -> None:
    idle = node("htc-1", **IDLE)
    failed = node("htc-2", state="Failed")
    late = node("htc-3", stage="in-flight", state="Creating", create_time=LONG_AGO)
    assert sorted(releases(idle, failed, late)) == [("htc-1", "idle"), ("htc-2", "failed"), ("htc-3", "boot timeout")]
    assert releases(idle, failed, late)[-1] == ("htc-1", "idle")
    assert len(releases(idle, failed, late, policy={"max_deletes_per_cycle": 1})) == 1


@pytest.mark.parametrize(
    "extra",
    [
        {"keep_alive": True}, {"job_ids": ["r"]}, {"idle_since": JUST_NOW}, {"idle_since": None}, {"state": "Creating"},
        {"stage": "in-flight", "state": "Creating", "create_time": JUST_NOW}, {"stage": "in-flight",
                                                                               "state": "Creating"},
    ],
)  # fmt: skip
def test_protected_busy_and_young_nodes_stay(extra: dict[str, Any]) -> None:
    assert releases(node("htc-1", **{**IDLE, **extra})) == []


def test_a_node_this_plan_uses_stays() -> None:
    assert releases(node("htc-1", **IDLE), node("htc-2", **IDLE), jobs=[job()]) == [("htc-2", "idle")]


def test_the_idle_timeout_may_differ_by_node_array() -> None:
    patient = {"idle_timeout": {"default": 60, "htc": 100_000}}
    assert releases(node("htc-1", **IDLE), policy=patient) == []
    assert releases(node("htc-1", **IDLE), policy={"idle_timeout": 7200}) == [("htc-1", "idle")]
    assert releases(node("htc-1", **IDLE), policy={"idle_timeout": 7201}) == []


def test_nothing_leaves_when_a_source_is_incomplete_or_the_time_unknown() -> None:
    assert releases(node("htc-1", **IDLE), sources=[{"name": "slurm", "complete": False}]) == []
    assert releases(node("htc-1", **IDLE), now=None) == []
    assert releases(node("htc-1", **IDLE), sources=[{"name": "slurm", "complete": True}]) == [("htc-1", "idle")]
