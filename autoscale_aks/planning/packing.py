"""Nodes in runs of equal state, and placing slots on them (contract matching.md A2, A3, A7, A9).

A *block* is a run of nodes of one bucket that are alike in everything: a thousand new nodes are one block. Placing
splits blocks; it never walks nodes one by one where they are equal.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoscale_aks.model.plan import Placement
from autoscale_aks.planning.filling import EMPTY, MIXED, FillContext, NodeState, SharedPool, fill
from autoscale_aks.planning.space import STRAYS, UNMANAGED
from autoscale_aks.units import natural_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.matching.profile import Profile
    from autoscale_aks.model.snapshot import NameSeries
    from autoscale_aks.planning.demand import Part
    from autoscale_aks.planning.filling import Filling
    from autoscale_aks.planning.limit_tree import LimitTree
    from autoscale_aks.planning.space import Space


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Nodes `first … first + count - 1` of one bucket, all in the same state, next to each other by natural name."""

    first: int
    count: int
    profile: Profile
    state: NodeState
    key: tuple[tuple[int, int, str], ...]
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class NewNodes:
    """Claims made at once: node numbers `first … first + count - 1`, named with consecutive numbers from `number`."""

    first: int
    count: int
    bucket: int
    number: int


@dataclass(slots=True)
class NameBook:
    """Which numbers new names may take, per node array."""

    series: dict[str, NameSeries]
    next_number: dict[str, int] = field(default_factory=dict)

    def fork(self) -> NameBook:
        """A copy on which names can be tried."""
        return NameBook(self.series, dict(self.next_number))

    def take(self, array: str, count: int) -> list[tuple[int, int]]:
        """The lowest free numbers as `(first, length)` ranges."""
        series = self.series[array]
        number = self.next_number.get(array, series.start)
        taken = sorted(used for used in series.taken if used >= number)
        ranges: list[tuple[int, int]] = []
        for used in [*taken, None]:
            length = count if used is None else min(count, used - number)
            if length > 0:
                ranges.append((number, length))
                number += length
                count -= length
            if count <= 0:
                break
            number = number if used is None else used + 1
        self.next_number[array] = number
        return ranges


@dataclass(frozen=True, slots=True)
class Order:
    """Slots of one part to be placed: for which job record, and as whose work.

    `tenant` is the identity that "the same job" means: each task of an array is a job of its own. MIXED where
    nothing of the class speaks of it.
    """

    part: Part
    job: int
    tenant: int = MIXED


@dataclass(slots=True)
class State:
    """Everything that changes while jobs are placed. `fork` gives a copy to try on; `adopt` makes a try the truth."""

    space: Space
    limits: LimitTree
    shared: SharedPool
    names: NameBook
    next_node: int
    blocks: dict[int, list[Block]] = field(default_factory=dict)
    new_nodes: list[NewNodes] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    paid: tuple[int, frozenset[str]] = (EMPTY, frozenset())
    """The job that is being placed and the shared sources it has taken once (C5)."""
    _own: set[int] | None = None
    """Places whose block list this fork has copied; None: all are its own."""

    def fork(self) -> State:
        """A copy; its lists of blocks are copied when they are changed."""
        return State(
            self.space, self.limits.fork(), self.shared.fork(), self.names.fork(), self.next_node,
            dict(self.blocks), list(self.new_nodes), list(self.placements), self.paid, set(),
        )  # fmt: skip

    def adopt(self, tried: State) -> None:
        """Make a successful try the truth. A try that is not adopted leaves nothing behind (A7)."""
        self.limits, self.shared, self.names = tried.limits, tried.shared, tried.names
        self.next_node, self.blocks = tried.next_node, tried.blocks
        self.new_nodes, self.placements, self.paid = tried.new_nodes, tried.placements, tried.paid

    def blocks_at(self, place: int) -> list[Block]:
        """The blocks of a bucket, of the on-premise nodes or of the strays, by natural name."""
        return self.blocks.get(place, [])

    def _writable(self, place: int) -> list[Block]:
        if self._own is not None and place not in self._own:
            self.blocks[place] = list(self.blocks.get(place, []))
            self._own.add(place)
        return self.blocks.setdefault(place, [])

    def context(self, order: Order, profile: Profile) -> FillContext:
        """What filling needs to know."""
        part = order.part
        uses_shared = any(alternative.shared for alternative in part.alternatives)
        return FillContext(
            profile, self.space.dimensions, uses_shared, part.has_moving_criteria, self._paid_by(order)
        )

    def _paid_by(self, order: Order) -> frozenset[str]:
        tenant, sources = self.paid
        return sources if tenant == order.tenant else frozenset()

    def try_fill(self, order: Order, profile: Profile, state: NodeState, limit: int) -> Filling | None:
        """What one node would take; None when it takes nothing."""
        options = self.space.options(order.part, profile)
        if not options:
            return None
        filling = fill(options, state, limit, order.tenant, self.shared, self.context(order, profile))
        return filling if filling.slots else None

    def place_on_existing(self, order: Order, place: int, wanted: int) -> int:
        """Fill the nodes of a place in natural order; returns slots placed."""
        placed, index = 0, 0
        while placed < wanted and index < len(self.blocks_at(place)):
            placed += self.place_on_block(order, place, index, wanted - placed)
            index += 1
        return placed

    def place_on_block(self, order: Order, place: int, index: int, wanted: int) -> int:
        """Fill the first nodes of one block equally, as many as take the same; the rest become a block of their own."""
        block = self.blocks_at(place)[index]
        filling = self.try_fill(order, block.profile, block.state, 1 if order.part.one_a_node else wanted)
        if filling is None:
            return 0
        nodes = self._equal_nodes(order, filling, block.count, wanted)
        self._take_shared(order, filling, nodes)
        self._split(place, index, nodes, filling.state)
        self._record(order, block.first, nodes, filling.slots)
        return nodes * filling.slots

    def place_on_new(self, order: Order, bucket: int, wanted: int) -> int:
        """Open new nodes of a bucket as limits allow and fill them; returns slots placed."""
        placed = 0
        profile = self.space.empty[bucket]
        fresh = NodeState(self.space.totals(profile))
        while placed < wanted:
            allowed = self.limits.available(bucket)
            limit = 1 if order.part.one_a_node else wanted - placed
            filling = self.try_fill(order, profile, fresh, limit) if allowed else None
            if filling is None:
                break
            nodes = self._equal_nodes(order, filling, allowed, wanted - placed)
            self._take_shared(order, filling, nodes)
            self.limits.take(bucket, nodes)
            self._record(order, self.next_node, nodes, filling.slots)
            self._open(bucket, nodes, filling.state)
            placed += nodes * filling.slots
        return placed

    def _equal_nodes(self, order: Order, filling: Filling, count: int, wanted: int) -> int:
        """How many equal nodes take exactly what the first one takes."""
        nodes = max(1, min(count, wanted // filling.slots))
        if not any(option.alternative.shared for option, _ in filling.used):
            return nodes
        if len(order.part.alternatives) > 1 or len(filling.used) > 1:
            return 1
        option, slots = filling.used[0]
        allowed = self.shared.slots(option.alternative, filling.paid)
        return nodes if allowed is None else max(1, min(nodes, allowed // slots))

    def _take_shared(self, order: Order, filling: Filling, nodes: int) -> None:
        for option, slots in filling.used:
            if option.alternative.shared:
                paid = self.shared.take(option.alternative, slots * nodes, self._paid_by(order))
                self.paid = (order.tenant, paid)

    def _record(self, order: Order, first: int, nodes: int, slots: int) -> None:
        self.placements.append(Placement(order.job, first, nodes, slots))

    def _split(self, place: int, index: int, nodes: int, state: NodeState) -> None:
        """Put the first `nodes` nodes of a block into a new state."""
        blocks = self._writable(place)
        block = blocks[index]
        taken = Block(block.first, nodes, block.profile, state, block.key, block.is_new)
        if nodes == block.count:
            blocks[index] = taken
            return
        rest_first = block.first + nodes
        rest = Block(rest_first, block.count - nodes, block.profile, block.state, self._key(rest_first), block.is_new)
        blocks[index : index + 1] = [taken, rest]

    def _key(self, node: int) -> tuple[tuple[int, int, str], ...]:
        """Natural name key of a new node (blocks of more than one node hold only new ones)."""
        for made in reversed(self.new_nodes):
            if made.first <= node < made.first + made.count:
                array = self.space.buckets[made.bucket].array.name
                return natural_key(f"{self.names.series[array].prefix}{made.number + node - made.first}")
        return ()

    def _open(self, bucket: int, nodes: int, state: NodeState) -> None:
        """Number and name new nodes and put them among the bucket's blocks by natural name."""
        array = self.space.buckets[bucket].array.name
        prefix = self.names.series[array].prefix
        profile = self.space.empty[bucket]
        for number, length in self.names.take(array, nodes):
            blocks = self._writable(bucket)
            keys = [block.key for block in blocks]
            first_key, last_key = natural_key(f"{prefix}{number}"), natural_key(f"{prefix}{number + length - 1}")
            cuts = keys[bisect_left(keys, first_key) : bisect_right(keys, last_key)]
            self.new_nodes.append(NewNodes(self.next_node, length, bucket, number))
            if cuts:
                self._insert_singly(bucket, number, length, state)
            else:
                block = Block(self.next_node, length, profile, state, first_key, is_new=True)
                blocks.insert(bisect_left(keys, first_key), block)
            self.next_node += length

    def _insert_singly(self, bucket: int, number: int, length: int, state: NodeState) -> None:
        """Existing names stand between the new ones: each new node becomes a block of its own."""
        array = self.space.buckets[bucket].array.name
        prefix = self.names.series[array].prefix
        blocks = self._writable(bucket)
        for offset in range(length):
            key = natural_key(f"{prefix}{number + offset}")
            block = Block(self.next_node + offset, 1, self.space.empty[bucket], state, key, is_new=True)
            blocks.insert(bisect_left([other.key for other in blocks], key), block)

    def capacity_on_existing(self, order: Order, place: int, wanted: int) -> int:
        """Slots the place's nodes would take, counted up to `wanted`; changes nothing."""
        found = 0
        for block in self.blocks_at(place):
            filling = self.try_fill(order, block.profile, block.state, 1 if order.part.one_a_node else wanted - found)
            if filling is not None:
                found += filling.slots * block.count
                if found >= wanted:
                    return wanted
        return found

    def slots_per_new_node(self, order: Order, bucket: int, wanted: int) -> int:
        """Slots one new node of the bucket would take, at most `wanted`."""
        profile = self.space.empty[bucket]
        limit = 1 if order.part.one_a_node else wanted
        filling = self.try_fill(order, profile, NodeState(self.space.totals(profile)), limit)
        return filling.slots if filling else 0


def add_live_nodes(state: State, offering: Sequence[bool]) -> None:
    """Put the snapshot's nodes into their places by natural name; those that offer nothing are left out (A8)."""
    space = state.space
    nodes = (*space.snapshot.nodes, *space.snapshot.unmanaged_nodes)
    managed = len(space.snapshot.nodes)
    for index, (node, offers) in enumerate(zip(nodes, offering, strict=True)):
        if not offers:
            continue
        bucket = space.bucket_of[index] if index < managed else None
        place = UNMANAGED if index >= managed else STRAYS if bucket is None else bucket
        free, busy = space.left_on(node, space.profiles[index])
        key = natural_key(node.name)
        block = Block(index, 1, space.profiles[index], NodeState(free, MIXED if busy else EMPTY), key)
        state.blocks.setdefault(place, []).append(block)
    for blocks in state.blocks.values():
        blocks.sort(key=lambda block: block.key)
