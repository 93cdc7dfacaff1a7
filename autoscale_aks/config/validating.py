"""The slow way: every error of a document by jsonschema. Imported only for documents that do not surely fit."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from autoscale_aks.config.fitting import is_integer, is_number, matches
from autoscale_aks.config.schema import schema_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.protocols import Validator


@cache
def validator() -> Validator:
    """The validator of `autoscale.schema.json`, with our reading of numbers, patterns and repeated items."""
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
    rules = {"pattern": _pattern, "uniqueItems": _unique_items}
    ours = extend(Draft202012Validator, rules, type_checker=checker)  # type: ignore[no-untyped-call]
    made: Validator = ours(schema_document())
    return made


def _is_number(_checker: Any, value: object) -> bool:
    return is_number(value)


def _is_integer(_checker: Any, value: object) -> bool:
    return is_integer(value)


def _pattern(_validator: Any, pattern: str, value: object, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not matches(pattern, value):
        yield ValidationError("does not match")


def _unique_items(_validator: Any, wanted: bool, value: object, _schema: Any) -> Iterator[ValidationError]:
    """One error for each text that stands in the list again, at its place; in linear time."""
    seen: set[str] = set()
    for index, item in enumerate(value if isinstance(value, list) and wanted else []):
        if isinstance(item, str):
            if item in seen:
                yield ValidationError("is repeated", path=[index])
            seen.add(item)
