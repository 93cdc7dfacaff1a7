"""DaemonSets → what a fresh node has to carry before any job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from frozendict import deepfreeze

from autoscale_aks.errors import Problem
from autoscale_aks.schedulers.kubernetes.needs import PODS, amounts_of
from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping_at, requests_of, text_at
from autoscale_aks.schedulers.kubernetes.selectors import both, node_constraints
from autoscale_aks.schedulers.kubernetes.taints import taint_constraints
from autoscale_aks.schedulers.port import NodeOverhead
from autoscale_aks.units import Number, Size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.model.node_labels import Taint
    from autoscale_aks.schedulers.kubernetes.labels import LabelWords

    _Amounts = dict[str, Number | Size]


def read_overheads(
    raw: Iterable[Any], words: LabelWords, taints: Iterable[Taint], problems: list[Problem]
) -> tuple[NodeOverhead, ...]:
    """One overhead for all DaemonSets that run on the same nodes. A faulty one is left out and reported."""
    known = tuple(taints)
    found: dict[str, tuple[dict[str, Any], _Amounts]] = {}
    for index, item in enumerate(raw):
        try:
            spec = mapping_at(mapping_at(mapping_at(item, "spec"), "template"), "spec")
            name = text_at(mapping_at(item, "metadata"), "name")
            select = both([*node_constraints(spec, words), *taint_constraints(list_at(spec, "tolerations"), known)])
            amounts, _ = amounts_of(requests_of(spec), words.settings)
        except ValueError as error:
            problems.append(Problem(f"daemonsets[{index}]", f"left out: {error}"))
            continue
        if name:
            _, total = found.setdefault(json.dumps(select, sort_keys=True), (select, {}))
            for resource, amount in {**amounts, PODS: 1}.items():
                total[resource] = _plus(total.get(resource, 0), amount)
    return tuple(NodeOverhead(select=deepfreeze(select), amounts=amounts) for select, amounts in found.values())


def _plus(left: Number | Size, right: Number | Size) -> Number | Size:
    if isinstance(right, Size):
        return Size(right.bytes + (left.bytes if isinstance(left, Size) else left))
    return right + left if not isinstance(left, Size) else Size(left.bytes + right)
