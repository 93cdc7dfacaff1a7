"""Readers never hold the writer up and are never held up by it, however long either of them takes."""

from __future__ import annotations

import itertools
import signal
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest
from ledger_cases import NOW, bytes_and_times, child, journal, machine, machines

from autoscale_aks.errors import LedgerBusyError
from autoscale_aks.ledger import connecting, reading
from autoscale_aks.ledger.store import Ledger

if TYPE_CHECKING:
    from pathlib import Path

READING = """
import sys
from autoscale_aks.ledger.store import Ledger

ledger = Ledger.open(sys.argv[1], now=0.0, read_only=True)
print(len(ledger.machines()), flush=True)
sys.stdin.readline()
print(len(ledger.machines()), flush=True)
"""

WRITING = """
import sys
sys.path.insert(0, sys.argv[2])
from ledger_cases import NOW, machine
from autoscale_aks.ledger.store import Ledger

with Ledger.open(sys.argv[1], now=NOW) as ledger, ledger._writing() as connection:
    connection.execute("DELETE FROM machines")
    print("half done", flush=True)
    sys.stdin.readline()
"""


COPYING = """
import os, signal, sys
from autoscale_aks.ledger import reading
from autoscale_aks.ledger.store import Ledger

def copy(source, target):
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    print("in the middle", flush=True)
    sys.stdin.readline()
    source.backup(target)
    source.execute("ROLLBACK")

reading.copy = copy
with Ledger.open(sys.argv[1], now=0.0, read_only=True) as ledger:
    print(len(ledger.machines()), flush=True)
"""


@pytest.fixture(params=["log", "rollback"])
def path(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "rollback":
        journal.use_rollback(monkeypatch)
    place = tmp_path / "state" / "ledger.db"
    with Ledger.open(place, now=NOW) as ledger:
        ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
    return place


def test_a_reader_that_reads_for_ever_keeps_no_commit_waiting_and_stays_at_its_moment(path: Path) -> None:
    """The reader is even stopped: a lock that it held would never be let go."""
    with child(READING, path) as reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert reader.stdout.readline() == "3\n"
        reader.send_signal(signal.SIGSTOP)
        with Ledger.open(path, now=NOW, busy_timeout_s=0.0) as writer:
            for number in range(4, 54):
                writer.record_intents([machine(number)], {"htc": number + 1}, NOW)
        reader.send_signal(signal.SIGCONT)
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "3\n"
    with Ledger.open(path, now=NOW, read_only=True) as ledger:
        assert len(ledger.machines()) == 53


def test_a_writer_that_hangs_in_the_middle_of_a_transaction_keeps_no_reader_waiting(
    path: Path, request: pytest.FixtureRequest
) -> None:
    with child(WRITING, path, request.path.parent) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half done\n"
        writer.send_signal(signal.SIGSTOP)
        for _ in range(20):
            with Ledger.open(path, now=NOW, read_only=True, busy_timeout_s=0.0) as ledger:
                assert len(ledger.machines()) == 3


def test_every_file_beside_the_ledger_is_for_its_owner_only(path: Path, request: pytest.FixtureRequest) -> None:
    with child(WRITING, path, request.path.parent) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        beside = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        endings = ("-journal",) if journal.before else ("-wal", "-shm")
        assert set(beside) == {"ledger.db", *(f"ledger.db{ending}" for ending in endings)}
        assert set(beside.values()) == {0o600}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A ledger on a local disk."""
    place = tmp_path / "state" / "ledger.db"
    with Ledger.open(place, now=NOW) as ledger:
        ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
        assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    return place


def test_a_reader_stopped_in_the_middle_of_its_copy_keeps_no_commit_waiting(log: Path) -> None:
    """It comes while a writer is at work, so that it reads the log; it is stopped, and the writer goes on and ends."""
    with Ledger.open(log, now=NOW, busy_timeout_s=0.0) as writer:
        writer.set_flag("a", "b")
        with child(COPYING, log) as reader:
            assert reader.stdout is not None
            assert reader.stdin is not None
            assert reader.stdout.readline() == "in the middle\n"
            reader.send_signal(signal.SIGSTOP)
            for number in range(4, 54):
                writer.record_intents([machine(number)], {"htc": number + 1}, NOW)
            writer.close()
            with Ledger.open(log, now=NOW, busy_timeout_s=0.0) as after:
                after.set_flag("c", "d")
            reader.send_signal(signal.SIGCONT)
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == "3\n"
    with Ledger.open(log, now=NOW) as ledger:
        assert (len(ledger.machines()), ledger.flag("c")) == (53, "d")
    assert [file.name for file in log.parent.iterdir()] == ["ledger.db"]


def test_a_reader_of_a_ledger_at_rest_that_a_writer_changes_meanwhile_reads_again(log: Path) -> None:
    with child(COPYING, log) as reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert reader.stdout.readline() == "in the middle\n"
        with Ledger.open(log, now=NOW, busy_timeout_s=0.0) as writer:
            writer.record_intents([machine(4)], {"htc": 5}, NOW)
        reader.stdin.write("\n\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "in the middle\n"
        assert reader.stdout.readline() == "4\n"


def test_a_reader_changes_no_file_and_no_time_and_makes_none(log: Path, request: pytest.FixtureRequest) -> None:
    """At rest, and while a writer of another process is at work."""
    at_rest = bytes_and_times(log.parent)
    read_thrice(log)
    assert bytes_and_times(log.parent) == at_rest
    with child(WRITING, log, request.path.parent) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        in_use = bytes_and_times(log.parent)
        assert len(in_use) == 3
        read_thrice(log)
        assert bytes_and_times(log.parent) == in_use


def read_thrice(log: Path) -> None:
    for _ in range(3):
        with Ledger.open(log, now=NOW, read_only=True, busy_timeout_s=0.0) as ledger:
            assert len(ledger.machines()) == 3


def test_a_ledger_with_a_rollback_journal_gets_a_log_when_it_is_written_and_the_other_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older programs kept a rollback journal; a ledger may be moved to a network file system, and back."""
    place = tmp_path / "ledger.db"
    seen = []
    for is_network in (True, False, True, False):
        with monkeypatch.context() as patch:
            if is_network:
                journal.use_rollback(patch)
            with Ledger.open(place, now=NOW) as ledger:
                seen.append((ledger._connection.execute("PRAGMA journal_mode").fetchone()[0], bool(ledger.notices)))
                ledger.set_flag(str(len(seen)), "kept")
            with Ledger.open(place, now=NOW, read_only=True) as ledger:
                assert len(ledger.flags("")) == len(seen)
        assert [file.name for file in tmp_path.iterdir()] == ["ledger.db"]
    assert seen == [("delete", True), ("wal", False), ("delete", False), ("wal", False)]


def test_the_file_system_of_a_path_is_that_of_its_innermost_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(connecting, "_MOUNTS", mounts)
    assert connecting.file_system(tmp_path / "ledger.db") == ""
    assert not connecting.shares_memory(tmp_path / "ledger.db"), "what is not known is not trusted"
    home = str(tmp_path.resolve()).replace(" ", "\\040")
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\nhead:/x {home}/on\\040net nfs4 rw 0 0\n/dev/sdb {home}/disk xfs rw 0 0\n"
    )
    assert connecting.file_system(tmp_path / "on net" / "state" / "ledger.db") == "nfs4"
    assert connecting.file_system(tmp_path / "disk" / "ledger.db") == "xfs"
    assert connecting.file_system(tmp_path / "diskette") == "ext4"
    assert connecting.shares_memory(tmp_path / "disk")
    assert not connecting.shares_memory(tmp_path / "on net")


def test_a_log_left_by_a_killed_run_does_not_speak_of_a_ledger_begun_anew(
    log: Path, request: pytest.FixtureRequest
) -> None:
    """The file was deleted or emptied and what stands beside it was forgotten."""
    for blank in (True, False):
        with child(WRITING, log, request.path.parent) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.kill()
            writer.wait()
        assert log.with_name("ledger.db-wal").exists()
        log.write_bytes(b"") if blank else log.unlink()
        with Ledger.open(log, now=NOW) as ledger:
            assert ledger.machines() == ()
            ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
    with Ledger.open(log, now=NOW, read_only=True) as ledger:
        assert len(ledger.machines()) == 3


BUSY = """
import time
import sys
from autoscale_aks.ledger.store import Ledger

with Ledger.open(sys.argv[1], now=0.0) as ledger:
    print("at work", flush=True)
    while True:
        ledger._connection.execute("BEGIN EXCLUSIVE")
        time.sleep(0.01)
        ledger._connection.execute("COMMIT")
        time.sleep(0.0002)
"""

HOLDING = """
import os, sys
from autoscale_aks.ledger.lock import Writer, WriterLock
from autoscale_aks.ledger.store import Ledger

if sys.argv[2] == "with the lock":
    WriterLock(sys.argv[1], Writer(owner="ann", now=0.0, pid=os.getpid(), host="head")).acquire()
with Ledger.open(sys.argv[1], now=0.0) as ledger:
    ledger._connection.execute("BEGIN EXCLUSIVE")
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def rollback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger on a network file system."""
    journal.use_rollback(monkeypatch)
    place = tmp_path / "state" / "ledger.db"
    with Ledger.open(place, now=NOW) as ledger:
        ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
    return place


def test_beside_a_writer_that_never_rests_every_reader_finds_a_gap(rollback: Path) -> None:
    with child(BUSY, rollback) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "at work\n"
        for _ in range(10):
            with Ledger.open(rollback, now=NOW, read_only=True) as ledger:
                assert len(ledger.machines()) == 3


def test_a_reader_looks_for_a_gap_thousands_of_times_before_it_gives_up(
    rollback: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer on a slow disk leaves one for a millisecond in a second: who looks ten times a second meets none."""
    looks, real = itertools.count(1), reading.copy

    def copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        if next(looks) < 10_000:
            raise sqlite3.OperationalError("database is locked")
        real(source, target)

    monkeypatch.setattr(reading, "copy", copy)
    with Ledger.open(rollback, now=NOW, read_only=True) as ledger:
        assert len(ledger.machines()) == 3


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("with the lock", r"in 0\.05 s: another run \(ann, process {pid} on head\) is the writer since 1970-"),
        ("by hand", r"in 0\.05 s: a program that is no writer of it keeps it locked; see which \(fuser "),
    ],
)
def test_a_reader_that_finds_no_gap_in_its_time_says_who_holds_the_ledger(rollback: Path, how: str, said: str) -> None:
    with child(HOLDING, rollback, how) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "locked\n"
        writer.send_signal(signal.SIGSTOP)
        with pytest.raises(LedgerBusyError, match=said.format(pid=writer.pid)):
            Ledger.open(rollback, now=NOW, read_only=True, busy_timeout_s=0.05)
