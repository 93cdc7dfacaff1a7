"""A transport for somebody who waits for an answer: what cannot be reached is said soon.

A cycle has time and tries a host again for a quarter of a minute, call by call. A verb that only looks makes several
calls for one person: the first that gets no connection is tried once more, and after that the host counts as out of
reach for a while, so that the calls behind it end at once.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

from autoscale_aks.cloud.aks.transport import SendFailure, Sent

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.effects import Effects
    from autoscale_aks.cloud.aks.transport import Request, Response, Transport

CONNECT_TIMEOUT_S: Final = 3.0
"""For the transport behind it."""
PAUSE_S: Final = 1.0
OUT_OF_REACH_S: Final = 10.0
"""How long nothing more is tried of a host that could not be reached."""


@final
class ImpatientTransport:
    """Tries a request that was not sent once more, and later ones to the same host not at all. Thread-safe.

    Such a failure is final: the caller does not try again either.
    """

    def __init__(self, transport: Transport, effects: Effects) -> None:
        self._transport, self._effects = transport, effects
        self._lock = threading.Lock()
        self._out_of_reach: dict[str, tuple[float, SendFailure]] = {}

    def send(self, request: Request) -> Response | SendFailure:
        """Send, unless the host is out of reach."""
        host = urlsplit(request.url).netloc
        with self._lock:
            since, known = self._out_of_reach.get(host, (float("-inf"), None))
        if known is not None and self._effects.now() - since < OUT_OF_REACH_S:
            return known
        result = self._transport.send(request)
        if _is_unsent(result):
            self._effects.sleep(PAUSE_S)
            result = self._transport.send(request)
        if isinstance(result, SendFailure) and _is_unsent(result):
            result = replace(result, is_final=True)
            with self._lock:
                self._out_of_reach[host] = (self._effects.now(), result)
        return result

    def close(self) -> None:
        """Drop the kept connections."""
        self._transport.close()


def _is_unsent(result: Response | SendFailure) -> bool:
    return isinstance(result, SendFailure) and result.sent is Sent.NOT_SENT
