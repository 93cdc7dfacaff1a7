"""Nodes that join teach what their size and image really have; later virtual nodes are planned with it (T18a, T18d).

The second smallest value of a resource counts, once two machines have shown it: one broken machine teaches nothing.
It may be less than promised (a job that does not fit is told so, and no third machine is tried) or more (a job that
fits is not sent to a larger size). What a node array states in its `resources` is never overridden (matching.md D2).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.ledger.observations import ObservedSize
from autoscale_aks.matching.constraint import write_value
from autoscale_aks.reconcile.circuits import image_of
from autoscale_aks.reconcile.sizes import ENOUGH, promised, read_found
from autoscale_aks.reconcile.sizes import KEPT_S as SMALL_KEPT_S
from autoscale_aks.reports.sizes import Shown
from autoscale_aks.units import Size, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.config.values import NodeArrayConfig
    from autoscale_aks.matching.resources import ResourceRules
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.model.node import Node
    from autoscale_aks.reconcile.sizes import Promises
    from autoscale_aks.units import Value

KEPT_S: Final = SMALL_KEPT_S
"""How long an observation counts: a size that is believed to be too small is tried again after as long."""
MOST_VALUES: Final = 16
"""Different values of one resource that are worth remembering; two machines are kept of each."""


def find_observed(
    nodes: Iterable[Node],
    nodearrays: Mapping[str, NodeArrayConfig],
    rules: ResourceRules,
    shared: Mapping[str, SharedResource],
    known: Iterable[ObservedSize],
) -> tuple[ObservedSize, ...]:
    """What ready machines show that is not known enough yet."""
    known = tuple(known)
    kept = Counter((one.key, one.found) for one in known)
    values = Counter(key for key, _ in kept)
    seen = {(one.key, one.machine, one.found) for one in known}
    promises: Promises = {}
    found: list[ObservedSize] = []
    for node in nodes:
        nodearray = nodearrays.get(node.nodearray or "")
        if nodearray is None or not node.is_ready or not node.resources or not node.vm_size:
            continue
        image = image_of(nodearrays, nodearray.array.name)
        expected = promised(promises, nodearray.array, node, rules, shared)
        for name, value in node.resources.items():
            if name in nodearray.array.resources or not _is_alike(value, expected.get(name)):
                continue
            one = ObservedSize(
                vm_size=node.vm_size,
                image=image,
                resource=name,
                machine=node.name,
                promised=str(write_value(expected[name])),
                found=str(write_value(value)),
            )
            place = (one.key, one.found)
            is_full = kept[place] >= ENOUGH or (not kept[place] and values[one.key] >= MOST_VALUES)
            if is_full or (one.key, one.machine, one.found) in seen:
                continue
            values[one.key] += 0 if kept[place] else 1
            kept[place] += 1
            found.append(one)
    return tuple(found)


def _is_alike(found: Value, promised: Value) -> bool:
    """Whether both are amounts of one kind: memory, processors, GPUs and the like."""
    both = number_of(found) is not None and number_of(promised) is not None
    return both and isinstance(found, Size) == isinstance(promised, Size)


def with_observed(
    arrays: Iterable[NodeArray], nodearrays: Mapping[str, NodeArrayConfig], known: Iterable[ObservedSize]
) -> tuple[NodeArray, ...]:
    """The node arrays with what machines of the same size and image showed.

    What an offering says already stays (fewer of its own machines have less than promised: user ask T03c).
    """
    by_size: dict[tuple[str, str], dict[str, list[Value]]] = {}
    for one in known:
        resources = by_size.setdefault((one.vm_size.casefold(), one.image), {})
        resources.setdefault(one.resource, []).append(read_found(one.found))
    if not by_size:
        return tuple(arrays)
    real = {
        key: {name: _second(values) for name, values in resources.items() if len(values) >= ENOUGH}
        for key, resources in by_size.items()
    }

    def taught(array: NodeArray, offering: Offering) -> Offering:
        shown = real.get((offering.vm_size.casefold(), image_of(nodearrays, array.name)), {})
        shown = {name: value for name, value in shown.items() if name not in array.resources}
        return replace(offering, observed=frozendict({**shown, **offering.observed})) if shown else offering

    return tuple(replace(array, offerings=tuple(taught(array, one) for one in array.offerings)) for array in arrays)


def _second(values: list[Value]) -> Value:
    return sorted(values, key=lambda value: number_of(value) or 0)[ENOUGH - 1]


def shown_sizes(observed: Iterable[ObservedSize]) -> list[Shown]:
    """Observations grouped by size, image and resource, for reports."""
    grouped: dict[tuple[str, str, str], list[ObservedSize]] = {}
    for one in observed:
        grouped.setdefault(one.key, []).append(one)
    return [
        Shown(
            vm_size=vm_size,
            image=image,
            resource=resource,
            promised=read_found(members[-1].promised),
            found=tuple(sorted((read_found(one.found) for one in members), key=lambda value: number_of(value) or 0)),
        )
        for (vm_size, image, resource), members in grouped.items()
    ]
