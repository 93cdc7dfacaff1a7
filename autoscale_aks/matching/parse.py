"""JSON → `Constraint`. Every error carries the path to its key and what was expected (matching.md C7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.constraint import (
    And,
    CapacityFailureBackoff,
    Constraint,
    Exclusive,
    ExclusiveTask,
    InPlacementGroup,
    MinResource,
    Never,
    NodeProperty,
    Not,
    Or,
    ResourceList,
    ResourceValue,
    SharedConsumable,
    SharedNonConsumable,
    Xor,
)
from autoscale_aks.matching.properties import check_property
from autoscale_aks.units import Number, Size, Value, number_of, parse_value

MAX_DEPTH: Final = 32
"""How deep a constraint may nest."""
MAX_PARTS: Final = 2_000
"""How many keys, children and list entries one job's constraints may have in all."""

KindParser: TypeAlias = Callable[[Any, str], Constraint]
Kinds: TypeAlias = Mapping[str, KindParser]
"""Site-registered kinds: key → parser of its JSON value and path (C6)."""

_NO_KINDS: Final[Kinds] = {}


@dataclass(slots=True)
class _Reader:
    kinds: Kinds
    parts: int = field(default=0)

    def count(self, path: str, parts: int = 1) -> None:
        self.parts += parts
        if self.parts > MAX_PARTS:
            raise ConstraintError.at(path, f"the expression has more than {MAX_PARTS} parts; split the job")


def parse_constraints(raw: object, path: str, kinds: Kinds = _NO_KINDS) -> And:
    """A job's `constraints`: a list of objects, or one object. All must hold. Raises ConstraintError."""
    reader = _Reader(kinds)
    if isinstance(raw, Mapping):
        return And((_parse_object(raw, path, 0, reader),))
    if not isinstance(raw, list | tuple):
        raise ConstraintError.at(path, f"expected a list of constraint objects, found {_kind_of(raw)}")
    return And(tuple(_parse_object(item, f"{path}[{index}]", 0, reader) for index, item in enumerate(raw)))


def parse_constraint(raw: object, path: str = "", kinds: Kinds = _NO_KINDS) -> Constraint:
    """One constraint object. Raises ConstraintError."""
    return _parse_object(raw, path, 0, _Reader(kinds))


def _parse_object(raw: object, path: str, depth: int, reader: _Reader) -> Constraint:
    if not isinstance(raw, Mapping):
        raise ConstraintError.at(path, f'expected a constraint object such as {{"ncpus": 4}}, found {_kind_of(raw)}')
    if depth > MAX_DEPTH:
        raise ConstraintError.at(path, f"nested deeper than {MAX_DEPTH} levels")
    for key in raw:
        if not isinstance(key, str):
            raise ConstraintError.at(path, f"keys must be strings, found {key!r}")
    # Keys are taken in sorted order, so that the order in which an object was written means nothing.
    children = tuple([_parse_entry(key, raw[key], path, depth, reader) for key in sorted(raw)])
    return children[0] if len(children) == 1 else And(children)


def _parse_entry(key: str, raw: Any, parent: str, depth: int, reader: _Reader) -> Constraint:
    reader.count(parent)
    if type(raw) is int and 0 <= raw <= _SURELY_EXACT and _is_resource(key, reader):
        return MinResource(key, raw)
    path = f"{parent}.{key}" if parent else key
    if key in reader.kinds:
        return reader.kinds[key](raw, path)
    if key in _LISTS:
        return _LISTS[key](_children(raw, path, depth, reader))
    if key == "not":
        return Not(_parse_object(raw, path, depth + 1, reader))
    if key in _KINDS:
        return _KINDS[key](raw, path)
    if key.startswith("node."):
        return _parse_property(key, raw, path, reader)
    return _parse_resource(key, raw, path, reader)


def _is_resource(key: str, reader: _Reader) -> bool:
    return bool(key.strip()) and key not in _WORDS and not key.startswith("node.") and key not in reader.kinds


def _children(raw: Any, path: str, depth: int, reader: _Reader) -> tuple[Constraint, ...]:
    if not isinstance(raw, list | tuple):
        raise ConstraintError.at(path, f"expected a list of constraint objects, found {_kind_of(raw)}")
    return tuple(_parse_object(item, f"{path}[{index}]", depth + 1, reader) for index, item in enumerate(raw))


def _parse_property(key: str, raw: Any, path: str, reader: _Reader) -> NodeProperty:
    name = key.removeprefix("node.")
    wrong = check_property(name)
    if wrong:
        raise ConstraintError.at(path, wrong)
    return NodeProperty(name, _values(raw, path, reader), isinstance(raw, list | tuple))


def _parse_resource(name: str, raw: Any, path: str, reader: _Reader) -> Constraint:
    if not name.strip():
        raise ConstraintError.at(path, "the resource name is blank")
    if isinstance(raw, list | tuple):
        return ResourceList(name, _values(raw, path, reader))
    if not isinstance(raw, str) and isinstance(raw, Mapping):
        raise ConstraintError.at(path, f'"{name}" takes a number, size, string, boolean, null or list, not an object')
    value = _value(raw, path)
    amount = number_of(value)
    if amount is None:
        return ResourceValue(name, value)
    if amount < 0:
        raise ConstraintError.at(path, f"{raw} is negative; an amount is 0 or more")
    return MinResource(name, value if isinstance(value, Size) else amount)


def _values(raw: Any, path: str, reader: _Reader) -> tuple[Value, ...]:
    if not isinstance(raw, list | tuple):
        return (_value(raw, path),)
    reader.count(path, len(raw))
    return tuple(_value(item, f"{path}[{index}]") for index, item in enumerate(raw))


def _value(raw: Any, path: str) -> Value:
    try:
        return parse_value(raw)
    except ValueError as error:
        raise ConstraintError.at(path, str(error)) from None


def _amount(raw: Any, path: str) -> Number:
    amount = number_of(_value(raw, path))
    if amount is None:
        raise ConstraintError.at(path, f"expected a number, found {_kind_of(raw)}")
    if amount < 0:
        raise ConstraintError.at(path, f"{raw} is negative; an amount is 0 or more")
    return amount


def _flag(raw: Any, path: str) -> bool:
    if not isinstance(raw, bool):
        raise ConstraintError.at(path, f"expected true or false, found {_kind_of(raw)}")
    return raw


def _text(raw: Any, path: str) -> str:
    if not isinstance(raw, str):
        raise ConstraintError.at(path, f"expected a text, found {_kind_of(raw)}")
    return raw


_SHARED_KEYS: Final = {
    "resources", "amount", "decrement_once", "once", "resource-name", "source", "sources", "requested",
    "initial-value", "initial-values", "current-value", "current-values",
}  # fmt: skip


def _parse_shared_consumable(raw: Any, path: str) -> SharedConsumable:
    """Short form `{resources, amount, decrement_once}`; long form `{resource-name, sources, requested, once}`."""
    entry = _keys(raw, path, _SHARED_KEYS)
    names = entry.get("resources", entry.get("sources", entry.get("source", entry.get("resource-name"))))
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ConstraintError.at(path, 'expected "resources": a list of names of shared resources')
    for key in ("amount", "requested"):
        if key in entry:
            amount = _amount(entry[key], f"{path}.{key}")
            break
    else:
        raise ConstraintError.at(path, 'expected "amount": how much of the shared resource is taken')
    once = entry.get("decrement_once", entry.get("once", False))
    return SharedConsumable(tuple(names), amount, _flag(once, f"{path}.once"))


def _parse_shared_value(raw: Any, path: str) -> SharedNonConsumable:
    entry = _keys(raw, path, {"resource", "value", "resource-name", "source", "current-value", "requested"})
    name = entry.get("resource", entry.get("resource-name"))
    if not isinstance(name, str):
        raise ConstraintError.at(path, 'expected "resource": the name of a shared resource')
    for key in ("value", "requested"):
        if key in entry:
            return SharedNonConsumable(name, _value(entry[key], f"{path}.{key}"))
    raise ConstraintError.at(path, 'expected "value": what the shared resource must equal')


def _keys(raw: Any, path: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise ConstraintError.at(path, f"expected an object, found {_kind_of(raw)}")
    for key in raw:
        if key not in known:
            raise ConstraintError.at(f"{path}.{key}", f"unknown key; known are {', '.join(sorted(known))}")
    return raw


_LISTS: Final[Mapping[str, Callable[[tuple[Constraint, ...]], Constraint]]] = {"and": And, "or": Or, "xor": Xor}
_KINDS: Final[Kinds] = {
    "never": lambda raw, path: Never(_text(raw, path)),
    "exclusive": lambda raw, path: Exclusive(_flag(raw, path)),
    "exclusive-task": lambda raw, path: ExclusiveTask(_flag(raw, path)),
    "exclusive_task": lambda raw, path: ExclusiveTask(_flag(raw, path)),
    "in-a-placement-group": lambda raw, path: InPlacementGroup(_flag(raw, path)),
    "capacity-failure-backoff": lambda raw, path: CapacityFailureBackoff(_amount(raw, path)),
    "shared-consumable": _parse_shared_consumable,
    "shared-consumable-constraint": _parse_shared_consumable,
    "shared-non-consumable": _parse_shared_value,
    "shared-non-consumable-constraint": _parse_shared_value,
}


_WORDS: Final = frozenset({*_LISTS, *_KINDS, "not"})
"""Keys that are not names of resources."""
_SURELY_EXACT: Final = 1 << 62


def _kind_of(raw: object) -> str:
    if raw is None:
        return "null"
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "a boolean"), (str, "a string"), (Mapping, "an object"), ((list, tuple), "a list"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(raw, kind)), "a number")
