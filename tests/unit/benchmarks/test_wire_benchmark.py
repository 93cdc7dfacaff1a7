"""The benchmark of the wire, on a case small enough for every test run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import wire
from benchmarks.wire_site import emulator, site

if TYPE_CHECKING:
    import pytest


def test_its_runs_count_the_calls_and_clear_up_after_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    case = wire.Case(machines=60, limit_ms=1e9, goal_ms=1e9)
    with emulator(throttle={"arm": False}) as running, site(running.url) as on:
        runs = [wire.run_once(running, on, case, number) for number in range(2)]
        assert [run.wrong for run in runs] == [[], []]
        assert all(0 < run.first_ms <= run.put_ms <= run.proven_ms for run in runs)
        monkeypatch.setattr(wire.Case, "puts", property(lambda _: 1))
        assert "2 PUTs, not 1" in wire.run_once(running, on, case, 2).wrong


def test_a_bucket_of_200_lets_the_last_of_400_puts_out_after_20_seconds() -> None:
    case = wire.CASES["bucket-20k"]
    assert (case.puts, case.pages) == (400, 421)
    assert case.limit_ms == 1.05 * 20_050
