"""Waiting for the next cycle: until the interval is over, a message asks for one, or a signal comes."""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import stat
from typing import TYPE_CHECKING, Final, Protocol, final

from autoscale_aks.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from autoscale_aks.loop.signals import Signals

_MOST_MESSAGES: Final = 10_000
_MESSAGE_BYTES: Final = 64


class Wake(enum.Enum):
    """Why a wait ended."""

    INTERVAL = "interval"
    MESSAGE = "message"
    SIGNAL = "signal"


class Waiter(Protocol):
    """The seam for tests and for a simulator."""

    def wait(self, seconds: float) -> Wake:
        """Wait so long, or until something happens. Messages that came while nobody waited count at once."""
        ...


@final
class WakeSocket:
    """A Unix datagram socket; every message on it asks for a cycle, whatever it says. For its owner only (0600).

    Hold the writer's lock: what a killed run left at `path` is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    @property
    def descriptor(self) -> int:
        """Readable when a message has come."""
        return self._socket.fileno()

    def drain(self) -> int:
        """Take all messages that have come; how many. One that comes meanwhile may be left for the next time."""
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while taken < _MOST_MESSAGES:
                self._socket.recv(_MESSAGE_BYTES)
                taken += 1
        return taken

    def __enter__(self) -> WakeSocket:
        try:
            if stat.S_ISSOCK(self.path.lstat().st_mode):
                self.path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._socket.bind(str(self.path))
            self.path.chmod(0o600)
        except OSError as error:
            self._socket.close()
            raise self._unusable(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> ConfigError:
        why = error.strerror or str(error)
        return ConfigError(
            [Problem("loop.wake_socket", f"{self.path} cannot be listened on: {why}; give another path, a short one")]
        )


@final
class SocketWaiter:
    """Waits on descriptors, without polling. After a message it waits `settle_s` more, so that a burst is one wake."""

    def __init__(self, signals: Signals, wake: WakeSocket | None, *, settle_s: float) -> None:
        self._signals = signals
        self._wake = wake
        self._settle_s = settle_s

    def wait(self, seconds: float) -> Wake:
        """Wait until the time is over, a message came and the burst has settled, or a signal came."""
        descriptors = [self._signals.descriptor, *([self._wake.descriptor] if self._wake else [])]
        ready, _, _ = select.select(descriptors, (), (), max(seconds, 0.0))
        if not ready:
            return Wake.INTERVAL
        if self._signals.descriptor not in ready and self._wake is not None:
            ready, _, _ = select.select([self._signals.descriptor], (), (), self._settle_s)
            self._wake.drain()
        if self._signals.descriptor in ready:
            self._signals.drain()
            return Wake.SIGNAL
        return Wake.MESSAGE
