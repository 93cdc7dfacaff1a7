"""Mixes of seeds: a row that fails is told of and ends no other; what is planned is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import cost_fuzz

if TYPE_CHECKING:
    import pytest

ASKED = ["--seeds", "0", "0", "--jobs", "100", "--kind", "cores", "large", "--quota", "off", "--seconds", "0.2"]


def test_each_row_is_planned_and_checked_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(cost_fuzz.VARIABLE, raising=False)
    assert cost_fuzz.main([*ASKED, "--check"]) == 0
    said = capsys.readouterr().out.splitlines()
    rows = [line for line in said if line.split()[:1] == ["0"]]
    assert [(line.split()[1], line.removesuffix("  over goal").split()[-1]) for line in rows] == [
        ("cores", "ok"), ("large", "ok"),
    ]  # fmt: skip
    assert said[-1].startswith("2 plans")
    assert said[-1].endswith("0 failed")


def test_rows_that_fail_are_told_of_and_end_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(cost_fuzz.VARIABLE, raising=False)
    assert cost_fuzz.main([*ASKED, "--row-seconds", "0.01"]) == 1
    said = capsys.readouterr().out
    assert said.count("FAILED  not done after 0.01 s") == 2
    assert "0 plans" in said
    assert "2 failed" in said
