"""The only place that reads time or sleeps."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Time as the loop sees it; a simulator brings its own."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait; a negative time does not wait."""
        time.sleep(max(seconds, 0.0))
