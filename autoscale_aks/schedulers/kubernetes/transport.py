"""Requests through the official Kubernetes client: its configuration, its authentication, its connections.

What it does not do here: retry (the client above knows what may be sent twice), follow redirects (a token would go with
them), make objects of answers (a page of pods is read as bytes, see `pages`). It is imported with the first request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import urllib3.exceptions

from autoscale_aks import __version__
from autoscale_aks.errors import AuthError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Login = Callable[[], Any]

_BLOCK: Final = 1 << 16
_CONNECT_S: Final = 10.0


class UnreachableError(SchedulerError):
    """No whole answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said, whatever it said."""

    status: int
    retry_after: str
    content: bytes


class KubeTransport(Protocol):
    """One API server, and who we are there."""

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, left_s: Callable[[], float], most_bytes: int
    ) -> Answer:
        """One request, never repeated. `left_s` are the seconds left now, `most_bytes` bounds the answer.

        Raises UnreachableError without a whole answer, SchedulerError when nothing says who we are.
        """
        ...

    def renew(self) -> None:
        """The server no longer knows us (401): read anew who we are before the next request."""
        ...


class ApiTransport:
    """The official client's `ApiClient` behind `KubeTransport`. `login` gives its `Configuration`."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._client: Any = None

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, left_s: Callable[[], float], most_bytes: int
    ) -> Answer:
        """One request through `ApiClient.call_api`."""
        client = self._connected()
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        from kubernetes.client.exceptions import OpenApiException  # noqa: PLC0415  an extra
        from kubernetes.config import ConfigException  # noqa: PLC0415

        try:
            parts = client.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            left = left_s()
            if left <= 0:
                raise UnreachableError("no time is left")
            answer = client.call_api(*parts, _request_timeout=(min(_CONNECT_S, left), left)).response
            try:
                content = _read(answer, left_s, most_bytes)
            except BaseException:
                answer.close()
                raise
            answer.release_conn()
        except (AuthError, ConfigException) as error:
            raise SchedulerError(f"{error}; no token for the Kubernetes API") from error
        except (urllib3.exceptions.HTTPError, OpenApiException, OSError) as error:
            raise UnreachableError(f"{_first_words(error)} ({client.configuration.host})") from error
        return Answer(status=answer.status, retry_after=answer.headers.get("Retry-After", ""), content=content)

    def renew(self) -> None:
        """The next request reads the kubeconfig, the token file or the exec program's answer again."""
        if self._client is not None:
            self._client.rest_client.close()
        self._client = None

    def _connected(self) -> Any:
        if self._client is None:
            configuration = self._login()
            from kubernetes.client import ApiClient  # noqa: PLC0415  an extra, and 0.3 s to import

            self._client = ApiClient(configuration)
            self._client.user_agent = f"autoscale_aks/{__version__}"
        return self._client


def _read(answer: urllib3.BaseHTTPResponse, left_s: Callable[[], float], most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(_BLOCK, decode_content=True):
        size += len(part)
        if size > most_bytes:
            raise UnreachableError("the answer is larger than scheduler.max_output_bytes")
        if left_s() <= 0:
            raise UnreachableError("the answer does not end")
        parts.append(part)
    return b"".join(parts)


def _first_words(error: BaseException) -> str:
    text = "".join(char if char.isprintable() else " " for char in str(error)[:300])
    return text[:200] or type(error).__name__
