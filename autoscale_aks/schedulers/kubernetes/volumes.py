"""Volume claims of waiting pods: one that does not exist or cannot be bound holds its pod, whatever machines come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping_at, text_at
from autoscale_aks.schedulers.kubernetes.selectors import term_constraints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.schedulers.kubernetes.labels import LabelWords
    from autoscale_aks.schedulers.kubernetes.objects import Pod


@dataclass(frozen=True, slots=True)
class Volumes:
    """Claims by `namespace/name`, volumes by name, and the storage classes that wait for the first pod."""

    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    volumes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    late_classes: frozenset[str] = frozenset()

    def why_waiting(self, pod: Pod) -> str:
        """Why no machine would help; empty when one would. Raises ValueError."""
        for name in claim_names(pod):
            claim = self.claims.get(f"{pod.namespace}/{name}")
            if claim is None:
                return f"its volume claim {name[:60]} does not exist"
            storage_class = text_at(mapping_at(claim, "spec"), "storageClassName")
            if text_at(mapping_at(claim, "status"), "phase") != "Bound" and storage_class not in self.late_classes:
                return f"its volume claim {name[:60]} is not bound"
        return ""

    def constraints(self, pod: Pod, words: LabelWords) -> list[dict[str, Any]]:
        """Where its volumes are, such as their zone. Raises ValueError, Unsaid where a word is missing."""
        found: list[dict[str, Any]] = []
        for name in claim_names(pod):
            claim = self.claims.get(f"{pod.namespace}/{name}", {})
            volume = self.volumes.get(text_at(mapping_at(claim, "spec"), "volumeName"), {})
            required = mapping_at(mapping_at(mapping_at(volume, "spec"), "nodeAffinity"), "required")
            if required:
                found.append(term_constraints(list_at(required, "nodeSelectorTerms"), words))
        return found


def claim_names(pod: Pod) -> list[str]:
    """The claims a pod names; an ephemeral volume's claim is called after the pod. Raises ValueError."""
    found = []
    for volume in list_at(pod.spec, "volumes"):
        claim = text_at(mapping_at(volume, "persistentVolumeClaim"), "claimName")
        if claim:
            found.append(claim)
        elif mapping_at(volume, "ephemeral"):
            found.append(f"{pod.name}-{text_at(volume, 'name')}")
    return found


def read_volumes(claims: Iterable[Any], volumes: Iterable[Any], classes: Iterable[Any]) -> Volumes:
    """Raises ValueError."""
    return Volumes(
        {f"{text_at(_meta(item), 'namespace')}/{text_at(_meta(item), 'name')}": item for item in claims},
        {text_at(_meta(item), "name"): item for item in volumes},
        frozenset(
            text_at(_meta(item), "name")
            for item in classes
            if text_at(item, "volumeBindingMode") == "WaitForFirstConsumer"
        ),
    )


def _meta(item: Any) -> Mapping[str, Any]:
    return mapping_at(item, "metadata")
