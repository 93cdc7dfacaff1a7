"""Pods and nodes as the API server writes them, with one thing changed at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.schedulers.kubernetes.queue import Look, read_state
from autoscale_aks.schedulers.kubernetes.settings import read_settings

if TYPE_CHECKING:
    from autoscale_aks.model.job import Job
    from autoscale_aks.schedulers.port import SchedulerState

CAPTURES = Path(__file__).parents[3] / "captures" / "kubernetes"
UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/0 nodes"}],
}
RUNNING = {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}]}


def container(**requests: str) -> dict[str, Any]:
    return {"name": "c", "image": "x", "resources": {"requests": requests}}


def pod(name: str = "p", *, labels: dict[str, str] | None = None, node: str = "", **spec: Any) -> dict[str, Any]:
    """A pod of the default namespace: unschedulable, or running on `node`. `status` and `meta` may be given too."""
    status, meta = spec.pop("status", RUNNING if node else UNSCHEDULABLE), spec.pop("meta", {})
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": labels or {}, **meta},
        "spec": {"containers": [container(cpu="1")], **({"nodeName": node} if node else {}), **spec},
        "status": status,
    }


def owned(kind: str, name: str) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}
    return {"ownerReferences": [owner]}


def node(name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    ready = spec.pop("ready", "True")
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def read(*pods: Any, nodes: tuple[Any, ...] = (), **more: Any) -> SchedulerState:
    """What the driver makes of these objects; keyword arguments that are lists are more objects, others settings."""
    objects = {key: value for key, value in more.items() if isinstance(value, list)}
    settings = {key: value for key, value in more.items() if key not in objects}
    lists = {**settings.pop("lists", {})}
    return read_state(
        Look(nodes=list(nodes), pods=list(pods), **objects), read_settings({"type": "kubernetes", **settings, **lists})
    )


def job_of(*pods: Any, **more: Any) -> Job:
    """The job of the first waiting pod."""
    return read(*pods, **more).jobs[0]


def constraints_of(*pods: Any, **more: Any) -> list[Any]:
    """Its constraints as plain JSON, without the amounts."""
    return [plain(constraint) for constraint in job_of(*pods, **more).shape.constraints[1:]]


def plain(value: Any) -> Any:
    if hasattr(value, "items"):
        return {key: plain(child) for key, child in value.items()}
    return [plain(child) for child in value] if isinstance(value, tuple | list) else value


def selector(**labels: str) -> dict[str, Any]:
    return {"matchLabels": labels}


def apart(topology: str = "kubernetes.io/hostname", **labels: str) -> dict[str, Any]:
    """Required anti-affinity to pods with these labels."""
    return {
        "affinity": {"podAntiAffinity": {REQUIRED: [{"topologyKey": topology, "labelSelector": selector(**labels)}]}}
    }


def together(topology: str = "kubernetes.io/hostname", **labels: str) -> dict[str, Any]:
    """Required affinity to pods with these labels."""
    term = {"topologyKey": topology, "labelSelector": selector(**labels)}
    return {"affinity": {"podAffinity": {REQUIRED: [term]}}}


def spread(topology: str, skew: int = 1, when: str = "DoNotSchedule", **labels: str) -> dict[str, Any]:
    found = {"maxSkew": skew, "topologyKey": topology, "whenUnsatisfiable": when, "labelSelector": selector(**labels)}
    return {"topologySpreadConstraints": [found]}


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def node_affinity(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    found = [{"matchExpressions": term} for term in terms]
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": found}}}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
