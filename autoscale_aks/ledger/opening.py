"""Opening the file: for writing, or as a private copy in memory that leaves nothing behind on disk.

The journal is SQLite's rollback journal, not the write-ahead log: the file alone is the ledger between runs, a reader
needs no `-wal` or `-shm` beside it, and two head nodes may share it on a network file system. `synchronous=EXTRA`
makes a finished transaction survive a power cut; `cache_spill=OFF` keeps readers out only for the commit itself.

A reader copies the file into memory under SQLite's own shared lock, which takes milliseconds, and then lets go of it.
`immutable=1` is not used: it reads past locks and past the journal of a killed writer, and so reports half a change.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger import schema
from autoscale_aks.ledger.damage import refuse_stranger, set_aside
from autoscale_aks.ledger.explaining import explained, is_damage

if TYPE_CHECKING:
    from collections.abc import Mapping

_COPY_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Opened:
    """An open ledger, what the operator must hear of it, and the version its file had (None: there was none)."""

    connection: sqlite3.Connection
    notices: tuple[str, ...]
    file_version: int | None


def make_parent(path: Path) -> None:
    """Make the directory of `path`, for this user only, unless it exists."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file stands at `path`; None when there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def open_for_writing(path: Path, *, now: float, busy_timeout_s: float) -> Opened:
    """The file itself, made or migrated when needed; a damaged one is set aside and a new one begun."""
    with explained(path):
        make_parent(path)
        made = _create(path)
        _refuse_unsafe(path)
        _refuse_unwritable(path)
        notices: tuple[str, ...] = ()
        if not made and not path.stat().st_size:
            notices = (f"ledger {path} was empty; a new one was begun and machines the cloud lists are adopted",)
        try:
            connection, version = _connect_for_writing(path, busy_timeout_s)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            refuse_stranger(path)
            aside = set_aside(path, now, str(error))
            _create(path)
            connection, version = _connect_for_writing(path, busy_timeout_s, aside.next_numbers)
            notices = (aside.notice,)
        return Opened(connection, notices, None if made else version)


def open_snapshot(path: Path, *, busy_timeout_s: float) -> Opened:
    """A copy in memory of what the file says now, migrated there when it is older; no file is an empty ledger."""
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with explained(path):
            version = _load(memory, path, busy_timeout_s)
            schema.migrate(memory, schema.MIGRATIONS)
            memory.execute("PRAGMA query_only = ON")
    except BaseException:
        memory.close()
        raise
    return Opened(memory, (), version)


def _connect_for_writing(
    path: Path, busy_timeout_s: float, next_numbers: Mapping[str, int] = frozendict()
) -> tuple[sqlite3.Connection, int]:
    connection = _connect(path, "rw", busy_timeout_s)
    try:
        version = schema.read_version(connection, path, len(schema.MIGRATIONS))
        _check(connection)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA cache_spill = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        if version < len(schema.MIGRATIONS):
            if version:
                _back_up(connection, path.with_name(f"{path.name}.bak-v{version}"))
            schema.migrate(connection, schema.MIGRATIONS)
        query = "INSERT INTO series (nodearray, next_number) VALUES (?, ?)"
        connection.executemany(query, next_numbers.items())
    except BaseException:
        connection.close()
        raise
    return connection, version


def _connect(path: Path, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)


def _check(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")


def _create(path: Path) -> bool:
    """Make an empty file for this user only; False if there is one."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def _refuse_unsafe(path: Path) -> None:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise LedgerError(f"ledger {path} is not a regular file; give another path")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise LedgerError(
            f"ledger {path} may be written by other users (mode {stat.S_IMODE(mode):04o}), who could have machines "
            f"deleted; check its content, then run: chmod 600 {path}"
        )


def _refuse_unwritable(path: Path) -> None:
    """SQLite would silently open a file it may not write for reading, and fail only at the first intent."""
    for place, needed in ((path, os.R_OK | os.W_OK), (path.parent, os.W_OK | os.X_OK)):
        if not os.access(place, needed):
            raise LedgerError(
                f"{place} may not be written by this user, and the ledger must be; run as its owner, or give it to "
                "this user with chown"
            )


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    """A copy of the file as it was, complete or not there at all."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    _create(unfinished)
    with closing(_connect(unfinished, "rw", 0.0)) as copy:
        _copy(connection, copy)
    unfinished.replace(target)


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy under one read transaction: taken first, so that a busy file meets the timeout and not an endless loop."""
    source.execute("BEGIN")
    try:
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(target)
    finally:
        if source.in_transaction:
            source.execute("ROLLBACK")


def _load(memory: sqlite3.Connection, path: Path, busy_timeout_s: float) -> int | None:
    """Copy the file into `memory`; its version, or None when there is no file."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    _refuse_unsafe(path)
    if not size:
        return 0
    for _ in range(_COPY_ATTEMPTS):
        try:
            with closing(_connect(path, "ro", busy_timeout_s)) as source:
                _copy(source, memory)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
            if not _load_after_a_crash(memory, path):
                continue
        version = schema.read_version(memory, path, len(schema.MIGRATIONS))
        _check(memory)
        return version
    raise LedgerError(f"ledger {path} changed each time it was read; run again")


def _load_after_a_crash(memory: sqlite3.Connection, path: Path) -> bool:
    """A killed writer left its journal: undo its change in a private copy, as the next writer will in the file.

    False if a writer came meanwhile. The file is opened by hand only here, where no connection of this process can
    hold SQLite's locks on it, which closing it by hand would drop.
    """
    journal = path.with_name(f"{path.name}-journal")
    with TemporaryDirectory(prefix="azaks-ledger-") as directory:
        copy = Path(directory, "ledger")
        try:
            before = _mark(path), _mark(journal)
            shutil.copyfile(path, copy)
            shutil.copyfile(journal, copy.with_name("ledger-journal"))
            unchanged = before == (_mark(path), _mark(journal))
        except FileNotFoundError:
            return False
        if unchanged:
            with closing(_connect(copy, "rw", 0.0)) as source:
                _copy(source, memory)
        return unchanged


def _mark(path: Path) -> tuple[int, int, int]:
    seen = path.stat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
