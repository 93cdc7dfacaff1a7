"""The right to write: every lock or none, a heart that beats, and what happens when one is lost."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from autoscale_aks.errors import CloudError, LockHeldError, LockLostError
from autoscale_aks.ledger.lock import Writer, WriterLock, holder
from autoscale_aks.loop import holding

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.loop import LockPort


class Still:
    """A clock that stands still."""

    def now(self) -> float:
        return 1000.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@dataclass
class Noted:
    """A lock that does as it is told and notes what was asked of it."""

    name: str
    notes: list[str]
    refuses: Exception | None = None
    fails: list[Exception] = field(default_factory=list)

    def acquire(self) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.notes.append(f"+{self.name}")

    def renew(self, now: float) -> None:
        self.notes.append(f"{self.name}@{now:g}")
        if self.fails:
            raise self.fails.pop(0)

    def release(self) -> None:
        self.notes.append(f"-{self.name}")


NEVER = 3600.0


def lock_at(path: Path) -> WriterLock:
    return WriterLock(path, Writer(owner="site", now=1000.0, pid=os.getpid(), host="head"))


def test_a_run_that_writes_keeps_every_other_writer_out_and_says_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with holding([lock_at(path)], Still(), pytest.fail):
        held = holder(path)
        assert held is not None
        assert (held["owner"], held["pid"]) == ("site", os.getpid())
        told = rf"site, process {os.getpid()} on head.*1970-01-01T00:16:40Z"
        with pytest.raises(LockHeldError, match=told), holding([lock_at(path)], Still(), pytest.fail):
            pass
    assert holder(path) is None


def test_the_lock_is_free_after_a_run_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(ZeroDivisionError), holding([lock_at(path)], Still(), pytest.fail):
        raise ZeroDivisionError
    with holding([lock_at(path)], Still(), pytest.fail):
        pass


def test_locks_are_taken_in_order_and_let_go_in_the_opposite_one() -> None:
    notes: list[str] = []
    with holding([Noted("file", notes), Noted("lease", notes)], Still(), pytest.fail, beat_s=NEVER):
        notes.append("work")
    assert notes == ["+file", "+lease", "work", "-lease", "-file"]


def test_a_second_lock_that_is_held_lets_the_first_one_go() -> None:
    notes: list[str] = []
    locks: list[LockPort] = [Noted("file", notes), Noted("lease", notes, refuses=LockHeldError("head-2 has it"))]
    with pytest.raises(LockHeldError, match="head-2"), holding(locks, Still(), pytest.fail):
        pytest.fail("nobody may get here")
    assert notes == ["+file", "-file"]


def test_the_heart_beats_by_itself_while_the_work_goes_on() -> None:
    beaten = threading.Event()

    class Felt(Noted):
        def renew(self, now: float) -> None:
            beaten.set()

    with holding([Felt("file", [])], Still(), pytest.fail, beat_s=0.001):
        assert beaten.wait(20)


def test_a_lock_that_is_lost_is_told_once_and_a_failed_renewal_is_not_a_loss() -> None:
    notes: list[str] = []
    told: list[str] = []
    lock = Noted("lease", notes, fails=[CloudError("away"), LockLostError("head-2 has it"), LockLostError("again")])
    with holding([lock], Still(), told.append, beat_s=NEVER) as heart:
        heart.beat()
        heart.check()
        assert told == []
        heart.beat()
        heart.beat()
        with pytest.raises(LockLostError, match="head-2 has it"):
            heart.check()
    assert told == ["head-2 has it"]
    assert notes == ["+lease", "lease@1000", "lease@1000", "-lease"]
