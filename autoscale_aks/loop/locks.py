"""Holding the right to write: every lock taken, its heart beating, all of it let go in the end (user ask T33a)."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Protocol, final

from autoscale_aks.errors import CloudError, LedgerError, LockLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from autoscale_aks.clock import Clock

log = logging.getLogger(__name__)

BEAT_S: Final = 10.0
"""How often a holder says that it lives; far below what makes a lock stale."""


class LockPort(Protocol):
    """The right to be the one writer, wherever it is kept. Not reentrant; `renew` may come from another thread."""

    def acquire(self) -> None:
        """Take it at once. Raises LockHeldError saying who has it and since when."""
        ...

    def renew(self, now: float) -> None:
        """The heartbeat. Raises LockLostError when it is lost; CloudError or LedgerError when it failed this time."""
        ...

    def release(self) -> None:
        """Let go; twice is harmless."""
        ...


@final
class Heart:
    """Renews locks from a thread of its own, so that a long cycle does not look like a dead one."""

    def __init__(self, locks: Sequence[LockPort], clock: Clock, on_lost: Callable[[str], None]) -> None:
        self._locks = locks
        self._clock = clock
        self._on_lost = on_lost
        self._stopped = threading.Event()
        self._lost: str | None = None

    def beat(self) -> None:
        """Renew every lock once. A lock that is lost is told to `on_lost`, and never renewed again."""
        for lock in self._locks:
            if self._lost is not None:
                return
            try:
                lock.renew(self._clock.now())
            except LockLostError as error:
                self._lost = str(error)
                self._on_lost(self._lost)
            except (CloudError, LedgerError) as error:
                log.warning("the lock could not be renewed this time: %s", error)

    def check(self) -> None:
        """Raise LockLostError when a lock was lost meanwhile."""
        if self._lost is not None:
            raise LockLostError(self._lost)

    def run(self, beat_s: float) -> None:
        """Beat until stopped."""
        while not self._stopped.wait(beat_s):
            self.beat()

    def stop(self) -> None:
        """Beat no more."""
        self._stopped.set()


@contextmanager
def holding(
    locks: Sequence[LockPort], clock: Clock, on_lost: Callable[[str], None], *, beat_s: float = BEAT_S
) -> Iterator[Heart]:
    """All locks, in their order; whatever happens inside, they are let go in the opposite one.

    Raises LockHeldError at once when another run has one of them; those already taken are let go.
    """
    with ExitStack() as stack:
        for lock in locks:
            lock.acquire()
            stack.callback(lock.release)
        heart = Heart(locks, clock, on_lost)
        thread = threading.Thread(target=heart.run, args=(beat_s,), name="heart", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(heart.stop)
        yield heart
