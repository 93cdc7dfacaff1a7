"""Connections to the ledger's file, and what is asked of the file before one is made."""

from __future__ import annotations

import re
import sqlite3
import stat
from pathlib import Path
from typing import Final

from autoscale_aks.errors import LedgerError

_MOUNTS: Final = Path("/proc/self/mounts")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_LOCAL: Final = frozenset(
    {"aufs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs", "tmpfs",
     "xfs", "zfs"}
)  # fmt: skip


def connect(path: Path, mode: str, busy_timeout_s: float, options: str = "") -> sqlite3.Connection:
    """A connection that begins no transaction by itself. `mode` is `ro` or `rw`: neither makes a file."""
    uri = f"{path.absolute().as_uri()}?mode={mode}{options}"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)


def copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy under one read transaction: taken first, so that a busy file meets the timeout and not an endless loop."""
    source.execute("BEGIN")
    try:
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(target)
    finally:
        if source.in_transaction:
            source.execute("ROLLBACK")


def check(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError when the file's pages are not whole."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")


def refuse_unsafe(path: Path) -> None:
    """Raise LedgerError for what is no file, or may be written by others."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise LedgerError(f"ledger {path} is not a regular file; give another path")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise LedgerError(
            f"ledger {path} may be written by other users (mode {stat.S_IMODE(mode):04o}), who could have machines "
            f"deleted; check its content, then run: chmod 600 {path}"
        )


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, as the kernel calls it; empty when it does not tell."""
    place = path.resolve()
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found, depth = "", -1
    for line in lines:
        _, mounted, kind, *_ = line.split(" ")
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), mounted))
        if place.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind, len(point.parts)
    return found


def shares_memory(path: Path) -> bool:
    """Whether all who open the file run on one host: a write-ahead log needs memory that they share."""
    return file_system(path) in _LOCAL
