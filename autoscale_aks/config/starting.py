"""A first configuration: commented, complete, and valid. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from autoscale_aks.config.comments import COMMENT

MEMORY: Final = "`max(node.memory * 0.5, min(node.memory * 0.93, node.memory - memory::1g))`"
"""Memory of a node before any of its size was seen (user ask T18b): what Azure promises is 2 to 7 % more than
Linux shows, on small machines still more of it. Never below half, so that no size is worth nothing."""
MEMORY_OF_PODS: Final = "`max(node.memory * 0.65, node.memory * 0.93 - memory::5g)`"
"""The same for pods: the kubelet of AKS keeps 20 MB for each of at most 250 pods, and no more than a quarter."""
NOWHERE: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a first configuration has to be told."""

    subscription: str
    resource_group: str
    cluster: str
    location: str
    owner: str = "az1"
    scheduler: str = "slurm"
    nodearray: str = "htc"
    vm_size: str = "Standard_D4s_v5"
    vcpu_count: int | None = None
    memory_gb: float | None = None
    """What is stated of the size wins over what is known of it, so that nothing is stated that was not told."""
    emulator: str | None = None
    """Address of an emulator to use instead of Azure."""
    ledger: str = "ledger.sqlite"


def start_document(start: Start) -> dict[str, Any]:
    """The document, with a comment where something is to be decided."""
    aks: dict[str, Any] = {
        COMMENT: "Which cluster. owner marks what is ours: machine names begin with it. Two autoscalers on one cluster "
        "need two owners.",
        "subscription": start.subscription,
        "resource_group": start.resource_group,
        "cluster": start.cluster,
        "location": start.location,
        "owner": start.owner,
    }
    if start.emulator is None:
        aks["credential"] = ["workload_identity", "managed_identity"]
    else:
        aks |= {"cloud": "custom", "arm_url": start.emulator, "kubernetes_url": start.emulator,
                "credential": ["emulator"]}  # fmt: skip
    return {
        COMMENT: [
            "Check this file with: azaks validate -c FILE. See what would be done with: azaks demand -c FILE.",
            "Every key is explained by: azaks config schema. What is not said here has its default: azaks config show.",
        ],
        "aks": aks,
        "scheduler": {
            COMMENT: _REACHED.get(start.scheduler, _BY_COMMANDS),
            "type": start.scheduler,
            **_scheduler_keys(start),
        },
        "ledger": {
            COMMENT: "What is remembered between runs: a local disk, one file for one owner.",
            "path": start.ledger,
        },
        "default_resources": _default_resources(start.scheduler),
        "nodearrays": {
            start.nodearray: {
                COMMENT: "A family of nodes; an agent pool of the same name holds its machines.",
                "max_count": 10,
                "buckets": [_bucket(start)],
            }
        },
        "idle_timeout": 300,
        "boot_timeout": 1800,
        "limits": {COMMENT: "Caps of your own; the subscription's quota is read.", "cluster_max_nodes": 10},
        **({} if start.emulator is None else {"prices": {"url": start.emulator}}),
    }  # fmt: skip


def _bucket(start: Start) -> dict[str, Any]:
    """One VM size; what is known of it is looked up."""
    bucket: dict[str, Any] = {
        COMMENT: "A VM size. What is known of it (azaks sizes show SIZE) is looked up; what is stated here wins.",
        "vm_size": start.vm_size,
    }
    if start.vcpu_count is not None:
        bucket["vcpu_count"] = start.vcpu_count
    if start.memory_gb is not None:
        bucket["memory_gb"] = int(start.memory_gb) if float(start.memory_gb).is_integer() else start.memory_gb
    return bucket


def _default_resources(scheduler: str) -> list[dict[str, Any]]:
    """What nodes offer: what Azure promises, less what the system, or the kubelet, keeps."""
    cpus: dict[str, Any] = {"select": {}, "name": "ncpus", "value": "node.vcpu_count"}
    memory: dict[str, Any] = {"select": {}, "name": "mem", "value": MEMORY}
    kept = "The system keeps a part of what Azure promises; azaks doctor compares with what joined nodes show."
    if scheduler == "kubernetes":
        cpus["value"] = "`node.vcpu_count - (0.14 if node.vcpu_count <= 4 else 0.42)`"
        memory["value"] = MEMORY_OF_PODS
        kept = "The kubelet keeps more; azaks doctor compares with what joined nodes show."
    return [
        {COMMENT: "What nodes offer to jobs; the first entry whose select holds defines a resource.", **cpus},
        {COMMENT: kept, **memory},
        {"select": {}, "name": "ngpus", "value": "node.gpu_count"},
    ]


def _scheduler_keys(start: Start) -> dict[str, Any]:
    """What this scheduler is asked with."""
    if start.scheduler == "celery":
        return {"broker_url": "redis://127.0.0.1:6379/0",
                "queues": {"celery": {"nodearrays": [start.nodearray], "constraints": {"ncpus": 1}}}}  # fmt: skip
    if start.scheduler == "kubernetes" and start.emulator is not None:
        return {"url": start.emulator}
    return _SCHEDULERS.get(start.scheduler, {})


_BY_COMMANDS: Final = "Full paths of its commands stand here where PATH lacks them, as for cron."
_REACHED: Final[dict[str, str]] = {
    "celery": "One entry a queue. Where the broker has a password: broker_url_env or broker_password_file, not here.",
    "kubernetes": "The AKS cluster itself: asked as the pod this runs in; elsewhere name a kubeconfig here.",
}
_SCHEDULERS: Final[dict[str, dict[str, Any]]] = {
    "slurm": {"squeue": "squeue", "scontrol": "scontrol"},
    "openpbs": {"qstat": "qstat", "qmgr": "qmgr", "pbsnodes": "pbsnodes"},
    "gridengine": {"qstat": "qstat", "qhost": "qhost", "qconf": "qconf", "qmod": "qmod"},
    "celery": {},
    "kubernetes": {},
    "command": {"jobs_file": "jobs.json"},
}
STARTED: Final = tuple(_SCHEDULERS)
"""Schedulers that a first configuration can be made for."""


def written(document: dict[str, Any]) -> str:
    """A document as text, two blanks a level."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
