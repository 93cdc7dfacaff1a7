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
import ssl
import time
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Final, Protocol

import requests
import urllib3.exceptions
from frozendict import frozendict
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util.retry import Retry

from autoscale_aks.cloud.aks.endpoints import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUEST_CAP_S: Final = 60.0
"""No request may take longer (batching.md B8)."""

BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. The token is kept out of `headers`, so that neither repr nor a log can show it."""

    method: str
    url: str
    token: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=frozendict)
    body: bytes | None = field(default=None, repr=False)
    timeout_s: float = REQUEST_CAP_S
    ca: str | None = None


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


class Transport(Protocol):
    """The seam for tests and for other HTTP stacks. Must be thread-safe and must never retry."""

    def send(self, request: Request) -> Response | SendFailure:
        """Send once."""
        ...

    def close(self) -> None:
        """Drop kept connections."""
        ...


class _Bearer(AuthBase):
    """Sets the token last; an `auth` of our own also keeps `requests` from reading a .netrc over it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = f"Bearer {self._token}"
        return prepared


class RequestsTransport:
    """`requests` with a connection pool as large as the workers, no retries, no redirects, no cookies."""

    def __init__(
        self,
        *,
        connections: int = 64,
        connect_timeout_s: float = 10.0,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._body_limit = body_limit_bytes
        self._monotonic = monotonic
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            adapter = HTTPAdapter(
                pool_connections=4, pool_maxsize=connections, max_retries=Retry(0, read=False, redirect=False)
            )
            self._session.mount(scheme, adapter)

    def close(self) -> None:
        """Drop the kept connections."""
        self._session.close()

    def send(self, request: Request) -> Response | SendFailure:
        """Send once; the whole exchange ends about `timeout_s` after it began, 60 s at most."""
        timeout_s = min(request.timeout_s, REQUEST_CAP_S)
        deadline = self._monotonic() + timeout_s
        try:
            with self._session.request(
                request.method,
                request.url,
                data=request.body,
                headers=dict(request.headers),
                auth=_Bearer(request.token),
                timeout=(min(self._connect_timeout_s, timeout_s), timeout_s),
                allow_redirects=False,
                stream=True,
                verify=request.ca or True,
                proxies={"http": "", "https": ""} if is_loopback(request.url) else None,
            ) as answer:
                body, complete = self._read(answer, deadline)
                headers = {name.lower(): value for name, value in answer.headers.items()}
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return SendFailure(Sent.NOT_SENT if _never_left(error) else Sent.UNKNOWN, _describe(error))
        if not complete and len(body) < self._body_limit:
            return SendFailure(Sent.UNKNOWN, f"the answer took longer than {timeout_s:g} s")
        return Response(status=answer.status_code, headers=frozendict(headers), body=body, truncated=not complete)

    def _read(self, answer: requests.Response, deadline: float) -> tuple[bytes, bool]:
        parts: list[bytes] = []
        size = 0
        for part in answer.iter_content(_READ_BYTES):
            parts.append(part[: self._body_limit - size])
            size += len(part)
            if size > self._body_limit or self._monotonic() > deadline:
                return b"".join(parts), False
        return b"".join(parts), True


def _never_left(error: BaseException) -> bool:
    """Whether an error proves that the connection never stood; in doubt it does not."""
    never: tuple[type[BaseException], ...] = (
        requests.exceptions.ConnectTimeout,
        requests.exceptions.ProxyError,
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidHeader,
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
