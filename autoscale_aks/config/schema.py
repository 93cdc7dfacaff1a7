"""`autoscale.schema.json`: the shape of the configuration, and everything in a document that is not of that shape."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from autoscale_aks.config.explaining import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.protocols import Validator

    from autoscale_aks.config.findings import Document, Finding

SCHEMA_NAME: Final = "autoscale.schema.json"


def schema_text() -> str:
    """The schema as it is published: JSON Schema 2020-12, every property with its meaning and unit."""
    return resources.files(__package__).joinpath(SCHEMA_NAME).read_text(encoding="utf-8")


def nodearray_keys() -> frozenset[str]:
    """The keys that a node array may have."""
    return frozenset(json.loads(schema_text())["$defs"]["nodearray"]["properties"])


def schema_findings(document: Document) -> Iterator[Finding]:
    """What in the document is not of the schema's shape, each finding once, lazily."""
    seen: set[Finding] = set()
    for error in _validator().iter_errors(document):
        for finding in explain(error):
            if finding not in seen:
                seen.add(finding)
                yield finding


@cache
def _validator() -> Validator:
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
    rules = {"pattern": _pattern, "uniqueItems": _unique_items}
    ours = extend(Draft202012Validator, rules, type_checker=checker)  # type: ignore[no-untyped-call]
    validator: Validator = ours(json.loads(schema_text()))
    return validator


def _is_number(_checker: Any, value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_integer(checker: Any, value: object) -> bool:
    return _is_number(checker, value) and (isinstance(value, int) or value == int(value))  # type: ignore[call-overload]


def _pattern(_validator: Any, pattern: str, value: object, _schema: Any) -> Iterator[ValidationError]:
    """As the standard says: `$` is the end, not the place before a last line feed as in Python."""
    if isinstance(value, str) and (value.endswith("\n") or not re.search(pattern, value)):
        yield ValidationError("does not match")


def _unique_items(_validator: Any, wanted: bool, value: object, _schema: Any) -> Iterator[ValidationError]:
    """One error for each text that stands in the list again, at its place; in linear time."""
    seen: set[str] = set()
    for index, item in enumerate(value if isinstance(value, list) and wanted else []):
        if isinstance(item, str):
            if item in seen:
                yield ValidationError("is repeated", path=[index])
            seen.add(item)
