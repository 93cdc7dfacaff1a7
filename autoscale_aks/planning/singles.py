"""Thousands of small jobs of few shapes, one after the other (contract matching.md A1, A2).

Each would look at every row of the table. Here a class walks along its rows (`walks`). What the jobs take, and the
nodes that are opened for them, are kept in plain lists, which single reads and writes are fastest on, and put into the
table in one go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.nodestate import EMPTY, MIXED
from autoscale_aks.planning.records import Span
from autoscale_aks.planning.table import UNDEFINED, RowFacts, place_index
from autoscale_aks.planning.walks import NewRows, begin

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.planning.demand import Demand, JobClass, Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.routes import Route
    from autoscale_aks.planning.walks import Walk

MOST_SLOTS: Final = 4
"""A job of more slots is better placed on all rows at once."""
_JOBS_A_CLASS: Final = 16
"""Walking pays when classes come again so often."""
_FEW: Final = 6
"""New nodes on which so many classes have room, or fewer, are kept apart for these."""


def is_worthwhile(demand: Demand) -> bool:
    """Whether the queue has many runs of few classes."""
    return len(demand.runs) >= _JOBS_A_CLASS * max(len(demand.classes), 4)


@dataclass(slots=True)
class _Opening:
    """What new nodes of a bucket hold, what is left beside one slot of the class they are opened for, and which walks
    know of them: those that have room there, or all."""

    bucket: int
    totals: list[int]
    left: list[int]
    new: NewRows
    is_common: bool = False

    def suits(self, walk: Walk) -> bool:
        """Whether a slot has room."""
        return walk.first_orders[self.bucket] >= 0 and all(self.left[number] >= amount for number, amount in walk.asks)


@dataclass(slots=True)
class Singles:
    """Places small jobs until `flush`. Between two flushes the table is behind; nobody else may look at it."""

    state: State
    route_of: Callable[[Part], Route]
    left: list[list[int]] = field(init=False)
    """By dimension and row, what is left."""
    _count: list[int] = field(init=False)
    """By row, how many nodes it stands for."""
    _walks: dict[int, Walk] = field(default_factory=dict)
    _jobs: list[int] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _named: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    """Buckets and numbers of the names of new nodes that the state does not have yet."""
    _pending: list[RowFacts] = field(default_factory=list)
    """Rows that the table does not have yet."""
    _rest_of: dict[int, int] = field(default_factory=dict)
    """Row → the row of those that were split off it."""
    _openings: dict[tuple[int, int], _Opening] = field(default_factory=dict)
    """By class and bucket."""
    _common: dict[int, NewRows] = field(default_factory=dict)
    """By bucket, new rows that many classes have room on."""

    def __post_init__(self) -> None:
        table = self.state.table
        self.left = [column[: table.size].tolist() for column in table.free]
        self._count = table.count[: table.size].tolist()

    def place(self, job_class: JobClass, job: int, wanted: int) -> int:
        """A job's slots; returns how many were placed."""
        walk = self._walks.get(job_class.id)
        if walk is None:
            walk = self._begin(job_class)
        placed = 0
        while placed < wanted:
            row = walk.next_row(self._rest_of)
            if row is None:
                row = self._open(job_class.id, walk)
                if row is None:
                    break
            elif self._count[row] != 1:
                self._split(row)
            for column, amount in walk.needs:
                column[row] -= amount
            self._jobs.append(job)
            self._rows.append(row)
            placed += 1
        return placed

    def _begin(self, job_class: JobClass) -> Walk:
        self._enter()
        part = job_class.parts[0]
        walk = begin(self.state, part, self.route_of(part), self.left)
        for opening in self._openings.values():
            if not opening.is_common and opening.suits(walk):
                walk.join(opening.new)
        for new in self._common.values():
            walk.join(new)
        self._walks[job_class.id] = walk
        return walk

    def _split(self, row: int) -> None:
        """Make the first node of a row a row of its own; nothing was placed on the row yet."""
        table = self.state.table
        at = row - table.size
        facts = self._pending[at] if at >= 0 else table.facts(row)
        self._rest_of[row] = len(self._count)
        self._pending.append(facts._replace(first=facts.first + 1, key=facts.key + 1))
        self._count.append(self._count[row] - 1)
        for column in self.left:
            column.append(column[row])
        self._count[row] = 1
        if at < 0:
            table.count[row] = 1

    def _open(self, class_id: int, walk: Walk) -> int | None:
        """One new node of the best bucket that limits allow; None when there is none."""
        limits, launchable = self.state.limits, walk.launchable
        while walk.launches < len(launchable):
            bucket = launchable[walk.launches]
            if limits.available(bucket):
                limits.take(bucket, 1)
                opening = self._openings.get((class_id, bucket))
                return self._add(opening or self._make_opening(class_id, walk, bucket))
            walk.launches += 1
        return None

    def _make_opening(self, class_id: int, opener: Walk, bucket: int) -> _Opening:
        space = self.state.space
        totals = [UNDEFINED if total is None else total for total in space.totals(space.empty[bucket])]
        left = list(totals)
        for number, amount in opener.asks:
            left[number] -= amount
        opening = self._openings[class_id, bucket] = _Opening(bucket, totals, left, NewRows(bucket, self.left))
        suited = [walk for walk in self._walks.values() if opening.suits(walk)]
        if len(suited) > _FEW:
            opening.is_common, suited = True, []
            if bucket not in self._common:
                self._common[bucket], suited = opening.new, list(self._walks.values())
            opening.new = self._common[bucket]
        for walk in suited:
            walk.join(opening.new)
        return opening

    def _add(self, opening: _Opening) -> int:
        """A new node, for the opener's slot and then for all who have room beside it."""
        row, bucket, state = len(self._count), opening.bucket, self.state
        name, key = state.name_node(bucket)
        buckets, names = self._named
        self._pending.append(
            RowFacts(state.next_node + len(names), place_index(bucket), key, state.space.empty[bucket], EMPTY)
        )
        buckets.append(bucket)
        names.append(name)
        self._count.append(1)
        for column, total in zip(self.left, opening.totals, strict=True):
            column.append(total)
        if opening.new.readers:
            opening.new.append(row, key, opening.left)
        return row

    def _enter(self) -> None:
        """Put new rows into the table."""
        if self._pending:
            table, size = self.state.table, self.state.table.size
            table.extend(self._pending, self._count[size:], [column[size:] for column in self.left])
            self.state.opened.extend(range(size, table.size))
            self.state.add_named(*self._named)
            self._pending, self._named = [], ([], [])

    def flush(self) -> None:
        """Put what was placed into the table and the record."""
        self._enter()
        if not self._rows:
            return
        table = self.state.table
        touched = sorted(set(self._rows))
        for column, amounts in zip(self.left, table.free, strict=True):
            amounts[touched] = [column[row] for row in touched]
        table.tenant[touched] = MIXED
        self.state.spans.append(_merged(np.array(self._jobs, np.int64), table.first[np.array(self._rows, np.int64)]))
        self._jobs, self._rows = [], []


def _merged(jobs: Column, nodes: Column) -> Span:
    """Slots as entries: consecutive slots of one job on one node are one entry."""
    starts = np.flatnonzero(np.concatenate([[True], (jobs[1:] != jobs[:-1]) | (nodes[1:] != nodes[:-1])]))
    slots = np.diff(np.concatenate([starts, [len(jobs)]]))
    return Span(jobs[starts], nodes[starts], np.ones(len(starts), np.int64), slots)
