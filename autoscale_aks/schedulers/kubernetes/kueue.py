"""Kueue workloads that have quota and wait for machines: their pods do not exist yet (their job is suspended).

A workload is one gang of a chunk a pod set (A6). One without quota is no demand: Kueue would not start it. One that is
admitted is none either: its pods exist and speak for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.schedulers.kubernetes.objects import Owner, Pod, list_at, mapping_at, text_at, texts_at
from autoscale_aks.schedulers.kubernetes.reasons import condition_is

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKLOAD_LISTS: Final = ("/apis/kueue.x-k8s.io/v1beta2/workloads", "/apis/kueue.x-k8s.io/v1beta1/workloads")
"""Newest first; what is read here is the same in both."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload that wants machines, or says why not."""

    id: str
    created: str
    priority: int
    why: str
    pod_sets: tuple[tuple[Pod, int], ...]
    """A pod as the template makes it, and how many."""


def read_workload(raw: Any) -> Workload | None:
    """None for one that runs or is over. Raises ValueError."""
    meta, spec, status = mapping_at(raw, "metadata"), mapping_at(raw, "spec"), mapping_at(raw, "status")
    if any(condition_is(status, kind) == "True" for kind in ("Admitted", "Finished")):
        return None
    name, namespace = text_at(meta, "name"), text_at(meta, "namespace") or "default"
    if not name:
        raise ValueError("a workload without a name")
    priority = spec.get("priority", 0)
    why = ""
    if spec.get("active") is False:
        why = "Kueue: the workload is not active"
    elif condition_is(status, "QuotaReserved") != "True":
        why = "Kueue: it has no quota yet"
    counts = _admitted_counts(status)
    return Workload(
        f"{namespace}/{name}",
        text_at(meta, "creationTimestamp"),
        priority if isinstance(priority, int) else 0,
        why,
        tuple(_pod_set(item, namespace, name, counts) for item in list_at(spec, "podSets")),
    )


def _admitted_counts(status: Mapping[str, Any]) -> dict[str, int]:
    assigned = list_at(mapping_at(status, "admission"), "podSetAssignments")
    return {text_at(item, "name"): item["count"] for item in assigned if isinstance(item.get("count"), int)}


def _pod_set(item: Any, namespace: str, workload: str, counts: Mapping[str, int]) -> tuple[Pod, int]:
    name = text_at(item, "name") or "main"
    template = mapping_at(item, "template")
    meta = mapping_at(template, "metadata")
    count = counts.get(name, item.get("count", 1))
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError(f"podSets {name[:40]}: count {count!r:.20}")
    pod = Pod(
        namespace=namespace,
        name=f"{workload}.{name}",
        labels=texts_at(meta, "labels"),
        annotations=texts_at(meta, "annotations"),
        owner=Owner(kind="Workload", name=workload),
        spec=mapping_at(template, "spec"),
        status={},
    )
    return pod, count
