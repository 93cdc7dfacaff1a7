"""Encoding answers: machines, pools, operations, lists (§2, §3, §6.4, §7.4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from autoscale_aks.emulator.clock import timestamp
from autoscale_aks.emulator.settings import subnet_of_pool
from autoscale_aks.emulator.store import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.emulator.settings import EmulatorSettings
    from autoscale_aks.emulator.store import Machine, Operation, Pool

MACHINE_TYPE = "Microsoft.ContainerService/managedClusters/agentPools/machines"


def encode(data: object) -> bytes:
    """Compact JSON."""
    return json.dumps(data, separators=(",", ":")).encode()


def machine_put_answer(machine: Machine, settings: EmulatorSettings) -> dict[str, Any]:
    """The answer to a PUT: `status` is `{}`, and (lean) no `resourceId` yet (§3)."""
    answer = machine_answer(machine, settings)
    properties = answer["properties"]
    properties["status"] = {}
    if settings.lean_put_answer:
        properties.pop("resourceId")
    if machine.state is State.CREATING:
        properties["provisioningState"] = State.CREATING.value
    return answer


def machine_answer(machine: Machine, settings: EmulatorSettings, *, vm_state: bool = True) -> dict[str, Any]:
    """The whole machine resource, as GET shows it (§2.3, §2.5)."""
    template = machine.template
    properties: dict[str, Any] = {
        **template,
        "kubernetes": {**template["kubernetes"], "nodeName": machine.node_name},
        "resourceId": machine.vm_id,
        "provisioningState": _shown_state(machine, settings),
        "eTag": machine.etag,
        "status": _status(machine, settings, vm_state=vm_state),
    }
    if machine.tags:
        properties["tags"] = machine.tags
    if machine.vm_state:
        properties["network"] = {
            **template["network"],
            "ipAddresses": [{"ip": address(machine), "family": "IPv4"}],
        }
    answer: dict[str, Any] = {"id": machine.id, "name": machine.name, "type": MACHINE_TYPE, "properties": properties}
    if machine.zones:
        answer["zones"] = list(machine.zones)
    return answer


def address(machine: Machine) -> str:
    """A private IPv4 address, one per machine."""
    number = machine.ordinal + 4
    return f"10.{224 + number // 65536 % 16}.{number // 256 % 256}.{number % 256}"


def _shown_state(machine: Machine, settings: EmulatorSettings) -> str:
    if settings.succeeded_early and machine.state is State.CREATING:
        return State.SUCCEEDED.value
    return machine.state.value


def _status(machine: Machine, settings: EmulatorSettings, *, vm_state: bool) -> dict[str, Any]:
    status: dict[str, Any] = {
        "creationTimestamp": timestamp(machine.created_at + settings.timing.creation_stamp_s),
        "driftAction": "Synced",
    }
    if machine.vm_state and vm_state:
        status["vmState"] = machine.vm_state
    if machine.error is not None:
        status["provisioningError"] = machine.error
    return status


def rendered_machine(machine: Machine, settings: EmulatorSettings) -> bytes:
    """The resource as JSON, rendered once between changes (lists of thousands are polled)."""
    if machine.rendered is None:
        machine.rendered = encode(machine_answer(machine, settings))
    return machine.rendered


def list_answer(items: Iterable[bytes], next_link: str | None) -> bytes:
    """`{value, nextLink}`; the link is left out when there is none (§7.4)."""
    tail = b"" if next_link is None else b',"nextLink":' + json.dumps(next_link).encode()
    return b'{"value":[' + b",".join(items) + b"]" + tail + b"}"


def pool_answer(pool: Pool, settings: EmulatorSettings) -> dict[str, Any]:
    """The pool resource; a Machines pool has neither `count` nor `vmSize` (§2.1)."""
    state = pool.state
    if settings.pool_follows_machines and state is State.SUCCEEDED and any(map(_is_moving, pool.listed())):
        state = State.UPDATING
    properties: dict[str, Any] = {
        "type": "VirtualMachines" if pool.mode == "Machines" else "VirtualMachineScaleSets",
        "provisioningState": state.value,
        "powerState": {"code": "Running"},
        "mode": pool.mode,
        "upgradeSettings": {},
        "eTag": pool.etag,
    }
    if pool.mode != "Machines":
        properties = {**pool.body, **properties}
    subnet = subnet_of_pool(settings, pool.cluster.spec, pool.name)
    if subnet is not None:
        properties["vnetSubnetID"] = subnet
    return {"id": pool.id, "name": pool.name, "properties": properties}


def _is_moving(machine: Machine) -> bool:
    return machine.state in (State.CREATING, State.UPDATING, State.DELETING)


def operation_status(operation: Operation) -> str:
    """`InProgress`, `Succeeded`, `Failed` or `Canceled`, read off the resources (§6.4)."""
    pool = operation.pool
    if operation.kind == "pool.put":
        return "InProgress" if pool.state is State.CREATING else "Succeeded"
    if operation.kind == "pool.delete":
        return "Succeeded" if pool.state is State.GONE else "InProgress"
    states = {machine.state for machine in operation.machines}
    if operation.kind == "machine.delete":
        return "Succeeded" if states <= {State.GONE} else "InProgress"
    if states & {State.CREATING, State.UPDATING}:
        return "InProgress"
    if State.CANCELED in states:
        return "Canceled"
    return "Failed" if State.FAILED in states else "Succeeded"


def operation_answer(operation: Operation, now: float) -> dict[str, Any]:
    """The body of the operation URL."""
    status = operation_status(operation)
    answer: dict[str, Any] = {
        "name": operation.id,
        "status": status,
        "startTime": timestamp(operation.started_at),
    }
    if status != "InProgress":
        answer["endTime"] = timestamp(now)
    errors = [machine.error for machine in operation.machines if machine.error is not None]
    if status == "Failed" and errors:
        answer["error"] = errors[0]
    return answer
