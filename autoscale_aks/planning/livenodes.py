"""The snapshot's nodes as rows: who offers room, in which place, and how much is left (contract matching.md A2, A8).

What nodes say is left of them is read a resource name at a time, so that ten thousand nodes are a few list
operations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from autoscale_aks.matching.profile import MEMORY
from autoscale_aks.planning.nodestate import EMPTY, MIXED
from autoscale_aks.planning.space import STRAYS, UNMANAGED
from autoscale_aks.planning.table import UNDEFINED, LiveRows, live_key
from autoscale_aks.units import Number, Size, natural_order, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.model.node import Node
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.space import Space


@dataclass(slots=True)
class Said:
    """What nodes say is left of one resource: by node, an amount and whether it was a size."""

    nodes: list[int] = field(default_factory=list)
    amounts: list[Number] = field(default_factory=list)
    sizes: list[bool] = field(default_factory=list)


def read_said(nodes: Sequence[Node]) -> dict[str, Said]:
    """Every amount that nodes say is left, by resource; what is no amount says nothing."""
    found: dict[str, Said] = {}
    for number, node in enumerate(nodes):
        for name, value in node.available.items():
            amount = value if type(value) is int else number_of(value)
            if amount is None:
                continue
            said = found.get(name)
            if said is None:
                said = found[name] = Said()
            said.nodes.append(number)
            said.amounts.append(max(amount, 0))
            said.sizes.append(type(value) is Size)
    return found


def add_live_nodes(state: State, said: Mapping[str, Said], policy: Policy) -> None:
    """Put the snapshot's nodes into their places by natural name; those that offer nothing are left out (A8)."""
    space = state.space
    snapshot = space.snapshot
    nodes = (*snapshot.nodes, *snapshot.unmanaged_nodes)
    offering = _offering(snapshot, policy, nodes)
    places = [STRAYS if bucket is None else bucket for bucket in space.bucket_of]
    places += [UNMANAGED] * len(snapshot.unmanaged_nodes)
    members: dict[int, list[int]] = {}
    for number, place in enumerate(places):
        if offering[number]:
            members.setdefault(place, []).append(number)
    numbers: list[int] = []
    keys: list[int] = []
    for place, inside in members.items():
        names = [nodes[number].name for number in inside]
        order = natural_order(names)
        state.live_names[place] = [names[index] for index in order]
        numbers += [inside[index] for index in order]
        keys += map(live_key, range(len(inside)))
    free, busy = _left(space, said, [bool(node.job_ids) for node in nodes])
    rows = np.array(numbers, np.int64)
    state.table.load(
        LiveRows(
            numbers=rows,
            places=np.array([places[number] for number in numbers], np.int64),
            keys=np.array(keys, np.int64),
            profiles=[space.profiles[number] for number in numbers],
            tenants=np.where(busy[rows], MIXED, EMPTY),
            free=[column[rows] for column in free],
        ),
        len(space.buckets),
    )


def _offering(snapshot: Snapshot, policy: Policy, nodes: Iterable[Node]) -> list[bool]:
    """Per node, whether its free capacity counts (A8); asked once for nodes that cannot differ in it."""
    known: dict[Any, bool] = {}
    found: list[bool] = []
    for node in nodes:
        key = (node.state, node.target_state, node.stage)
        offers = known.get(key)
        if offers is None:
            offers = node.offers(snapshot.now, policy.boot_timeout.of(node.nodearray))
            if node.is_ready or not node.offers(None, None):
                known[key] = offers
        found.append(offers)
    return found


def _left(space: Space, said: Mapping[str, Said], has_jobs: list[bool]) -> tuple[list[Column], Column]:
    """Per dimension, what is left of every node, scaled; and which nodes have work on them (A8)."""
    kinds = np.array([profile.kind.id for profile in space.profiles], np.int64)
    totals = [_column(space, number) for number in range(len(space.dimensions))]
    free = [column[kinds] for column in totals]
    spoken = [np.zeros(len(kinds), bool) for _ in free]
    busy = np.array(has_jobs, bool)
    for name, whole in said.items():
        for unit, group in _by_unit(name, whole, space, kinds):
            dimension = MEMORY if unit else name
            where = np.array(group.nodes, np.int64)
            amounts = group.amounts if not unit or unit == 1 else [
                amount if is_size else amount * unit
                for amount, is_size in zip(group.amounts, group.sizes, strict=True)
            ]  # fmt: skip
            number = space.dimensions.get(dimension)
            if number is None:
                busy[where] |= _below_total(amounts, group.nodes, space, dimension)
                continue
            scale = space.scales[number]
            scaled: Column = np.array(
                amounts if scale == 1 else [int(amount * scale) for amount in amounts], space.amounts
            )
            busy[where] |= (scaled < totals[number][kinds[where]]).astype(bool)
            smaller = np.where(spoken[number][where], np.minimum(free[number][where], scaled), scaled)
            free[number][where] = smaller
            spoken[number][where] = True
    return free, busy


def _column(space: Space, number: int) -> Column:
    """By kind, what an empty node holds of a dimension."""
    found = [space.totals_of(kind)[number] for kind in space.kinds]
    return np.array([UNDEFINED if amount is None else amount for amount in found], space.amounts)


def _by_unit(name: str, group: Said, space: Space, kinds: Column) -> Iterable[tuple[int, Said]]:
    """A resource's amounts by what one unit of it is on its nodes: bytes of memory, or 0 for a resource of its own."""
    schemas = space.schemas()
    if len(schemas) == 1:
        yield schemas[0][0].kind.units.get(name, 0), group
        return
    for profile, mask in schemas:
        inside = [] if mask is None else mask[kinds[np.array(group.nodes, np.int64)]].tolist()
        if any(inside):
            part = Said(
                list(compress(group.nodes, inside)),
                list(compress(group.amounts, inside)),
                list(compress(group.sizes, inside)),
            )
            yield profile.kind.units.get(name, 0), part


def _below_total(amounts: Sequence[Number], nodes: Sequence[int], space: Space, dimension: str) -> list[bool]:
    """Per node that says what is left, whether that is less than an empty node has."""
    return [
        amount < space.profiles[number].kind.totals.get(dimension, amount)
        for number, amount in zip(nodes, amounts, strict=True)
    ]


def deciding_amounts(said: Mapping[str, Said]) -> dict[str, list[Number]]:
    """Per resource, the amounts that a scale depends on: those that are no whole numbers, and the largest."""
    return {
        name: [*{amount for amount in group.amounts if type(amount) is not int}, max(group.amounts)]
        for name, group in said.items()
    }
