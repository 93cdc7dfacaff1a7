"""The gate that requests go through: once it is closed no write is sent and no wait goes on.

A cycle is stopped between requests, never inside one (issue text T33c): what is under way ends and is recorded, what
has not been sent is refused as `NOT_SENT`, and its outcome is recorded too. Reads still pass, because the proof of what
was made is one. A call that would wait for another try gives up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from autoscale_aks.cloud.aks.transport import SendFailure, Sent
from autoscale_aks.errors import ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.cloud.aks.effects import Effects
    from autoscale_aks.cloud.aks.transport import Request, Response, Transport


_SLICE_S: Final = 0.25
"""How long a wait goes on after the gate was closed, at most."""


@final
class Gate:
    """Open until somebody closes it, or until its deadline.

    Safe in a signal handler and from any thread: closing is one assignment, and takes no lock that could be held.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._closed: str | None = None
        self._begun = 0.0
        self._deadline: float | None = None

    def begin(self, lasts_s: float | None) -> None:
        """A cycle begins: the gate closes by itself after so many seconds (None: never).

        A gate that somebody closed stays closed.
        """
        self._begun = self._now()
        self._deadline = None if lasts_s is None else self._begun + lasts_s

    def close(self, why: str) -> None:
        """Let nothing more out. The first reason stays."""
        if self._closed is None:
            self._closed = why

    @property
    def closed(self) -> str | None:
        """Why somebody closed it for good; None when nobody did."""
        return self._closed

    @property
    def reason(self) -> str | None:
        """Why nothing goes out now: closed for good, or over the deadline; None while it is open."""
        if self._closed is None and self._deadline is not None and self._now() >= self._deadline:
            return f"the cycle is over its deadline of {self._deadline - self._begun:g} s"
        return self._closed

    def effects(self, given: Effects) -> Effects:
        """The same effects, but with sleeps that give up when the gate closes.

        They raise ThrottledError then: nothing was sent, and nothing is to be sent again.
        """

        def sleep(seconds: float) -> None:
            left_s = max(seconds, 0.0)
            while (why := self.reason) is None and left_s > 0:
                given.sleep(min(left_s, _SLICE_S))
                left_s -= _SLICE_S
            if why is not None:
                raise ThrottledError(f"given up: {why}", self._now())

        return replace(given, sleep=sleep)


@final
class GatedTransport:
    """A transport behind a gate."""

    def __init__(self, transport: Transport, gate: Gate) -> None:
        self._transport = transport
        self._gate = gate

    def send(self, request: Request) -> Response | SendFailure:
        """Send, unless it is a write and the gate is closed."""
        why = self._gate.reason
        if why is not None and request.method != "GET":
            return SendFailure(Sent.NOT_SENT, why)
        return self._transport.send(request)

    def close(self) -> None:
        """Drop the kept connections."""
        self._transport.close()
