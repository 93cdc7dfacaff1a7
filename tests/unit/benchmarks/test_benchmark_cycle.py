"""The benchmark of a whole cycle runs, small, and does in each situation what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cycle import GOAL_MB, run

ROOT = Path(__file__).parents[3]


def test_every_situation_is_what_its_name_says() -> None:
    busy, steady, ready, idle = run(machines=50, jobs=200)
    assert [row["situation"] for row in (busy, steady, ready, idle)] == ["busy", "steady", "ready", "idle"]
    assert (busy["nodes"], busy["jobs"]) == (40, 200)
    assert busy["asked"] - busy["refused"] == 10
    assert (steady["asked"], steady["nodes"], ready["deleted"]) == (0, 50, 0)
    assert idle["deleted"] == 50


@pytest.mark.parametrize("machines", [200, pytest.param(5000, marks=pytest.mark.soak)])
def test_twenty_thousand_jobs_take_no_more_memory_than_promised(machines: int) -> None:
    """In a process of its own, so that nothing but the cycles is counted."""
    command = [sys.executable, "-m", "benchmarks.cycle", "--json", "--machines", str(machines)]
    rows = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert max(row["jobs"] for row in rows) == 20_000
    assert max(row["rss_mb"] for row in rows) <= GOAL_MB
