"""A waiting job's slots and hard requests → its shape, in our constraint language.

| Grid Engine | becomes |
| --- | --- |
| no parallel environment | one slot: `{"nodearray": […], "slots": 1, …}` |
| `$pe_slots` | one node with all its slots |
| `$fill_up`, `$round_robin` | that many slots packed, all or none of them |
| a fixed number N | slots / N different nodes with N slots each |
| a range `6-12` | its least number |
| consumable YES | an amount for each slot |
| consumable JOB (HOST) | an amount once a job (once a host) |
| a number or size that is not used up | an amount that must be there, and is not taken |
| `num_proc=4` (relation ==) | an equal value |
| strings | an equal value; `a|b` any of them, `!a` not that one, wildcards as they are |
| a BOOL of relation EXCL | `exclusive`; `exclusive-task` where slots of the job may share a node |
| `h_rt`, `h_vmem` … that are not used up | only queues whose limit is not below it |
| `-q all.q@host`, `-l hostname=` | `{"node.hostname": […]}`: no new machine can be it |
| a consumable of the global host, quotas | shared consumables, once a job (`quotas`) |
| soft requests | nothing: they only prefer |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.job import Chunk
from autoscale_aks.schedulers.gridengine.values import parse_flag, parse_memory, parse_number
from autoscale_aks.schedulers.shapes import ShapeStore, frozen, present, takes_once, written
from autoscale_aks.units import Size, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.job import JobShape
    from autoscale_aks.schedulers.gridengine.objects import Complex
    from autoscale_aks.schedulers.gridengine.places import Places
    from autoscale_aks.schedulers.gridengine.quotas import Takings
    from autoscale_aks.units import Number, Value

SLOTS: Final = "slots"
MOST_SLOTS: Final = 10_000_000
_TEXTS: Final = frozenset({"STRING", "CSTRING", "RESTRING", "HOST"})
_HOST_NAMES: Final = frozenset({"hostname", "h"})
_QUEUE_NAMES: Final = frozenset({"qname", "q"})
_COMPLICATED: Final = frozenset("&()")
_JOB_WIDE: Final = "{}, counted once a job, on several hosts of a fixed number of slots: asked of each of them"
_COMPLEX_TEXT: Final = "{}: an expression with & or brackets is not looked at"
_LOAD: Final = "{}: a load that may not be above a value is not looked at"
_UNKNOWN: Final = "{}: qconf -sc does not list it, not looked at"


@dataclass(slots=True)
class Needs:
    """Hard requests, sorted by what they mean."""

    per_slot: dict[str, Value] = field(default_factory=dict)
    per_host: dict[str, Value] = field(default_factory=dict)
    per_job: dict[str, Value] = field(default_factory=dict)
    conditions: list[dict[str, Any]] = field(default_factory=list)
    limits: dict[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    queue_names: tuple[str, ...] = ()
    is_exclusive: bool = False
    notes: list[str] = field(default_factory=list)

    def amounts(self, slots: int) -> dict[str, Number]:
        """What the whole job takes of each consumable."""
        found: dict[str, Number] = {SLOTS: slots}
        for name, value in self.per_slot.items():
            found[name] = (number_of(value) or 0) * slots
        for name, value in (*self.per_host.items(), *self.per_job.items()):
            found[name] = number_of(value) or 0
        return found


def read_requests(
    requests: tuple[tuple[str, str], ...], complexes: Mapping[str, Complex], limit_names: frozenset[str]
) -> Needs:
    """Sort hard requests. Raises ValueError naming the one that cannot be read."""
    needs = Needs()
    for asked, text in requests:
        known = complexes.get(asked)
        name = known.name if known is not None else asked
        if name in _HOST_NAMES:
            needs.hosts = tuple(text.split("|"))
        elif name in _QUEUE_NAMES:
            needs.queue_names = tuple(text.split("|"))
        elif known is None:
            needs.notes.append(_UNKNOWN.format(asked))
        elif known.is_exclusive:
            needs.is_exclusive = needs.is_exclusive or parse_flag(text)
        elif known.type == "TIME" or (name in limit_names and not known.is_amount):
            needs.limits[name] = text
        else:
            _sort_request(needs, known, text)
    return needs


def _sort_request(needs: Needs, known: Complex, text: str) -> None:
    name = known.name
    if known.type in _TEXTS:
        condition = _text_condition(name, text)
        if condition is None:
            needs.notes.append(_COMPLEX_TEXT.format(name))
        else:
            needs.conditions.append(condition)
        return
    if known.type == "BOOL":
        needs.conditions.append({name: parse_flag(text)})
        return
    value = parse_memory(text, name) if known.type == "MEMORY" else parse_number(text, name)
    if known.is_amount:
        kinds = {"JOB": needs.per_job, "HOST": needs.per_host}
        kinds.get(known.consumable, needs.per_slot)[name] = value
    elif known.relop == "==":
        needs.conditions.append({name: (written(value),)})
    elif known.relop in {"<=", "<"}:
        needs.conditions.append(present(name, value))
    else:
        needs.notes.append(_LOAD.format(name))


def _text_condition(name: str, text: str) -> dict[str, Any] | None:
    if set(text) & _COMPLICATED or "!" in text[1:]:
        return None
    if text.startswith("!"):
        return {"not": {name: tuple(text[1:].split("|"))}}
    parts = text.split("|")
    return {name: parts[0] if len(parts) == 1 else tuple(parts)}


@dataclass(frozen=True, slots=True)
class _Frame:
    """What every slot of a job has in common."""

    needs: Needs
    common: tuple[Mapping[str, Any], ...]
    whole: tuple[Mapping[str, Any], ...]
    """What the job takes of shared resources."""
    stocks: frozenset[str]
    """Names of those: they are not the node's."""
    is_colocated: bool

    def slot(self, slots: int, *, with_job: bool) -> dict[str, Any]:
        """The amounts of `slots` slots on one node."""
        found: dict[str, Any] = {SLOTS: slots}
        for name, value in self.needs.per_slot.items():
            if name not in self.stocks:
                total = (number_of(value) or 0) * slots
                found[name] = written(Size(total) if isinstance(value, Size) else total)
        once = {**self.needs.per_host, **self.needs.per_job} if with_job else self.needs.per_host
        return found | {name: written(value) for name, value in once.items() if name not in self.stocks}

    def alone(self, form: str) -> list[dict[str, Any]]:
        """`exclusive` or `exclusive-task`, where the job asks for it."""
        return [{form: True}] if self.needs.is_exclusive else []


class Shaper:
    """Makes shapes of needs; equal ones give one and the same object."""

    def __init__(self) -> None:
        self._store = ShapeStore()

    def shape_of(
        self, needs: Needs, places: Places, slots: int, rule: str, takings: Takings, notes: list[str]
    ) -> JobShape:
        """`rule` is the allocation rule of the job's parallel environment, empty without one. Raises ValueError."""
        if not 0 < slots <= MOST_SLOTS:
            raise ValueError(f"{slots} slots cannot be meant")
        notes.extend(needs.notes)
        frame = _Frame(
            needs=needs,
            common=(*places.constraints(), *needs.conditions),
            whole=tuple(takes_once(takings)),
            stocks=frozenset(name for name, _ in takings),
            is_colocated=places.is_colocated,
        )
        if rule.isdigit() and slots > 1:
            return self._on_each(frame, slots, int(rule), notes)
        if rule in {"", "$pe_slots"} or slots == 1:
            return self._on_one(frame, slots)
        return self._packed(frame, slots)

    def _on_one(self, frame: _Frame, slots: int) -> JobShape:
        mine = frame.slot(slots, with_job=True)
        return self._store.slots(frozen([mine, *frame.common, *frame.alone("exclusive"), *frame.whole]))

    def _on_each(self, frame: _Frame, slots: int, each: int, notes: list[str]) -> JobShape:
        """Exactly `each` slots on every host."""
        if each < 1 or slots % each:
            raise ValueError(f"{slots} slots cannot be shared out at {each} a host")
        if slots == each:
            return self._on_one(frame, slots)
        notes.extend(_JOB_WIDE.format(name) for name in frame.needs.per_job if name not in frame.stocks)
        mine = frame.slot(each, with_job=True)
        constraints = frozen([mine, *frame.common, *frame.alone("exclusive"), *frame.whole])
        return self._store.nodes(constraints, slots // each, colocated=frame.is_colocated)

    def _packed(self, frame: _Frame, slots: int) -> JobShape:
        """Slots anywhere, all of them or none; what counts once a job stands with the first of them."""
        rest = [*frame.common, *frame.alone("exclusive-task")]
        mine, first = frame.slot(1, with_job=False), frame.slot(1, with_job=True)
        if first != mine:
            chunks = (
                Chunk(constraints=frozen([first, *rest])),
                Chunk(constraints=frozen([mine, *rest]), iterations=slots - 1),
            )
            return self._store.chunks(frozen(frame.whole), chunks, colocated=frame.is_colocated)
        constraints = frozen([mine, *rest, *frame.whole])
        if frame.is_colocated:
            return self._store.colocated_slots(constraints, slots)
        return self._store.slots(constraints, slots)
