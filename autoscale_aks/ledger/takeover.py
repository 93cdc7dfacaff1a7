"""The right to take over what a dead run left: exactly one of many runs, on any host, gets it.

The right is a file whose name follows from the record that is taken over, made with `O_EXCL`, which is atomic on
network file systems too. Whoever makes it looks at the record once more and then replaces it, so that a run which comes
later makes a claim on nothing. A claim whose maker was killed halfway is swept away once it is stale itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PATIENCE: Final = 5.0
"""How many stale times a claim lasts before it is swept away: far longer than a take-over takes."""


@contextmanager
def claimed(lock: Path, record: Mapping[str, Any], *, now: float, stale_s: float) -> Iterator[bool]:
    """Whether this run, and no other, may replace `lock` while it says `record`."""
    digest = hashlib.sha256(json.dumps(dict(record), sort_keys=True).encode()).hexdigest()[:16]
    claim = lock.with_name(f"{lock.name}.claim-{digest}")
    if not _make(claim, now):
        _sweep(claim, now - _PATIENCE * stale_s)
        yield False
        return
    try:
        yield True
    finally:
        claim.unlink(missing_ok=True)


def _make(claim: Path, now: float) -> bool:
    try:
        descriptor = os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, repr(now).encode())
    finally:
        os.close(descriptor)
    return True


def _sweep(claim: Path, before: float) -> None:
    """Drop a claim made before that moment: its maker is gone, and the next run may try."""
    try:
        made = float(claim.read_text())
    except (OSError, ValueError):
        return
    if made < before:
        claim.unlink(missing_ok=True)
