"""Nodes as rows of columns: a row is a block of nodes that are alike in everything and next to each other by name.

A thousand new nodes in one state are one row; ten thousand existing nodes are looked at in a few vector operations.
Amounts are whole numbers after scaling (`Space.scales`), so that vectors stay exact; where they do not fit 64 bits
the columns hold Python integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from autoscale_aks.planning.nodestate import OPEN, NodeState
from autoscale_aks.planning.places import Column, PlaceIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.matching.profile import Profile

UNDEFINED: Final = -1
"""In an amount column: the node defines no such amount, so that nothing of it fits."""
NOT_A_PLACE: Final = -1
"""Rank of a place that a part cannot use."""
_ROOM: Final = 64
_PLACES_BEFORE_BUCKETS: Final = 2
"""On-premise nodes and strays are numbered −1 and −2; columns over places begin with them."""


def place_index(place: int) -> int:
    """Index of a place in columns over places."""
    return place + _PLACES_BEFORE_BUCKETS


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRows:
    """Live nodes in the order of their rows: number, place, order in it, facts, whose work is there, what is left."""

    numbers: Column
    places: Column
    keys: Column
    profiles: list[Profile]
    tenants: Column
    free: list[Column]
    """By dimension."""


class RowFacts(NamedTuple):
    """What a new row is, beside how many nodes it stands for and what each of them has left; it is open to all."""

    first: int
    """Number of its first node."""
    place: int
    """Index of the place."""
    key: int
    profile: Profile
    tenant: int


@dataclass(slots=True)
class NodeTable:
    """The rows. `size` of them are in use; the columns are longer."""

    amounts: type
    dimensions: int
    size: int = 0
    first: Column = field(default_factory=lambda: np.zeros(_ROOM, np.int64))
    """Number of the row's first node."""
    count: Column = field(default_factory=lambda: np.zeros(_ROOM, np.int64))
    place: Column = field(default_factory=lambda: np.zeros(_ROOM, np.int64))
    """Index of the place, see `place_index`."""
    key: Column = field(default_factory=lambda: np.zeros(_ROOM, np.int64))
    """Order by natural name within the place; the next node of a row has the next key."""
    kind: Column = field(default_factory=lambda: np.zeros(_ROOM, np.int64))
    tenant: Column = field(default_factory=lambda: np.zeros(_ROOM, np.int64))
    hold: Column = field(default_factory=lambda: np.zeros(_ROOM, np.int8))
    free: list[Column] = field(default_factory=list)
    """By dimension; the element type is int64, or object where amounts are larger."""
    profiles: list[Profile] = field(default_factory=list)
    least: Sequence[int] = ()
    """By dimension, what every slot of every part takes at least."""
    index: PlaceIndex = field(init=False)

    def __post_init__(self) -> None:
        if not self.free:
            self.free = [np.zeros(_ROOM, self.amounts) for _ in range(self.dimensions)]
            bounds: list[Column] = [np.full(_ROOM, -1, self.amounts) for _ in range(self.dimensions)]
            self.index = PlaceIndex(self.least or [0] * self.dimensions, bounds)

    def fork(self) -> NodeTable:
        """A copy on which placements can be tried."""
        copy = NodeTable(
            self.amounts, self.dimensions, self.size, self.first.copy(), self.count.copy(), self.place.copy(),
            self.key.copy(), self.kind.copy(), self.tenant.copy(), self.hold.copy(),
            [column.copy() for column in self.free], list(self.profiles),
        )  # fmt: skip
        copy.index = self.index.fork()
        return copy

    def load(self, rows: LiveRows, places: int) -> None:
        """Fill an empty table with live nodes, one a row; rows of one of the `places` buckets stand together."""
        self.size = len(rows.numbers)
        room = max(2 * self.size, _ROOM)
        self.first = _padded(rows.numbers, room)
        self.count = _padded(np.ones(self.size, np.int64), room)
        self.place = _padded(rows.places + _PLACES_BEFORE_BUCKETS, room)
        self.key = _padded(rows.keys, room)
        self.profiles = rows.profiles
        self.kind = _padded(np.array([profile.kind.id for profile in rows.profiles], np.int64), room)
        self.tenant = _padded(rows.tenants, room)
        self.hold = np.zeros(room, np.int8)
        self.free = [_padded(column, room) for column in rows.free]
        self.index.load(self.place[: self.size], rows.free, places + _PLACES_BEFORE_BUCKETS)

    def append(self, nodes: tuple[int, int], place: int, key: int, profile: Profile, state: NodeState) -> int:
        """A new row for nodes `(first, count)`; returns its number."""
        row = self.size
        if row == len(self.first):
            self._grow()
        self.first[row], self.count[row] = nodes
        self.place[row], self.key[row], self.kind[row] = place_index(place), key, profile.kind.id
        self.profiles.append(profile)
        self.size += 1
        self.set_state(row, state)
        self.index.add(row, place_index(place), state.free)
        return row

    def extend(self, rows: Sequence[RowFacts], counts: Sequence[int], free: Sequence[Sequence[int]]) -> None:
        """New rows, and by dimension what a node of each has left."""
        size, stop = self.size, self.size + len(rows)
        while stop > len(self.first):
            self._grow()
        firsts, places, keys, profiles, tenants = zip(*rows, strict=True)
        self.first[size:stop], self.count[size:stop] = firsts, counts
        self.place[size:stop], self.key[size:stop], self.tenant[size:stop] = places, keys, tenants
        self.kind[size:stop] = [profile.kind.id for profile in profiles]
        self.hold[size:stop] = OPEN
        self.profiles.extend(profiles)
        for column, left in zip(self.free, free, strict=True):
            column[size:stop] = left
        self.size = stop
        self.index.extend(range(size, stop), places, [column[size:stop] for column in self.free])

    def facts(self, row: int) -> RowFacts:
        """What a row is."""
        return RowFacts(
            int(self.first[row]), int(self.place[row]), int(self.key[row]), self.profiles[row], int(self.tenant[row])
        )

    def _grow(self) -> None:
        for name in ("first", "count", "place", "key", "kind", "tenant", "hold"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros_like(column)]))
        self.free = [np.concatenate([column, np.zeros_like(column)]) for column in self.free]

    def state(self, row: int) -> NodeState:
        """The row's nodes as values."""
        free = tuple(int(column[row]) for column in self.free)
        return NodeState(
            tuple(None if amount == UNDEFINED else amount for amount in free),
            int(self.tenant[row]),
            int(self.hold[row]),
        )

    def set_state(self, row: int, state: NodeState) -> None:
        """Put all nodes of a row into a state."""
        for column, amount in zip(self.free, state.free, strict=True):
            column[row] = UNDEFINED if amount is None else amount
        self.tenant[row], self.hold[row] = state.tenant, state.hold

    def split(self, row: int, nodes: int) -> int | None:
        """Keep the first `nodes` nodes in the row; the others become a row of their own, whose number is returned."""
        count = int(self.count[row])
        if nodes >= count:
            return None
        rest = self.append(
            (int(self.first[row]) + nodes, count - nodes),
            int(self.place[row]) - _PLACES_BEFORE_BUCKETS,
            int(self.key[row]) + nodes,
            self.profiles[row],
            self.state(row),
        )
        self.count[row] = nodes
        return rest

    def sort_keys(self, rows: Column, ranks: Column) -> Column:
        """One number a row: places in the order of `ranks`, nodes in them by natural name."""
        return (ranks[self.place[rows]] << KEY_BITS) + self.key[rows]

    def sort_key(self, row: int, rank: int) -> int:
        """`sort_keys` of one row."""
        return (rank << KEY_BITS) + int(self.key[row])

    def in_order(self, rows: Column, ranks: Column) -> Column:
        """These rows as nodes are tried (A2, A3)."""
        keys = self.sort_keys(rows, ranks)
        if len(keys) < 2 or bool((keys[1:] >= keys[:-1]).all()):
            return rows
        return rows[np.argsort(keys, kind="stable")]


KEY_BITS: Final = 44
NUMBER_BITS: Final = 22
"""Keys: how many live nodes of the place stand before by name, then the number of a new node's name."""


def live_key(index: int) -> int:
    """Key of the live node that is `index`-th by natural name in its place."""
    return (2 * index + 1) << NUMBER_BITS


def new_key(live_before: int, offset: int) -> int:
    """Key of a new node with so many live nodes before it by name; `offset` counts new names of its node array."""
    return (2 * live_before << NUMBER_BITS) + offset


def _padded(column: Column, room: int) -> Column:
    return np.concatenate([column, np.zeros(room - len(column), column.dtype)])
