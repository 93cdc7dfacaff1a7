"""What we ask of the Kubernetes API, over any transport: paged lists, merge patches, deletes. Bounded in time and size.

====================  ==============================================================================================
GET list              `limit` and `continue`; the pages of one list are one look (same resourceVersion). 410 on a
                      later page: the look has grown too old, the list begins again once
404 on a list         nobody has defined such objects: an empty list where the caller says so
PATCH                 `application/merge-patch+json`, so that doing it twice is doing it once
DELETE                404 is success
POST                  409 is success: an object of that name is there, and the name says what is in it
401                   who we are is read anew once (`KubeTransport.renew`)
429, 5xx, no answer   a GET is sent again twice, after a short wait; a write is not
====================  ==============================================================================================
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.kubernetes.answers import (
    ExistsError,
    ExpiredError,
    NotFoundError,
    decode,
    refusal,
    shown,
)
from autoscale_aks.schedulers.kubernetes.pages import PodReader, read_objects
from autoscale_aks.schedulers.kubernetes.transport import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.schedulers.kubernetes.pages import Page
    from autoscale_aks.schedulers.kubernetes.transport import KubeTransport

PODS: Final = "/api/v1/pods"
_TRIES: Final = 3
_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 5.0
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(slots=True)
class KubeClient:
    """One API server. `timeout_s` bounds everything between two calls of `begin`."""

    transport: KubeTransport
    timeout_s: float
    page_size: int
    page_bytes: int
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
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
        read: Callable[[bytes], Page] = read_objects,
    ) -> list[Any]:
        """All objects of a list, as one look; `read` makes objects of a page.

        Raises SchedulerError; with `optional` a 404 is an empty list.
        """
        try:
            try:
                return self._all_pages(path, query or {}, read)
            except ExpiredError:
                return self._all_pages(path, query or {}, read)
        except NotFoundError:
            if optional:
                return []
            raise

    def list_pods(self, selector: str = "") -> list[Any]:
        """Pods as `Pod`, of all namespaces; malformed ones as they came. Raises SchedulerError.

        `selector` is a field selector, which the server applies.
        """
        return self.list_all(PODS, {"fieldSelector": selector} if selector else {}, read=PodReader())

    def _all_pages(self, path: str, query: Mapping[str, str], read: Callable[[bytes], Page]) -> list[Any]:
        found: list[Any] = []
        token = ""
        while True:
            more = {"continue": token} if token else {}
            asked = f"{path}?{urlencode({**query, 'limit': str(self.page_size), **more})}"
            status, content = self._exchange("GET", asked)
            if not 200 <= status < 300:
                raise refusal("GET", path, status, content)
            try:
                items, token = read(content)
            except ValueError as error:
                raise SchedulerError(f"GET {path}: {error}") from error
            found.extend(items)
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
        return decode(method, path, *self._exchange(method, path, body))

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        tries = _TRIES if method == "GET" else 1
        renewed = False
        while True:
            tries -= 1
            try:
                answer = self.transport.send(method, path, body, left_s=self._left_s, most_bytes=self.page_bytes)
            except UnreachableError as error:
                if tries > 0 and self._wait(""):
                    continue
                late = "" if self._left_s() > 0 else f"; no answer within {self.timeout_s:g} s (scheduler.timeout_s)"
                raise SchedulerError(f"{method} {shown(path)}: {error}{late}") from error
            if answer.status == 401 and not renewed:
                renewed, tries = True, tries + 1
                self.transport.renew()
                continue
            if answer.status in _AGAIN and tries > 0 and self._wait(answer.retry_after):
                continue
            return answer.status, answer.content

    def _left_s(self) -> float:
        return self._deadline - self.monotonic()

    def _wait(self, retry_after: str) -> bool:
        """Wait before sending again; False when there is no time left."""
        wait = min(float(retry_after), _LONGEST_WAIT_S) if retry_after.isascii() and retry_after.isdigit() else _WAIT_S
        if self.monotonic() + wait >= self._deadline:
            return False
        self.sleep(wait)
        return True
