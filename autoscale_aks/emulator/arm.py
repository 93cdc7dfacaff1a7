"""Handlers of the AKS routes (§1.1): pools, machines, operations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import Response

from autoscale_aks.emulator import problems
from autoscale_aks.emulator.answers import (
    encode,
    list_answer,
    machine_answer,
    machine_put_answer,
    operation_answer,
    operation_status,
    pool_answer,
    rendered_machine,
)
from autoscale_aks.emulator.gate import json_response
from autoscale_aks.emulator.problems import invalid
from autoscale_aks.emulator.wire import read_conditions, read_machine, read_machine_names

if TYPE_CHECKING:
    from autoscale_aks.emulator.gate import Call
    from autoscale_aks.emulator.store import Machine, Operation, Pool

_SKIP = re.compile(r"^\d{1,9}$")
_OPERATION_VERSION = "2025-03-01"
_MACHINES_TYPE = "managedClusters/agentPools/machines"


def get_cluster(call: Call) -> Response:
    """GET managedCluster: only what a client of the Machine API asks of it."""
    spec = call.cluster(parent=False).spec
    return json_response(
        {
            "id": spec.id,
            "name": spec.name,
            "type": "Microsoft.ContainerService/ManagedClusters",
            "location": spec.location,
            "properties": {
                "provisioningState": "Succeeded",
                "powerState": {"code": "Running"},
                "kubernetesVersion": spec.kubernetes_version,
                "currentKubernetesVersion": spec.kubernetes_version,
                "nodeResourceGroup": spec.node_resource_group,
                "maxAgentPools": call.service.store.settings.pools_per_cluster,
            },
        }
    )


def get_permissions(call: Call) -> Response:
    """GET {scope}/providers/Microsoft.Authorization/permissions: the caller's own rights; anybody may ask (§1.3)."""
    call.cluster(parent=False)
    actions = list(call.service.store.settings.actions)
    return json_response({"value": [{"actions": actions, "notActions": [], "dataActions": [], "notDataActions": []}]})


def put_pool(call: Call) -> Response:
    """PUT agentPool (§2.1)."""
    pool, created, operation = call.service.put_pool(call.cluster(), call.param("pool"), call.body, call.now)
    headers = {"Azure-AsyncOperation": _operation_url(call, operation, "operations")}
    return json_response(pool_answer(pool, call.service.store.settings), 201 if created else 200, headers)


def get_pool(call: Call) -> Response:
    """GET agentPool."""
    pool = call.pool()
    call.service.lifecycle.observe_pool(pool, call.now)
    return json_response(pool_answer(call.pool(), call.service.store.settings))


def list_pools(call: Call) -> Response:
    """LIST agentPools; one page."""
    cluster = call.cluster()
    for pool in list(cluster.pools.values()):
        call.service.lifecycle.observe_pool(pool, call.now)
    settings = call.service.store.settings
    return json_response(list_answer([encode(pool_answer(pool, settings)) for pool in cluster.pools.values()], None))


def delete_pool(call: Call) -> Response:
    """DELETE agentPool: 202, or 204 when there is none."""
    operation = call.service.delete_pool(call.cluster(), call.param("pool"), call.now)
    if operation is None:
        return Response(status_code=204)
    return Response(status_code=202, headers=_async_headers(call, operation))


def put_machine(call: Call) -> Response:
    """PUT machine, single or batch (§3, §4)."""
    settings = call.service.store.settings
    cluster, pool = call.cluster(), call.pool()
    if settings.ga_machine_put == "reject" and not call.version.endswith("-preview"):
        raise problems.version_without(call.version, _MACHINES_TYPE, cluster.spec.location)
    request = read_machine(call.body, settings, call.version)
    headers = call.request.headers
    create_only = headers.get("if-none-match") if settings.if_none_match == "honoured" else None
    conditions = read_conditions(headers.get("if-match"), create_only)
    machine, created, operation = call.service.put_machine(
        pool, call.param("machine"), request, call.batch, conditions, call.now
    )
    answer = machine_put_answer(machine, settings)
    status = settings.create_status if created else 200
    return json_response(answer, status, {"Azure-AsyncOperation": _operation_url(call, operation, "operations")})


def get_machine(call: Call) -> Response:
    """GET machine: full fields at once (§3)."""
    pool = call.pool()
    with pool.lock:
        machine = pool.find(call.param("machine"))
        if machine is not None:
            call.service.lifecycle.observe_machine(machine, call.now)
            machine = pool.find(machine.name)
        if machine is None:
            raise problems.no_machine(call.param("machine"))
        return json_response(rendered_machine(machine, call.service.store.settings))


def list_machines(call: Call) -> Response:
    """LIST machines, 50 a page (§7.4)."""
    settings = call.service.store.settings
    pool, skip = call.pool(), _skip(call)
    with pool.lock:
        page = _page(call, pool, skip)
        total = len(pool.listed())
        bare = settings.list_vm_state == "expand" and "vmState" not in call.request.query_params.get("$expand", "")
        if bare:
            items = [encode(machine_answer(machine, settings, vm_state=False)) for machine in page]
        else:
            items = [rendered_machine(machine, settings) for machine in page]
    more = bool(page) if settings.trailing_empty_page else skip + len(page) < total
    return json_response(list_answer(items, _next_link(call, skip + len(page)) if more else None))


def _page(call: Call, pool: Pool, skip: int) -> tuple[Machine, ...]:
    size = call.service.store.settings.page_size
    page = pool.listed()[skip : skip + size]
    if not any(machine.waiting for machine in page):
        return page
    for machine in page:
        call.service.lifecycle.observe_machine(machine, call.now)
    return tuple(machine for machine in page if pool.find(machine.name) is machine)


def _skip(call: Call) -> int:
    query = call.request.query_params
    given = {query[name] for name in ("$skipToken", "$skiptoken", "skipToken") if name in query}
    if not given:
        return 0
    token = given.pop()
    if given or not _SKIP.match(token):
        raise invalid("the skip token is not one of ours")
    return int(token)


def _next_link(call: Call, skip: int) -> str:
    """Absolute, on the caller's own host, with the token twice as the real one has it (§7.4)."""
    query = f"%24skipToken={skip}&api-version={quote(call.version)}&skipToken={skip}"
    expand = call.request.query_params.get("$expand")
    if expand:
        query += f"&%24expand={quote(expand)}"
    return f"{call.origin}{quote(call.request.url.path)}?{query}"


def delete_machines(call: Call) -> Response:
    """POST deleteMachines: 202 with both operation headers (§7.5)."""
    pool = call.pool()
    names = read_machine_names(call.body)
    call.entry.names = names
    operation = call.service.delete_machines(pool, names, call.now)
    return Response(status_code=202, headers=_async_headers(call, operation))


def get_operation(call: Call) -> Response:
    """GET operations/{id} (§6.4)."""
    operation = _find_operation(call)
    return json_response(operation_answer(operation, call.now))


def get_operation_result(call: Call) -> Response:
    """GET operationresults/{id}: 202 while running, 204 at the end (§6.4)."""
    operation = _find_operation(call)
    running = operation_status(operation) == "InProgress"
    headers = {"Location": _operation_url(call, operation, "operationresults")} if running else None
    return Response(status_code=202 if running else 204, headers=headers)


def _find_operation(call: Call) -> Operation:
    store = call.service.store
    store.check_subscription(call.param("subscription"))
    operation = store.operations.get(call.param("operation").casefold())
    if operation is None:
        raise problems.arm(404, "NotFound", f"The operation '{call.param('operation')}' could not be found.")
    with operation.pool.lock:
        call.service.lifecycle.observe_pool(operation.pool, call.now)
        for machine in operation.machines:
            call.service.lifecycle.observe_machine(machine, call.now)
    return operation


def _async_headers(call: Call, operation: Operation) -> dict[str, str]:
    return {
        "Azure-AsyncOperation": _operation_url(call, operation, "operations"),
        "Location": _operation_url(call, operation, "operationresults"),
    }


def _operation_url(call: Call, operation: Operation, kind: str) -> str:
    spec = operation.pool.cluster.spec
    signed = "x" * call.service.store.settings.operation_url_bytes
    return (
        f"{call.origin}/subscriptions/{spec.subscription}/providers/Microsoft.ContainerService"
        f"/locations/{spec.location}/{kind}/{operation.id}"
        f"?api-version={_OPERATION_VERSION}&t={int(operation.started_at)}&c={signed}&s=emulated&h={operation.id[:8]}"
    )
