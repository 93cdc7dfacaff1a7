"""Node objects → the scheduler's nodes, in our words, with what pods have left of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.node_labels import POOL_LABELS, label_resources, taint_resources
from autoscale_aks.model.node_names import machine_of_kubernetes_node
from autoscale_aks.schedulers.kubernetes.labels import ZONE_LABELS
from autoscale_aks.schedulers.kubernetes.needs import PODS, amounts_of
from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping_at, requests_of, text_at, texts_at
from autoscale_aks.schedulers.kubernetes.quantities import quantity_of
from autoscale_aks.schedulers.kubernetes.reasons import condition_is
from autoscale_aks.schedulers.kubernetes.taints import taints_of
from autoscale_aks.schedulers.port import SchedulerNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.node_labels import Taint
    from autoscale_aks.schedulers.kubernetes.counters import Counters
    from autoscale_aks.schedulers.kubernetes.objects import Pod
    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings
    from autoscale_aks.units import Number, Size, Value

CLOSED_BY_US: Final = "azaks.io/closed"
"""Annotation on nodes that we cordoned, with the reason: nobody else's cordon is ever undone."""

_NOT_READY: Final = "node.kubernetes.io/not-ready"
_HEALTH: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeObject:
    """What matters of a Node object."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    taints: tuple[Taint, ...]
    state: str
    is_cordoned: bool
    is_ready: bool
    allocatable: Mapping[str, Number]

    @property
    def zone(self) -> str | None:
        """Its zone label."""
        return next((self.labels[key] for key in ZONE_LABELS if key in self.labels), None)

    @property
    def machine(self) -> str | None:
        """The machine behind it: `aks-POOL-MACHINE-########-vm` (aks-machine-api.md §7.2); None: another kind."""
        pool = next((self.labels[key] for key in POOL_LABELS if key in self.labels), "")
        return machine_of_kubernetes_node(self.name, pool)


def read_node(raw: Any) -> NodeObject:
    """Raises ValueError with what is wrong."""
    meta, spec, status = mapping_at(raw, "metadata"), mapping_at(raw, "spec"), mapping_at(raw, "status")
    name = text_at(meta, "name")
    if not name:
        raise ValueError("a node without a name")
    ready = condition_is(status, "Ready")
    cordoned = spec.get("unschedulable") is True
    return NodeObject(
        name=name,
        labels=texts_at(meta, "labels"),
        annotations=texts_at(meta, "annotations"),
        taints=taints_of(raw),
        state=_state(spec, ready, cordoned=cordoned),
        is_cordoned=cordoned,
        is_ready=ready == "True",
        allocatable={
            str(resource): quantity_of(amount) for resource, amount in mapping_at(status, "allocatable").items()
        },
    )


def _state(spec: Mapping[str, Any], ready: str, *, cordoned: bool) -> str:
    """`Unknown`: the kubelet stopped answering, so the node is down; `False`: it is on its way up, or unwell."""
    if ready == "Unknown":
        return "Down"
    if cordoned:
        return "Closed"
    if ready != "True":
        return "Booting"
    sick = [
        text_at(taint, "key")
        for taint in list_at(spec, "taints")
        if text_at(taint, "key").startswith(_HEALTH) and text_at(taint, "effect") != "PreferNoSchedule"
    ]
    if not sick:
        return "Ready"
    return "Booting" if _NOT_READY in sick or any("uninitialized" in key for key in sick) else "Closed"


@dataclass(slots=True)
class Usage:
    """What bound pods take of each node, and which of them are work."""

    settings: KubernetesSettings
    work: dict[str, list[str]] = field(default_factory=dict)
    _taken: dict[str, Counter[int]] = field(default_factory=dict)
    """Node → how many pods of these specs are bound to it."""
    _requests: dict[int, tuple[Any, Mapping[str, Number]]] = field(default_factory=dict)
    """Requests are read once for all pods that share one spec (`pages`), which is kept alive here."""

    def add(self, pod: Pod) -> None:
        """Charge a pod that is not over to its node. Raises ValueError."""
        spec, node = pod.spec, pod.node_name
        if id(spec) not in self._requests:
            self._requests[id(spec)] = (spec, requests_of(spec))
        taken = self._taken.get(node)
        if taken is None:
            taken = self._taken[node] = Counter()
        taken[id(spec)] += 1
        if not pod.stays_with_node:
            self.work.setdefault(node, []).append(pod.id)

    def left(self, node: NodeObject) -> dict[str, Number]:
        """Allocatable less what is taken, never below nothing (A8)."""
        taken: dict[str, Number] = {PODS: 0}
        for spec, count in self._taken.get(node.name, Counter()).items():
            for name, amount in self._requests[spec][1].items():
                taken[name] = taken.get(name, 0) + amount * count
            taken[PODS] += count
        return {name: max(0, amount - taken.get(name, 0)) for name, amount in node.allocatable.items()}


def scheduler_nodes(
    nodes: Iterable[NodeObject], usage: Usage, counters: Counters, labels: Iterable[str]
) -> tuple[SchedulerNode, ...]:
    """All nodes of the cluster; of their labels only those that some pod speaks of."""
    wanted = tuple(labels)
    found = []
    for node in nodes:
        total, left = counters.node_amounts(node.name)
        shown = {key: node.labels[key] for key in wanted if key in node.labels}
        resources: dict[str, Value] = {**_values(node.allocatable, usage.settings), **total}
        found.append(
            SchedulerNode(
                name=node.name,
                state=node.state,
                machine=node.machine,
                resources=frozendict({**resources, **label_resources(shown), **taint_resources(node.taints)}),
                available=frozendict({**_values(usage.left(node), usage.settings), **left}),
                job_ids=tuple(usage.work.get(node.name, ())),
                closed_by_us=node.is_cordoned and CLOSED_BY_US in node.annotations,
            )
        )
    return tuple(found)


def _values(amounts: Mapping[str, Number], settings: KubernetesSettings) -> dict[str, Value]:
    found, _ = amounts_of(amounts, settings)
    zeros: dict[str, Number | Size] = {}
    for name, amount in amounts.items():
        resource = settings.resource(name)
        if resource is not None and not amount:
            zeros[resource] = 0
    return {**zeros, **found}


def read_nodes(raw: Iterable[Any], problems: list[Problem]) -> list[NodeObject]:
    """The nodes that can be read; a faulty one is left out and reported."""
    found = []
    for index, item in enumerate(raw):
        try:
            found.append(read_node(item))
        except ValueError as error:
            problems.append(Problem(f"nodes[{index}]", f"left out: {error}"))
    return found
