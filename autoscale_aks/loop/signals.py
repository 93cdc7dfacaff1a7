"""What the outside tells a running program: stop after this request, read the configuration again.

===============  ===========================================================================
signal           effect
===============  ===========================================================================
SIGTERM, SIGINT  the gate closes: the request under way ends and is recorded, no other is sent
a second one     the process dies at once, as by default; the next run settles what is open
SIGHUP           the configuration is read again between cycles
===============  ===========================================================================
"""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType, TracebackType
    from typing import Any


@final
class Signals:
    """Watches signals while it is entered; for the main thread. `descriptor` can be read when one has come."""

    def __init__(
        self,
        on_stop: Callable[[str], None],
        *,
        stop: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
        reload: Sequence[signal.Signals] = (signal.SIGHUP,),
    ) -> None:
        self._on_stop = on_stop
        self._handlers = dict.fromkeys(stop, self._stop) | dict.fromkeys(reload, self._reload)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup_before = -1
        self._stopping = False
        self._reload_asked = False
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)

    @property
    def descriptor(self) -> int:
        """Readable as soon as a signal has come, so that a wait on it ends."""
        return self._reader.fileno()

    def drain(self) -> None:
        """Forget that signals came; what they asked for stays."""
        try:
            while self._reader.recv(4096):
                pass
        except BlockingIOError:
            pass

    def take_reload(self) -> bool:
        """Whether the configuration is to be read again; asked once for each time."""
        asked, self._reload_asked = self._reload_asked, False
        return asked

    def __enter__(self) -> Signals:
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number, handler in self._handlers.items():
            self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before, warn_on_full_buffer=False)
        self._reader.close()
        self._writer.close()

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self._stopping:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._stopping = True
        self._on_stop(f"stopped by {signal.Signals(number).name}")

    def _reload(self, _: int, __: FrameType | None) -> None:
        self._reload_asked = True
