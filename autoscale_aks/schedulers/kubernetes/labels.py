"""Which constraint stands for a node label: a property of the node where there is one, else `label.KEY`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.node_labels import POOL_LABELS, SPOT_LABEL, label_resource
from autoscale_aks.schedulers.kubernetes.selectors import HOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings

ZONE_LABELS: Final = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
HOSTNAME: Final = "kubernetes.io/hostname"
_PROPERTIES: Final = {
    "node.kubernetes.io/instance-type": "node.vm_size",
    "beta.kubernetes.io/instance-type": "node.vm_size",
    "topology.kubernetes.io/region": "node.location",
    "failure-domain.beta.kubernetes.io/region": "node.location",
    "kubernetes.io/arch": "node.arch",
    "beta.kubernetes.io/arch": "node.arch",
    HOSTNAME: "node.hostname",
}
_ALWAYS: Final = frozenset(
    {*_PROPERTIES, *ZONE_LABELS, *POOL_LABELS}
    | {f"kubernetes.azure.com/{key}" for key in ("cluster", "mode", "os-sku")}
)
"""Labels that every AKS node has (aks-machine-api.md §7.2)."""
_OS: Final = frozenset({"kubernetes.io/os", "beta.kubernetes.io/os"})
_ZONE: Final = re.compile(r"(?P<region>[a-z0-9]+)-(?P<zone>[0-9]{1,2})\Z")


@dataclass(slots=True)
class LabelWords:
    """Labels in our words. `used` collects the labels that nodes must show for the constraints to be judged."""

    settings: KubernetesSettings
    used: dict[str, None] = field(default_factory=dict)

    def note(self, key: str) -> None:
        """A label that constraints speak of."""
        self.used[key] = None

    def among(self, key: str, values: Sequence[str]) -> dict[str, Any]:
        """The label has one of these values."""
        if key in self.settings.labels:
            return self._one_of([self._configured(key, value) for value in values])
        if key in ZONE_LABELS:
            return self._one_of([self.zone(value) for value in values])
        if key in POOL_LABELS:
            arrays = [array for value in values for array in self.settings.pools.get(value, (value,))]
            return {"node.nodearray": list(dict.fromkeys(arrays))}
        if key in _OS:
            return HOLDS if "linux" in values else {"never": f"no node array has {key}={','.join(values)[:60]}"}
        if key == SPOT_LABEL:
            return {"node.spot": True} if "spot" in values else {"never": "AKS labels no node as regular"}
        if key in _PROPERTIES:
            return {_PROPERTIES[key]: list(values)}
        self.note(key)
        return {label_resource(key): list(values)}

    def exists(self, key: str) -> dict[str, Any]:
        """The node has this label."""
        if key in _ALWAYS or key in _OS:
            return HOLDS
        if key == SPOT_LABEL:
            return {"node.spot": True}
        self.note(key)
        return {"not": {label_resource(key): None}}

    def zone(self, value: str) -> dict[str, Any]:
        """A zone label's value: `REGION-N` and `0` on AKS (aks-machine-api.md §7.2)."""
        if self.settings.zone_labels == "plain":
            return {"node.zone": value}
        if value == "0":
            return {"node.zone": None}
        match = _ZONE.match(value)
        if match is None:
            return {"never": f"no AKS node is in a zone labelled {value[:60]!r}: they are REGION-N"}
        return {"node.location": match["region"], "node.zone": match["zone"]}

    def _configured(self, key: str, value: str) -> dict[str, Any]:
        found = self.settings.labels[key].get(value)
        if found is None:
            self.note(key)
            return {label_resource(key): value}
        return dict(found)

    def _one_of(self, constraints: list[dict[str, Any]]) -> dict[str, Any]:
        return constraints[0] if len(constraints) == 1 else {"or": constraints}
