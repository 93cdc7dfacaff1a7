"""Labels and taints of Kubernetes nodes as resources, so that constraints can speak of them (D2).

================================  =======================================================================
`label.KEY`                       the label's value, a string; a missing label is an undefined resource
`label_number.KEY`                the same as a number, where it is a whole one (`Gt`, `Lt`)
`taint.KEY=VALUE:EFFECT`          true on nodes that have this taint
================================  =======================================================================

One place says so, because two rooms must agree: what a node array's machines will have, and what pods ask of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.units import Value

SPOT_LABEL: Final = "kubernetes.azure.com/scalesetpriority"
"""Label and taint of Spot nodes; AKS never writes `regular` (aks-machine-api.md §7.2)."""
SPOT_TAINT: Final = (SPOT_LABEL, "spot", "NoSchedule")
POOL_LABELS: Final = ("agentpool", "kubernetes.azure.com/agentpool")

Taint = tuple[str, str, str]
"""Key, value (may be empty), effect."""

_WHOLE: Final = re.compile(r"-?[0-9]{1,15}\Z")


def label_resource(key: str) -> str:
    """The resource that holds a label's value."""
    return f"label.{key}"


def number_resource(key: str) -> str:
    """The resource that holds a label's value as a number."""
    return f"label_number.{key}"


def taint_resource(taint: Taint) -> str:
    """The resource that is true on nodes with this taint."""
    key, value, effect = taint
    return f"taint.{key}={value}:{effect}"


def whole_number(text: str) -> int | None:
    """A label's value as a number, as `Gt` and `Lt` read it; None when it is none. Amounts are 0 or more (V1)."""
    return int(text) if _WHOLE.match(text) and not text.startswith("-") else None


def label_resources(labels: Mapping[str, str]) -> dict[str, Value]:
    """Labels as resources, whole numbers as numbers too."""
    found: dict[str, Value] = {}
    for key, text in labels.items():
        found[label_resource(key)] = text
        number = whole_number(text)
        if number is not None:
            found[number_resource(key)] = number
    return found


def taint_resources(taints: Iterable[Taint]) -> dict[str, Value]:
    """Taints as resources."""
    return {taint_resource(taint): True for taint in taints}


def parse_taint(text: str) -> Taint | None:
    """`KEY=VALUE:EFFECT` or `KEY:EFFECT`, as node arrays write taints; None when it is none."""
    head, colon, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    return (key, value, effect) if colon and key and effect else None
