"""One writer at a time: a lock the kernel frees when its holder ends, however it ends.

The file `<ledger>.lock` stays; who holds it is written inside, for people. Only the kernel's lock counts, so there is
no stale lock to take over and no heartbeat to keep.
"""

from __future__ import annotations

import fcntl
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from autoscale_aks.errors import LockHeldError
from autoscale_aks.ledger.explaining import explained
from autoscale_aks.ledger.opening import make_parent

if TYPE_CHECKING:
    from types import TracebackType

_ATTEMPTS: Final = 200
_LENGTH: Final = 4096


@final
class WriterLock:
    """The right to write the ledger at `path`; a context manager, not reentrant.

    `now`, `pid` and `host` are what others are told of this run. A child made by `fork` shares the lock; one made by
    `exec` does not.
    """

    def __init__(self, path: str | Path, owner: str, now: float, pid: int, host: str = "") -> None:
        self.path = _lock_path(path)
        self._content = {"owner": owner, "pid": pid, "host": host, "started_at": now}
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once, or raise LockHeldError saying who has it and since when."""
        with explained(self.path):
            make_parent(self.path)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                self._hold(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
        self._descriptor = descriptor

    def _hold(self, descriptor: int) -> None:
        if not _take(descriptor):
            raise LockHeldError(_describe(self.path, _read(descriptor)))
        text = json.dumps(self._content).encode() + b"\n"
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))

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


def holder(path: str | Path) -> dict[str, Any] | None:
    """Who holds the lock of the ledger at `path` (owner, pid, host, started_at); None when nobody does.

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


def _read(descriptor: int) -> dict[str, Any]:
    """What a holder wrote; empty when it is being written or makes no sense."""
    try:
        content = json.loads(os.pread(descriptor, _LENGTH, 0).partition(b"\n")[0])
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _describe(lock: Path, content: dict[str, Any]) -> str:
    who = f"{content.get('owner') or 'unknown'}, process {content.get('pid', 'unknown')}"
    if content.get("host"):
        who += f" on {content['host']}"
    return f"another run ({who}) is the writer since {_moment(content.get('started_at'))}; {lock} is free when it ends"


def _moment(seconds: object) -> str:
    """RFC 3339, in UTC."""
    if not isinstance(seconds, int | float):
        return "an unknown time"
    try:
        moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "an unknown time"
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _lock_path(path: str | Path) -> Path:
    return Path(f"{path}.lock")
