"""A run may be killed at any moment: what was finished is there, what was not is not, and nothing is half."""

from __future__ import annotations

import itertools
import signal
import time
from typing import TYPE_CHECKING

import pytest
from ledger_cases import NOW, bytes_and_times, child, journal, machine, machines

from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger import reading
from autoscale_aks.ledger.store import Ledger

if TYPE_CHECKING:
    from pathlib import Path

KILLED_INSIDE = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from ledger_cases import NOW, machines
from autoscale_aks.ledger.store import Ledger

where, spill = sys.argv[2], sys.argv[4] == "spill"
ledger = Ledger.open(sys.argv[1], now=NOW)
if spill:  # so that the file itself is half changed when the process dies
    ledger._connection.execute("PRAGMA cache_spill = ON")
    ledger._connection.execute("PRAGMA cache_size = 1")
left = [int(where) if where.isdigit() else 1]

def trace(statement):
    if where.isdigit() and "INTO machines" in statement or statement.startswith(where):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

ledger._connection.set_trace_callback(trace)
ledger.record_intents(machines(4, 2000), {"htc": 2001}, NOW)
os.kill(os.getpid(), signal.SIGKILL)
"""

RECORDING = """
import sys
sys.path.insert(0, sys.argv[2])
from ledger_cases import NOW, machines
from autoscale_aks.ledger.store import Ledger

ledger = Ledger.open(sys.argv[1], now=NOW)
for first in range(1, 1_000_000, 200):
    ledger.record_intents(machines(first, first + 199), {"htc": first + 200}, NOW)
    print(first + 200, flush=True)
"""

RESTLESS = """
import sys
from autoscale_aks.ledger.store import Ledger

ledger = Ledger.open(sys.argv[1], now=0.0, busy_timeout_s=float(sys.argv[2]))
names = [record.name for record in ledger.machines()]
for moment in range(1, 1_000_000):
    ledger.set_idle(dict.fromkeys(names, float(moment)))
    print(moment, flush=True)
    if moment % int(sys.argv[3]) == 0:
        sys.stdin.readline()
"""
BURST = 5
PATIENCE_S = 300.0
"""A rollback journal keeps readers out for every commit, and a commit takes as long as the disk does."""


@pytest.fixture(params=["log", "rollback"])
def path(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "rollback":
        journal.use_rollback(monkeypatch)
    place = tmp_path / "state" / "ledger.db"
    with Ledger.open(place, now=NOW) as ledger:
        ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
    return place


def lose_index(path: Path) -> None:
    """What a killed run left is copied elsewhere, or lies on a disk that was taken to another host."""
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


def here(request: pytest.FixtureRequest) -> Path:
    return request.path.parent


@pytest.mark.parametrize(
    ("where", "spill", "kept"),
    [
        ("BEGIN", "", 3),
        ("1", "", 3),
        ("1500", "spill", 3),
        ("COMMIT", "", 3),
        ("COMMIT", "spill", 3),
        ("never", "", 2000),
    ],
)
def test_a_run_killed_while_recording_leaves_all_or_nothing(
    path: Path, request: pytest.FixtureRequest, where: str, spill: str, kept: int
) -> None:
    with child(KILLED_INSIDE, path, where, here(request), spill) as process:
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    before = bytes_and_times(path.parent)
    with Ledger.open(path, now=NOW, read_only=True) as ledger:
        assert (len(ledger.machines()), ledger.next_number("htc")) == (kept, kept + 1)
    assert bytes_and_times(path.parent) == before, "a reader repairs nothing"
    assert {"ledger.db-journal", "ledger.db-wal"} & set(before) or not spill
    with Ledger.open(path, now=NOW) as ledger:
        assert (len(ledger.machines()), ledger.next_number("htc"), ledger.notices) == (kept, kept + 1, ())
        ledger.record_intents([machine(kept + 1)], {"htc": kept + 2}, NOW)


@pytest.mark.parametrize("delay_s", [0.0, 0.013, 0.031])
def test_what_a_killed_run_had_finished_is_there(
    tmp_path: Path, request: pytest.FixtureRequest, delay_s: float
) -> None:
    path = tmp_path / "ledger.db"
    with child(RECORDING, path, here(request)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay_s)
        process.kill()
        finished = int((["201", *process.stdout.read().split()])[-1])
    with Ledger.open(path, now=NOW) as ledger:
        reached = ledger.next_number("htc")
        assert reached in (finished, finished + 200)
        assert [record.name for record in ledger.machines()] == [f"htc-m1-{n}" for n in range(1, reached)]


def test_a_reader_beside_a_busy_writer_always_sees_one_moment(path: Path) -> None:
    """The writer rests after each burst until it is told to go on: a reader that met no gap in it meets one then."""
    with Ledger.open(path, now=NOW) as ledger:
        ledger.record_intents(machines(4, 500), {"htc": 501}, NOW)
    with child(RESTLESS, path, PATIENCE_S, BURST) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for burst in range(20):
            first = int(process.stdout.readline())  # the burst has begun, and goes on while we read
            assert first == burst * BURST + 1
            with Ledger.open(path, now=NOW, read_only=True, busy_timeout_s=PATIENCE_S) as ledger:
                (moment,) = {record.idle_since for record in ledger.machines()}
            assert moment is not None
            assert first <= moment <= first + BURST - 1, "what was finished is there, and nothing is half there"
            for _ in range(BURST - 1):
                process.stdout.readline()
            process.stdin.write("on\n")
            process.stdin.flush()


def test_a_writer_that_comes_while_a_reader_copies_a_killed_run_s_file(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with child(KILLED_INSIDE, path, "COMMIT", here(request), "spill") as process:
        process.wait(PATIENCE_S)
    lose_index(path)
    copyfile = reading.shutil.copyfile

    def copy_and_let_a_writer_in(source: Path, target: Path) -> None:
        copyfile(source, target)
        monkeypatch.setattr(reading.shutil, "copyfile", copyfile)
        with Ledger.open(path, now=NOW) as writer:
            writer.record_intents([machine(4)], {"htc": 5}, NOW)

    monkeypatch.setattr(reading.shutil, "copyfile", copy_and_let_a_writer_in)
    with Ledger.open(path, now=NOW, read_only=True) as ledger:
        assert (len(ledger.machines()), ledger.next_number("htc")) == (4, 5)


def test_a_file_that_never_stands_still_is_given_up_on(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with child(KILLED_INSIDE, path, "COMMIT", here(request), "spill") as process:
        process.wait(PATIENCE_S)
    lose_index(path)
    moments = itertools.count()
    monkeypatch.setattr(reading, "_mark", lambda _: next(moments))
    with pytest.raises(LedgerError, match="changed each time it was read; run again"):
        Ledger.open(path, now=NOW, read_only=True)
