"""Thousands of small jobs of few shapes, one after the other (contract matching.md A1, A2).

Each would look at every row of the table. Here a class walks along its rows: capacity only shrinks, so that a row
that was refused once stays refused. What the jobs take is kept in plain lists, which single reads and writes are
fastest on, and put into the table in one go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import numpy as np

from autoscale_aks.planning.nodestate import MIXED, NodeState
from autoscale_aks.planning.records import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.planning.demand import Demand, JobClass, Part
    from autoscale_aks.planning.packing import State
    from autoscale_aks.planning.places import Column
    from autoscale_aks.planning.routes import Route
    from autoscale_aks.planning.views import PartView

MOST_SLOTS: Final = 4
"""A job of more slots is better placed on all rows at once."""
_JOBS_A_CLASS: Final = 16
"""Walking pays when classes come again so often."""


def is_worthwhile(demand: Demand) -> bool:
    """Whether the queue has many runs of few classes."""
    return len(demand.runs) >= _JOBS_A_CLASS * max(len(demand.classes), 4)


@dataclass(slots=True)
class _Walk:
    """One class's way: rows it could use when it began, and rows that appeared since."""

    view: PartView
    route: Route
    needs: list[tuple[list[int], int]]
    """Column of what is left, and what a slot takes of it."""
    rows: list[int]
    keys: list[int]
    seen: int
    """How many of the state's `opened` rows were looked at."""
    position: int = 0
    later: list[tuple[int, int]] = field(default_factory=list)
    """Heap of (order, row)."""
    launches: int = 0
    """How many of the launchable buckets are used up."""

    def next_row(self, state: State) -> int | None:
        """The first row that takes a slot; None when there is none."""
        if self.seen < len(state.opened):
            self._look_at_new_rows(state)
        while True:
            from_later = self.later and (self.position >= len(self.rows) or self.later[0][0] < self.keys[self.position])
            if from_later:
                row = self.later[0][1]
            elif self.position < len(self.rows):
                row = self.rows[self.position]
            else:
                return None
            for column, amount in self.needs:
                if column[row] < amount:
                    break
            else:
                return row
            if from_later:
                heappop(self.later)
            else:
                self.position += 1

    def _look_at_new_rows(self, state: State) -> None:
        table, kinds = state.table, self.view.groups[0].kinds
        for row in state.opened[self.seen :]:
            rank = int(self.route.ranks[table.place[row]])
            if rank >= 0 and (kinds is None or kinds[table.kind[row]]):
                heappush(self.later, (table.sort_key(row, rank), row))
        self.seen = len(state.opened)


@dataclass(slots=True)
class Singles:
    """Places small jobs until `flush`. Between two flushes the table is behind; nobody else may look at it."""

    state: State
    route_of: Callable[[Part], Route]
    left: list[list[int]] = field(init=False)
    """By dimension and row, what is left."""
    _count: list[int] = field(init=False)
    """By row, how many nodes it stands for."""
    _walks: dict[int, _Walk] = field(default_factory=dict)
    _jobs: list[int] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        table = self.state.table
        self.left = [column[: table.size].tolist() for column in table.free]
        self._count = table.count[: table.size].tolist()

    def place(self, job_class: JobClass, job: int, wanted: int) -> int:
        """A job's slots; returns how many were placed."""
        walk = self._walks.get(job_class.id)
        if walk is None:
            walk = self._walks[job_class.id] = self._begin(job_class.parts[0])
        placed = 0
        while placed < wanted:
            row = walk.next_row(self.state)
            if row is None or self._count[row] != 1:
                row = self._open(walk) if row is None else self._split(row)
                if row is None:
                    break
                continue
            for column, amount in walk.needs:
                column[row] -= amount
            self._jobs.append(job)
            self._rows.append(row)
            placed += 1
        return placed

    def _begin(self, part: Part) -> _Walk:
        state, route = self.state, self.route_of(part)
        view, table = state.view(part), state.table
        capacity = view.capacity(table, 1)
        here = np.where(route.ranks[table.place[: table.size]] >= 0, capacity, 0)
        rows = table.in_order(np.flatnonzero(here), route.ranks)
        needs = [(self.left[dimension], amount) for dimension, amount in view.needs]
        return _Walk(view, route, needs, rows.tolist(), table.sort_keys(rows, route.ranks).tolist(), len(state.opened))

    def _split(self, row: int) -> int:
        """Make the first node of a row a row of its own; nothing was placed on the row yet."""
        rest = self.state.table.split(row, 1)
        if rest is not None:
            self.state.opened.append(rest)
            self._read(rest)
        self._count[row] = 1
        return row

    def _open(self, walk: _Walk) -> int | None:
        """One new node of the best bucket that limits allow; None when there is none."""
        state, launchable = self.state, walk.route.launchable
        while walk.launches < len(launchable):
            bucket = launchable[walk.launches]
            if state.limits.available(bucket):
                state.limits.take(bucket, 1)
                state.open_nodes(bucket, 1, NodeState(state.space.totals(state.space.empty[bucket])))
                self._read(state.opened[-1])
                return state.opened[-1]
            walk.launches += 1
        return None

    def _read(self, row: int) -> None:
        """A row that was added to the table."""
        for column, amounts in zip(self.left, self.state.table.free, strict=True):
            column.append(int(amounts[row]))
        self._count.append(int(self.state.table.count[row]))

    def flush(self) -> None:
        """Put what was placed into the table and the record."""
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
