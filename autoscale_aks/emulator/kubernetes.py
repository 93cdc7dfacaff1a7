"""The Kubernetes node list: what the API server of an emulated cluster shows (§7.2, §10.10)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from autoscale_aks.emulator.answers import address, encode
from autoscale_aks.emulator.clock import timestamp
from autoscale_aks.emulator.draws import guid
from autoscale_aks.emulator.store import NodeStage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.emulator.store import Machine

Requirement = "Callable[[Mapping[str, str]], bool]"
SPOT_KEY = "kubernetes.azure.com/scalesetpriority"
NOT_READY_TAINT = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)$")
_SPLIT = re.compile(r",(?![^(]*\))")


class SelectorError(ValueError):
    """A label selector or continue token that cannot be read (400 from the API server)."""


def parse_selector(text: str) -> list[Callable[[Mapping[str, str]], bool]]:
    """`a=b,c!=d,e in (f,g),h notin (i),j,!k` as predicates that must all hold."""
    return [_requirement(part.strip()) for part in _SPLIT.split(text) if part.strip()]


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        key, inside = found["key"], found["op"] == "in"
        values = frozenset(value.strip() for value in found["values"].split(","))
        return lambda labels: (labels.get(key) in values) == inside
    if "!=" in part:
        key, value = (side.strip() for side in part.split("!=", 1))
        return lambda labels: labels.get(key) != value
    if "=" in part:
        key, value = (side.strip() for side in part.replace("==", "=", 1).split("=", 1))
        return lambda labels: labels.get(key) == value
    if re.search(r"\s|\(|\)", part) or part == "!":
        raise SelectorError(f"unable to parse requirement: {part!r}")
    if part.startswith("!"):
        return lambda labels: part[1:] not in labels
    return lambda labels: part in labels


def encode_token(last: str) -> str:
    """A continue token: everything after the node named `last`."""
    return base64.urlsafe_b64encode(json.dumps({"start": last}).encode()).decode()


def decode_token(token: str) -> str:
    """The node name a continue token stands after."""
    try:
        return str(json.loads(base64.urlsafe_b64decode(token))["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise SelectorError("continue token is not valid") from error


def node_labels(machine: Machine) -> dict[str, str]:
    """Labels of §7.2; the user's own never override the service's."""
    spec, template, zone = machine.pool.cluster.spec, machine.template, machine.zones
    system = template["operatingSystem"]
    labels = {
        **template["kubernetes"].get("nodeLabels", {}),
        "agentpool": machine.pool.name,
        "kubernetes.azure.com/agentpool": machine.pool.name,
        "kubernetes.azure.com/mode": template["mode"].lower(),
        "kubernetes.azure.com/cluster": spec.node_resource_group,
        "kubernetes.azure.com/os-sku": system["osSKU"],
        "node.kubernetes.io/instance-type": machine.size.name,
        "kubernetes.io/arch": "arm64" if machine.size.arch.casefold() == "arm64" else "amd64",
        "kubernetes.io/os": system["osType"].lower(),
        "kubernetes.io/hostname": machine.node_name,
        "topology.kubernetes.io/region": spec.location,
        "topology.kubernetes.io/zone": f"{spec.location}-{zone[0]}" if zone else "0",
    }
    if machine.spot:
        labels[SPOT_KEY] = "spot"
    return labels


def rendered_node(machine: Machine) -> tuple[dict[str, str], bytes]:
    """Labels and JSON of the node, rendered once between changes."""
    if machine.rendered_node is None:
        labels = node_labels(machine)
        machine.rendered_node = (labels, encode(_node(machine, labels)))
    return machine.rendered_node


def _node(machine: Machine, labels: dict[str, str]) -> dict[str, Any]:
    capacity = _capacity(machine)
    stage_at = timestamp(machine.node_changed_at)
    return {
        "metadata": {
            "name": machine.node_name,
            "uid": guid(machine.pool.cluster.seed, "node", machine.id, machine.generation),
            "resourceVersion": str(int(machine.node_changed_at * 1000)),
            "creationTimestamp": timestamp(machine.registered_at),
            "labels": labels,
            "annotations": {},
        },
        "spec": {"providerID": f"azure://{machine.vm_id}", "taints": _taints(machine)},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": _conditions(machine.node is NodeStage.READY, stage_at),
            "addresses": [
                {"type": "InternalIP", "address": address(machine)},
                {"type": "Hostname", "address": machine.node_name},
            ],
            "nodeInfo": {
                "kubeletVersion": f"v{machine.pool.cluster.spec.kubernetes_version}",
                "operatingSystem": labels["kubernetes.io/os"],
                "architecture": labels["kubernetes.io/arch"],
            },
        },
    }


def _capacity(machine: Machine) -> dict[str, str]:
    size = machine.size
    cpus = size.vcpus if size.vcpus_available is None else size.vcpus_available
    capacity = {
        "cpu": str(cpus),
        "memory": f"{int(size.memory_gib * 1024 * 1024)}Ki",
        "pods": str(machine.template["kubernetes"]["maxPods"]),
    }
    if size.gpus:
        capacity["nvidia.com/gpu"] = str(size.gpus)
    return capacity


def _taints(machine: Machine) -> list[dict[str, str]]:
    kubernetes = machine.template["kubernetes"]
    given = [*(kubernetes.get("nodeInitializationTaints") or ()), *(kubernetes.get("nodeTaints") or ())]
    taints = [_taint(text) for text in given]
    if machine.spot and machine.pool.cluster.spot_taint:
        taints.append({"key": SPOT_KEY, "value": "spot", "effect": "NoSchedule"})
    if machine.node is not NodeStage.READY:
        taints.append(NOT_READY_TAINT)
    return taints


def _taint(text: str) -> dict[str, str]:
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    return {"key": key, "value": value, "effect": effect} if value else {"key": key, "effect": effect}


def _conditions(ready: bool, since: str) -> list[dict[str, str]]:
    rows = [(kind, "False", f"Kubelet{kind}Not") for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")]
    rows.append(("NetworkUnavailable", "False", "NodeInitialization"))
    rows.append(("Ready", "True" if ready else "False", "KubeletReady" if ready else "KubeletNotReady"))
    return [
        {"type": kind, "status": status, "reason": reason, "lastTransitionTime": since} for kind, status, reason in rows
    ]
