"""A damaged ledger is kept as evidence, and a new one begun; a file that never was a ledger is left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import count
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger import schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HEADER_LENGTH: Final = 100
_COMPANIONS: Final = ("-journal", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class SetAside:
    """What the operator is told, and the next number of each node array as far as it could still be read."""

    notice: str
    next_numbers: Mapping[str, int]


def refuse_stranger(path: Path) -> None:
    """Raise LedgerError unless the damaged file was once a ledger, or was blanked by a crash of the machine."""
    with path.open("rb") as file:
        header = file.read(_HEADER_LENGTH)
    ours = schema.APPLICATION_ID.to_bytes(4, "big")
    was_ledger = header[schema.APPLICATION_ID_AT :][:4] == ours
    was_cut = len(header) <= schema.APPLICATION_ID_AT and (header + schema.MAGIC[len(header) :]).startswith(
        schema.MAGIC
    )
    is_blank = not header.strip(b"\0")
    if not (was_ledger or was_cut or is_blank):
        raise LedgerError(f"{path} is not a ledger and was left as it is; give another path, or move the file away")


def set_aside(path: Path, now: float, cause: str) -> SetAside:
    """Rename the file, with what SQLite keeps beside it, to `<path>.corrupt-<time>`."""
    next_numbers = _salvage(path)
    stamp = datetime.fromtimestamp(now, tz=timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{path.name}.corrupt-{stamp}{'' if nth == 1 else f'.{nth}'}" for nth in count(1))
    target = next(kept for kept in map(path.with_name, names) if not kept.exists())
    path.rename(target)
    for ending in _COMPANIONS:
        companion = path.with_name(path.name + ending)
        if companion.exists():
            companion.rename(target.with_name(target.name + ending))
    numbering = "the numbering of names continues" if next_numbers else "the numbering of names could not be read"
    return SetAside(
        f"ledger {path} was damaged ({cause}); it was set aside as {target} and a new one begun; {numbering}, and "
        "machines the cloud lists are adopted",
        next_numbers,
    )


def _salvage(path: Path) -> Mapping[str, int]:
    """The table that keeps names from coming back, when its pages are still whole."""
    has_log = path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.absolute().as_uri()}?mode=ro{'' if has_log else '&immutable=1'}"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as source:
            rows = source.execute("SELECT nodearray, next_number FROM series").fetchall()
    except sqlite3.Error:
        return frozendict()
    return frozendict({name: number for name, number in rows if isinstance(name, str) and isinstance(number, int)})
