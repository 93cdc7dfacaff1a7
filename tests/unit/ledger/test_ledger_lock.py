from __future__ import annotations

import fcntl
import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest
from ledger_cases import NOW, bytes_and_times, child

from autoscale_aks.errors import LedgerError, LockHeldError
from autoscale_aks.ledger import lock as lock_module
from autoscale_aks.ledger.lock import WriterLock, holder

if TYPE_CHECKING:
    from pathlib import Path

HOLDING = """
import os, sys
from autoscale_aks.ledger.lock import WriterLock

with WriterLock(sys.argv[1], owner="cron", now=float(sys.argv[2]), pid=os.getpid(), host="head-1"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


def lock_of(path: Path) -> WriterLock:
    return WriterLock(path, owner="hook", now=NOW + 60, pid=4242)


def test_a_second_writer_is_told_who_and_since_when(path: Path) -> None:
    with child(HOLDING, path, NOW) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        told = rf"cron, process {process.pid} on head-1.*since 2026-09-21T14:13:20Z.*ledger\.db\.lock"
        with pytest.raises(LockHeldError, match=told):
            lock_of(path).acquire()
        assert holder(path) == {"owner": "cron", "pid": process.pid, "host": "head-1", "started_at": NOW}


def test_the_kernel_frees_the_lock_of_a_killed_run(path: Path) -> None:
    with child(HOLDING, path, NOW) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        assert process.wait(20) == -signal.SIGKILL
    assert holder(path) is None
    with lock_of(path):
        assert holder(path) == {"owner": "hook", "pid": 4242, "host": "", "started_at": NOW + 60}
    assert holder(path) is None


def test_two_locks_in_one_process_exclude_each_other(path: Path) -> None:
    first = lock_of(path)
    with first:
        for second in (lock_of(path), first):
            with pytest.raises(LockHeldError, match="hook, process 4242"):
                second.acquire()
        assert holder(path) is not None
    with lock_of(path):
        pass
    first.release()


def test_a_failing_run_lets_go(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock_of(path):
        raise ZeroDivisionError
    assert holder(path) is None


def test_only_its_owner_can_read_the_lock_and_its_directory(path: Path) -> None:
    with lock_of(path):
        assert stat.S_IMODE((path.parent / "ledger.db.lock").stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_asking_who_holds_it_changes_nothing(path: Path) -> None:
    assert holder(path) is None
    assert not path.parent.exists()
    with lock_of(path):
        before = bytes_and_times(path.parent)
        assert holder(path) is not None
        assert bytes_and_times(path.parent) == before


def test_a_reader_looking_at_what_a_killed_run_left_does_not_stop_a_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    file = path.parent / "ledger.db.lock"
    file.write_text('{"owner": "dead"}\n')
    reader = os.open(file, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_SH)
    looks = iter([None] * 3)

    def leave() -> None:
        if next(looks, "done") == "done":
            fcntl.flock(reader, fcntl.LOCK_UN)

    monkeypatch.setattr(lock_module.os, "sched_yield", leave)
    try:
        with lock_of(path):
            assert holder(path) is not None
    finally:
        os.close(reader)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b'{"owner": 3, "started_at": 1e99}', b'{"started_at":'])
def test_a_lock_file_that_makes_no_sense_still_locks(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    file = path.parent / "ledger.db.lock"
    file.write_bytes(content)
    other = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LockHeldError, match=r"another run .* since an unknown time"):
            lock_of(path).acquire()
    finally:
        os.close(other)
    with lock_of(path):
        assert (holder(path) or {})["owner"] == "hook"


def test_a_lock_that_cannot_be_made_is_an_error_of_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "linked.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerError, match="symbolic link"):
        lock_of(tmp_path / "linked").acquire()
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="another path"):
        lock_of(tmp_path / "file" / "ledger.db").acquire()
