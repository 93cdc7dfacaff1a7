"""Leases of the emulated cluster's API server: `coordination.k8s.io/v1`, with optimistic concurrency.

==========  ==================================================================================================
request     answer
==========  ==================================================================================================
GET         the lease, or 404 `NotFound`
POST        201; 409 `AlreadyExists` when the name is taken; 400 for a body without a name
PUT         200; 404 when there is none; 409 `Conflict` unless `metadata.resourceVersion` is the lease's present one
            (a PUT without one overwrites, as the API server lets it)
==========  ==================================================================================================

Handlers run one after another on the server's loop, so that of two writers with one version one loses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscale_aks.emulator.clock import timestamp
from autoscale_aks.emulator.draws import guid
from autoscale_aks.emulator.gate import json_response
from autoscale_aks.emulator.problems import RefusalError
from autoscale_aks.emulator.reference import kubernetes_refusal, node_cluster
from autoscale_aks.emulator.wire import read_json

if TYPE_CHECKING:
    from starlette.responses import Response

    from autoscale_aks.emulator.gate import Call

_KIND = {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1"}


def get_lease(call: Call) -> Response:
    """GET one lease."""
    return json_response(_found(call, call.param("lease")))


def post_lease(call: Call) -> Response:
    """POST a new lease."""
    body = _body(call)
    name = body["metadata"].get("name")
    if not isinstance(name, str) or not name:
        raise kubernetes_refusal(400, "BadRequest", "name is required")
    if _key(call, name) in call.service.store.leases:
        raise kubernetes_refusal(409, "AlreadyExists", f'leases.coordination.k8s.io "{name}" already exists')
    made = {
        "uid": guid(call.service.store.settings.seed, "lease", *_key(call, name)),
        "creationTimestamp": timestamp(call.now),
    }
    return json_response(_store(call, name, body, made), 201)


def put_lease(call: Call) -> Response:
    """PUT a lease that exists."""
    name, body = call.param("lease"), _body(call)
    before = _found(call, name)["metadata"]
    version = body["metadata"].get("resourceVersion")
    if version is not None and version != before["resourceVersion"]:
        text = f'Operation cannot be fulfilled on leases.coordination.k8s.io "{name}": the object has been modified'
        raise kubernetes_refusal(409, "Conflict", text)
    return json_response(_store(call, name, body, {key: before[key] for key in ("uid", "creationTimestamp")}))


def _key(call: Call, name: str) -> tuple[str, str, str]:
    return (node_cluster(call).spec.id, call.param("namespace"), name)


def _found(call: Call, name: str) -> dict[str, Any]:
    lease = call.service.store.leases.get(_key(call, name))
    if lease is None:
        raise kubernetes_refusal(404, "NotFound", f'leases.coordination.k8s.io "{name}" not found')
    return lease


def _store(call: Call, name: str, body: dict[str, Any], kept: dict[str, str]) -> dict[str, Any]:
    store = call.service.store
    metadata = {
        **body["metadata"],
        **kept,
        "name": name,
        "namespace": call.param("namespace"),
        "resourceVersion": str(store.next_version()),
    }
    lease = {**_KIND, "metadata": metadata, "spec": dict(body.get("spec") or {})}
    store.leases[_key(call, name)] = lease
    return lease


def _body(call: Call) -> dict[str, Any]:
    try:
        body = read_json(call.body)
    except RefusalError as error:
        raise kubernetes_refusal(400, "BadRequest", error.message) from error
    if not isinstance(body.get("metadata"), dict) or not isinstance(body.get("spec", {}), dict):
        raise kubernetes_refusal(400, "BadRequest", "a lease needs metadata and a spec, both objects")
    return body
