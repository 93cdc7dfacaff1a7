"""The report's benchmark runs, and measures what it says."""

from __future__ import annotations

import pytest

from autoscale_aks.planning.planner import plan
from benchmarks.report import build, measure


@pytest.mark.parametrize("short", [True, False])
def test_a_small_run_measures_every_face(short: bool) -> None:
    found = measure(400, 40, 1, short=short)
    assert [name for name, _, _ in found] == ["table", "json", "html"]
    assert all(size > 500 for _, _, size in found)


def test_its_queue_waits_for_limits_only_where_it_should() -> None:
    for short in (True, False):
        snapshot, policy = build(30_000, 80, short=short)
        waiting = sum(outcome.slots < outcome.requested for outcome in plan(snapshot, policy).outcomes)
        assert (waiting > 0) == short
