"""Kubernetes on the wire: the node list, when a node is ready (aks-machine-api.md §7.2, §7.3), and leases.

====================================  =============================================================================
GET /api/v1/nodes                     `labelSelector` by pool, `limit`, `continue`; 410 means: begin again
ready                                 `Ready` is True, `NetworkUnavailable` is not True, not `unschedulable`, and no
                                      NoSchedule or NoExecute taint of the ten built-in keys
pool                                  label `agentpool`, else `kubernetes.azure.com/agentpool`
lease                                 `coordination.k8s.io/v1`: GET; POST makes it (409: there is one); PUT with
                                      `metadata.resourceVersion` changes it (409: somebody else did)
====================================  =============================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from frozendict import frozendict

from autoscale_aks.cloud.aks.faults import clean_text, parse_object
from autoscale_aks.cloud.aks.wire import MAX_PAGE_BYTES, at, parse_timestamp
from autoscale_aks.errors import ProtocolError
from autoscale_aks.model.launch import ClusterNode

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE_LIMIT: Final = 250
POOL_LABELS: Final = ("agentpool", "kubernetes.azure.com/agentpool")

_CORDON: Final = "node.kubernetes.io/unschedulable"
NOT_READY_TAINTS: Final = frozenset(
    {
        *(
            f"node.kubernetes.io/{name}"
            for name in (
                "not-ready",
                "unreachable",
                "pid-pressure",
                "out-of-disk",
                "memory-pressure",
                "disk-pressure",
                "network-unavailable",
                "unschedulable",
            )
        ),
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cloudprovider.kubernetes.io/shutdown",
    }
)


@dataclass(frozen=True, slots=True)
class NodePage:
    """One page of nodes and the token of the next one."""

    nodes: tuple[ClusterNode, ...]
    next_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease as the API server has it. Times are seconds since the epoch; 0 stands for never."""

    namespace: str
    name: str
    holder: str = ""
    """Empty: nobody holds it."""
    acquired_at: float = 0.0
    renewed_at: float = 0.0
    duration_s: float = 0.0
    transitions: int = 0
    """How often it has changed hands."""
    version: str = ""
    """`metadata.resourceVersion`: what a change has to be made of."""


def nodes_url(base_url: str, pools: Sequence[str], token: str = "") -> str:
    """The list's URL for some pools, or for one of its later pages."""
    selector = f"agentpool={pools[0]}" if len(pools) == 1 else f"agentpool in ({','.join(pools)})"
    query = {"labelSelector": selector, "limit": str(PAGE_LIMIT), **({"continue": token} if token else {})}
    return f"{base_url.rstrip('/')}/api/v1/nodes?{urlencode(query)}"


def decode_nodes(body: bytes) -> NodePage:
    """A page of nodes. Raises ProtocolError when it is none, or when a node has no name."""
    page = parse_object(body, MAX_PAGE_BYTES)
    items = page.get("items")
    if not isinstance(items, list):
        raise ProtocolError("a node list without items")
    token = at(page, "metadata", "continue")
    return NodePage(tuple(_node(item) for item in items), token if isinstance(token, str) else "")


def lease_url(base_url: str, namespace: str, name: str = "") -> str:
    """One lease, or with no name the collection that a POST adds to."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases"
    return f"{base_url.rstrip('/')}{path}{'/' + quote(name, safe='') if name else ''}"


def encode_lease(lease: Lease) -> dict[str, Any]:
    """The body of a POST (without a version) or of a PUT (with one). Times are in microseconds, as leases have them."""
    version = {"resourceVersion": lease.version} if lease.version else {}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": lease.name, "namespace": lease.namespace, **version},
        "spec": {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": max(1, round(lease.duration_s)),
            "acquireTime": _micro_time(lease.acquired_at),
            "renewTime": _micro_time(lease.renewed_at),
            "leaseTransitions": lease.transitions,
        },
    }


def decode_lease(body: bytes) -> Lease:
    """A lease. Raises ProtocolError for anything without a name or a version."""
    lease = parse_object(body)
    namespace, name = at(lease, "metadata", "namespace"), at(lease, "metadata", "name")
    version = at(lease, "metadata", "resourceVersion")
    if not (isinstance(namespace, str) and isinstance(name, str) and isinstance(version, str) and version):
        raise ProtocolError("a lease without namespace, name or resourceVersion")
    duration, transitions = at(lease, "spec", "leaseDurationSeconds"), at(lease, "spec", "leaseTransitions")
    return Lease(
        namespace=namespace,
        name=name,
        holder=clean_text(at(lease, "spec", "holderIdentity")),
        acquired_at=_moment(at(lease, "spec", "acquireTime")),
        renewed_at=_moment(at(lease, "spec", "renewTime")),
        duration_s=float(duration) if isinstance(duration, int) else 0.0,
        transitions=transitions if isinstance(transitions, int) else 0,
        version=version,
    )


def _micro_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(value: object) -> float:
    return (parse_timestamp(value) if isinstance(value, str) else None) or 0.0


def is_ready(node: object) -> bool:
    """The ready rule of §7.3. A taint that is not built in, such as Spot's, does not matter."""
    return _is_up(node) and at(node, "spec", "unschedulable") is not True and not _taints(node)


def is_cordoned(node: object) -> bool:
    """Whether it would be ready if somebody had not made it unschedulable."""
    return _is_up(node) and at(node, "spec", "unschedulable") is True and _taints(node) <= {_CORDON}


def _is_up(node: object) -> bool:
    conditions = {at(item, "type"): at(item, "status") for item in _list(node, "status", "conditions")}
    return conditions.get("Ready") == "True" and conditions.get("NetworkUnavailable") != "True"


def _taints(node: object) -> set[object]:
    """Keys of the built-in taints that keep work off it."""
    found = {
        at(taint, "key")
        for taint in _list(node, "spec", "taints")
        if at(taint, "effect") in {"NoSchedule", "NoExecute"}
    }
    return found & NOT_READY_TAINTS


def _node(value: object) -> ClusterNode:
    name = clean_text(at(value, "metadata", "name"))
    if not name:
        raise ProtocolError("a node without a name")
    raw_labels = at(value, "metadata", "labels")
    labels = {
        clean_text(key): clean_text(text)
        for key, text in (raw_labels.items() if isinstance(raw_labels, dict) else ())
        if isinstance(text, str)
    }
    addresses = [
        clean_text(at(item, "address"))
        for item in _list(value, "status", "addresses")
        if at(item, "type") == "InternalIP"
    ]
    return ClusterNode(
        name=name,
        pool=next((labels[label] for label in POOL_LABELS if label in labels), ""),
        ready=is_ready(value),
        cordoned=is_cordoned(value),
        labels=frozendict(labels),
        provider_id=clean_text(at(value, "spec", "providerID")) or None,
        private_ip=addresses[0] if addresses else None,
    )


def _list(value: object, *path: str) -> list[object]:
    found = at(value, *path)
    return found if isinstance(found, list) else []
