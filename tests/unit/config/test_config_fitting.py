"""The quick look at a configuration says "fits" exactly where jsonschema finds no error."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from config_samples import EXAMPLE, SMALL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscale_aks.config.comments import without_comments
from autoscale_aks.config.fitting import surely_fits
from autoscale_aks.config.schema import schema_document
from autoscale_aks.config.validating import validator

WHOLE = without_comments(json.loads(EXAMPLE.read_text(), parse_float=Decimal))
VALUES: list[Any] = [None, True, 0, 1, -1, 10**12, Decimal("0.5"), Decimal("2.0"), "", "a", "a\n", "1", "~",
                     "emulator", "x" * 5000, [],
                     ["a", "a"], [1], {}, {"a": 1}, {"default": 3}, [{}], "2026-03-02-preview", "24:00"]  # fmt: skip
slow_is_fine = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


def parts(schema: Any) -> list[dict[str, Any]]:
    """Every object of the schema that is a schema itself."""
    document = schema_document()
    found, ahead = [], [document, *document["$defs"].values()]
    while ahead:
        part = ahead.pop()
        found.append(part)
        ahead += part.get("properties", {}).values()
        ahead += [
            part[name]
            for name in ("items", "additionalProperties", "propertyNames")
            if isinstance(part.get(name), dict)
        ]
    return found


@pytest.mark.parametrize("document", [SMALL, WHOLE], ids=["small", "example"])
def test_a_document_without_a_mistake_surely_fits(document: Any) -> None:
    assert surely_fits(schema_document(), document)


def test_every_part_of_the_schema_judges_every_value_as_jsonschema_does() -> None:
    definitions = schema_document()["$defs"]
    tried = 0
    for part in parts(schema_document()):
        judge = validator().evolve(schema={**part, "$defs": definitions})
        for value in VALUES:
            assert surely_fits({**part, "$defs": definitions}, value) == judge.is_valid(value), (part, value)
            tried += 1
    assert tried > 2000


@slow_is_fine
@given(st.sampled_from(places(WHOLE)[1:]), st.sampled_from(VALUES), st.sampled_from(["put", "take", "add"]))
def test_one_change_of_the_example_is_judged_as_jsonschema_does(path: tuple[Any, ...], value: Any, act: str) -> None:
    document = copy.deepcopy(WHOLE)
    *parents, last = path
    place: Any = document
    for key in parents:
        place = place[key]
    if act == "take":
        del place[last]
    elif act == "add" and isinstance(place, dict):
        place[f"{last}x"] = value
    else:
        place[last] = value
    assert surely_fits(schema_document(), document) == validator().is_valid(document)


def test_a_keyword_that_the_quick_look_does_not_know_is_left_to_jsonschema() -> None:
    assert not surely_fits({"$defs": {}, "multipleOf": 2}, 4)


def test_a_configuration_without_a_mistake_is_read_without_jsonschema() -> None:
    code = (
        "import sys; from autoscale_aks.config import load_config; load_config(sys.argv[1]);"
        "print(*(name for name in sys.modules if name.split('.')[0] in {'jsonschema', 'referencing', 'attr'}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(EXAMPLE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
