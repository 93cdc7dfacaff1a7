"""The machines there are and will be, and what fills them: by bucket, with a picture of cells. Pure."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.node import Stage
from autoscale_aks.units import Size, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.matching.profile import Kind
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.snapshot import Snapshot
    from autoscale_aks.planning.space import Space
    from autoscale_aks.units import Number, Value

MOST_CELLS: Final = 1_200
"""Cells of the whole picture; where there are more machines a cell stands for several."""
_FEWEST_CELLS: Final = 8
_TOP_JOBS: Final = 3


class CellState(enum.Enum):
    """What a machine of the picture is doing after the plan, in the order in which cells are drawn."""

    BUSY = "busy"
    IDLE = "idle"
    PROTECTED = "idle, protected"
    BOOTING = "in flight"
    NEW = "would start"
    LEAVING = "leaving"
    OFF = "closed or failed"


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
    sums: dict[str, list[Number]] = field(default_factory=dict)
    sizes: set[str] = field(default_factory=set)
    running: int = 0
    jobs: Counter[int] = field(default_factory=Counter)


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
        self._gauges: dict[int, _Gauge] = {}
        self._leaving = {release.node.name for release in plan.releases}
        self._busy: set[int] = set()
        self._alike: dict[tuple[int, int, int], list[Any]] = {}
        """How many machines of a lot are alike, the lot, and what they are read by (amounts live in their gauge)."""

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
        self._place()
        for number, node in enumerate(known):
            after = left[number] if number < len(left) and left[number] else node.available
            state = self._state(number, node)
            self._add(number, node.name, state, space.profiles[number].kind, node.available, after)
            self._lot_of[number].running += len(node.job_ids)
        nothing: Mapping[str, Value] = {}
        for number, claim in enumerate(plan.claims, start=len(known)):
            after = left[number] if number < len(left) else nothing
            kind = space.empty[space.add_bucket(claim.bucket)].kind
            self._add(number, claim.name, CellState.NEW, kind, nothing, after)
        self._sum()

    def _place(self) -> None:
        lots, busy, last = self._lot_of, self._busy, len(self._lot_of)
        for placement in self._plan.placements:
            first, nodes = placement.first_node, placement.nodes
            busy.update(range(first, first + nodes))
            if first < last:
                lots[first].jobs[placement.job] += nodes * placement.slots_each

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

    def _add(
        self, number: int, name: str, state: CellState, kind: Kind, before: Mapping[str, Value],
        after: Mapping[str, Value],
    ) -> None:  # fmt: skip
        gauge = self._gauges.get(kind.id)
        if gauge is None:
            gauge = self._gauges[kind.id] = _Gauge(kind)
        used, filled, amounts = gauge.read(before, after)
        lot = self._lot_of[number]
        lot.members.setdefault(state, []).append((used, filled, name))
        if state in {CellState.LEAVING, CellState.OFF}:
            return
        key = (id(lot), kind.id, id(amounts))
        alike = self._alike.get(key)
        if alike is None:
            self._alike[key] = [1, lot, gauge, amounts]
        else:
            alike[0] += 1

    def _sum(self) -> None:
        """Machines of one bucket that are alike are added up at once."""
        for count, lot, gauge, amounts in self._alike.values():
            for (_, title, total, scale, is_size), (taken, planned) in zip(gauge.resources, amounts, strict=True):
                sums = lot.sums.setdefault(title, [0, 0, 0])
                sums[0] += total * scale * count
                sums[1] += taken * scale * count
                sums[2] += planned * scale * count
                if is_size:
                    lot.sizes.add(title)

    def rows(self) -> tuple[FleetRow, ...]:
        """The buckets that have machines."""
        order = {bucket.id: number for number, bucket in enumerate(self._space.buckets)}
        names = sorted(self._lots, key=lambda name: (order.get(name, len(order)), name))
        nodes = sum(len(found) for lot in self._lots.values() for found in lot.members.values())
        return tuple(self._row(name, self._lots[name], nodes) for name in names)

    def _row(self, name: str, lot: _Lot, nodes: int) -> FleetRow:
        mine = sum(map(len, lot.members.values()))
        cells = mine if nodes <= MOST_CELLS else max(_FEWEST_CELLS, mine * MOST_CELLS // nodes)
        top = lot.jobs.most_common(_TOP_JOBS)
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


class _Gauge:
    """Reads how full machines of one kind are. One that was read before is remembered by what is left of it."""

    __slots__ = ("_known", "resources")

    def __init__(self, kind: Kind) -> None:
        self.resources: list[tuple[str, str, Number, int, bool]] = []
        """Name, title, total, what one unit is in the title's unit, and whether that is bytes."""
        has_memory = False
        for name, value in kind.resources.items():
            total, unit = number_of(value), kind.units.get(name)
            if total is None or total <= 0 or (unit and has_memory):
                continue  # no amount, or one quantity under several names (V1)
            has_memory = has_memory or bool(unit)
            scale = unit if unit and not isinstance(value, Size) else 1
            self.resources.append(
                (name, "memory" if unit else name, total, scale, isinstance(value, Size) or bool(unit))
            )
        self._known: dict[tuple[int, int], tuple[float, float, tuple[tuple[Number, Number], ...]]] = {}

    def read(
        self, before: Mapping[str, Value], after: Mapping[str, Value]
    ) -> tuple[float, float, tuple[tuple[Number, Number], ...]]:
        """Shares of the fullest resource before and after the plan; of each resource, what is taken and planned.

        Both mappings live as long as the plan does, so that their identity names them.
        """
        key = (id(before), id(after))
        found = self._known.get(key)
        if found is None:
            used = filled = 0.0
            amounts: list[tuple[Number, Number]] = []
            for name, _, total, _, _ in self.resources:
                left = _amount(before.get(name), total)
                rest = min(_amount(after.get(name), total), left)
                amounts.append((total - left, left - rest))
                whole = float(total)
                used, filled = max(used, float(total - left) / whole), max(filled, float(total - rest) / whole)
            found = self._known[key] = (used, filled, tuple(amounts))
        return found


def _amount(value: Value, total: Number) -> Number:
    if type(value) is int and 0 <= value <= total:
        return value
    found = number_of(value)
    return total if found is None else max(0, min(found, total))
