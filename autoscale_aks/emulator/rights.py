"""Who may do what: Azure's actions behind the operations, and the caller's rights as ARM would tell them.

The rights of whoever calls are one switch (`actions`), with Azure's wildcards. An operation that they do not cover is
refused as ARM refuses it, before it reaches the provider.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from autoscale_aks.emulator import problems

if TYPE_CHECKING:
    from collections.abc import Iterable

_AKS = "Microsoft.ContainerService/managedClusters"
ACTIONS = {
    "cluster.get": f"{_AKS}/read",
    "pool.list": f"{_AKS}/agentPools/read",
    "pool.get": f"{_AKS}/agentPools/read",
    "pool.put": f"{_AKS}/agentPools/write",
    "pool.delete": f"{_AKS}/agentPools/delete",
    "machine.list": f"{_AKS}/agentPools/machines/read",
    "machine.get": f"{_AKS}/agentPools/machines/read",
    "machine.put": f"{_AKS}/agentPools/machines/write",
    "machine.delete": f"{_AKS}/agentPools/deleteMachines/action",
    "operation.get": "Microsoft.ContainerService/locations/operations/read",
    "operation.result": "Microsoft.ContainerService/locations/operationresults/read",
    "sku.list": "Microsoft.Compute/skus/read",
    "usage.list": "Microsoft.Compute/locations/usages/read",
    "subnet.get": "Microsoft.Network/virtualNetworks/subnets/read",
}
"""What each operation needs (§1.3, L: implied by the addresses)."""


def covers(actions: Iterable[str], wanted: str) -> bool:
    """Whether rights with wildcards hold an action; letter case does not count."""
    for action in actions:
        pattern = re.escape(action).replace(r"\*", ".*")
        if re.fullmatch(pattern, wanted, re.IGNORECASE):
            return True
    return False


def check(actions: Iterable[str], operation: str, path: str) -> None:
    """Raise ARM's 403 when the rights do not cover what an operation needs."""
    action = ACTIONS.get(operation)
    if action is None or covers(actions, action):
        return
    raise problems.arm(
        403,
        "AuthorizationFailed",
        "The client 'emulated' with object id '00000000-0000-0000-0000-00000000e0e0' does not have authorization to "
        f"perform action '{action}' over scope '{path}' or the scope is invalid. If access was recently granted, "
        "please refresh your credentials.",
    )
