"""The benchmark of a whole cycle runs, small, and does in each situation what it says."""

from __future__ import annotations

from benchmarks.cycle import run


def test_every_situation_is_what_its_name_says() -> None:
    busy, steady, ready, idle = run(machines=50, jobs=200)
    assert [row["situation"] for row in (busy, steady, ready, idle)] == ["busy", "steady", "ready", "idle"]
    assert (busy["nodes"], busy["jobs"]) == (40, 200)
    assert busy["asked"] - busy["refused"] == 10
    assert (steady["asked"], steady["nodes"], ready["deleted"]) == (0, 50, 0)
    assert idle["deleted"] == 50
