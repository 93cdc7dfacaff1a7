"""What of a finished placement stands, and what is bought anew (docs/calculations.md, Cost).

Stands: work on nodes that exist, and new nodes that hold anything whose place is not a matter of price alone: gangs,
scattered slots, shared resources, criteria on what is left, placement groups, sizes without a price. Bought anew:
slots of all other classes on new nodes that hold nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.entries import Entries, entries_of
from autoscale_aks.planning.nodestate import NodeState
from autoscale_aks.planning.records import Span
from autoscale_aks.planning.table import place_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.planning.demand import JobClass, Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.placer import Placer
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.space import Option, Space

_MOST_CONTENT: Final = 5_000_000
"""Rows × items up to which it is noted what stood on each node."""


@dataclass(slots=True)
class Item:
    """Slots of one class that may be in the same buckets at no loss of preference, and whose they are."""

    job_class: JobClass
    score: int
    jobs: Column
    slots: Column
    """Per job of `jobs`."""

    @property
    def part(self) -> Part:
        """The one part there is."""
        return self.job_class.parts[0]

    @property
    def total(self) -> int:
        """Slots in all."""
        return int(self.slots.sum())

    def shift(self, count: int) -> tuple[Column, Column]:
        """Take away the first `count` slots; returns whose they are and how many of each."""
        ends = np.cumsum(self.slots)
        taken = np.clip(count - (ends - self.slots), 0, self.slots)
        mine = taken > 0
        jobs, slots = self.jobs[mine], taken[mine]
        self.slots = self.slots - taken
        rest = self.slots > 0
        self.jobs, self.slots = self.jobs[rest], self.slots[rest]
        return jobs, slots


@dataclass(slots=True)
class Kept:
    """What stands, as a state that can be built on, and what is to be bought."""

    state: State
    items: list[Item]
    first_new: int
    """Number of new nodes that stand is `state.next_node - first_new`."""
    rows: list[tuple[int, int, Column]] = field(default_factory=list)
    """What is bought anew as it stood: bucket, nodes, slots by item; empty where that would be too much."""


def price_decides(job_class: JobClass, state: State) -> Option | None:
    """What a slot takes, where nothing but amounts and fixed facts decides on where it may be; else None."""
    if len(job_class.parts) != 1:
        return None
    part = job_class.parts[0]
    if part.is_colocated or part.is_live or not (job_class.is_pooled or part.slots == 1):
        return None
    view = state.view(part)
    if not view.is_vector or view.shared or len(view.groups) != 1 or len(view.groups[0].options) != 1:
        return None
    option = view.groups[0].options[0]
    return None if view.groups[0].moving or not (option.needs or view.groups[0].takes_node) else option


def keep(placer: Placer, buckets: Column) -> Kept:
    """Take apart a finished placement. `buckets` says by bucket whether its nodes may be bought anew."""
    base, start = placer.state, placer.start
    live = start.next_node
    entries = entries_of(base.spans)
    is_new = entries.first >= live
    bucket_of = _buckets_of_nodes(base, live)
    free = _free_jobs(placer)
    fixed_nodes = _marked(entries, is_new & ~(free[entries.job] & _may(buckets, bucket_of, entries, live)), base, live)
    state = _with_live_nodes(base, start)
    number = _reopen(state, base, live, fixed_nodes)
    state.spans = _spans_of(entries, ~is_new)
    if fixed_nodes.any():
        entries, is_new = _one_a_node(entries, is_new)
        stays = is_new.copy()
        stays[is_new] = fixed_nodes[entries.first[is_new] - live]
        if stays.any():
            state.spans.append(
                Span(entries.job[stays], number[entries.first[stays] - live], entries.nodes[stays], entries.each[stays])
            )
        is_new &= ~stays
    bought = entries.of(is_new)
    items, item_of = _items(placer, bought, bucket_of[bought.first - live])
    return Kept(state, items, live, _rows(base, live, ~fixed_nodes, bought, (items, item_of)))


def _buckets_of_nodes(state: State, live: int) -> Column:
    """By new node, its bucket."""
    found = np.zeros(state.next_node - live, np.int64)
    for made in state.new_nodes:
        found[made.first - live : made.first - live + made.count] = made.bucket
    return found


def _may(buckets: Column, bucket_of: Column, entries: Entries, live: int) -> Column:
    found = np.zeros(len(entries.first), bool)
    new = entries.first >= live
    found[new] = buckets[bucket_of[entries.first[new] - live]]
    return found


def _free_jobs(placer: Placer) -> Column:
    """By job, whether its place is a matter of price."""
    by_class = {
        one.id: price_decides(one, placer.start) is not None for one in placer.demand.classes if not one.problem
    }
    found = (one is not None and by_class.get(one.id, False) for one in placer.demand.class_of)
    return np.fromiter(found, bool, len(placer.demand.class_of))


def _marked(entries: Entries, which: Column, state: State, live: int) -> Column:
    """By new node, whether one of these entries is on it."""
    steps = np.zeros(state.next_node - live + 1, np.int64)
    np.add.at(steps, entries.first[which] - live, 1)
    np.add.at(steps, entries.first[which] - live + entries.nodes[which], -1)
    return np.cumsum(steps)[:-1] > 0


def _with_live_nodes(base: State, start: State) -> State:
    """The start of the cycle with all that was put on nodes that exist."""
    state = start.fork()
    size = start.table.size
    for mine, theirs in zip(state.table.free, base.table.free, strict=True):
        mine[:size] = theirs[:size]
    state.table.tenant[:size] = base.table.tenant[:size]
    state.table.hold[:size] = base.table.hold[:size]
    state.shared, state.paid, state.revealed = base.shared.fork(), base.paid, base.revealed
    state.limits.closed.clear()
    return state


def _reopen(state: State, base: State, live: int, fixed: Column) -> Column:
    """Make the new nodes that stand again, under the names that are free now; by old node its new number."""
    number = np.full(len(fixed), -1, np.int64)
    table = base.table
    rows = np.arange(state.table.size, table.size)
    rows = rows[fixed[table.first[rows] - live]] if len(fixed) else rows
    for row in rows[np.argsort(table.first[rows], kind="stable")].tolist():
        first, count = int(table.first[row]) - live, int(table.count[row])
        bucket = int(table.place[row]) - place_index(0)
        number[first : first + count] = np.arange(state.next_node, state.next_node + count)
        state.limits.take(bucket, count)
        state.open_nodes(bucket, count, table.state(row))
    return number


def _spans_of(entries: Entries, which: Column) -> list[Span]:
    if not which.any():
        return []
    return [Span(entries.job[which], entries.first[which], entries.nodes[which], entries.each[which])]


def _one_a_node(entries: Entries, is_new: Column) -> tuple[Entries, Column]:
    """Entries on new nodes, each on a node of its own."""
    times = np.where(is_new, entries.nodes, 1)
    ends = np.cumsum(times)
    offset = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - times, times)
    new = np.repeat(is_new, times)
    first = np.repeat(entries.first, times) + np.where(new, offset, 0)
    nodes = np.where(new, 1, np.repeat(entries.nodes, times))
    return Entries(np.repeat(entries.job, times), first, nodes, np.repeat(entries.each, times)), new


def _items(placer: Placer, bought: Entries, buckets: Column) -> tuple[list[Item], Column]:
    """Items in order of their first job, and the item of each entry."""
    demand, router = placer.demand, placer.router
    classes = np.fromiter((-1 if one is None else one.id for one in demand.class_of), np.int64, len(demand.class_of))
    class_of = classes[bought.job]
    levels, level_of = np.zeros(1, np.int64), np.zeros(len(class_of), np.int64)
    by_id = {one.id: one for one in demand.classes}
    scored = {one: router.scores(by_id[one].parts[0]) for one in np.flatnonzero(np.bincount(class_of)).tolist()}
    if any(by_bucket is not None for by_bucket in scored.values()):
        levels, level_of = np.unique(_scores(class_of, buckets, scored), return_inverse=True)
    codes = class_of * len(levels) + level_of.reshape(-1)
    present = np.flatnonzero(np.bincount(codes))
    number = np.zeros(int(present[-1]) + 1 if len(present) else 0, np.int64)
    number[present] = np.arange(len(present))
    item_of = number[codes]
    jobs = max(len(demand.class_of), 1)
    owners, slots = _sums(item_of * jobs + bought.job, bought.nodes * bought.each)
    keys = [(code // len(levels), int(levels[code % len(levels)])) for code in present.tolist()]
    starts = np.searchsorted(owners, np.arange(len(keys) + 1) * jobs)
    items = [
        Item(by_id[class_id], score, owners[first:stop] % jobs, slots[first:stop])
        for (class_id, score), first, stop in zip(keys, starts[:-1], starts[1:], strict=True)
    ]
    return items, item_of


def _scores(class_of: Column, buckets: Column, scored: Mapping[int, Column | None]) -> Column:
    """By entry, the preference score of its class where it is."""
    found = np.zeros(len(class_of), np.int64)
    for class_id, by_bucket in scored.items():
        if by_bucket is not None:
            mine = class_of == class_id
            found[mine] = by_bucket[buckets[mine]]
    return found


def _sums(keys: Column, amounts: Column) -> tuple[Column, Column]:
    """Each key once, in order, and the sum of its amounts."""
    if not len(keys):
        return keys, amounts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(amounts[order], starts)


def _rows(
    base: State, live: int, anew: Column, bought: Entries, items: tuple[list[Item], Column]
) -> list[tuple[int, int, Column]]:
    """What stood on the nodes that are bought anew, row by row."""
    table = base.table
    rows = np.flatnonzero(table.first[: table.size] >= live)
    rows = rows[anew[table.first[rows] - live]]
    rows = rows[np.argsort(table.first[rows], kind="stable")]
    if len(rows) * len(items[0]) > _MOST_CONTENT:
        return []
    single, new = _one_a_node(bought, np.ones(len(bought.job), bool))
    item_of = np.repeat(items[1], bought.nodes)
    at: Column = np.searchsorted(table.first[rows], single.first)
    heads: Column = (at < len(rows)) & new
    firsts: Column = table.first[rows]
    heads[heads] = firsts[at[heads]] == single.first[heads]
    content = np.zeros((len(rows), len(items[0])), np.int64)
    np.add.at(content, (at[heads], item_of[heads]), single.each[heads])
    places = (table.place[rows] - place_index(0)).tolist()
    return list(zip(places, table.count[rows].tolist(), content, strict=True))


def new_state(space: Space, bucket: int, taken: dict[int, int], tenant: int, hold: int) -> NodeState:
    """An empty node of a bucket once these amounts, by dimension, are taken."""
    free = tuple(
        None if total is None else total - taken.get(dimension, 0)
        for dimension, total in enumerate(space.totals(space.empty[bucket]))
    )
    return NodeState(free, tenant, hold)
