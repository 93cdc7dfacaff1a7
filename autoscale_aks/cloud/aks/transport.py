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
import ipaddress
import os
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
import urllib3.exceptions
from frozendict import frozendict

from autoscale_aks import __version__
from autoscale_aks.cloud.aks.endpoints import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUEST_CAP_S: Final = 60.0
"""No request may take longer (batching.md B8)."""

BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024
_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Where a site names its own certificate authorities, as other programs of its hosts read them."""
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


class HttpTransport:
    """`urllib3` with a connection pool as large as the workers, no retries, no redirects, no cookies, no .netrc.

    Proxies (`HTTPS_PROXY`, `NO_PROXY` …) and certificate authorities come from the environment as they do for
    `requests`, which stands between us and `urllib3` no more: docs/designs/0005-wire-speed.md.
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
        self._managers: dict[tuple[str | None, str], urllib3.PoolManager] = {}
        self._routes: dict[tuple[str, str, str | None], urllib3.PoolManager] = {}

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
        """The connections for a request's host, by its certificate authority and its proxy."""
        parts = urlsplit(request.url)
        key = (parts.scheme, parts.netloc, request.ca)
        found = self._routes.get(key)
        if found is not None:
            return found
        ca = request.ca or next((os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)), certifi.where())
        proxy = _proxy_of(parts.scheme, parts.hostname or "", request.url)
        with self._lock:
            manager = self._managers.get((proxy, ca))
            if manager is None:
                manager = self._managers[proxy, ca] = self._make(proxy, ca)
            self._routes[key] = manager
        return manager

    def _make(self, proxy: str | None, ca: str) -> urllib3.PoolManager:
        """One TLS context for all connections: reading the authorities takes longer than a handshake."""
        is_folder = os.path.isdir(ca)  # noqa: PTH112  asked once a host
        context = ssl.create_default_context(cafile=None if is_folder else ca, capath=ca if is_folder else None)
        if proxy is None:
            return urllib3.PoolManager(num_pools=4, maxsize=self._connections, ssl_context=context)
        address, secret = _split_credentials(proxy)
        headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else None
        return urllib3.ProxyManager(
            address, num_pools=4, maxsize=self._connections, proxy_headers=headers, ssl_context=context
        )


def _authorization(token: str) -> Mapping[str, str]:
    """No header where there is no token: the retail prices are public (aks-machine-api.md §9.3)."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _fault_of_headers(headers: Mapping[str, str]) -> str:
    """Why headers cannot be sent: a value that would end its line, or bytes that HTTP does not carry."""
    for name, value in headers.items():
        if not value.isascii() or "\r" in value or "\n" in value:
            return f"header {name} holds a line break or a character outside ASCII"
    return ""


def _proxy_of(scheme: str, host: str, url: str) -> str | None:
    """The proxy that the environment names for a host; never one for this machine."""
    proxies = getproxies()
    if is_loopback(url) or proxy_bypass(host) or _is_in_networks(host, proxies.get("no", "")):
        return None
    proxy = proxies.get(scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy or None


def _is_in_networks(host: str, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names a network that an address lies in (`10.0.0.0/8`)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for item in no_proxy.split(","):
        try:
            if "/" in item and address in ipaddress.ip_network(item.strip(), strict=False):
                return True
        except ValueError:  # a name with a slash in it is no network
            continue
    return False


def _split_credentials(proxy: str) -> tuple[str, str]:
    """A proxy's address without the `user:password` in it, and that."""
    scheme, _, rest = proxy.partition("://")
    secret, at, host = rest.rpartition("@")
    return (f"{scheme}://{host}", unquote(secret)) if at else (proxy, "")


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
