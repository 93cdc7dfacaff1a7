"""Questions under way: each in a thread of its own, so that many are asked at once and none holds up who asked.

Who wants an answer waits for it as long as it may, counted from when the question was asked, and goes on without it
then; the question goes on until its own deadline, and its answer is there for whoever asks next. The threads are
daemons: a program that ends does not wait for them.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

WAITED_LONG_S: Final = 7 * 86_400.0
"""`threading` knows no longer wait than some weeks; nobody means one."""


@dataclass(frozen=True, slots=True)
class _Inquiry:
    begun: float
    over: threading.Event


@dataclass(slots=True)
class Inquiries:
    """At most one question a key at a time. For one asking thread."""

    monotonic: Callable[[], float] = time.monotonic
    _open: dict[str, _Inquiry] = field(default_factory=dict)

    def begin(self, key: str, ask: Callable[[], None]) -> None:
        """Ask in the background, unless that is under way already. `ask` keeps its answer itself."""
        if self.is_open(key):
            return
        inquiry = self._open[key] = _Inquiry(self.monotonic(), threading.Event())

        def run() -> None:
            try:
                ask()
            finally:
                inquiry.over.set()

        threading.Thread(target=run, name=f"asks for {key}", daemon=True).start()

    def is_open(self, key: str) -> bool:
        """Whether a question is under way."""
        inquiry = self._open.get(key)
        return inquiry is not None and not inquiry.over.is_set()

    def wait(self, key: str, seconds: float) -> bool:
        """Wait until a question is answered, but no longer than so many seconds after it was asked; whether it is."""
        inquiry = self._open.get(key)
        if inquiry is None:
            return True
        left_s = min(inquiry.begun + seconds - self.monotonic(), WAITED_LONG_S)
        return inquiry.over.wait(max(0.0, left_s))

    def linger(self, seconds: float) -> bool:
        """Wait for all that is under way, so many seconds in all at most; whether everything is answered."""
        until = self.monotonic() + seconds
        return all(one.over.wait(max(0.0, until - self.monotonic())) for one in tuple(self._open.values()))
