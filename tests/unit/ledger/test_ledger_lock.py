from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from ledger_cases import NOW, bytes_and_times, child

from autoscale_aks.errors import LedgerError, LockHeldError, LockLostError
from autoscale_aks.ledger import lock as lock_module
from autoscale_aks.ledger.lock import STALE_S, Writer, WriterLock, holder
from autoscale_aks.ledger.takeover import claimed

if TYPE_CHECKING:
    from pathlib import Path

HOLDING = """
import os, sys
from autoscale_aks.ledger.lock import Writer, WriterLock

with WriterLock(sys.argv[1], Writer(owner="cron", now=float(sys.argv[2]), pid=os.getpid(), host="head-1")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


def lock_of(path: Path, *, host: str = "head-1", now: float = NOW + 60) -> WriterLock:
    return WriterLock(path, Writer(owner="hook", now=now, pid=4242, host=host))


def _record(owner: str, pid: int, host: str, at: float) -> dict[str, object]:
    return {"owner": owner, "pid": pid, "host": host, "started_at": at, "heartbeat_at": at}


def test_a_second_writer_is_told_who_and_since_when(path: Path) -> None:
    with child(HOLDING, path, NOW) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        told = rf"cron, process {process.pid} on head-1.*since 2026-09-21T14:13:20Z.*ledger\.db\.lock"
        with pytest.raises(LockHeldError, match=told):
            lock_of(path).acquire()
        assert holder(path) == _record("cron", process.pid, "head-1", NOW)


def test_the_kernel_frees_the_lock_of_a_killed_run(path: Path) -> None:
    with child(HOLDING, path, NOW) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        assert process.wait(20) == -signal.SIGKILL
    assert holder(path) is None
    with lock_of(path):
        assert holder(path) == _record("hook", 4242, "head-1", NOW + 60)
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


# The heartbeat, and runs of other hosts


def left_by(path: Path, host: str, beat: float) -> Path:
    """The lock's file as a run of that host left it, which never let go."""
    path.parent.mkdir(exist_ok=True)
    file = path.parent / "ledger.db.lock"
    file.write_text(json.dumps({**_record("cron", 7, host, NOW - 3600), "heartbeat_at": beat}) + "\n")
    return file


def test_the_heartbeat_says_that_the_run_still_lives(path: Path) -> None:
    with lock_of(path) as lock:
        lock.renew(NOW + 90)
        assert holder(path) == {**_record("hook", 4242, "head-1", NOW + 60), "heartbeat_at": NOW + 90}
        with pytest.raises(LockHeldError, match=r"since 2026-09-21T14:14:20Z, last heard of at 2026-09-21T14:14:50Z"):
            lock_of(path, host="head-2").acquire()


@pytest.mark.parametrize("held", [False, True], ids=["no lock between hosts", "a lock that outlived its host"])
def test_a_run_of_another_host_is_left_alone_while_its_heart_beats_and_taken_over_when_it_does_not(
    path: Path, held: bool
) -> None:
    file = left_by(path, "head-2", NOW)
    ghost = os.open(file, os.O_RDWR)
    try:
        if held:
            fcntl.flock(ghost, fcntl.LOCK_EX)
        with pytest.raises(LockHeldError, match="process 7 on head-2"):
            lock_of(path, now=NOW + STALE_S).acquire()
        with lock_of(path, now=NOW + STALE_S + 1):
            assert (holder(path) or {})["host"] == "head-1"
            with pytest.raises(LockHeldError, match="hook, process 4242 on head-1"):
                lock_of(path, host="head-3", now=NOW + STALE_S + 2).acquire()
    finally:
        os.close(ghost)
    assert sorted(left.name for left in path.parent.iterdir()) == ["ledger.db.lock"]


def test_what_a_dead_run_of_this_host_left_is_taken_at_once_however_fresh(path: Path) -> None:
    left_by(path, "head-1", NOW)
    with lock_of(path, now=NOW):
        assert (holder(path) or {})["pid"] == 4242


def test_a_process_of_this_host_that_hangs_is_never_taken_over(path: Path) -> None:
    with child(HOLDING, path, NOW) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(LockHeldError, match="on head-1"):
            lock_of(path, now=NOW + 100 * STALE_S).acquire()


def test_a_run_that_was_taken_over_learns_it_with_its_next_heartbeat_and_lets_the_other_be(path: Path) -> None:
    slow = lock_of(path, host="head-2", now=NOW)
    slow.acquire()
    quick = lock_of(path, now=NOW + STALE_S + 1)
    quick.acquire()
    with pytest.raises(LockLostError, match=r"taken over: another run .hook, process 4242 on head-1"):
        slow.renew(NOW + STALE_S + 2)
    slow.release()
    quick.renew(NOW + STALE_S + 3)
    assert (holder(path) or {})["host"] == "head-1"
    quick.release()


def test_a_lock_that_was_let_go_cannot_be_renewed(path: Path) -> None:
    lock = lock_of(path)
    with lock:
        pass
    with pytest.raises(LockLostError):
        lock.renew(NOW)


RACING = """
import fcntl, sys
from autoscale_aks.errors import LockHeldError
from autoscale_aks.ledger.lock import Writer, WriterLock

path, host, now = sys.argv[1], sys.argv[2], float(sys.argv[3])
if sys.argv[4] == "blind":  # a file system that does not lock between hosts
    fcntl.flock = lambda *_: None
lock = WriterLock(path, Writer(owner="race", now=now, pid=int(host[5:]), host=host))
print("ready", flush=True)
sys.stdin.readline()
try:
    lock.acquire()
except LockHeldError as error:
    print("held", flush=True)
else:
    print("won", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("start", "blind"), [("nothing", ""), ("dead here", ""), ("dead elsewhere", ""), ("dead elsewhere", "blind")]
)
def test_of_many_runs_on_many_hosts_that_come_at_once_exactly_one_wins(path: Path, start: str, blind: str) -> None:
    """Each process says it is on a host of its own; what they share is the file alone."""
    path.parent.mkdir()
    if start != "nothing":
        left_by(path, "head-0" if start == "dead here" else "head-99", NOW - 2 * STALE_S)
    with ExitStack() as stack:
        runs = [stack.enter_context(child(RACING, path, f"head-{number}", NOW, blind)) for number in range(8)]
        for run in runs:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
        for run in runs:
            assert run.stdin is not None
            run.stdin.write("\n")
            run.stdin.flush()
        answers = [run.stdout.readline().strip() for run in runs if run.stdout is not None]
        assert sorted(answers) == ["held"] * 7 + ["won"]


def test_a_claim_whose_maker_was_killed_is_swept_away_in_the_end(path: Path) -> None:
    file = left_by(path, "head-2", NOW - 2 * STALE_S)
    with claimed(file, json.loads(file.read_text()), now=NOW, stale_s=STALE_S) as is_ours:
        assert is_ours
        for now in (NOW + 1, NOW + 6 * STALE_S):
            with pytest.raises(LockHeldError, match=r"taking .* over at this moment"):
                lock_of(path, now=now).acquire()
        with lock_of(path, now=NOW + 6 * STALE_S):
            pass
