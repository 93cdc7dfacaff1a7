"""The machines there are and will be, and what fills them: by bucket, with a picture of cells. Pure."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.model.node import Stage
from autoscale_aks.reports.fullness import Gauge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.matching.profile import Kind
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.space import Space
    from autoscale_aks.reports.fullness import Fullness
    from autoscale_aks.units import Number, Value

MOST_CELLS: Final = 1_200
"""Cells of the whole picture; where there are more machines a cell stands for several."""
_FEWEST_CELLS: Final = 8
_TOP_JOBS: Final = 3
_BUCKET: Final = attrgetter("bucket")
_NOTHING: Final[Mapping[str, Value]] = frozendict()


class CellState(enum.Enum):
    """What a machine of the picture is doing after the plan, in the order in which cells are drawn."""

    BUSY = "busy"
    IDLE = "idle"
    PROTECTED = "idle, protected"
    BOOTING = "in flight"
    NEW = "would start"
    LEAVING = "leaving"
    OFF = "closed or failed"


_GONE: Final = frozenset({CellState.LEAVING, CellState.OFF})
"""States whose machines offer nothing."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One resource over all machines of a bucket that are not leaving: amounts in the resource's own unit."""

    name: str
    total: Number
    used: Number
    """Taken by what runs now."""
    planned: Number
    """Taken by what this plan places there."""
    is_size: bool
    """Whether the amounts are bytes."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Machines of one bucket in one state that are drawn as one; shares are of their fullest resource."""

    state: CellState
    nodes: int
    used: float
    filled: float
    """`used`, and what the plan places there."""
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRow:
    """The machines of one bucket."""

    bucket: str
    states: Mapping[CellState, int]
    fills: tuple[Fill, ...]
    """The resources that anything is taken of."""
    running_jobs: int
    """Jobs that run there now."""
    jobs: tuple[tuple[str, int], ...]
    """The jobs that most of the plan's slots there belong to, with their slots."""
    other_jobs: int
    """How many more the plan places there."""
    cells: tuple[Cell, ...]

    @property
    def nodes(self) -> int:
        """Machines in any state."""
        return sum(self.states.values())


@dataclass(slots=True)
class _Lot:
    """The machines of one bucket while they are counted."""

    members: dict[CellState, list[tuple[float, float, str]]] = field(default_factory=dict)
    alike: dict[int, list[Any]] = field(default_factory=dict)
    """By the identity of a fullness, which its gauge keeps: how many machines are so full, and the fullness."""
    sums: dict[str, list[Number]] = field(default_factory=dict)
    sizes: set[str] = field(default_factory=set)
    running: int = 0
    jobs: dict[int, int] = field(default_factory=dict)
    """The plan's slots here by job number."""

    def add(self, state: CellState, fullness: Fullness, name: str) -> None:
        """One machine."""
        found = self.members.get(state)
        if found is None:
            found = self.members[state] = []
        found.append((fullness.used, fullness.filled, name))
        if state in _GONE:
            return
        alike = self.alike.get(id(fullness))
        if alike is None:
            self.alike[id(fullness)] = [1, fullness]
        else:
            alike[0] += 1

    def sum(self) -> None:
        """Add the amounts up, those of machines that are alike at once."""
        for count, fullness in self.alike.values():
            for (_, title, total, scale, is_size), (taken, planned) in zip(
                fullness.resources, fullness.amounts, strict=True
            ):
                sums = self.sums.setdefault(title, [0, 0, 0])
                sums[0] += total * scale * count
                sums[1] += taken * scale * count
                sums[2] += planned * scale * count
                if is_size:
                    self.sizes.add(title)


def survey(snapshot: Snapshot, plan: Plan, space: Space) -> tuple[FleetRow, ...]:
    """The machines of the snapshot and of the plan by bucket, in the planner's order of buckets.

    `space` is that of the snapshot. On-premise nodes are not machines of ours and stand under `on-premise`.
    """
    survey = _Survey(snapshot, plan, space)
    survey.count()
    return survey.rows()


class _Survey:
    """One walk over machines and placements."""

    def __init__(self, snapshot: Snapshot, plan: Plan, space: Space) -> None:
        self._snapshot, self._plan, self._space = snapshot, plan, space
        self._lots: dict[str, _Lot] = {}
        self._lot_of: list[_Lot] = []
        self._gauges: dict[int, Gauge] = {}
        self._leaving = {release.node.name for release in plan.releases}
        self._busy: set[int] = set()
        """Machines there are that the plan places work on."""

    def count(self) -> None:
        """Every machine, existing first."""
        plan, space = self._plan, self._space
        left: Sequence[Mapping[str, Value]] = tuple(plan.left)
        known = (*self._snapshot.nodes, *self._snapshot.unmanaged_nodes)
        names = [self._bucket_name(number, node) for number, node in enumerate(known)]
        for name in names:
            self._lot_of.append(self._lots.setdefault(name, _Lot()))
        for claim in plan.claims:
            self._lot_of.append(self._lots.setdefault(claim.bucket.id, _Lot()))
        self._place(len(known))
        for number, node in enumerate(known):
            after = left[number] if number < len(left) and left[number] else node.available
            state, lot = self._state(number, node), self._lot_of[number]
            fullness = self._gauge(space.profiles[number].kind).read(node.available, after)
            lot.add(state, fullness, node.name)
            lot.running += len(node.job_ids)
        self._count_new(left, len(known))
        for lot in self._lots.values():
            lot.sum()

    def _count_new(self, left: Sequence[Mapping[str, Value]], first: int) -> None:
        """The claims, bucket by bucket; the first of them has the number `first`."""
        space, nothing, end = self._space, _NOTHING, len(left)
        number = first
        for bucket, claims in groupby(self._plan.claims, key=_BUCKET):
            lot, gauge = self._lot_of[number], self._gauge(space.empty[space.add_bucket(bucket)].kind)
            read, add = gauge.read, lot.add
            for claim in claims:
                add(CellState.NEW, read(nothing, left[number] if number < end else nothing), claim.name)
                number += 1

    def _gauge(self, kind: Kind) -> Gauge:
        found = self._gauges.get(kind.id)
        if found is None:
            found = self._gauges[kind.id] = Gauge(kind)
        return found

    def _place(self, known: int) -> None:
        lots, busy, last = self._lot_of, self._busy, len(self._lot_of)
        for placement in self._plan.placements:
            first, nodes = placement.first_node, placement.nodes
            if first < known:
                busy.update(range(first, min(first + nodes, known)))
            if first < last:
                jobs = lots[first].jobs
                jobs[placement.job] = jobs.get(placement.job, 0) + nodes * placement.slots_each

    def _bucket_name(self, number: int, node: Node) -> str:
        if number >= len(self._space.bucket_of):
            return "on-premise"
        index = self._space.bucket_of[number]
        return f"{node.nodearray}/{node.vm_size}" if index is None else self._space.buckets[index].id

    def _state(self, number: int, node: Node) -> CellState:
        if node.stage is Stage.DRAINING or node.name in self._leaving:
            return CellState.LEAVING
        if node.stage in {Stage.IN_FLIGHT, Stage.PLANNED}:
            return CellState.BOOTING
        if node.job_ids or number in self._busy:
            return CellState.BUSY
        if not node.is_ready:
            return CellState.OFF
        return CellState.PROTECTED if node.keep_alive else CellState.IDLE

    def rows(self) -> tuple[FleetRow, ...]:
        """The buckets that have machines."""
        order = {bucket.id: number for number, bucket in enumerate(self._space.buckets)}
        names = sorted(self._lots, key=lambda name: (order.get(name, len(order)), name))
        nodes = sum(len(found) for lot in self._lots.values() for found in lot.members.values())
        return tuple(self._row(name, self._lots[name], nodes) for name in names)

    def _row(self, name: str, lot: _Lot, nodes: int) -> FleetRow:
        mine = sum(map(len, lot.members.values()))
        cells = mine if nodes <= MOST_CELLS else max(_FEWEST_CELLS, mine * MOST_CELLS // nodes)
        top = Counter(lot.jobs).most_common(_TOP_JOBS)
        return FleetRow(
            bucket=name,
            states={state: len(lot.members[state]) for state in CellState if state in lot.members},
            fills=tuple(
                Fill(resource, total, taken, planned, resource in lot.sizes)
                for resource, (total, taken, planned) in lot.sums.items()
                if taken or planned
            ),
            running_jobs=lot.running,
            jobs=tuple((self._plan.jobs[job].name, slots) for job, slots in top),
            other_jobs=len(lot.jobs) - len(top),
            cells=tuple(_cells(lot.members, -(-mine // cells))),
        )


def _cells(members: Mapping[CellState, Sequence[tuple[float, float, str]]], each: int) -> Iterable[Cell]:
    for state in CellState:
        found = members.get(state, ())
        for start in range(0, len(found), each):
            part = found[start : start + each]
            yield Cell(
                state=state,
                nodes=len(part),
                used=sum(used for used, _, _ in part) / len(part),
                filled=sum(filled for _, filled, _ in part) / len(part),
                first=part[0][2],
                last=part[-1][2],
            )
