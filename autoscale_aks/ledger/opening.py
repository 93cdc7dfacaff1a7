"""Opening the file: for writing, or as a private copy in memory that leaves nothing behind on disk.

Writers keep a write-ahead log where all who open the file share memory, that is on a local file system; the last one
to close it leaves the file alone. On a network file system the journal is SQLite's rollback journal, so that two head
nodes may share the file. `synchronous=EXTRA` makes a finished transaction survive a power cut in both, and with
`cache_spill=OFF` readers of a rollback journal are kept out only for the commit itself. How readers read: `reading.py`.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger import schema
from autoscale_aks.ledger.connecting import check, connect, copy, file_system, refuse_unsafe, shares_memory
from autoscale_aks.ledger.damage import refuse_stranger, set_aside
from autoscale_aks.ledger.explaining import explained, is_damage
from autoscale_aks.ledger.reading import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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
        refuse_unsafe(path)
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
        if made:
            notices += _note_place(path)
        return Opened(connection, notices, None if made else version)


def open_snapshot(path: Path, *, patience_s: float) -> Opened:
    """A copy in memory of what the file says now, migrated there when it is older; no file is an empty ledger.

    Raises LedgerError with a next step; LedgerBusyError, without one, when the file was locked for `patience_s`.
    """
    memory = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with explained(path):
            version = load(memory, path, patience_s)
            schema.migrate(memory, schema.MIGRATIONS)
            memory.execute("PRAGMA query_only = ON")
    except BaseException:
        memory.close()
        raise
    return Opened(memory, (), version)


def _connect_for_writing(
    path: Path, busy_timeout_s: float, next_numbers: Mapping[str, int] = frozendict()
) -> tuple[sqlite3.Connection, int]:
    connection = connect(path, "rw", busy_timeout_s)
    try:
        version = schema.read_version(connection, path, len(schema.MIGRATIONS))
        check(connection)
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA cache_spill = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        if version < len(schema.MIGRATIONS):
            if version:
                _back_up(connection, path.with_name(f"{path.name}.bak-v{version}"))
            schema.migrate(connection, schema.MIGRATIONS)
        _choose_journal(connection, path)
        query = "INSERT INTO series (nodearray, next_number) VALUES (?, ?)"
        connection.executemany(query, next_numbers.items())
    except BaseException:
        connection.close()
        raise
    return connection, version


def _choose_journal(connection: sqlite3.Connection, path: Path) -> None:
    """A write-ahead log where it can be, and the rollback journal elsewhere, whatever the file had before."""
    connection.execute("PRAGMA journal_mode = WAL" if shares_memory(path) else "PRAGMA journal_mode = DELETE")


def _note_place(path: Path) -> tuple[str, ...]:
    """What is to be said of a ledger that was begun on a file system where it cannot have a write-ahead log."""
    if shares_memory(path):
        return ()
    kind = file_system(path) or "unknown"
    text = (
        f"ledger {path} is on a file system of type {kind}: it is kept with a rollback journal, and a writer may wait "
        "some milliseconds for a reader; a local disk is better where no other head node shares it"
    )
    return (text,)


def _create(path: Path) -> bool:
    """Make an empty file for this user only; False if there is one."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


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
    with closing(connect(unfinished, "rw", 0.0)) as kept:
        copy(connection, kept)
    unfinished.replace(target)
