"""What the operator is told when SQLite or the file system says no: the path, the cause, the next step."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NEXT_STEPS: Final = (
    ("locked", "another process is using it; run again when it has ended ({path}.lock names the writer)"),
    ("disk is full", "no space is left; free some space on its file system and run again"),
    ("readonly database", "it may not be written; check its owner, its directory's, and for a read-only file system"),
    ("unable to open", "it or its directory cannot be opened; check that both exist and who owns them"),
    ("malformed", "it is damaged; the next run that may write sets it aside and begins a new one"),
    ("not a database", "it is not a ledger; give another path, or move the file away"),
    ("disk I/O error", "its file system fails; look at the system's log, then run again"),
)  # fmt: skip
_ERRNO_STEPS: Final = {
    errno.EACCES: "permission denied; run as the user who owns it, or give it to this user with chown",
    errno.EPERM: "permission denied; run as the user who owns it, or give it to this user with chown",
    errno.ENOSPC: "no space is left; free some space on its file system and run again",
    errno.EDQUOT: "this user's disk quota is used up; free some space and run again",
    errno.EROFS: "its file system is read-only; choose a path that may be written",
    errno.EISDIR: "it is a directory; give the path of a file",
    errno.EEXIST: "a part of the path is a file, not a directory; give another path",
    errno.ENOTDIR: "a part of the path is a file, not a directory; give another path",
    errno.ELOOP: "it is a symbolic link; give the path of the file itself",
    errno.ENOLCK: "its file system cannot lock files; choose a path on a local disk",
    errno.EOPNOTSUPP: "its file system cannot lock files; choose a path on a local disk",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever SQLite or the file system raises inside becomes a LedgerError that names `path` and a next step."""
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(explain_sqlite(path, error)) from error
    except OSError as error:
        step = _ERRNO_STEPS.get(error.errno or 0, f"{error.strerror or error}; check the path and run again")
        raise LedgerError(f"{error.filename or path}: {step}") from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise LedgerError(f"{path}: a value cannot be stored ({error}); nothing was recorded") from error


def explain_sqlite(path: Path, error: sqlite3.Error) -> str:
    """The message for one of SQLite's errors, by its text: the numeric codes came only with Python 3.11."""
    text = str(error)
    for mark, step in _NEXT_STEPS:
        if mark in text:
            return f"ledger {path}: {step.format(path=path)}"
    return f"ledger {path}: {text}; nothing was recorded, run again, and report it if it stays"


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file's content, not its surroundings, is the cause."""
    return any(mark in str(error) for mark in ("malformed", "not a database"))
