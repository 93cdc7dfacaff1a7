"""Pods that are only useful together: PodGroups of the coscheduling plugin and of Volcano, Kueue's pod groups.

| who | a pod names its group by | least size |
| --- | --- | --- |
| scheduler-plugins | label `scheduling.x-k8s.io/pod-group` | the PodGroup's `minMember` |
| Volcano | annotation `scheduling.k8s.io/group-name` | the PodGroup's `minMember` |
| Kueue | label `kueue.x-k8s.io/pod-group-name` | annotation `kueue.x-k8s.io/pod-group-total-count` |
| Kubernetes 1.35 | `spec.workloadRef` | all of its pods |
| Kubernetes 1.37 | `spec.schedulingGroup.podGroupName` | the PodGroup's `minCount`; 1 by its basic policy |

Members beyond the least size are independent. A group whose pods do not all exist yet is no demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import Problem
from autoscale_aks.schedulers.kubernetes.objects import mapping_at, text_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.schedulers.kubernetes.objects import Pod

PLUGIN_LABELS: Final = ("scheduling.x-k8s.io/pod-group", "pod-group.scheduling.sigs.k8s.io")
VOLCANO: Final = "scheduling.k8s.io/group-name"
KUEUE_GROUP: Final = "kueue.x-k8s.io/pod-group-name"
KUEUE_COUNT: Final = "kueue.x-k8s.io/pod-group-total-count"
POD_GROUP_LISTS: Final = (
    "/apis/scheduling.x-k8s.io/v1alpha1/podgroups",
    "/apis/scheduling.volcano.sh/v1beta1/podgroups",
    "/apis/scheduling.k8s.io/v1beta1/podgroups",
)


def group_of(pod: Pod) -> str:
    """`namespace/group`; empty for a pod on its own. Raises ValueError."""
    labels = pod.labels
    names = (
        *[labels[label] for label in PLUGIN_LABELS if label in labels],
        pod.annotations.get(VOLCANO, ""),
        labels.get(KUEUE_GROUP, ""),
        _of_spec(pod.spec),
    )
    name = next((name for name in names if name), "")
    return f"{pod.namespace}/{name}" if name else ""


def _of_spec(spec: Mapping[str, Any]) -> str:
    if "schedulingGroup" in spec:
        return text_at(mapping_at(spec, "schedulingGroup"), "podGroupName")
    if "workloadRef" not in spec:
        return ""
    reference = mapping_at(spec, "workloadRef")
    parts = [text_at(reference, key) for key in ("name", "podGroup", "podGroupReplicaKey")]
    return ".".join(part for part in parts if part)


def stated_size(pod: Pod) -> int | None:
    """The least size the pod itself states."""
    count = pod.annotations.get(KUEUE_COUNT, "")
    return int(count) if count.isascii() and count.isdigit() and len(count) < 9 else None


def read_sizes(groups: Iterable[Any], problems: list[Problem]) -> dict[str, int]:
    """PodGroup objects → least size by `namespace/name`. A faulty one is left out and reported."""
    found: dict[str, int] = {}
    for index, group in enumerate(groups):
        try:
            meta, least = mapping_at(group, "metadata"), _least(mapping_at(group, "spec"))
            name = f"{text_at(meta, 'namespace')}/{text_at(meta, 'name')}"
        except ValueError as error:
            problems.append(Problem(f"podgroups[{index}]", f"left out: {error}"))
            continue
        if isinstance(least, int) and not isinstance(least, bool):
            found[name] = least
    return found


def _least(spec: Mapping[str, Any]) -> Any:
    policy = mapping_at(spec, "schedulingPolicy")
    if "basic" in policy:
        return 1
    return mapping_at(policy, "gang").get("minCount", spec.get("minMember"))
