"""Reading the file into memory, without a trace and without a lock that a writer would have to wait for.

Three cases, told by what stands beside the file:

- **At rest**, nothing but the file: no writer has changed anything that is not in it. It is copied with `immutable=1`,
  which takes no lock and makes no file. The copy counts if the file is the same after it as before.
- **A write-ahead log with its index**: a writer lives, or was killed. It is read beside them with the index open for
  reading only (`readonly_shm`), so that nothing is made, repaired or removed.
- **A rollback journal** (network file systems): under SQLite's shared lock for the milliseconds of the copy. A writer
  keeps readers out from before it syncs its journal until the file is synced, so beside one that never rests the gaps
  are few and short: they are looked for every millisecond, because a reader that waits longer each time meets none; one
  that meets none in its time says who is at it.

What a killed writer left half done, and cannot be read so, is put right in a private copy, as the next writer will do
in the file.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from autoscale_aks.errors import LedgerBusyError, LedgerError
from autoscale_aks.ledger import schema
from autoscale_aks.ledger.connecting import check, connect, copy, refuse_unsafe, shares_memory

_ATTEMPTS: Final = 50
"""Most times that a file which changed while it was read is read again."""
_JOURNALS: Final = ("-journal", "-wal")
_BUSY: Final = "database is locked"
_LOOK_S: Final = 0.002
"""SQLite waits ever longer, up to 0.1 s, before it looks for a gap again; begun anew so soon, it looks every 1 ms."""
_UNUSABLE: Final = ("readonly", "unable to open")
"""What SQLite says of a file that it would have to repair, or to make an index for, and may not."""


def load(memory: sqlite3.Connection, path: Path, patience_s: float) -> int | None:
    """Copy the file into `memory`; its version, or None when there is no file.

    A file that is locked is waited for, so many seconds or a little more. Raises LedgerBusyError when it was locked all
    that time, LedgerError when it is no ledger or never stands still, sqlite3.Error for what SQLite says.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    refuse_unsafe(path)
    if not size:
        return 0
    for _ in range(_ATTEMPTS):
        if _load_once(memory, path, patience_s):
            version = schema.read_version(memory, path, len(schema.MIGRATIONS))
            check(memory)
            return version
    raise LedgerError(f"ledger {path} changed each time it was read; run again")


def _load_once(memory: sqlite3.Connection, path: Path, patience_s: float) -> bool:
    """Whether the copy is of one moment."""
    if not _companions(path) and shares_memory(path):
        return _load_at_rest(memory, path)
    try:
        with closing(connect(path, "ro", min(patience_s, _LOOK_S), "&readonly_shm=1")) as source:
            if not _copy_in_a_gap(source, memory, ceil(patience_s / _LOOK_S)):
                raise LedgerBusyError(f"ledger {path} could not be read in {patience_s:g} s")
    except sqlite3.OperationalError as error:
        if not any(mark in str(error) for mark in _UNUSABLE):
            raise
        return _load_apart(memory, path)
    return True


def _copy_in_a_gap(source: sqlite3.Connection, memory: sqlite3.Connection, looks: int) -> bool:
    """Copy as soon as no commit is under way; False when there was one at each look."""
    for _ in range(max(looks, 1)):
        try:
            copy(source, memory)
        except sqlite3.OperationalError as error:
            if _BUSY not in str(error):
                raise
        else:
            return True
    return False


def _companions(path: Path) -> list[Path]:
    """Journals with something in them: what they say belongs to the file."""
    found = []
    for ending in _JOURNALS:
        journal = path.with_name(path.name + ending)
        with suppress(FileNotFoundError):
            if journal.stat().st_size:
                found.append(journal)
    return found


def _load_at_rest(memory: sqlite3.Connection, path: Path) -> bool:
    """Copy a file that nobody changes meanwhile. A writer that comes writes beside it first."""
    before = _mark(path)
    with closing(connect(path, "ro", 0.0, "&immutable=1")) as source:
        copy(source, memory)
    return before == _mark(path)


def _load_apart(memory: sqlite3.Connection, path: Path) -> bool:
    """A killed writer left its journal: end or undo its change in a private copy. False if a writer came meanwhile.

    The file is opened by hand only here, where no connection of this process can hold SQLite's locks on it, which
    closing it by hand would drop.
    """
    with TemporaryDirectory(prefix="azaks-ledger-") as directory:
        apart = Path(directory, "ledger")
        try:
            files = (path, *_companions(path))
            before = [_mark(file) for file in files]
            for file in files:
                shutil.copyfile(file, apart.with_name(apart.name + file.name.removeprefix(path.name)))
            unchanged = before == [_mark(file) for file in files] and (path, *_companions(path)) == files
        except FileNotFoundError:
            return False
        if unchanged:
            with closing(connect(apart, "rw", 0.0)) as source:
                copy(source, memory)
        return unchanged


def _mark(path: Path) -> tuple[int, int, int]:
    seen = path.stat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
