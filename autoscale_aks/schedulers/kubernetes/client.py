"""A small client of the Kubernetes API: paged lists, merge patches, deletes. Bounded in time and size.

====================  ==============================================================================================
GET list              `limit` and `continue`; the pages of one list are one look (same resourceVersion). 410 on a
                      later page: the look has grown too old, the list begins again once
404 on a list         nobody has defined such objects: an empty list where the caller says so
PATCH                 `application/merge-patch+json`, so that doing it twice is doing it once
DELETE                404 is success
POST                  409 is success: an object of that name is there, and the name says what is in it
401                   the token is read anew once
429, 5xx, no answer   a GET is sent again twice, after a short wait; a write is not
====================  ==============================================================================================
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import urllib3
import urllib3.exceptions

from autoscale_aks.access.connections import make_pools, resolved
from autoscale_aks.errors import AuthError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.access.kubeconfig import KubernetesAccess

_TRIES: Final = 3
_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 5.0
_CONNECT_S: Final = 10.0
_BLOCK: Final = 1 << 16
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})


class NotFoundError(SchedulerError):
    """The object, or its whole kind, is not there (404)."""


class ExistsError(SchedulerError):
    """There is an object of that name, or it was changed meanwhile (409)."""


class ExpiredError(SchedulerError):
    """A continue token is too old (410)."""


@dataclass(slots=True)
class KubeClient:
    """One API server. `timeout_s` bounds everything between two calls of `begin`."""

    access: KubernetesAccess
    timeout_s: float
    page_size: int
    page_bytes: int
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _pools: urllib3.PoolManager | None = None
    _deadline: float = 0.0

    def begin(self) -> None:
        """A new look or a new change: the time runs from here."""
        self._deadline = self.monotonic() + self.timeout_s

    def list_all(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        optional: bool = False,
        keep: Callable[[Any], Any] = lambda item: item,
    ) -> list[Any]:
        """All objects of a list, as one look, each as `keep` leaves it.

        Raises SchedulerError; with `optional` a 404 is an empty list.
        """
        try:
            try:
                return self._all_pages(path, query or {}, keep)
            except ExpiredError:
                return self._all_pages(path, query or {}, keep)
        except NotFoundError:
            if optional:
                return []
            raise

    def _all_pages(self, path: str, query: Mapping[str, str], keep: Callable[[Any], Any]) -> list[Any]:
        found: list[Any] = []
        token = ""
        while True:
            more = {"continue": token} if token else {}
            page = self._send("GET", f"{path}?{urlencode({**query, 'limit': str(self.page_size), **more})}")
            items = page.get("items")
            if items is None:
                items = []
            if not isinstance(items, list):
                raise SchedulerError(f"GET {path}: the answer is no list")
            found.extend(keep(item) for item in items)
            meta = page.get("metadata")
            token = meta.get("continue") or "" if isinstance(meta, dict) else ""
            if not token:
                return found

    def get(self, path: str) -> Mapping[str, Any]:
        """One object. Raises NotFoundError, SchedulerError."""
        return self._send("GET", path)

    def patch(self, path: str, change: Mapping[str, Any]) -> Mapping[str, Any]:
        """Merge a change into an object. Raises NotFoundError, SchedulerError."""
        return self._send("PATCH", path, change)

    def create(self, path: str, body: Mapping[str, Any]) -> None:
        """Make an object; one that is there already is a success. Raises NotFoundError, SchedulerError."""
        try:
            self._send("POST", path, body)
        except ExistsError:
            return

    def delete(self, path: str, preconditions: Mapping[str, str]) -> None:
        """Remove an object if it is still the one that was seen; an absent one is a success. Raises SchedulerError."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": dict(preconditions)}
        try:
            self._send("DELETE", path, options)
        except NotFoundError:
            return

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        tries = _TRIES if method == "GET" else 1
        refused = ""
        while True:
            tries -= 1
            try:
                token = self.access.tokens.token()
                status, headers, content = self._exchange(method, path, body, token)
            except AuthError as error:
                raise SchedulerError(f"{error}; no token for the Kubernetes API") from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if tries > 0 and self._wait(""):
                    continue
                raise SchedulerError(f"{method} {_shown(path)}: {_first_words(error)} ({self.access.url})") from error
            if status == 401 and token and not refused:
                refused, tries = token, tries + 1
                self.access.tokens.invalidate(refused)
                continue
            if status in _AGAIN and tries > 0 and self._wait(headers.get("Retry-After", "")):
                continue
            return _decode(method, path, status, content)

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, token: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        left = self._deadline - self.monotonic()
        if left <= 0:
            raise urllib3.exceptions.TimeoutError(self._too_late())
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if body is not None:
            headers["Content-Type"] = kind
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self._pools is None:
            self._pools = make_pools(resolved(self.access.route, self.access.url), connections=1)
        answer = self._pools.urlopen(
            method,
            self.access.url + path,
            redirect=False,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=urllib3.Timeout(connect=min(_CONNECT_S, left), read=left),
            retries=False,
            preload_content=False,
        )
        try:
            content = self._read(answer)
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        return answer.status, answer.headers, content

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := answer.read1(_BLOCK, decode_content=True):
            size += len(part)
            if size > self.page_bytes:
                raise urllib3.exceptions.HTTPError("the answer is larger than scheduler.max_output_bytes")
            if self.monotonic() > self._deadline:
                raise urllib3.exceptions.TimeoutError(self._too_late())
            parts.append(part)
        return b"".join(parts)

    def _too_late(self) -> str:
        return f"no answer within {self.timeout_s:g} s (scheduler.timeout_s)"

    def _wait(self, retry_after: str) -> bool:
        """Wait before sending again; False when there is no time left."""
        wait = min(float(retry_after), _LONGEST_WAIT_S) if retry_after.isascii() and retry_after.isdigit() else _WAIT_S
        if self.monotonic() + wait >= self._deadline:
            return False
        self.sleep(wait)
        return True


def _decode(method: str, path: str, status: int, content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        found = None
    if 200 <= status < 300:
        if not isinstance(found, dict):
            raise SchedulerError(f"{method} {_shown(path)}: the answer is no JSON object")
        return found
    said = found.get("message") if isinstance(found, dict) else None
    message = f"{method} {_shown(path)}: {status}: {_plain(said) if isinstance(said, str) else 'it said nothing'}"
    if status == 404:
        raise NotFoundError(message)
    if status == 409:
        raise ExistsError(message)
    if status == 410:
        raise ExpiredError(message)
    hint = {401: "; is the token valid?", 403: "; see the role in conf/kubernetes"}.get(status, "")
    raise SchedulerError(message + hint)


def _shown(path: str) -> str:
    return path.partition("?")[0]


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:300])


def _first_words(error: BaseException) -> str:
    return _plain(str(error))[:200] or type(error).__name__
