"""What a finished placement means for single jobs and single nodes."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from frozendict import frozendict

from autoscale_aks.matching.profile import MEMORY
from autoscale_aks.model.plan import Placement
from autoscale_aks.planning.records import Span
from autoscale_aks.units import Size, exact, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.matching.profile import Kind
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.places import Column
    from autoscale_aks.units import Value


def expand(spans: Iterable[Span]) -> tuple[Placement, ...]:
    """Spans as placements, in the order in which they were made."""
    found: list[Placement] = []
    for span in spans:
        first, nodes, slots = (np.asarray(column).tolist() for column in (span.first, span.nodes, span.slots_each))
        jobs = [span.job] * len(first) if isinstance(span.job, int) else span.job.tolist()
        found.extend(map(Placement, jobs, first, nodes, slots))
    return tuple(found)


def first_nodes(spans: Iterable[Span]) -> Iterable[tuple[int, int]]:
    """Job and first node of every entry."""
    for span in spans:
        jobs = span.job
        for index, node in enumerate(np.asarray(span.first).tolist()):
            yield (jobs if isinstance(jobs, int) else int(jobs[index])), node


def jobs_and_nodes(spans: Sequence[Span]) -> tuple[Column, Column]:
    """Job and first node of every entry, as columns."""
    nodes = [np.asarray(span.first, np.int64) for span in spans]
    jobs = [
        np.full(len(first), span.job, np.int64) if isinstance(span.job, int) else span.job
        for span, first in zip(spans, nodes, strict=True)
    ]
    empty: Column = np.zeros(0, np.int64)
    return np.concatenate([empty, *jobs]), np.concatenate([empty, *nodes])


def matched_nodes(nodes: Column, managed: int) -> set[int]:
    """Numbers of the snapshot's managed nodes that work was placed on (each is a row of its own)."""
    return set(nodes[nodes < managed].tolist())


def waiting_jobs(jobs: Column, nodes: Column, snapshot: Snapshot) -> set[int]:
    """Jobs with a slot on a node that is not ready now."""
    ready = np.array([node.is_ready for node in (*snapshot.nodes, *snapshot.unmanaged_nodes)] + [False], bool)
    return set(jobs[~ready[np.minimum(nodes, len(ready) - 1)]].tolist())


def share_out(spans: Sequence[Span], first_job: int, wanted: Sequence[int]) -> list[Span]:
    """Give a heap's slots to its jobs in order: job `first_job + i` gets the next `wanted[i]` slots."""
    if spans and all(slots == 1 for slots in wanted):
        return [_one_each(spans, first_job)]
    shared: list[Placement] = []
    job, open_slots = 0, wanted[0] if wanted else 0
    for placement in expand(spans):
        node, last, each = placement.first_node, placement.first_node + placement.nodes, placement.slots_each
        room = each
        while node < last:
            while not open_slots and job + 1 < len(wanted):
                job += 1
                open_slots = wanted[job]
            if room == each and open_slots >= each:
                nodes = min(last - node, open_slots // each)
                shared.append(Placement(first_job + job, node, nodes, each))
                node += nodes
                open_slots -= nodes * each
                continue
            slots = min(room, open_slots)
            shared.append(Placement(first_job + job, node, 1, slots))
            open_slots -= slots
            room -= slots
            if not room:
                node, room = node + 1, each
    if not shared:
        return []
    columns = np.array([(one.job, one.first_node, one.nodes, one.slots_each) for one in shared], np.int64).T
    return [Span(*columns)]


def _one_each(spans: Sequence[Span], first_job: int) -> Span:
    """A slot a job."""
    first, count, each = (
        np.concatenate([np.asarray(column) for column in columns])
        for columns in zip(*((span.first, span.nodes, span.slots_each) for span in spans), strict=True)
    )
    ends = np.cumsum(count)
    nodes = np.arange(int(ends[-1])) + np.repeat(first - ends + count, count)
    slots = np.repeat(nodes, np.repeat(each, count))
    ones = np.ones(len(slots), np.int64)
    return Span(first_job + np.arange(len(slots)), slots, ones, ones)


def left_on_nodes(state: State) -> tuple[Mapping[str, Value], ...]:
    """What is left on each node, by resource; nodes that offer nothing have nothing left.

    Nodes of which the same is left, and of which the scheduler says the same, are worked out once.
    """
    nothing: Mapping[str, Value] = frozendict()
    left: list[Mapping[str, Value]] = [nothing] * state.next_node
    table = state.table
    told: dict[int, tuple[str, ...]] = {}
    known: dict[tuple[object, ...], Mapping[str, Value]] = {}
    for row in range(table.size):
        kind, node = table.profiles[row].kind, table.profiles[row].node
        free = table.state(row).free
        if kind.id not in told:
            told[kind.id] = _told_by_node(state, kind)
        said = () if node is None else tuple(_exactly(node.available.get(name)) for name in told[kind.id])
        key = (kind.id, free, row if node is not None and None in free else said)
        if key not in known:
            known[key] = _left_on(state, row, free)
        first, count = int(table.first[row]), int(table.count[row])
        left[first : first + count] = [known[key]] * count
    return tuple(left)


def _told_by_node(state: State, kind: Kind) -> tuple[str, ...]:
    """Names of what the scheduler may say of a node of this kind that no job asks for."""
    dimensions = state.space.dimensions
    names = [
        name
        for name, value in kind.resources.items()
        if number_of(value) is None or (MEMORY if kind.units.get(name) else name) not in dimensions
    ]
    return (*names, *kind.units) if any(name in kind.units for name in names) else tuple(names)


def _exactly(value: Value) -> tuple[type, Value]:
    """A value that equals no value of another type: 1 is not true."""
    return type(value), value


def _said_to_be_left(node: Node, name: str, value: Value, units: Mapping[str, int]) -> Value:
    """What the scheduler says is left of an amount that no job asks for."""
    if name not in units:
        return node.available.get(name, value)
    amounts = [
        said.bytes if isinstance(said, Size) else (number_of(said) or 0) * unit
        for view, unit in units.items()
        if (said := node.available.get(view)) is not None
    ]
    if not amounts:
        return value
    left = min(amounts)
    return Size(left) if isinstance(value, Size) else exact(Fraction(left) / units[name])


def _left_on(state: State, row: int, free: Sequence[int | None]) -> Mapping[str, Value]:
    kind, space = state.table.profiles[row].kind, state.space
    found: dict[str, Value] = {}
    for name, value in kind.resources.items():
        unit = kind.units.get(name)
        number = space.dimensions.get(MEMORY if unit else name)
        scaled = None if number is None else free[number]
        if scaled is None or number is None or number_of(value) is None:
            node = state.table.profiles[row].node
            found[name] = value if node is None else _said_to_be_left(node, name, value, kind.units)
            continue
        amount = space.unscaled(number, scaled)
        if isinstance(value, Size):
            found[name] = Size(amount)
        else:
            found[name] = exact(Fraction(amount) / unit) if unit else amount
    return frozendict(found)
