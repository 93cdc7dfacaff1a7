"""One HTTP exchange: bytes out, bytes or a typed failure back. Nothing retries, redirects or logs a header here.

=============================  ==================================================================
Result                         What it says of the request
=============================  ==================================================================
`Response`                     the service answered; the body is cut at `body_limit` (`truncated`)
`SendFailure(NOT_SENT)`        no byte of it left this machine: name, connect, proxy, TLS trust
`SendFailure(UNKNOWN)`         it may have been carried out: time-out, reset, broken answer
=============================  ==================================================================
"""

from __future__ import annotations

import enum
import http.client
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import urllib3
import urllib3.exceptions
from frozendict import frozendict

from autoscale_aks import __version__
from autoscale_aks.access.connections import DIRECT, Route, make_pools, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUEST_CAP_S: Final = 60.0
"""No request may take longer (batching.md B8)."""

BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024
_ALWAYS_SENT: Final = frozendict({"User-Agent": f"autoscale_aks/{__version__}", "Accept-Encoding": "gzip, deflate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. The token is kept out of `headers`, so that neither repr nor a log can show it."""

    method: str
    url: str
    token: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=frozendict)
    body: bytes | None = field(default=None, repr=False)
    timeout_s: float = REQUEST_CAP_S
    route: Route = DIRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What the service answered. Header names are lower-case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=frozendict)
    body: bytes = field(default=b"", repr=False)
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """2xx. Not a proof that anything exists (batching.md B10)."""
        return 200 <= self.status < 300


class Sent(enum.Enum):
    """What is known of a request that got no answer."""

    NOT_SENT = "not sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SendFailure:
    """No answer: whether the request may have been carried out, and why."""

    sent: Sent
    detail: str
    is_final: bool = False
    """Whether trying again is of no use now."""


class Transport(Protocol):
    """The seam for tests and for other HTTP stacks. Must be thread-safe and must never retry."""

    def send(self, request: Request) -> Response | SendFailure:
        """Send once."""
        ...

    def close(self) -> None:
        """Drop kept connections."""
        ...


class HttpTransport:
    """`urllib3` with a connection pool as large as the workers, no retries, no redirects, no cookies, no .netrc.

    Connections are those of `access.connections`; why it is `urllib3` alone: docs/designs/0005-wire-speed.md.
    """

    def __init__(
        self,
        *,
        connections: int = 64,
        connect_timeout_s: float = 10.0,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._connect_timeout_s = connect_timeout_s
        self._body_limit = body_limit_bytes
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._managers: dict[Route, urllib3.PoolManager] = {}
        self._routes: dict[tuple[str, str, Route], urllib3.PoolManager] = {}

    def close(self) -> None:
        """Drop the kept connections."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def send(self, request: Request) -> Response | SendFailure:
        """Send once; the whole exchange ends about `timeout_s` after it began, 60 s at most."""
        timeout_s = min(request.timeout_s, REQUEST_CAP_S)
        deadline = self._monotonic() + timeout_s
        if fault := _fault_of_headers(request.headers):
            return SendFailure(Sent.NOT_SENT, fault)
        try:
            manager = self._manager(request)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:  # no such CA file, no such kind of proxy
            return SendFailure(Sent.NOT_SENT, _describe(error))
        try:
            answer = manager.urlopen(
                request.method,
                request.url,
                redirect=False,
                body=request.body,
                headers={**_ALWAYS_SENT, **request.headers, **_authorization(request.token)},
                timeout=urllib3.Timeout(connect=min(self._connect_timeout_s, timeout_s), read=timeout_s),
                retries=False,
                preload_content=False,
            )
            try:
                body, complete = self._read(answer, deadline)
            except BaseException:
                answer.close()
                raise
            if complete:
                answer.release_conn()
            else:
                answer.close()
            headers = {name.lower(): value for name, value in answer.headers.items()}
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            return SendFailure(Sent.NOT_SENT if _never_left(error) else Sent.UNKNOWN, _describe(error))
        if not complete and len(body) < self._body_limit:
            return SendFailure(Sent.UNKNOWN, f"the answer took longer than {timeout_s:g} s")
        return Response(status=answer.status, headers=frozendict(headers), body=body, truncated=not complete)

    def _read(self, answer: urllib3.BaseHTTPResponse, deadline: float) -> tuple[bytes, bool]:
        """The body as it comes, a piece at a time, so that one that drips ends at the deadline."""
        parts: list[bytes] = []
        size = 0
        while part := answer.read1(_READ_BYTES, decode_content=True):
            parts.append(part[: self._body_limit - size])
            size += len(part)
            if size > self._body_limit or self._monotonic() > deadline:
                return b"".join(parts), False
        return b"".join(parts), True

    def _manager(self, request: Request) -> urllib3.PoolManager:
        """The connections for a request's host, by its route."""
        parts = urlsplit(request.url)
        key = (parts.scheme, parts.netloc, request.route)
        found = self._routes.get(key)
        if found is not None:
            return found
        route = resolved(request.route, request.url)
        with self._lock:
            manager = self._managers.get(route)
            if manager is None:
                manager = self._managers[route] = make_pools(route, connections=self._connections)
            self._routes[key] = manager
        return manager


def _authorization(token: str) -> Mapping[str, str]:
    """No header where there is no token: the retail prices are public (aks-machine-api.md §9.3)."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _fault_of_headers(headers: Mapping[str, str]) -> str:
    """Why headers cannot be sent: a value that would end its line, or bytes that HTTP does not carry."""
    for name, value in headers.items():
        if not value.isascii() or "\r" in value or "\n" in value:
            return f"header {name} holds a line break or a character outside ASCII"
    return ""


def _never_left(error: BaseException) -> bool:
    """Whether an error proves that the connection never stood; in doubt it does not."""
    never: tuple[type[BaseException], ...] = (
        http.client.InvalidURL,
        urllib3.exceptions.LocationValueError,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
        ssl.SSLCertVerificationError,
    )
    return any(isinstance(cause, never) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    """An error and everything it was made from, however the layers wrapped it."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        item = todo.pop()
        if not isinstance(item, BaseException) or any(item is known for known in found):
            continue
        found.append(item)
        todo += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]
    return found


def _describe(error: BaseException) -> str:
    """The error's type and what the system said; where it said nothing, what the library did (no secret is in it)."""
    said = [cause.strerror for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror]
    return f"{type(error).__name__}: {said[-1] if said else error}"[:300]
