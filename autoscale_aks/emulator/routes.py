"""The route table (§1.1): method, path, name of the operation, handler, and whose rules apply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from autoscale_aks.emulator import arm, leases, network, problems, reference
from autoscale_aks.emulator.control import Control
from autoscale_aks.emulator.gate import FrontDoor, Gate, Pauses, refusal_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from autoscale_aks.emulator.gate import Call
    from autoscale_aks.emulator.journal import Journal
    from autoscale_aks.emulator.service import Service

_SUBSCRIPTION = "/subscriptions/{subscription}"
_CLUSTER = _SUBSCRIPTION + "/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{cluster}"
_POOLS = _CLUSTER + "/agentPools"
_POOL = _POOLS + "/{pool}"
_MACHINES = _POOL + "/machines"
_PLACE = _SUBSCRIPTION + "/providers/Microsoft.ContainerService/locations/{location}"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
_SUBNET = _SUBSCRIPTION + "/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{vnet}/subnets/{subnet}"
_COMPUTE = _SUBSCRIPTION + "/providers/Microsoft.Compute"

TABLE: tuple[tuple[str, str, str, Callable[[Call], Response], str], ...] = (
    ("GET", _CLUSTER, "cluster.get", arm.get_cluster, "arm"),
    ("GET", _CLUSTER + "/providers/Microsoft.Authorization/permissions", "rights.get", arm.get_permissions, "arm"),
    ("GET", _POOLS, "pool.list", arm.list_pools, "arm"),
    ("PUT", _POOL, "pool.put", arm.put_pool, "arm"),
    ("GET", _POOL, "pool.get", arm.get_pool, "arm"),
    ("DELETE", _POOL, "pool.delete", arm.delete_pool, "arm"),
    ("GET", _MACHINES, "machine.list", arm.list_machines, "arm"),
    ("PUT", _MACHINES + "/{machine}", "machine.put", arm.put_machine, "arm"),
    ("GET", _MACHINES + "/{machine}", "machine.get", arm.get_machine, "arm"),
    ("POST", _POOL + "/deleteMachines", "machine.delete", arm.delete_machines, "arm"),
    ("GET", _PLACE + "/operations/{operation}", "operation.get", arm.get_operation, "arm"),
    ("GET", _PLACE + "/operationresults/{operation}", "operation.result", arm.get_operation_result, "arm"),
    ("GET", _COMPUTE + "/skus", "sku.list", reference.list_skus, "compute"),
    ("GET", _COMPUTE + "/locations/{location}/usages", "usage.list", reference.list_usages, "compute"),
    ("GET", _SUBNET, "subnet.get", network.get_subnet, "compute"),
    ("GET", "/api/retail/prices", "price.list", reference.list_prices, "retail"),
    ("GET", "/api/v1/nodes", "node.list", reference.list_nodes, "kubernetes"),
    ("GET", "/api/v1/nodes/{node}", "node.get", reference.get_node, "kubernetes"),
    ("GET", "/clusters/{cluster}/api/v1/nodes", "node.list", reference.list_nodes, "kubernetes"),
    ("GET", "/clusters/{cluster}/api/v1/nodes/{node}", "node.get", reference.get_node, "kubernetes"),
    *(
        row
        for base in ("", "/clusters/{cluster}")
        for row in (
            ("POST", base + _LEASES, "lease.post", leases.post_lease, "kubernetes"),
            ("GET", base + _LEASES + "/{lease}", "lease.get", leases.get_lease, "kubernetes"),
            ("PUT", base + _LEASES + "/{lease}", "lease.put", leases.put_lease, "kubernetes"),
        )
    ),
)


class AnyCaseRoute(Route):
    """A route whose fixed segments match in any case, as ARM's do (§1.1)."""

    def __init__(self, path: str, endpoint: Callable[..., object], *, methods: list[str], name: str) -> None:
        super().__init__(path, endpoint, methods=methods, name=name)
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


def create_app(service: Service, journal: Journal, pauses: Pauses) -> FrontDoor:
    """The whole emulator as an ASGI application."""
    gate = Gate(service, pauses)
    routes: list[Route] = [
        AnyCaseRoute(path, gate.endpoint(operation, realm, handler), methods=[method], name=operation)
        for method, path, operation, handler, realm in TABLE
    ]
    routes += Control(service, journal).routes()
    app = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_allowed})
    app.router.redirect_slashes = False
    return FrontDoor(app, service, journal)


async def _not_found(request: Request, error: Exception) -> Response:
    del error
    return refusal_response(
        problems.arm(404, "InvalidResourceType", f"The resource path '{request.url.path}' is not known.")
    )


async def _not_allowed(request: Request, error: Exception) -> Response:
    del error
    return refusal_response(
        problems.arm(405, "MethodNotAllowed", f"{request.method} is not allowed on '{request.url.path}'.")
    )
