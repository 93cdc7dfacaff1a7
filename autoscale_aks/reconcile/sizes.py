"""Machines smaller than promised: at most one more is tried, then the size is planned as it is (user ask T03c)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.ledger.guards import SmallSize
from autoscale_aks.matching.constraint import write_value
from autoscale_aks.matching.resources import ResourceRules, resolve_kind
from autoscale_aks.model.bucket import Bucket
from autoscale_aks.planning.space import bucket_facts
from autoscale_aks.units import Size, Value, exact, number_of, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.model.node import Node

ENOUGH: Final = 2
"""So many machines with less than promised, and the promise is not believed any more."""
KEPT_S: Final = 7 * 86_400.0
"""How long an observation counts; a new image may have mended it by then."""

Promises = dict[tuple[str, str, str | None], "Mapping[str, Value]"]
"""What machines are to have, by node array, size and zone."""


def observed(arrays: Iterable[NodeArray], known: Iterable[SmallSize]) -> tuple[NodeArray, ...]:
    """The node arrays with what their machines turned out to have, where `ENOUGH` machines had less than promised.

    What counts is the second smallest value seen: a job that asks for more was failed by two machines.
    """
    found: dict[tuple[str, str], dict[str, list[Value]]] = {}
    for one in known:
        sizes = found.setdefault((one.nodearray, one.vm_size), {})
        sizes.setdefault(one.resource, []).append(read_found(one.found))
    less = {
        key: frozendict({name: _second(values) for name, values in resources.items() if len(values) >= ENOUGH})
        for key, resources in found.items()
    }
    if not any(less.values()):
        return tuple(arrays)
    return tuple(
        replace(
            array,
            offerings=tuple(
                replace(one, observed=less.get((array.name, one.vm_size), one.observed)) for one in array.offerings
            ),
        )
        for array in arrays
    )


def _second(values: list[Value]) -> Value:
    return sorted(values, key=lambda value: number_of(value) or 0)[ENOUGH - 1]


def read_found(text: str) -> Value:
    """A value as the ledger holds it."""
    try:
        return exact(Decimal(text))
    except InvalidOperation:
        return parse_value(text)


def find_small(
    nodes: Iterable[Node],
    arrays: Iterable[NodeArray],
    rules: ResourceRules,
    shared: Mapping[str, SharedResource],
    known: Iterable[SmallSize],
) -> tuple[SmallSize, ...]:
    """Ready machines of which the scheduler reports less than their bucket promises, but for those known."""
    by_name = {array.name: array for array in arrays}
    seen = {(one.machine, one.resource, one.found) for one in known}
    promises: Promises = {}
    found: list[SmallSize] = []
    for node in nodes:
        array = by_name.get(node.nodearray or "")
        if array is None or not node.is_ready or not node.resources:
            continue
        expected = promised(promises, array, node, rules, shared)
        for name, value in node.resources.items():
            if not _is_less(value, expected.get(name)):
                continue
            text = str(write_value(value))
            if (node.name, name, text) not in seen:
                found.append(
                    SmallSize(
                        nodearray=array.name,
                        vm_size=node.vm_size or "",
                        resource=name,
                        machine=node.name,
                        promised=str(write_value(expected[name])),
                        found=text,
                    )
                )
    return tuple(found)


def _is_less(found: Value, wanted: Value) -> bool:
    """Whether an amount is less than another of its kind."""
    if isinstance(found, Size) != isinstance(wanted, Size):
        return False
    has, should = number_of(found), number_of(wanted)
    return has is not None and should is not None and has < should


def promised(
    promises: Promises,
    array: NodeArray,
    node: Node,
    rules: ResourceRules,
    shared: Mapping[str, SharedResource],
) -> Mapping[str, Value]:
    """What an empty node of the bucket has by the configuration alone; worked out once a bucket."""
    key = (array.name, node.vm_size or "", node.zone)
    if key not in promises:
        same = [one for one in array.offerings if one.vm_size == node.vm_size]
        offering = next((one for one in same if one.zone == node.zone), same[0] if same else None)
        if offering is None:
            promises[key] = frozendict()
        else:
            bucket = Bucket(array, offering, node.placement_group)
            facts = bucket_facts(bucket, offering.zone)
            promises[key] = resolve_kind(0, rules, facts, array.resources, shared, bucket=bucket).resources
    return promises[key]


def describe_small(known: Iterable[SmallSize]) -> tuple[str, ...]:
    """One sentence for each resource of a size that is not believed any more."""
    grouped: dict[tuple[str, str, str], list[SmallSize]] = {}
    for one in known:
        grouped.setdefault((one.nodearray, one.vm_size, one.resource), []).append(one)
    return tuple(
        f"OBSERVED_SMALLER: {len(members)} machines of {array}/{size} have {resource} {members[0].found} where "
        f"{members[0].promised} was promised; new ones are planned with what they have"
        for (array, size, resource), members in grouped.items()
        if len(members) >= ENOUGH
    )
