"""Everything the emulator was asked, so that tests can tell what a client did."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(slots=True)
class Entry:
    """One request. `names` are the machines it is about, `batch` the header form it used (§4.2)."""

    number: int
    time: float
    method: str
    path: str
    operation: str = "unknown"
    pool: str = ""
    names: tuple[str, ...] = ()
    batch: str | None = None
    ignored_entries: int = 0
    fault: str | None = None
    status: int | None = None
    duration_ms: float | None = None


class Journal:
    """The last requests in full and the counts of all."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=size)
        self._last = 0
        self._operations: Counter[str] = Counter()
        self._methods: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()

    def open(self, method: str, path: str, now: float) -> Entry:
        """Note a request as it arrives."""
        with self._lock:
            self._last += 1
            entry = Entry(self._last, now, method, path)
            self._entries.append(entry)
            self._methods[method] += 1
            return entry

    def close(self, entry: Entry, duration_ms: float) -> None:
        """Note how it ended; a broken connection has no status."""
        with self._lock:
            entry.duration_ms = round(duration_ms, 3)
            self._operations[entry.operation] += 1
            self._statuses["none" if entry.status is None else str(entry.status)] += 1

    def entries(self, *, operation: str | None = None, since: int = 0) -> list[Entry]:
        """Entries after number `since`, oldest first."""
        with self._lock:
            return [entry for entry in self._entries if entry.number > since and operation in (None, entry.operation)]

    def summary(self, *, operation: str | None = None, since: int = 0) -> dict[str, Any]:
        """Entries and counts as JSON; the counts are of everything since the last `clear`."""
        listed = [asdict(entry) for entry in self.entries(operation=operation, since=since)]
        with self._lock:
            return {
                "requests": listed,
                "counts": {
                    "by_operation": dict(self._operations),
                    "by_method": dict(self._methods),
                    "by_status": dict(self._statuses),
                },
            }

    def clear(self) -> None:
        """Forget all; numbers go on."""
        with self._lock:
            self._entries.clear()
            for counter in (self._operations, self._methods, self._statuses):
                counter.clear()
