"""Taints and tolerations. A pod rules out every known taint that it does not tolerate.

Which taints there are is known from live nodes and from node arrays; a taint that appears later is seen in the next
cycle. `PreferNoSchedule` rules nothing out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.node_labels import Taint, taint_resource
from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping, text_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HARD_EFFECTS: Final = frozenset({"NoSchedule", "NoExecute"})
PASSING: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints of a node's health: they are no property of the machine, and say whether the node is ready."""


def taints_of(node: Mapping[str, Any]) -> tuple[Taint, ...]:
    """The hard taints of a live node that say for whom it is. Raises ValueError."""
    found = [
        (text_at(item, "key"), text_at(item, "value"), text_at(item, "effect"))
        for item in list_at(mapping(node.get("spec")), "taints")
    ]
    return tuple(taint for taint in found if taint[2] in HARD_EFFECTS and not taint[0].startswith(PASSING))


def taint_constraints(tolerations: list[Any], known: Iterable[Taint]) -> list[dict[str, Any]]:
    """`{"taint.…": null}` for each known hard taint that none of these tolerations tolerates. Raises ValueError."""
    return [
        {taint_resource(taint): None}
        for taint in known
        if taint[2] in HARD_EFFECTS and not any(_tolerates(item, taint) for item in tolerations)
    ]


def tolerates_all(tolerations: list[Any], taints: Iterable[Taint]) -> bool:
    """Whether every hard taint is tolerated. Raises ValueError."""
    return not taint_constraints(tolerations, taints)


def _tolerates(toleration: Any, taint: Taint) -> bool:
    key, value, effect = taint
    wanted = text_at(toleration, "effect")
    if wanted and wanted != effect:
        return False
    name, operator = text_at(toleration, "key"), text_at(toleration, "operator") or "Equal"
    if operator == "Exists":
        return not name or name == key
    return name == key and text_at(toleration, "value") == value
