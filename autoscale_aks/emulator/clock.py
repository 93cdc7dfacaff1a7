"""Emulated time: seconds since the epoch that run at any speed and can be moved by hand (§10)."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class EmulatedClock:
    """Time as the emulated service sees it.

    `wall` is any monotonic source of seconds; `speed` is emulated seconds per wall second (0 stands
    still, so only `advance` moves it). Safe to use from any thread.
    """

    def __init__(
        self, *, start: float | None = None, speed: float = 1.0, wall: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._base = time.time() if start is None else start
        self._wall_base = wall()
        self._speed = _checked(speed, "speed")

    @property
    def speed(self) -> float:
        """Emulated seconds per wall second."""
        return self._speed

    def now(self) -> float:
        """Emulated seconds since the epoch."""
        with self._lock:
            return self._now()

    def advance(self, seconds: float) -> float:
        """Jump forward; time never goes back."""
        with self._lock:
            self._base += _checked(seconds, "advance")
            return self._now()

    def set_speed(self, speed: float) -> float:
        """Run faster or slower from now on."""
        with self._lock:
            self._base = self._now()
            self._wall_base = self._wall()
            self._speed = _checked(speed, "speed")
            return self._base

    def _now(self) -> float:
        return self._base + (self._wall() - self._wall_base) * self._speed


def _checked(value: float, what: str) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{what} must be a finite number >= 0, not {value}")
    return value


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, whole seconds: `2026-05-20T21:39:36Z`."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
