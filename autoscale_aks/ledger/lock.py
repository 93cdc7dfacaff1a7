"""One writer at a time: a lock the kernel frees when its holder ends, and a heartbeat for what kernels cannot see.

====================  ============================  ==========================================================
the kernel's lock is  and the file's last words     then a run that comes
====================  ============================  ==========================================================
free                  are empty, or of this host    takes it: its holder has ended, however it ended
free                  of another host, fresh        leaves it: a file system that does not lock between hosts
free                  of another host, stale        takes it over: that run has ended
held                  of another host, stale        takes it over: that host died, and its lock outlived it
held                  anything else                 leaves it; a process that hangs here is not one that ended
====================  ============================  ==========================================================

A record is stale when its heartbeat is older than `STALE_S`; the clocks of hosts that share a ledger may differ by a
small part of that. A take-over replaces the file, under a claim that only one can make (`takeover`), so that a holder
that wakes up again finds out with its next heartbeat.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from autoscale_aks.errors import LockHeldError, LockLostError
from autoscale_aks.ledger.explaining import explained
from autoscale_aks.ledger.opening import make_parent
from autoscale_aks.ledger.takeover import claimed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

STALE_S: Final = 120.0
"""A heartbeat older than this is that of a run which has ended, when the kernel cannot say (user ask T33a)."""

_ATTEMPTS: Final = 200
_LENGTH: Final = 4096
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who wants to write: what others are told of this run. `now` is its start, in seconds since the epoch."""

    owner: str
    now: float
    pid: int
    host: str = ""


@final
class WriterLock:
    """The right to write the ledger at `path`; a context manager, not reentrant.

    A child made by `fork` shares the lock; one made by `exec` does not.
    """

    def __init__(self, path: str | Path, writer: Writer) -> None:
        self.path = _lock_path(path)
        self._writer = writer
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once, or raise LockHeldError saying who has it and since when."""
        with explained(self.path):
            make_parent(self.path)
            for _ in range(_ATTEMPTS):
                if self._try_to_acquire():
                    return
            raise LockHeldError(f"{self.path} changes hands faster than it can be taken; run again")

    def renew(self, now: float) -> None:
        """The heartbeat. Raises LockLostError when another run has taken the lock over."""
        with explained(self.path):
            if self._descriptor is None or not _is_current(self._descriptor, self.path):
                raise LockLostError(f"{self.path} was taken over: {_describe(self.path, _read_at(self.path))}")
            self._write(self._descriptor, now)

    def release(self) -> None:
        """Let go; twice is harmless."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            with explained(self.path):
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def __enter__(self) -> WriterLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _try_to_acquire(self) -> bool:
        """Whether it is ours now; False: the file was replaced meanwhile, look again."""
        descriptor = os.open(self.path, _FLAGS, 0o600)
        kept = False
        try:
            is_free = _take(descriptor)
            if not _is_current(descriptor, self.path):
                return False
            record = _read(descriptor)
            if is_free and not self._is_foreign(record):
                self._write(descriptor, self._writer.now)
                self._descriptor, kept = descriptor, True
                return True
            if not self._is_over(record):
                raise LockHeldError(_describe(self.path, record))
            self._take_over(record)
            return True
        finally:
            if not kept:
                os.close(descriptor)

    def _take_over(self, record: Mapping[str, Any]) -> None:
        """Put a file of our own, locked already, in the place of the one a dead run left."""
        with claimed(self.path, record, now=self._writer.now, stale_s=STALE_S) as is_ours:
            if not is_ours or _read_at(self.path) != record:
                raise LockHeldError(f"another run is taking {self.path} over at this moment")
            fresh = self.path.with_name(f"{self.path.name}.{self._writer.host or 'host'}.{self._writer.pid}")
            descriptor = os.open(fresh, _FLAGS | os.O_TRUNC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._write(descriptor, self._writer.now)
                fresh.replace(self.path)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor

    def _is_foreign(self, record: Mapping[str, Any]) -> bool:
        """Whether the record is of another host, of which this kernel knows nothing."""
        return bool(record.get("host")) and record["host"] != self._writer.host

    def _is_over(self, record: Mapping[str, Any]) -> bool:
        """Whether the run of a record has ended, although this kernel cannot know."""
        beat = record.get("heartbeat_at", record.get("started_at"))
        return self._is_foreign(record) and isinstance(beat, int | float) and self._writer.now - beat > STALE_S

    def _write(self, descriptor: int, now: float) -> None:
        writer = self._writer
        record = {
            "owner": writer.owner,
            "pid": writer.pid,
            "host": writer.host,
            "started_at": writer.now,
            "heartbeat_at": now,
        }
        text = json.dumps(record).encode() + b"\n"
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))


def holder(path: str | Path) -> dict[str, Any] | None:
    """Who holds the lock of the ledger at `path` (owner, pid, host, started_at, heartbeat_at); None when nobody does.

    For reports: it may be over by the time it is read. Changes nothing on disk.
    """
    lock = _lock_path(path)
    with explained(lock):
        try:
            descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            content = _read(descriptor)
            return content if content and not _try(descriptor, fcntl.LOCK_SH) else None
        finally:
            os.close(descriptor)


def describe_user(path: str | Path) -> str:
    """Who keeps the ledger at `path` so busy that it could not be read, and what to do; for messages."""
    found = holder(path)
    if found is None:
        return f"a program that is no writer of it keeps it locked; see which (fuser {path}), end it, and run again"
    return f"{_describe(_lock_path(path), found)}; run again, and look at that run if it never rests"


def _take(descriptor: int) -> bool:
    """Lock for writing. A reader looking at what a killed run left is in the way only for an instant: try again."""
    for _ in range(_ATTEMPTS):
        if _try(descriptor, fcntl.LOCK_EX):
            return True
        if not _try(descriptor, fcntl.LOCK_SH):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.sched_yield()
    return False


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that stands at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> dict[str, Any]:
    """What a holder wrote; empty when it is being written or makes no sense."""
    try:
        content = json.loads(os.pread(descriptor, _LENGTH, 0).partition(b"\n")[0])
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _read_at(path: Path) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return {}
    try:
        return _read(descriptor)
    finally:
        os.close(descriptor)


def _describe(lock: Path, content: Mapping[str, Any]) -> str:
    who = f"{content.get('owner') or 'unknown'}, process {content.get('pid', 'unknown')}"
    if content.get("host"):
        who += f" on {content['host']}"
    beat = f", last heard of at {moment(content['heartbeat_at'])}" if "heartbeat_at" in content else ""
    since = moment(content.get("started_at"))
    return f"another run ({who}) is the writer since {since}{beat}; {lock} is free when it ends"


def moment(seconds: object) -> str:
    """RFC 3339, in UTC; `an unknown time` for what is no time."""
    if not isinstance(seconds, int | float):
        return "an unknown time"
    try:
        when = datetime.fromtimestamp(seconds, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


def _lock_path(path: str | Path) -> Path:
    return Path(f"{path}.lock")
