"""Answers kept in a directory, each with its age, so that runs of a cron job need not ask again.

A file that is missing, damaged or of another program is as good as no file: nothing is ever raised for one. A dry run
reads the directory and writes nothing (user ask T25).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

_FORMAT: Final = 1
_LARGEST_BYTES: Final = 64 * 1024 * 1024
_UNSAFE: Final = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept under one key."""

    items: tuple[Any, ...] | None = None
    """The answer's items as they came; None: there never was one."""
    taken_at: float | None = None
    failed_at: float | None = None
    """When it was asked for in vain, since the answer that is kept."""
    detail: str = ""
    """Why in vain."""


class FileCache:
    """One file a key. `scope` tells clouds and subscriptions apart that share a directory."""

    def __init__(self, directory: Path | None, *, scope: str, writes: bool = True) -> None:
        self._directory = directory
        self._scope = scope
        self._writes = writes and directory is not None

    def load(self, key: str) -> Kept:
        """What is kept; nothing when there is nothing to be trusted."""
        path = self._path(key)
        if path is None:
            return Kept()
        try:
            if path.stat().st_size > _LARGEST_BYTES:
                return Kept()
            document = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return Kept()
        if not isinstance(document, dict) or document.get("format") != _FORMAT or document.get("key") != key:
            return Kept()
        items, taken_at, failed_at = (document.get(name) for name in ("items", "taken_at", "failed_at"))
        answer = tuple(items) if isinstance(items, list) and _is_moment(taken_at) else None
        return Kept(
            items=answer,
            taken_at=None if answer is None else taken_at,
            failed_at=failed_at if _is_moment(failed_at) else None,
            detail=str(document.get("detail", ""))[:400],
        )

    def store(self, key: str, kept: Kept) -> None:
        """Keep it, whole or not at all. A directory that cannot be written is told of in the log, and no error."""
        path = self._path(key)
        if path is None or not self._writes:
            return
        document = {
            "format": _FORMAT,
            "key": key,
            "taken_at": kept.taken_at,
            "failed_at": kept.failed_at,
            "detail": kept.detail,
            "items": None if kept.items is None else list(kept.items),
        }
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            _write(path, json.dumps(document, separators=(",", ":")))
        except (OSError, ValueError) as error:
            log.info("%s cannot be kept: %s", path, error)

    def _path(self, key: str) -> Path | None:
        if self._directory is None:
            return None
        digest = hashlib.sha256(f"{self._scope}\n{key}".encode()).hexdigest()[:12]
        return self._directory / f"{_UNSAFE.sub('-', key.casefold())[:60]}-{digest}.json"


def _write(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _is_moment(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
