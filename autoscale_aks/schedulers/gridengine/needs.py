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

from frozendict import deepfreeze

from autoscale_aks.model.job import Chunk
from autoscale_aks.schedulers.gridengine.values import parse_flag, parse_memory, parse_number
from autoscale_aks.schedulers.shapes import ShapeStore
from autoscale_aks.units import Size, exact_text, number_of, size_text

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
        needs.conditions.append({name: (_written(value),)})
    elif known.relop in {"<=", "<"}:
        needs.conditions.append({"not": {"not": {name: _written(value)}}})
    else:
        needs.notes.append(_LOAD.format(name))


def _text_condition(name: str, text: str) -> dict[str, Any] | None:
    if set(text) & _COMPLICATED or "!" in text[1:]:
        return None
    if text.startswith("!"):
        return {"not": {name: tuple(text[1:].split("|"))}}
    parts = text.split("|")
    return {name: parts[0] if len(parts) == 1 else tuple(parts)}


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
        stocks = {name for name, _ in takings}
        common = [*places.constraints(), *needs.conditions]
        whole = [
            {"shared-consumable": {"resources": (name,), "amount": amount, "decrement_once": True}}
            for name, amount in takings
        ]
        if rule in {"", "$pe_slots"} or slots == 1:
            alone = [{"exclusive": True}] if needs.is_exclusive else []
            mine = _slot(needs, slots, stocks, is_whole=True)
            return self._store.slots(_frozen([mine, *common, *alone, *whole]))
        if rule.isdigit():
            return self._on_each(needs, common, whole, slots, int(rule), places.is_colocated, stocks, notes)
        return self._packed(needs, common, whole, slots, places.is_colocated, stocks)

    def _on_each(
        self,
        needs: Needs,
        common: list[dict[str, Any]],
        whole: list[dict[str, Any]],
        slots: int,
        each: int,
        is_colocated: bool,
        stocks: set[str],
        notes: list[str],
    ) -> JobShape:
        """Exactly `each` slots on every host."""
        if each < 1 or slots % each:
            raise ValueError(f"{slots} slots cannot be shared out at {each} a host")
        notes.extend(_JOB_WIDE.format(name) for name in needs.per_job if name not in stocks and slots > each)
        alone = [{"exclusive": True}] if needs.is_exclusive else []
        mine = _slot(needs, each, stocks, is_whole=True)
        constraints = _frozen([mine, *common, *alone, *whole])
        hosts = slots // each
        return (
            self._store.nodes(constraints, hosts, colocated=is_colocated)
            if hosts > 1
            else self._store.slots(constraints)
        )

    def _packed(
        self,
        needs: Needs,
        common: list[dict[str, Any]],
        whole: list[dict[str, Any]],
        slots: int,
        is_colocated: bool,
        stocks: set[str],
    ) -> JobShape:
        """Slots anywhere, all of them or none; what counts once a job stands with the first of them."""
        alone = [{"exclusive-task": True}] if needs.is_exclusive else []
        mine = _slot(needs, 1, stocks, is_whole=False)
        first = {name: _written(value) for name, value in needs.per_job.items() if name not in stocks}
        if first:
            chunks = (
                Chunk(constraints=_frozen([{**mine, **first}, *common, *alone])),
                Chunk(constraints=_frozen([mine, *common, *alone]), iterations=slots - 1),
            )
            return self._store.chunks(_frozen(whole), chunks, colocated=is_colocated)
        constraints = _frozen([mine, *common, *alone, *whole])
        if is_colocated:
            return self._store.colocated_slots(constraints, slots)
        return self._store.slots(constraints, slots)


def _slot(needs: Needs, slots: int, stocks: set[str], *, is_whole: bool) -> dict[str, Any]:
    """The amounts of `slots` slots on one node; stocks of the global host are not the node's."""
    found: dict[str, Any] = {SLOTS: slots}
    for name, value in needs.per_slot.items():
        if name not in stocks:
            total = (number_of(value) or 0) * slots
            found[name] = _written(Size(total) if isinstance(value, Size) else total)
    once = {**needs.per_host, **needs.per_job} if is_whole else needs.per_host
    found |= {name: _written(value) for name, value in once.items() if name not in stocks}
    return found


def _written(value: Value) -> Any:
    """A value as our constraint language writes it."""
    if isinstance(value, Size):
        return size_text(value)
    number = number_of(value)
    if number is not None and not isinstance(number, int):
        return float(exact_text(number))
    return value


def _frozen(parts: list[dict[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    frozen: tuple[Mapping[str, Any], ...] = deepfreeze(tuple(parts))
    return frozen
