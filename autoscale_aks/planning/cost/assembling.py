"""From a packing back to nodes, names and placements; and another chance for who was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autoscale_aks.planning.cost.keeping import new_state
from autoscale_aks.planning.cost.preferring import at_least_as_good
from autoscale_aks.planning.nodestate import MIXED, OPEN, SEALED
from autoscale_aks.planning.records import Order, Span

if TYPE_CHECKING:
    from autoscale_aks.planning.cost.keeping import Item, Kept
    from autoscale_aks.planning.cost.posing import Posed
    from autoscale_aks.planning.cost.problem import Packing
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.placer import Placer
    from autoscale_aks.planning.places import Column


def place_on_free_room(placer: Placer, kept: Kept) -> None:
    """Slots that nodes which exist, or which stand, have room for are not bought (A3), unless a job likes that less."""
    state = kept.state
    for item in kept.items:
        mark = len(state.spans)
        done = state.place_on_existing(Order(item.part, 0, MIXED), at_least_as_good(placer, item), item.total)
        if done:
            spans = state.spans[mark:]
            first, nodes, each = (
                np.concatenate([np.asarray(getattr(span, name), np.int64) for span in spans])
                for name in ("first", "nodes", "slots_each")
            )
            state.spans[mark:] = [share(item, first, nodes, each)]
    if any(not item.total for item in kept.items):
        present = [number for number, item in enumerate(kept.items) if item.total]
        kept.items = [kept.items[number] for number in present]
        kept.rows = []


def share(item: Item, first: Column, nodes: Column, each: Column) -> Span:
    """These slots, node by node, to the item's jobs in their order."""
    ends = np.cumsum(nodes)
    offset = np.arange(int(ends[-1])) - np.repeat(ends - nodes, nodes)
    node = np.repeat(first, nodes) + offset
    node_ends = np.cumsum(np.repeat(each, nodes))
    jobs, slots = item.shift(int(node_ends[-1]))
    job_ends = np.cumsum(slots)
    marks = np.union1d(node_ends, job_ends)
    at_node, at_job = np.searchsorted(node_ends, marks), np.searchsorted(job_ends, marks)
    taken = np.diff(marks, prepend=0)
    return Span(jobs[at_job], node[at_node], np.ones(len(marks), np.int64), taken)


def build(kept: Kept, posed: Posed, packing: Packing) -> State:
    """What stands, with the packing's nodes."""
    state, problem = kept.state, posed.problem
    segments: list[list[tuple[int, int, int]]] = [[] for _ in posed.items]
    for one in sorted(packing, key=lambda row: int(posed.buckets[row.size])):
        bucket = int(posed.buckets[one.size])
        taken = dict(zip(posed.dimensions, (one.slots @ problem.needs).tolist(), strict=False))
        hold = SEALED if problem.alone[one.slots > 0].any() else OPEN
        first = state.next_node
        state.limits.take(bucket, one.nodes)
        state.open_nodes(bucket, one.nodes, new_state(state.space, bucket, taken, MIXED, hold))
        for item in np.flatnonzero(one.slots).tolist():
            segments[item].append((first, one.nodes, int(one.slots[item])))
    for item, rows in zip(posed.items, segments, strict=True):
        if rows:
            state.spans.append(share(item, *np.array(rows, np.int64).T))
    return state


def retry_refused(done: Placer, base: Placer) -> None:
    """Who was refused is tried once more, in order: nodes and limits that were saved may be enough now."""
    done.placed = list(base.placed)
    for index in sorted(base.refused):
        job_class, job = base.demand.class_of[index], base.snapshot.jobs[index]
        if job_class is not None:
            done.place_rest(job_class, index, job)
