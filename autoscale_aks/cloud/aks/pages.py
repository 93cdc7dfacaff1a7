"""Following a list through its pages (aks-machine-api.md §7.4).

* A next link on a list of one machine and then an empty page is normal; there is no limit of pages.
* A link to another host is never followed: it would be handed our token.
* A link seen before, or a hundred pages without an item, is a loop.
* A page that fails ends the walk; what was seen so far is kept, and the walk is not `complete`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from autoscale_aks.cloud.aks.caller import Answer, Call
from autoscale_aks.cloud.aks.faults import clean_text, parse_fault
from autoscale_aks.cloud.aks.transport import Response, SendFailure, Sent
from autoscale_aks.cloud.aks.wire import decode_page
from autoscale_aks.errors import AuthError, DeadlineError, ProtocolError, ThrottledError

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.caller import Caller

MAX_EMPTY_PAGES: Final = 100


@dataclass(frozen=True, slots=True)
class Walk:
    """What a list held. `refusal` is the first page's answer when the list could not be begun."""

    items: tuple[object, ...] = ()
    pages: int = 0
    detail: str = ""
    """Why the walk is not complete; empty when it is."""
    refusal: Answer | None = None


def walk(caller: Caller, url: str, label: str, deadline: float = math.inf) -> Walk:
    """Every page from `url` on that can be had before `deadline`.

    Raises AuthError or ThrottledError only for the first page.
    """
    items: list[object] = []
    seen: set[str] = set()
    link = url
    pages = empty = 0
    while True:
        if link in seen or empty > MAX_EMPTY_PAGES:
            return Walk(tuple(items), pages, f"the pages go round in circles after {pages}")
        seen.add(link)
        try:
            answer = caller.call(Call(method="GET", url=link, label=label), deadline)
        except DeadlineError as error:
            refusal = Answer(SendFailure(Sent.NOT_SENT, str(error)), 0) if pages == 0 else None
            return Walk(tuple(items), pages, f"page {pages + 1}: {error}", refusal)
        except (AuthError, ThrottledError) as error:
            if pages == 0:
                raise
            return Walk(tuple(items), pages, f"page {pages + 1}: {error}")
        if not isinstance(answer.result, Response) or not answer.result.ok:
            detail = f"page {pages + 1}: {describe(answer)}"
            return Walk(tuple(items), pages, detail, answer if pages == 0 else None)
        try:
            page = decode_page(b"" if answer.result.truncated else answer.result.body)
        except ProtocolError as error:
            return Walk(tuple(items), pages, f"page {pages + 1}: {error}")
        pages += 1
        empty = 0 if page.items else empty + 1
        items += page.items
        if page.next_link is None:
            return Walk(tuple(items), pages)
        following = next_url(link, page.next_link)
        if following is None:
            return Walk(tuple(items), pages, f"page {pages + 1} is on another host")
        link = following


def describe(answer: Answer) -> str:
    """An answer that was no success, in a line, with the id by which the service's support finds it."""
    response = answer.result
    if not isinstance(response, Response):
        return response.detail
    fault = parse_fault(response.status, response.body)
    said = f"HTTP {response.status} {fault.code}: {fault.message}"[:400]
    correlation = clean_text(response.headers.get("x-ms-correlation-request-id"), 64)
    return f"{said} (correlation {correlation})" if correlation else said


def next_url(url: str, link: str) -> str | None:
    """A next link, absolute or not, on the scheme, host and port of `url`; None when it points anywhere else.

    Only its path and query are used, so that no two readings of a URL can send the token to another host.
    """
    try:
        ours, theirs = urlsplit(url), urlsplit(urljoin(url, link))
        same = _origin(ours) == _origin(theirs) and "\\" not in link and theirs.username is None
    except ValueError:
        return None
    return urlunsplit((ours.scheme, ours.netloc, theirs.path, theirs.query, "")) if same else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
