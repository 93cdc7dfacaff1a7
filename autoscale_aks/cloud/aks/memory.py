"""What a client has just seen of its pools, so that a cycle does not ask twice (aks-machine-api.md §11).

================  =======================================================================================
Remembered        Used for, and until when
================  =======================================================================================
a complete list   names that it does not show can be sent without another look: 30 s, or until the client
                  itself writes to the pool
a usable pool     `ensure_pool` has nothing to ask: 5 minutes after the pool was last seen, or until a list
                  finds it absent or a machine of it is not accepted
================  =======================================================================================

Only absence is ever taken from a remembered list, and only to save a request: whoever makes a machine of the same
name in those seconds turns our PUT into the service's own "exists already", which the list after the writes settles.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.model.launch import MachineListing

LIST_S: Final = 30.0
USABLE_S: Final = 300.0


class PoolMemory:
    """Thread-safe. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lists: dict[str, tuple[float, MachineListing]] = {}
        self._usable: dict[str, float] = {}

    def note_list(self, listing: MachineListing, asked_at: float, *, exists: bool) -> None:
        """A list was read; `asked_at` is when its first page was asked for."""
        with self._lock:
            if listing.complete:
                self._lists[listing.pool] = (asked_at, listing)
            if not exists:
                self._usable.pop(listing.pool, None)
            elif listing.pool in self._usable and listing.complete:
                self._usable[listing.pool] = asked_at

    def note_usable(self, pool: str, now: float) -> None:
        """The pool can take machines."""
        with self._lock:
            self._usable[pool] = now

    def is_usable(self, pool: str, now: float) -> bool:
        """Whether the pool was seen to take machines a short time ago."""
        with self._lock:
            seen_at = self._usable.get(pool)
        return seen_at is not None and 0 <= now - seen_at <= USABLE_S

    def list_without(self, pool: str, names: Iterable[str], now: float) -> MachineListing | None:
        """A complete list a short time old that shows none of these names; None when there is none."""
        with self._lock:
            asked_at, listing = self._lists.get(pool, (0.0, None))
        if listing is None or not 0 <= now - asked_at <= LIST_S:
            return None
        listed = {machine.name for machine in listing.machines}
        return None if any(name in listed for name in names) else listing

    def forget_lists(self, pools: Iterable[str]) -> None:
        """The client is about to change these pools' machines."""
        with self._lock:
            for pool in pools:
                self._lists.pop(pool, None)

    def forget_usable(self, pools: Iterable[str]) -> None:
        """Something in these pools was not accepted: they are looked at again before the next machine."""
        with self._lock:
            for pool in pools:
                self._usable.pop(pool, None)
