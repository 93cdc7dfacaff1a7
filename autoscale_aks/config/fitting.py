"""Whether a document surely fits the schema, quickly and without saying why not.

Nearly every run reads a file without a mistake. For those, importing jsonschema (65 ms of processor time) is most of
what reading the configuration costs; only where this look finds something, jsonschema finds it again, and the
messages are worded from its errors. The law that both agree: `tests/unit/config/test_config_fitting.py`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WORDS: Final = frozenset({"$schema", "$id", "$defs", "title", "description", "default", "examples", "type"})
"""Keywords that ask nothing of a value by themselves; `type` is asked before all others."""


def surely_fits(schema: Mapping[str, Any], document: Any) -> bool:
    """Whether the document is valid by the schema.

    False also where the schema says something that is not known here: the caller then looks closer.
    """
    return _fits(schema, document, schema["$defs"])


def is_number(value: object) -> bool:
    """A number of JSON: decimals are read exactly, and true is none."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def is_integer(value: object) -> bool:
    """A whole number, however it is written: `2.0` is one."""
    return is_number(value) and (isinstance(value, int) or value == int(value))  # type: ignore[call-overload]


def matches(pattern: str, text: str) -> bool:
    """As the standard says: `$` is the end, not the place before a last line feed as in Python."""
    return not text.endswith("\n") and re.search(pattern, text) is not None


def _fits(schema: Mapping[str, Any], value: Any, definitions: Mapping[str, Any]) -> bool:
    wanted = schema.get("type")
    if wanted is not None and not any(_TYPES[one](value) for one in ([wanted] if isinstance(wanted, str) else wanted)):
        return False
    for keyword, asked in schema.items():
        if keyword in _WORDS or keyword.startswith("x-"):
            continue
        if keyword == "$ref":
            if not _fits(definitions[asked.removeprefix("#/$defs/")], value, definitions):
                return False
        elif keyword in _OF_OBJECTS:
            if isinstance(value, dict) and not _OF_OBJECTS[keyword](asked, value, schema, definitions):
                return False
        elif keyword == "items":
            if isinstance(value, list) and not all(_fits(asked, one, definitions) for one in value):
                return False
        elif keyword not in _SIMPLE or not _SIMPLE[keyword](asked, value):
            return False
    return True


def _properties(asked: Any, value: Any, _schema: Any, definitions: Any) -> bool:
    return all(_fits(asked[name], one, definitions) for name, one in value.items() if name in asked)


def _additional(asked: Any, value: Any, schema: Any, definitions: Any) -> bool:
    known = schema.get("properties", {})
    others = [one for name, one in value.items() if name not in known]
    if isinstance(asked, bool):
        return asked or not others
    return all(_fits(asked, one, definitions) for one in others)


def _property_names(asked: Any, value: Any, _schema: Any, definitions: Any) -> bool:
    return all(_fits(asked, name, definitions) for name in value)


def _unique(asked: bool, value: Any) -> bool:
    """Texts that stand in a list again, as `schema` sees them."""
    texts = [one for one in value if isinstance(one, str)] if isinstance(value, list) and asked else []
    return len(texts) == len(set(texts))


def _equals(one: Any, value: Any) -> bool:
    return isinstance(one, bool) == isinstance(value, bool) and bool(one == value)


def _size(kind: type[Any]) -> tuple[Callable[[int, Any], bool], Callable[[int, Any], bool]]:
    """Checks of the least and the most of one kind of value's length."""
    return (
        lambda asked, value: not isinstance(value, kind) or len(value) >= asked,
        lambda asked, value: not isinstance(value, kind) or len(value) <= asked,
    )


_MIN_LENGTH, _MAX_LENGTH = _size(str)
_MIN_ITEMS, _MAX_ITEMS = _size(list)
_MIN_PROPERTIES, _MAX_PROPERTIES = _size(dict)

_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": is_number,
    "integer": is_integer,
}
_OF_OBJECTS: Final[Mapping[str, Callable[[Any, Any, Any, Any], bool]]] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _property_names,
    "required": lambda asked, value, _schema, _definitions: all(name in value for name in asked),
}
_SIMPLE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "enum": lambda asked, value: any(_equals(one, value) for one in asked),
    "pattern": lambda asked, value: not isinstance(value, str) or matches(asked, value),
    "minimum": lambda asked, value: not is_number(value) or value >= asked,
    "maximum": lambda asked, value: not is_number(value) or value <= asked,
    "exclusiveMinimum": lambda asked, value: not is_number(value) or value > asked,
    "minLength": _MIN_LENGTH,
    "maxLength": _MAX_LENGTH,
    "minItems": _MIN_ITEMS,
    "maxItems": _MAX_ITEMS,
    "minProperties": _MIN_PROPERTIES,
    "maxProperties": _MAX_PROPERTIES,
    "uniqueItems": _unique,
}
