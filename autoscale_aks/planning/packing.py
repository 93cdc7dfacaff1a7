"""Placing slots on rows of nodes (contract matching.md A2, A3, A7, A9).

Parts that vectors can count (`PartView.is_vector`) are placed on all rows at once; the others are filled row by row,
on the rows of the kinds that can take them.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.cursors import Cursor, make_cursor
from autoscale_aks.planning.filling import FillContext, SharedPool, fill
from autoscale_aks.planning.nodestate import EMPTY, HELD, MIXED, OPEN, SEALED, NodeState
from autoscale_aks.planning.records import NameBook, NewNodes, Order, Span
from autoscale_aks.planning.table import NOT_A_PLACE, NodeTable, new_key, place_index
from autoscale_aks.planning.views import PLENTY, PartView, make_view
from autoscale_aks.units import natural_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.matching.profile import Profile
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.filling import Filling
    from autoscale_aks.planning.limit_tree import LimitTree
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.routes import Route
    from autoscale_aks.planning.space import Option, Space


_FEW: Final = 4
"""Up to so many slots are placed one by one where the part's cursor stands."""
_FEW_PLACES: Final = 6
"""So many places are looked at one by one before all rows are."""


@dataclass(slots=True)
class State:
    """Everything that changes while jobs are placed. `fork` gives a copy to try on; `adopt` makes a try the truth."""

    space: Space
    limits: LimitTree
    shared: SharedPool
    names: NameBook
    table: NodeTable
    next_node: int
    live_names: dict[int, list[str]] = field(default_factory=dict)
    """Per place, the names of its live nodes in natural order."""
    live_keys: dict[int, list[tuple[tuple[int, int, str], ...]]] = field(default_factory=dict)
    """Their natural keys, worked out for places that get new nodes."""
    new_nodes: list[NewNodes] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    paid: tuple[int, frozenset[str]] = (EMPTY, frozenset())
    """The job that is being placed and the shared sources it has taken once (C5)."""
    opened: list[int] = field(default_factory=list)
    """Rows of new nodes, and rows that were split off, in order: what cursors have not seen yet."""
    revealed: frozenset[int] = frozenset()
    """Buckets of placement groups that were opened in this plan; other hidden ones are nobody's yet (A5)."""
    views: dict[int, tuple[int, PartView]] = field(default_factory=dict)
    cursors: dict[int, Cursor] | None = None
    """Per part, where its next single slot goes; only the true state has any, tries do without."""

    def fork(self) -> State:
        """A copy on which placements can be tried."""
        return State(
            self.space, self.limits.fork(), self.shared.fork(), self.names.fork(), self.table.fork(), self.next_node,
            self.live_names, self.live_keys, list(self.new_nodes), list(self.spans), self.paid, list(self.opened),
            self.revealed, self.views,
        )  # fmt: skip

    def adopt(self, tried: State) -> None:
        """Make a successful try the truth. A try that is not adopted leaves nothing behind (A7)."""
        self.limits, self.shared, self.names, self.table = tried.limits, tried.shared, tried.names, tried.table
        self.next_node, self.paid, self.opened = tried.next_node, tried.paid, tried.opened
        self.new_nodes, self.spans, self.revealed = tried.new_nodes, tried.spans, tried.revealed

    def view(self, part: Part) -> PartView:
        """The part's vector view, made anew when kinds were added."""
        kinds = self.space.kind_count
        found = self.views.get(part.id)
        if found is None or found[0] != kinds:
            found = self.views[part.id] = (kinds, make_view(part, self.space))
        return found[1]

    def _paid_by(self, order: Order) -> frozenset[str]:
        tenant, sources = self.paid
        return sources if tenant == order.tenant else frozenset()

    def try_fill(
        self, order: Order, profile: Profile, state: NodeState, limit: int, *, for_free: bool = False
    ) -> Filling | None:
        """What one node would take; None when it takes nothing. `for_free` sets aside what slots take of shared
        resources, which says nothing of the node."""
        options = self.space.options(order.part, profile)
        if not options:
            return None
        part = order.part
        takes_shared = part.takes_shared and not for_free
        context = FillContext(profile, self.space, takes_shared, part.has_moving_criteria, self._paid_by(order))
        filling = fill(options, state, limit, order.tenant, self.shared, context)
        return filling if filling.slots else None

    def place_on_existing(self, order: Order, route: Route, wanted: int, place: int | None = None) -> int:
        """Fill the nodes there are, in one place or in all of the route's; returns slots placed (A2, A3)."""
        if wanted <= 0:
            return 0
        view = self.view(order.part)
        if not view.is_vector:
            return self._fill_rows(order, self.candidates(order, route.ranks, place), wanted)
        if view.is_plain:
            return self._fill_places(order, view, route, wanted, place)
        if self.cursors is not None and wanted <= _FEW and place is None and view.has_cursor:
            return self._place_few(self.cursors, order, view, route.ranks, wanted)
        if view.shared:
            wanted = min(wanted, self._shared_slots(view, wanted))
        placed = self._fill_everywhere(order, view, route.ranks, wanted, place)
        self._take_view_shared(view, placed)
        return placed

    def _fill_everywhere(self, order: Order, view: PartView, ranks: Column, wanted: int, place: int | None) -> int:
        """All rows are looked at."""
        each, rows = self.capacities(order, ranks, wanted, place)
        return self._fill_equally(order, view, rows, each, wanted)

    def _fill_places(self, order: Order, view: PartView, route: Route, wanted: int, place: int | None) -> int:
        """Place by place, best first, leaving out those where no node can have enough; the rest all at once."""
        if place is not None:
            return self._fill_place(order, view, place_index(place), wanted)
        sequence = route.sequence
        may = self.table.index.may_take(view.needs, route.place_count)
        candidates = sequence[may[sequence]]
        placed = 0
        for at in candidates[:_FEW_PLACES].tolist():
            placed += self._fill_place(order, view, at, wanted - placed)
            if placed >= wanted:
                return placed
        if len(candidates) > _FEW_PLACES:
            rest = route.ranks.copy()
            rest[candidates[:_FEW_PLACES]] = NOT_A_PLACE
            placed += self._fill_everywhere(order, view, rest, wanted - placed, None)
        return placed

    def _fill_place(self, order: Order, view: PartView, at: int, wanted: int) -> int:
        """The nodes of one place (`place_index`)."""
        table = self.table
        rows = table.index.rows_of(at, table.key)
        slots = view.plain_capacity(table, rows, 1 if order.part.one_a_node else wanted)
        usable = slots.nonzero()[0]
        placed = 0
        if len(usable):
            placed = self._fill_equally(order, view, rows[usable], slots[usable], wanted)
        if placed < wanted:  # others will not find more here either
            table.index.look(at, table.key, table.free)
        return placed

    def _place_few(self, cursors: dict[int, Cursor], order: Order, view: PartView, ranks: Column, wanted: int) -> int:
        """A slot or a few, where the part's cursor stands."""
        cursor = cursors.get(order.part.id)
        if cursor is None or cursor.view is not view or cursor.ranks is not ranks:
            cursor = cursors[order.part.id] = make_cursor(self, view, ranks)
        placed = 0
        while placed < wanted:
            found = cursor.next_row(self)
            if found is None:
                break
            row, slots = found
            placed += self._put(order, view, row, min(slots, wanted - placed))
        return placed

    def _put(self, order: Order, view: PartView, row: int, slots: int) -> int:
        """Slots on the first node of a row."""
        table = self.table
        options = view.options_of(int(table.kind[row]))
        alternative = options[0].alternative
        if table.count[row] != 1 or len(options) != 1 or alternative.exclusive or alternative.exclusive_task:
            return self._fill_row(order, view, row, 1, slots)
        for dimension, amount in options[0].needs:
            table.free[dimension][row] -= amount * slots
        table.tenant[row] = order.tenant if table.tenant[row] in {EMPTY, order.tenant} else MIXED
        self.spans.append(Span(order.job, [table.first.item(row)], [1], [slots]))
        return slots

    def capacities(self, order: Order, ranks: Column, limit: int, place: int | None) -> tuple[Column, Column]:
        """Slots one node of each usable row takes, and these rows as they are tried."""
        table = self.table
        capacity = self.view(order.part).capacity(table, 1 if order.part.one_a_node else min(limit, PLENTY))
        if place is not None:
            capacity = np.where(table.place[: table.size] == place_index(place), capacity, 0)
        elif order.part.is_colocated or (ranks < 0).any():
            capacity = np.where(ranks[table.place[: table.size]] >= 0, capacity, 0)
        rows = table.in_order(np.flatnonzero(capacity), ranks)
        return capacity[rows], rows

    def _fill_equally(self, order: Order, view: PartView, rows: Column, each: Column, wanted: int) -> int:
        """Fill rows one after the other, each node with what it takes, until enough slots are placed."""
        if not len(rows) or wanted <= 0:
            return 0
        reached = np.cumsum(each * self.table.count[rows])
        last = int(np.searchsorted(reached, wanted))
        placed = int(reached[last - 1]) if last else 0
        if last:
            self.charge_rows(order, view, rows[:last], each[:last])
        if last < len(rows) and placed < wanted:
            placed += self._fill_part_of(order, view, int(rows[last]), int(each[last]), wanted - placed)
        return placed

    def charge_rows(self, order: Order, view: PartView, rows: Column, each: Column) -> None:
        """All nodes of these rows get their slots."""
        table = self.table
        if view.is_plain and order.tenant == MIXED:
            for dimension, amount in view.needs:
                table.free[dimension][rows] -= each * amount
            table.tenant[rows] = MIXED
            self.spans.append(Span(order.job, table.first[rows], table.count[rows], each))
            return
        kinds = table.kind[rows]
        for group in view.groups:
            inside = None if group.kinds is None else group.kinds[kinds]
            here, slots = (rows, each) if inside is None else (rows[inside], each[inside])
            if not len(here):
                continue
            for option, used in _slots_by_option(group.options, table, here, slots):
                for dimension, amount in option.needs:
                    table.free[dimension][here] -= used * amount
            mine = order.tenant == MIXED or np.isin(table.tenant[here], (EMPTY, order.tenant))
            table.tenant[here] = np.where(mine, order.tenant, MIXED)
            if group.takes_node:
                table.hold[here] = SEALED
        self.spans.append(Span(order.job, table.first[rows], table.count[rows], each))

    def _fill_part_of(self, order: Order, view: PartView, row: int, each: int, wanted: int) -> int:
        """Some nodes of a row: as many full ones as are wanted, then one with the rest."""
        full, rest = divmod(wanted, each)
        fill_row = self.take_row if view.is_plain else self._fill_row
        if full:
            fill_row(order, view, row, full, each)
        if not rest:
            return full * each
        next_row = self.opened[-1] if full else row
        fill_row(order, view, next_row, 1, rest)
        return wanted

    def take_row(self, order: Order, view: PartView, row: int, nodes: int, slots: int) -> int:
        """`_fill_row` of a plain part, that is known to fit."""
        table = self.table
        rest = table.split(row, nodes)
        if rest is not None:
            self.opened.append(rest)
        for dimension, amount in view.needs:
            table.free[dimension][row] -= amount * slots
        table.tenant[row] = order.tenant if table.tenant[row] in {EMPTY, order.tenant} else MIXED
        self.spans.append(Span(order.job, [table.first.item(row)], [nodes], [slots]))
        return nodes * slots

    def _fill_row(self, order: Order, _: PartView, row: int, nodes: int, slots: int) -> int:
        """The first `nodes` nodes of a row take `slots` slots each; the others become a row of their own."""
        table = self.table
        profile = table.profiles[row]
        filling = self.try_fill(order, profile, table.state(row), slots)
        if filling is None:
            return 0
        rest = table.split(row, nodes)
        if rest is not None:
            self.opened.append(rest)
        table.set_state(row, filling.state)
        self._record(order, int(table.first[row]), nodes, filling.slots)
        return nodes * filling.slots

    def candidates(self, order: Order, ranks: Column, place: int | None) -> Column:
        """Rows that might take the part, as they are tried; each is then looked at by itself."""
        table = self.table
        kinds = self._usable_kinds(order.part)
        usable = kinds[table.kind[: table.size]] & (
            (table.hold[: table.size] == OPEN)
            | ((table.hold[: table.size] == HELD) & (table.tenant[: table.size] == order.tenant))
        )
        usable &= (table.place[: table.size] == place_index(place)) if place is not None else (
            ranks[table.place[: table.size]] >= 0
        )  # fmt: skip
        return table.in_order(np.flatnonzero(usable), ranks)

    def _usable_kinds(self, part: Part) -> Column:
        """Truth by kind: whether some node of it may have an option."""
        if part.is_live:
            return np.ones(self.space.kind_count, bool)
        return self.space.usable_kinds(part)

    def _fill_rows(self, order: Order, rows: Column, wanted: int) -> int:
        """Row by row, judging each node as it is just before a slot is placed (C2)."""
        placed = 0
        for row in rows.tolist():
            if placed >= wanted:
                break
            placed += self.fill_one_row(order, row, wanted - placed)
        return placed

    def fill_one_row(self, order: Order, row: int, wanted: int) -> int:
        """One row, its nodes equally as long as they take the same."""
        placed = 0
        current: int | None = row
        while current is not None and placed < wanted:
            table = self.table
            limit = 1 if order.part.one_a_node else wanted - placed
            filling = self.try_fill(order, table.profiles[current], table.state(current), limit)
            if filling is None:
                break
            nodes = self._equal_nodes(order, filling, int(table.count[current]), wanted - placed)
            self._take_shared(order, filling, nodes)
            rest = table.split(current, nodes)
            if rest is not None:
                self.opened.append(rest)
            table.set_state(current, filling.state)
            self._record(order, int(table.first[current]), nodes, filling.slots)
            placed += nodes * filling.slots
            current = rest
        return placed

    def place_on_new(self, order: Order, bucket: int, wanted: int) -> int:
        """Open new nodes of a bucket as limits allow and fill them; returns slots placed."""
        profile = self.space.empty[bucket]
        view = self.view(order.part)
        if view.is_plain and view.options_of(profile.kind.id):
            return self._place_plain_on_new(order, view, bucket, wanted)
        placed = 0
        while placed < wanted:
            allowed = self.limits.available(bucket)
            if not allowed:
                break
            limit = 1 if order.part.one_a_node else wanted - placed
            filling = self.try_fill(order, profile, NodeState(self.space.totals(profile)), limit)
            if filling is None:
                break
            nodes = self._equal_nodes(order, filling, allowed, wanted - placed)
            self._take_shared(order, filling, nodes)
            self.limits.take(bucket, nodes)
            self._record(order, self.next_node, nodes, filling.slots)
            self.open_nodes(bucket, nodes, filling.state)
            placed += nodes * filling.slots
        return placed

    def _place_plain_on_new(self, order: Order, view: PartView, bucket: int, wanted: int) -> int:
        """As many full nodes as are wanted and allowed, then one with the rest."""
        totals = self.space.totals(self.space.empty[bucket])
        each = 1 if order.part.one_a_node else wanted
        for dimension, amount in view.needs:
            each = min(each, (totals[dimension] or 0) // amount)
        if each <= 0:
            return 0
        full, rest = divmod(wanted, each)
        allowed = self.limits.available(bucket)
        if full + bool(rest) > allowed:
            full, rest = min(full, allowed), rest if full < allowed else 0
        if full + bool(rest):
            self.limits.take(bucket, full + bool(rest))
        for nodes, slots in ((full, each), (int(rest > 0), rest)):
            if nodes:
                left = list(totals)
                for dimension, amount in view.needs:
                    left[dimension] = (totals[dimension] or 0) - amount * slots
                self._record(order, self.next_node, nodes, slots)
                self.open_nodes(bucket, nodes, NodeState(tuple(left), order.tenant))
        return full * each + rest

    def _equal_nodes(self, order: Order, filling: Filling, count: int, wanted: int) -> int:
        """How many equal nodes take exactly what the first one takes."""
        nodes = max(1, min(count, wanted // filling.slots))
        if not any(option.alternative.shared for option, _ in filling.used):
            return nodes
        if len(order.part.alternatives) > 1 or len(filling.used) > 1:
            return 1
        option, slots = filling.used[0]
        allowed = self.shared.slots(option.alternative, self._paid_by(order))
        return nodes if allowed is None else max(1, min(nodes, allowed // slots))

    def _shared_slots(self, view: PartView, wanted: int) -> int:
        allowed = self.shared.slots(view.shared[0], frozenset())
        return wanted if allowed is None else allowed

    def _take_view_shared(self, view: PartView, slots: int) -> None:
        if view.shared and slots:
            self.shared.take(view.shared[0], slots, frozenset())

    def _take_shared(self, order: Order, filling: Filling, nodes: int) -> None:
        for option, slots in filling.used:
            if option.alternative.shared:
                paid = self.shared.take(option.alternative, slots * nodes, self._paid_by(order))
                self.paid = (order.tenant, paid)

    def _record(self, order: Order, first: int, nodes: int, slots: int) -> None:
        self.spans.append(Span(order.job, [first], [nodes], [slots]))

    def open_nodes(self, bucket: int, nodes: int, state: NodeState) -> None:
        """Number and name new nodes and put them among the bucket's rows by natural name."""
        array = self.space.buckets[bucket].array.name
        series = self.names.series[array]
        profile = self.space.empty[bucket]
        live = self._keys_of(bucket)
        for number, length in self.names.take(array, nodes):
            self.new_nodes.append(NewNodes(self.next_node, length, bucket, number))
            for first, count in self._runs_between_live(bucket, series.prefix, number, length):
                before = bisect_left(live, natural_key(f"{series.prefix}{number + first}")) if live else 0
                key = new_key(before, number + first - series.start)
                row = self.table.append((self.next_node + first, count), bucket, key, profile, state)
                self.opened.append(row)
            self.next_node += length

    def name_node(self, bucket: int) -> tuple[int, int]:
        """Number of one new node's name, and the key of its row; the node itself comes with `add_named`."""
        array = self.space.buckets[bucket].array.name
        number = self.names.take_one(array)
        series, live = self.names.series[array], self._keys_of(bucket)
        before = bisect_left(live, natural_key(f"{series.prefix}{number}")) if live else 0
        return number, new_key(before, number - series.start)

    def add_named(self, buckets: Sequence[int], names: Sequence[int]) -> None:
        """Number new nodes that have their names, one after the other; those with names in a row are noted as one."""
        if not buckets:
            return
        bucket, name = np.array(buckets, np.int64), np.array(names, np.int64)
        begins = np.ones(len(bucket), bool)
        begins[1:] = (bucket[1:] != bucket[:-1]) | (name[1:] != name[:-1] + 1)
        starts = np.flatnonzero(begins)
        counts = np.diff(starts, append=len(bucket))
        columns = (self.next_node + starts, counts, bucket[starts], name[starts])
        self.new_nodes.extend(map(NewNodes, *(column.tolist() for column in columns)))
        self.next_node += len(bucket)

    def _keys_of(self, bucket: int) -> list[tuple[tuple[int, int, str], ...]]:
        """Natural keys of the bucket's live nodes, in order."""
        if bucket not in self.live_keys:
            self.live_keys[bucket] = [natural_key(name) for name in self.live_names.get(bucket, ())]
        return self.live_keys[bucket]

    def _runs_between_live(self, bucket: int, prefix: str, number: int, length: int) -> list[tuple[int, int]]:
        """New names in runs between which no live node of the bucket stands by name."""
        keys = self._keys_of(bucket)
        if not keys:
            return [(0, length)]
        low = bisect_left(keys, natural_key(f"{prefix}{number}"))
        high = bisect_left(keys, natural_key(f"{prefix}{number + length - 1}"))
        if low == high:
            return [(0, length)]
        return [(offset, 1) for offset in range(length)]


def _slots_by_option(
    options: Sequence[Option], table: NodeTable, rows: Column, slots: Column
) -> list[tuple[Option, Column]]:
    """How the slots of each row fall on the options: the first as often as it fits, then the next (C2)."""
    if len(options) == 1:
        return [(options[0], slots)]
    left = [column[rows] for column in table.free]
    found: list[tuple[Option, Column]] = []
    rest = slots
    for option in options:
        used = rest
        for dimension, amount in option.needs:
            used = np.minimum(used, np.maximum(left[dimension] // amount, 0))
        for dimension, amount in option.needs:
            left[dimension] = left[dimension] - used * amount
        found.append((option, used))
        rest = rest - used
    return found
