"""The benchmark of plans by price: a row stands for itself, and what misses a goal is said and is the exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import cost

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "asked": 10_000, "jobs": 8_152, "gap": 5e-4, "beyond_dearest": -1.0, "dearest_node": 2.0,
    "first_s": 0.2, "refined_s": 2.1, "wrong": [], "open": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "word"),
    [({"gap": 2e-3}, "gap"), ({"asked": 1_000_000}, "gap"), ({"beyond_dearest": 0.01}, "beyond"),
     ({"refined_s": 2.6}, "after the first plan"), ({"wrong": ["it lies"]}, "WRONG"), ({"gap": -1e-9}, "WRONG"),
     ({"open": ["a node"]}, "not decided"), ({"failed": "killed"}, "no plan")],
    ids=["gap", "gap of a million", "one node", "seconds", "wrong", "below zero", "open", "failed"],
)  # fmt: skip
def test_what_misses_a_goal_is_said(change: dict[str, Any], word: str) -> None:
    assert cost.misses(GOOD, 2.0) == []
    (said,) = cost.misses({**GOOD, **change}, 2.0)
    assert word in said


def test_few_jobs_need_no_share_of_the_bound_but_one_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert cost.misses({**GOOD, "asked": 1_000, "gap": 0.03}, 2.0) == []


def run(tmp_path: Path, *more: str) -> tuple[int, list[dict[str, Any]]]:
    output = tmp_path / "rows.jsonl"
    asked = ["--mix", "pow2", "--jobs", "200", "300", "--catalogue", "def", "--quota", "off", "--output", str(output)]
    status = cost.main([*asked, *more])
    return status, [json.loads(line) for line in output.read_text().splitlines()]


def test_each_row_is_planned_and_checked_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(cost.VARIABLE, raising=False)
    status, rows = run(tmp_path, "--seconds", "0.2")
    said = capsys.readouterr().out
    assert [row["wrong"] + row["open"] for row in rows] == [[], []]
    assert all(row["cost"] >= row["bound"] > 0 and row["rules"] for row in rows)
    assert status == int(any(row["misses"] for row in rows))
    assert "2 rows" in said
    assert "no real jobs" in said


def test_a_row_that_fails_stops_no_other_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(cost.VARIABLE, raising=False)
    status, rows = run(tmp_path, "--row-seconds", "0.01")
    assert status == 1
    assert [row["failed"] for row in rows] == ["not done after 0.01 s"] * 2
    assert "FAILED" in capsys.readouterr().out
