"""Handlers of what surrounds AKS: resource SKUs, usages, retail prices, Kubernetes nodes (§7.2, §9)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from autoscale_aks.emulator import problems
from autoscale_aks.emulator.gate import json_response
from autoscale_aks.emulator.kubernetes import (
    SelectorError,
    decode_token,
    encode_token,
    parse_selector,
    rendered_node,
)
from autoscale_aks.emulator.problems import RefusalError, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from autoscale_aks.emulator.gate import Call
    from autoscale_aks.emulator.store import Cluster, Machine

_CLAUSE = re.compile(r"^\(?\s*(?P<field>\w+)\s+eq\s+'(?P<value>[^']*)'\s*\)?$")
_PRICE_FIELDS = {
    "pricetype": "type",
    "type": "type",
    "currencycode": "currencyCode",
    "servicefamily": "serviceFamily",
    "servicename": "serviceName",
    "armregionname": "armRegionName",
    "armskuname": "armSkuName",
    "skuname": "skuName",
    "metername": "meterName",
    "productname": "productName",
}


def parse_filter(text: str) -> dict[str, str]:
    """`a eq 'x' and b eq 'y'` as a mapping with lower-case keys; anything else is a 400."""
    clauses: dict[str, str] = {}
    for part in re.split(r"\s+and\s+", text.strip()) if text.strip() else ():
        found = _CLAUSE.match(part)
        if found is None:
            raise invalid(f"the $filter clause '{part}' is not supported")
        clauses[found["field"].casefold()] = found["value"]
    return clauses


def list_skus(call: Call) -> Response:
    """GET Microsoft.Compute/skus; all resource types come back (§9.1)."""
    store = call.service.store
    store.check_subscription(call.param("subscription"))
    wanted = parse_filter(call.request.query_params.get("$filter", "")).get("location")
    places = dict.fromkeys(cluster.spec.location for cluster in store.clusters.values())
    chosen = [place for place in places if wanted is None or place.casefold() == wanted.casefold()]
    rows = [row for place in chosen for row in store.catalog.skus(place)]
    given = call.request.query_params.get("$skiptoken", "0")
    skip = int(given) if given.isdigit() else 0
    page = rows[skip : skip + store.settings.sku_page_size]
    answer: dict[str, Any] = {"value": page}
    if skip + len(page) < len(rows):
        path, text = f"{call.origin}{quote(call.request.url.path)}", quote(call.request.query_params.get("$filter", ""))
        link = f"{path}?api-version={quote(call.version)}&$skiptoken={skip + len(page)}"
        answer["nextLink"] = f"{link}&$filter={text}" if text else link
    return json_response(answer)


def list_usages(call: Call) -> Response:
    """GET locations/{l}/usages; moves with the machines (§9.2)."""
    store = call.service.store
    store.check_subscription(call.param("subscription"))
    quota = store.quotas.get((call.param("subscription").casefold(), call.param("location").casefold()))
    if quota is None:
        raise problems.arm(400, "NoRegisteredProviderFound", f"No usages for location '{call.param('location')}'.")
    return json_response({"value": quota.usages(call.now)})


def list_prices(call: Call) -> Response:
    """GET retail prices: no token, `$skip` paging by `NextPageLink` (§9.3)."""
    store, query = call.service.store, call.request.query_params
    clauses = parse_filter(query.get("$filter", ""))
    items = _priced(call, clauses)
    skip = int(query.get("$skip", "0")) if query.get("$skip", "0").isdigit() else 0
    page = items[skip : skip + store.settings.price_page_size]
    link = None
    if skip + len(page) < len(items):
        version, text = quote(call.version), quote(query.get("$filter", ""))
        path = f"{call.origin}{call.request.url.path}"
        link = f"{path}?api-version={version}&$filter={text}&$skip={skip + len(page)}"
    return json_response(
        {
            "BillingCurrency": "USD",
            "CustomerEntityId": "Default",
            "CustomerEntityType": "Retail",
            "Items": page,
            "NextPageLink": link,
            "Count": len(page),
        }
    )


def _priced(call: Call, clauses: Mapping[str, str]) -> list[dict[str, Any]]:
    store = call.service.store
    places = dict.fromkeys(cluster.spec.location for cluster in store.clusters.values())
    items = [item for place in places for item in store.catalog.prices(place, store.settings.seed)]
    for name, value in clauses.items():
        key = _PRICE_FIELDS.get(name)
        if key is None:
            raise invalid(f"the $filter field '{name}' is not supported")
        items = [item for item in items if str(item[key]).casefold() == value.casefold()]
    return items


def list_nodes(call: Call) -> Response:
    """GET /api/v1/nodes with labelSelector, limit and continue (§10.10)."""
    query = call.request.query_params
    try:
        wanted = parse_selector(query.get("labelSelector", ""))
        start = decode_token(query["continue"]) if query.get("continue") else ""
        limit = int(query.get("limit") or 0)
    except (SelectorError, ValueError) as error:
        raise kubernetes_refusal(400, "BadRequest", str(error)) from error
    rows: list[tuple[str, bytes]] = []
    for machine in call.service.nodes(node_cluster(call), call.now):
        labels, body = rendered_node(machine)
        if machine.node_name > start and all(holds(labels) for holds in wanted):
            rows.append((machine.node_name, body))
    meta: dict[str, Any] = {"resourceVersion": str(int(call.now * 1000))}
    if limit and len(rows) > limit:
        meta |= {"continue": encode_token(rows[limit - 1][0]), "remainingItemCount": len(rows) - limit}
        rows = rows[:limit]
    head = json_response({"kind": "NodeList", "apiVersion": "v1", "metadata": meta}).body
    return json_response(bytes(head)[:-1] + b',"items":[' + b",".join(body for _, body in rows) + b"]}")


def get_node(call: Call) -> Response:
    """GET /api/v1/nodes/{name}."""
    found: list[Machine] = call.service.nodes(node_cluster(call), call.now)
    for machine in found:
        if machine.node_name == call.param("node"):
            _, body = rendered_node(machine)
            return json_response(b'{"kind":"Node","apiVersion":"v1",' + body[1:])
    raise kubernetes_refusal(404, "NotFound", f'nodes "{call.param("node")}" not found')


def node_cluster(call: Call) -> Cluster:
    """The cluster of `/clusters/{name}/api/…`, or the first one."""
    clusters = list(call.service.store.clusters.values())
    name = call.param("cluster").casefold()
    for cluster in clusters:
        if not name or cluster.spec.name.casefold() == name:
            return cluster
    raise kubernetes_refusal(404, "NotFound", f"no cluster '{name}' here")


def kubernetes_refusal(status: int, reason: str, message: str) -> RefusalError:
    """An error in the API server's own form."""
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    raw = bytes(json_response({**body, "message": message, "reason": reason, "code": status}).body).decode()
    return RefusalError(status, reason, message, raw=raw)
