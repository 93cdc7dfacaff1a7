"""Whole lists and single resources, or a CloudError: half a list says nothing of what is not in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.cloud.aks.caller import Call
from autoscale_aks.cloud.aks.faults import parse_object
from autoscale_aks.cloud.aks.pages import describe, next_url, walk
from autoscale_aks.cloud.aks.transport import Response
from autoscale_aks.cloud.aks.wire import MAX_PAGE_BYTES
from autoscale_aks.errors import CloudError, ProtocolError

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.caller import Caller

_MOST_PAGES: Final = 1000


def list_all(caller: Caller, url: str, label: str, deadline: float) -> tuple[object, ...]:
    """Every item of an ARM list. Raises CloudError when it cannot be read whole in time."""
    found = walk(caller, url, label, deadline)
    if found.detail or found.refusal is not None:
        raise CloudError(found.detail or "no answer")
    return found.items


def get_one(caller: Caller, url: str, label: str, deadline: float) -> object:
    """One resource. Raises CloudError when it cannot be read in time."""
    return parse_object(_body(caller, url, label, deadline))


def list_prices(caller: Caller, url: str, deadline: float) -> tuple[object, ...]:
    """Every item of the retail price list, by `NextPageLink` (§9.3). Raises CloudError as `list_all`."""
    items: list[object] = []
    link: str | None = url
    seen: set[str] = set()
    while link is not None:
        if link in seen or len(seen) >= _MOST_PAGES:
            raise ProtocolError(f"the price list goes round in circles after {len(seen)} pages")
        seen.add(link)
        page = parse_object(_body(caller, link, "prices", deadline), MAX_PAGE_BYTES)
        found, following = page.get("Items"), page.get("NextPageLink")
        if not isinstance(found, list):
            raise ProtocolError("a page of the price list without items")
        items += found
        if not isinstance(following, str) or not following:
            return tuple(items)
        link = next_url(link, following)
    raise ProtocolError("the price list goes on at another host")


def _body(caller: Caller, url: str, label: str, deadline: float) -> bytes:
    answer = caller.call(Call(method="GET", url=url, label=label), deadline)
    if not isinstance(answer.result, Response) or not answer.result.ok:
        raise CloudError(describe(answer))
    if answer.result.truncated:
        raise ProtocolError("the answer is too long")
    return answer.result.body
