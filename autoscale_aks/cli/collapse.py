"""Lines that say the same again and again are written once and counted (user ask T28c).

A loop that cannot reach something says so in every cycle. Its log then has one line, and one more in each `within_s`
with how often it was said meanwhile. Lines of the level DEBUG and lines with a traceback are written each time.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    Key: TypeAlias = tuple[str, int, str]
    """Logger, level, message."""

MOST_KEPT: Final = 500
"""Different lines that are remembered; the oldest is forgotten first."""


@dataclass(slots=True)
class _Said:
    """A line that was written."""

    since: float
    more: int = 0
    """How often it was said since."""
    last: logging.LogRecord | None = None
    """The last of these."""


class Collapse(logging.Filter):
    """Lets a line through that was not written within the last `within_s` seconds. For one handler; thread-safe.

    What was held back is told by `handler` as soon as its time is over and any line comes by, or by `flush`. `now` is
    seconds since any moment.
    """

    def __init__(self, handler: logging.Handler, within_s: float, now: Callable[[], float]) -> None:
        super().__init__()
        self._handler, self._within_s, self._now = handler, within_s, now
        self._said: OrderedDict[Key, _Said] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written now."""
        if record.levelno < logging.INFO or record.exc_info or getattr(record, "is_count", False):
            return True
        key = (record.name, record.levelno, record.getMessage())
        with self._lock:
            now = self._now()
            over = list(self._over(now))
            said = self._said.get(key)
            if said is None:
                self._said[key] = _Said(now)
                if len(self._said) > MOST_KEPT:
                    over.append(self._said.popitem(last=False)[1])
            else:
                said.more += 1
                said.last = record
        for one in over:
            self._tell(one, now)
        return said is None

    def flush(self) -> None:
        """Tell all that was held back, and begin anew: at the end of the program."""
        with self._lock:
            kept, now = list(self._said.values()), self._now()
            self._said.clear()
        for one in kept:
            self._tell(one, now)

    def _over(self, now: float) -> Iterator[_Said]:
        while self._said:
            key, oldest = next(iter(self._said.items()))
            if now - oldest.since < self._within_s:
                return
            del self._said[key]
            yield oldest

    def _tell(self, said: _Said, now: float) -> None:
        if said.last is None:
            return
        line = copy.copy(said.last)
        times = "once" if said.more == 1 else f"{said.more:,} times"
        line.msg, line.args = f"{line.getMessage()} [{times} more within {now - said.since:.0f} s]", ()
        line.is_count = True
        self._handler.handle(line)
