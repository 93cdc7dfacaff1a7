"""`default_resources`: what nodes that do not exist yet will have (contract matching.md §4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import ConstraintError, Problem
from autoscale_aks.matching.alternatives import Alternative, compile_alternatives, mentions_live
from autoscale_aks.matching.evaluate import Untouched, holds_alone
from autoscale_aks.matching.expression import Expression, arithmetic, parse_expression
from autoscale_aks.matching.parse import parse_constraint
from autoscale_aks.matching.profile import MEMORY, Kind, Profile
from autoscale_aks.matching.properties import check_property, is_live
from autoscale_aks.units import MEMORY_UNITS, Number, Size, Value, exact, number_of, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.model.node import Node

MODIFIERS: Final[Mapping[str, str]] = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "divide_floor": "//",
}  # fmt: skip
_KNOWN_KEYS: Final = {"select", "name", "value", "allow_none", *MODIFIERS}
_BUILT_IN: Final = {
    "ncpus": "node.vcpu_count",
    "pcpus": "node.pcpu_count",
    "ngpus": "node.gpu_count",
    "nodearray": "node.nodearray",
}
_MEMORY_VALUE: Final = "node.memory"


@dataclass(frozen=True, slots=True)
class DefaultResource:
    """One parsed entry."""

    path: str
    name: str
    select: tuple[Alternative, ...]
    value: Value | Expression
    operator: str | None = None
    magnitude: Value = None
    allow_none: bool = False
    is_live: bool = False
    """Whether it must be computed node by node."""
    is_memory: bool = False
    """Whether it is the node's memory unmodified, and so one more view of it (V1)."""


@dataclass(frozen=True, slots=True)
class ResourceRules:
    """All entries in order, ready to be applied to nodes (D1)."""

    entries: tuple[DefaultResource, ...] = ()
    built_ins: bool = True
    problems: tuple[Problem, ...] = field(default=())

    @property
    def is_live(self) -> bool:
        """Whether any entry reads what only a live node has."""
        return any(entry.is_live for entry in self.entries)


def parse_default_resources(
    raw: Sequence[Any], *, disable_defaults: bool = False, path: str = "default_resources"
) -> ResourceRules:
    """Parse every entry. Raises ConstraintError with all problems at once."""
    problems: list[Problem] = []
    entries: list[DefaultResource] = []
    for index, item in enumerate(raw):
        try:
            entries.append(_parse_entry(item, f"{path}[{index}]"))
        except ConstraintError as error:
            problems.extend(error.problems)
    if problems:
        raise ConstraintError(problems)
    return ResourceRules(tuple(entries), built_ins=not disable_defaults)


def _parse_entry(raw: Any, path: str) -> DefaultResource:
    if not hasattr(raw, "get"):
        raise ConstraintError.at(path, 'expected an object such as {"select": {}, "name": "ncpus", "value": …}')
    problems = [
        Problem(f"{path}.{key}", f"unknown key; known are {', '.join(sorted(_KNOWN_KEYS))}")
        for key in raw
        if key not in _KNOWN_KEYS
    ]
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip():
        problems.append(Problem(f"{path}.name", "expected the name of the resource"))
    if "value" not in raw:
        problems.append(Problem(f"{path}.value", 'expected a value such as "node.vcpu_count"'))
    modifiers = [key for key in raw if key in MODIFIERS]
    if len(modifiers) > 1:
        problems.append(Problem(path, f"at most one modifier, found {', '.join(sorted(modifiers))}"))
    if problems:
        raise ConstraintError(problems)
    select = parse_constraint(raw.get("select", {}), f"{path}.select")
    value = _parse_entry_value(raw["value"], f"{path}.value")
    operator, magnitude = _parse_modifier(raw, modifiers, value, path)
    reads_live = isinstance(value, Expression) and any(is_live(prop) for prop in value.properties)
    return DefaultResource(
        path=path,
        name=str(name),
        select=compile_alternatives(select, f"{path}.select"),
        value=value,
        operator=operator,
        magnitude=magnitude,
        allow_none=bool(raw.get("allow_none", False)),
        is_live=reads_live or mentions_live(select),
        is_memory=raw["value"] == _MEMORY_VALUE and operator is None,
    )


def _parse_entry_value(raw: Any, path: str) -> Value | Expression:
    try:
        if isinstance(raw, str) and len(raw) >= 2 and raw.startswith("`") and raw.endswith("`"):
            return parse_expression(raw[1:-1])
        if isinstance(raw, str) and raw.startswith("node."):
            return _property_value(raw)
        return parse_value(raw)
    except ValueError as error:
        raise ConstraintError.at(path, str(error)) from None


def _property_value(text: str) -> Expression:
    """`node.PROP` as a value: the property itself, whatever characters its path has."""
    name = text.removeprefix("node.")
    wrong = check_property(name)
    if wrong:
        raise ValueError(wrong)
    return Expression(text, frozenset({name}), lambda lookup: lookup(name))


def _parse_modifier(raw: Any, modifiers: list[str], value: Value | Expression, path: str) -> tuple[str | None, Value]:
    if not modifiers:
        return None, None
    key = modifiers[0]
    try:
        magnitude = parse_value(raw[key])
    except ValueError as error:
        raise ConstraintError.at(f"{path}.{key}", str(error)) from None
    if number_of(magnitude) is None:
        raise ConstraintError.at(f"{path}.{key}", "expected a number or a size such as memory::1g (D4)")
    if key in {"divide", "divide_floor"} and number_of(magnitude) == 0:
        raise ConstraintError.at(f"{path}.{key}", "cannot divide by zero")
    if not isinstance(value, Expression) and number_of(value) is None:
        raise ConstraintError.at(path, f'"{key}" needs a number or a size as the value, not {value!r} (D4)')
    return MODIFIERS[key], magnitude


def resolve_kind(
    kind_id: int,
    rules: ResourceRules,
    facts: Mapping[str, Any],
    own: Mapping[str, Value],
    shared: Mapping[str, SharedResource],
    *,
    bucket: Bucket | None,
    node: Node | None = None,
    own_source: str = "nodearray",
) -> Kind:
    """The kind of a node: its facts with every resource that the rules define on it (D1, D2, D5–D7).

    `own` is what the node defines itself and is never overridden. `node` is needed only where a rule reads what
    only a live node has.
    """
    views = _memory_names(rules)
    reported = [_bytes_of(own[name], unit) for name, unit in views.items() if number_of(own.get(name)) is not None]
    if reported:
        facts = {**facts, "memory": Size(min(reported))}
    resources: dict[str, Value] = dict(own)
    sources = dict.fromkeys(own, own_source)
    draft = Profile(Kind(kind_id, bucket, facts, resources, {}, _Totals(resources), shared), node)
    for entry in rules.entries:
        if entry.name in resources or not holds_alone(entry.select, draft, Untouched(draft)):
            continue
        value = _entry_value(entry, draft)
        if value is not None or entry.allow_none:
            resources[entry.name] = value
            sources[entry.name] = entry.path
    if rules.built_ins:
        for name, text in _BUILT_IN.items():
            value = draft.property(text.removeprefix("node."))
            if name not in resources and value is not None:
                resources[name] = value
                sources[name] = "built-in"
    units = _memory_units(views, facts.get("memory"), resources)
    if rules.built_ins:
        _define_memory(units, facts.get("memory"), resources, sources)
    totals: dict[str, Number] = {}
    for name, value in resources.items():
        amount = number_of(value)
        if amount is None:
            continue
        unit = units.get(name)
        totals[MEMORY if unit else name] = _bytes_of(value, unit) if unit else amount
    return Kind(kind_id, bucket, facts, resources, units, totals, shared, rules.built_ins, sources)


def _entry_value(entry: DefaultResource, draft: Profile) -> Value:
    """The entry's value on this node; None when data is absent or the arithmetic cannot be done on it."""
    try:
        value = entry.value.evaluate(draft.property) if isinstance(entry.value, Expression) else entry.value
        if value is None or entry.operator is None:
            return (
                value if value is None or isinstance(value, str | bool) or number_of(value) is not None else str(value)
            )
        return arithmetic(entry.operator, value, entry.magnitude)
    except ValueError:
        return None


def _memory_names(rules: ResourceRules) -> dict[str, int]:
    """Names that may view a node's memory, and the bytes of one unit of each (V1)."""
    return {**MEMORY_UNITS, **{entry.name: 1 for entry in rules.entries if entry.is_memory}}


def _memory_units(names: Mapping[str, int], memory: Any, resources: Mapping[str, Value]) -> dict[str, int]:
    """The names that do view it on this node: what the site defined to be something else is its own resource.

    The quantity is what the node reports under one of these names, else the size's memory.
    """
    if not isinstance(memory, Size):
        return {}
    return {
        name: unit
        for name, unit in names.items()
        if (number_of(resources.get(name)) is not None and _bytes_of(resources[name], unit) == memory.bytes)
        or (name not in resources and name in MEMORY_UNITS)
    }


def _define_memory(units: Mapping[str, int], memory: Any, resources: dict[str, Value], sources: dict[str, str]) -> None:
    """The built-in names, each in its own unit (D6)."""
    for name, unit in units.items():
        if name not in resources:
            resources[name] = exact(Fraction(memory.bytes) / unit)
            sources[name] = "built-in"


def _bytes_of(value: Value, unit: int) -> Number:
    if isinstance(value, Size):
        return value.bytes
    amount = number_of(value)
    return 0 if amount is None else amount * unit


class _Totals(dict[str, Number]):
    """A live view of consumable totals while entries are still being applied (D5)."""

    def __init__(self, resources: Mapping[str, Value]) -> None:
        super().__init__()
        self._resources = resources

    def get(self, key: str, default: Any = None) -> Any:
        amount = number_of(self._resources.get(key))
        return default if amount is None else amount


def unused_entries(rules: ResourceRules, kinds: Iterable[Kind]) -> tuple[Problem, ...]:
    """Entries that apply to none of these kinds: a warning for the linter (D1)."""
    used = {source for kind in kinds for source in kind.sources.values()}
    return tuple(
        Problem(entry.path, f'never applies: "{entry.name}" is defined by an earlier entry or its select never holds')
        for entry in rules.entries
        if entry.path not in used
    )
