"""A waiting job's `select` and `place` → its shape, in our constraint language.

| PBS | becomes |
| --- | --- |
| one chunk | one slot with the chunk's amounts and values |
| `place=free` with several chunks | that many slots packed, all or none of them |
| chunks of several kinds | one gang of as many parts (A6) |
| `place=pack`, `group=host` | one slot that asks for the sum |
| `place=scatter`, `vscatter` | as many different nodes |
| `excl`, `exclhost` | `exclusive`; `exclusive-task` where chunks of the job may share a node |
| `place=group=` the group resource | `colocated`: one placement group |
| `host=`, `vnode=` | `{"node.hostname": […]}`: no new machine can be it |
| long, size that jobs use up (flags n, f) | an amount that is taken |
| long, size that they do not (flag h alone) | an amount that must be there, and is not taken |
| string, boolean | an equal value |
| job-wide resources and limits | shared consumables, once a job (`limits`) |

Resources that the `resources` line of sched_config does not name are not looked at, as by PBS itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.job import Chunk
from autoscale_aks.schedulers.openpbs.select import parse_place, parse_select
from autoscale_aks.schedulers.shapes import ShapeStore, frozen, present, takes_once, written
from autoscale_aks.units import Size, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.job import JobShape
    from autoscale_aks.schedulers.openpbs.facts import PbsFacts
    from autoscale_aks.schedulers.openpbs.limits import Stocks, Takings
    from autoscale_aks.schedulers.openpbs.records import JobFacts
    from autoscale_aks.schedulers.openpbs.select import Place, Wanted
    from autoscale_aks.schedulers.openpbs.settings import PbsSettings
    from autoscale_aks.units import Number, Value

_NOT_OF_NODES: Final = frozenset({"mpiprocs", "ompthreads"})
"""What chunks say of processes, not of nodes."""

_SCATTERED_KINDS: Final = "chunks of several kinds scattered: two of different kinds may be planned on one machine"
_GROUP: Final = "place=group={}: only the group resource makes a placement group, not looked at"
_DYNAMIC: Final = "server dynamic resource {}: not asked (scheduler.run_server_dyn_res)"


@dataclass(slots=True)
class _Part:
    """One kind of chunk, translated: what is taken, what must be there, what must be equal."""

    count: int
    taken: dict[str, Value] = field(default_factory=dict)
    present: dict[str, Value] = field(default_factory=dict)
    equal: dict[str, Value] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()


class Translator:
    """Turns records into shapes. Equal requests give one and the same shape object."""

    def __init__(self, settings: PbsSettings, facts: PbsFacts, stocks: Stocks) -> None:
        self._settings = settings
        self._facts = facts
        self._stocks = stocks
        self._store = ShapeStore()
        self._seen: dict[Any, tuple[JobShape, tuple[str, ...]]] = {}

    def shape_of(self, job: JobFacts) -> tuple[JobShape, tuple[str, ...]]:
        """The shape of a job and what could not be said of it. Raises ValueError when a request cannot be read."""
        takings = self._stocks.takings(job)
        place = next((value for name, value in job.resources if name == "place"), "")
        key = (job.select, place, job.queue, takings, self._dynamic_of(job))
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._translate(job, place, takings)
        return found

    def _dynamic_of(self, job: JobFacts) -> tuple[str, ...]:
        """Server dynamic resources that a job asks for and nobody counted."""
        known = self._facts.sched.dynamic
        return tuple(name for name, _ in job.resources if name in known and name not in self._facts.dynamic)

    def _translate(self, job: JobFacts, place: str, takings: Takings) -> tuple[JobShape, tuple[str, ...]]:
        placing = parse_place(place)
        notes = [_DYNAMIC.format(name) for name in self._dynamic_of(job)]
        parts = _merged([self._part(wanted) for wanted in parse_select(job.select)])
        whole = self._whole(job.queue, takings)
        if placing.arrangement == "pack" or placing.group == "host":
            alone: tuple[dict[str, Any], ...] = ({"exclusive": True},) if placing.is_exclusive else ()
            return self._store.slots(frozen((*_constraints(_summed(parts)), *alone, *whole))), tuple(notes)
        return self._arranged(parts, placing, whole, notes), tuple(dict.fromkeys(notes))

    def _arranged(
        self, parts: list[_Part], placing: Place, whole: tuple[Mapping[str, Any], ...], notes: list[str]
    ) -> JobShape:
        is_scattered = placing.arrangement in {"scatter", "vscatter"}
        total = sum(part.count for part in parts)
        is_colocated = placing.group == self._settings.group_resource and total > 1
        if placing.group and not is_colocated and total > 1:
            notes.append(_GROUP.format(placing.group))
        alone: tuple[dict[str, Any], ...] = ()
        if placing.is_exclusive:
            alone = ({"exclusive" if is_scattered or total == 1 else "exclusive-task": True},)
        if len(parts) == 1:
            constraints = frozen((*_constraints(parts[0]), *alone, *whole))
            if total > 1 and is_scattered:
                return self._store.nodes(constraints, total, colocated=is_colocated)
            if is_colocated:
                return self._store.colocated_slots(constraints, total)
            return self._store.slots(constraints, total)
        if is_scattered and not placing.is_exclusive:
            notes.append(_SCATTERED_KINDS)
        chunks = tuple(
            Chunk(
                constraints=frozen((*_constraints(part), *alone)),
                iterations=1 if is_scattered else part.count,
                node_count=part.count if is_scattered else 0,
            )
            for part in parts
        )
        return self._store.chunks(frozen(whole), chunks, colocated=is_colocated)

    def _part(self, wanted: Wanted) -> _Part:
        part = _Part(wanted.count)
        for name, text in wanted.resources:
            if name in _NOT_OF_NODES or not self._facts.is_scheduled(name):
                continue
            if name in {"host", "vnode"}:
                part.hosts = (text,)
                continue
            value = self._facts.value(name, text)
            kind = self._facts.type_of(name)
            if number_of(value) is None:
                part.equal[name] = value
            elif kind.is_amount or not kind.is_of_hosts:
                part.taken[name] = value
            else:
                part.present[name] = value
        return part

    def _whole(self, queue: str, takings: Takings) -> tuple[Mapping[str, Any], ...]:
        """What holds for the job as a whole: its queue's node arrays, and what it takes of shared resources."""
        arrays = self._settings.queues.get(queue)
        found: list[Mapping[str, Any]] = [] if arrays is None else [{"nodearray": arrays}]
        found.extend(takes_once(takings))
        return tuple(found)


def _merged(parts: list[_Part]) -> list[_Part]:
    """Chunks that differ only in what is nothing to nodes, such as mpiprocs, are of one kind."""
    found: list[_Part] = []
    for part in parts:
        same = next((other for other in found if replace(other, count=part.count) == part), None)
        if same is None:
            found.append(part)
        else:
            same.count += part.count
    return found


def _summed(parts: list[_Part]) -> _Part:
    """All chunks on one node: amounts add up, of several minimums the largest counts.

    Raises ValueError when two chunks ask for different values of one resource.
    """
    whole = _Part(1)
    for part in parts:
        for name, value in part.taken.items():
            whole.taken[name] = _plus(whole.taken.get(name), value, part.count)
        for name, value in part.present.items():
            known = whole.present.get(name)
            whole.present[name] = value if known is None or _number(known) < _number(value) else known
        for name, value in part.equal.items():
            if whole.equal.setdefault(name, value) != value:
                raise ValueError(f"its chunks ask for two values of {name} on one node")
        if part.hosts and whole.hosts not in {(), part.hosts}:
            raise ValueError("its chunks ask for two hosts and for one node")
        whole.hosts = part.hosts or whole.hosts
    return whole


def _plus(known: Value, value: Value, count: int) -> Value:
    total = _number(value) * count + (0 if known is None else _number(known))
    return Size(total) if isinstance(value, Size) else total


def _number(value: Value) -> Number:
    return number_of(value) or 0


def _constraints(part: _Part) -> tuple[dict[str, Any], ...]:
    """Constraint objects of one slot; an amount that is not taken is a double negation, which takes nothing (C2)."""
    values = {name: written(value) for name, value in part.taken.items()}
    values |= part.equal
    found: list[dict[str, Any]] = [values] if values else []
    found.extend(present(name, value) for name, value in part.present.items())
    if part.hosts:
        found.append({"node.hostname": part.hosts})
    return tuple(found)
