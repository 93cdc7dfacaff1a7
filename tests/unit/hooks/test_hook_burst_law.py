"""How many cycles a burst of events makes, as a law: in a time of its own, so that no load can change the answer."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hooks_rig import HOOKS
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTLE_S = 5.0
LONGEST_S = 600.0
TICK_S = 0.05
"""How often the runner looks."""


@dataclass
class Night:
    """A time in which events come when they are due, and hooks and their runner do what they do."""

    directory: Path
    due: list[float]
    cycle_s: float
    now: float = 1_000_000.0
    starts: list[float] = field(default_factory=list)

    @property
    def marker(self) -> Path:
        return self.directory / "wake.again"

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Time passes, and each event that comes in it leaves the marker."""
        self.now += seconds
        while self.due and self.due[0] <= self.now:
            self.touch(self.due.pop(0))

    def touch(self, at: float) -> None:
        self.marker.touch()
        os.utime(self.marker, (at, at))

    def cycle(self, _: dict[str, Any]) -> int:
        self.starts.append(self.now)
        self.sleep(self.cycle_s)
        return 0


@contextmanager
def night(due: list[float], cycle_s: float) -> Iterator[Night]:
    with tempfile.TemporaryDirectory() as directory:
        yield Night(Path(directory), list(due), cycle_s)


def live(there: Night, **settings: float) -> None:
    """Every event that finds no runner starts one; the others leave their marker to it."""
    spec = importlib.util.spec_from_file_location("wake_alone", HOOKS / "wake.py")
    assert spec is not None
    assert spec.loader is not None
    wake = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wake)
    wake.time, wake.run_cycle = there, there.cycle
    while there.due:
        there.sleep(max(there.due[0] - there.now, 0.0))
        with (there.directory / "wake.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            wake.run_cycles({"state_dir": str(there.directory), **settings}, lock.fileno())


def times(gaps: list[float]) -> list[float]:
    found = [1_000_000.0]
    for gap in gaps:
        found.append(found[-1] + gap)
    return found


@given(
    gaps=st.lists(st.floats(0.0, SETTLE_S - 2 * TICK_S), max_size=40),
    cycle_s=st.sampled_from([0.0, 0.3, 4.0, 40.0]),
    interval_s=st.sampled_from([0.0, 0.2, 10.0]),
)
def test_a_burst_without_a_gap_is_two_cycles_at_most_and_every_event_is_followed_by_one(
    gaps: list[float], cycle_s: float, interval_s: float
) -> None:
    due = times(gaps)
    with night(due, cycle_s) as there:
        live(there, settle_s=SETTLE_S, min_interval_s=interval_s, longest_wait_s=LONGEST_S)
    assert 1 <= len(there.starts) <= 2
    assert there.starts[-1] >= due[-1]


@pytest.mark.parametrize(
    ("gaps", "cycles"),
    [
        ([], 1),
        ([1.0] * 50, 2),
        ([SETTLE_S + 1], 2),
        ([SETTLE_S + 1, 1.0], 3),
        ([1.0, 1.0, 2 * SETTLE_S + 1, 1.0], 4),
        ([1.0] * int(LONGEST_S) + [1.0] * 10, 3),
    ],
)
def test_more_than_two_cycles_need_a_gap_or_a_burst_longer_than_anybody_is_to_wait(
    gaps: list[float], cycles: int
) -> None:
    with night(times(gaps), cycle_s=0.1) as there:
        live(there, settle_s=SETTLE_S, min_interval_s=0.2, longest_wait_s=LONGEST_S)
    assert len(there.starts) == cycles
