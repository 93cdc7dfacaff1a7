"""Whatever the text, the answer is a Config or a ConfigError whose problems can be printed."""

from __future__ import annotations

import copy
import json
from typing import Any

from config_samples import EXAMPLE, SMALL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscale_aks.config import Config, parse_config
from autoscale_aks.errors import ConfigError

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "memory::4x", "1", "~", "\ud800", "\n", "http://[::1", "emulator", "custom", "default"])
)
KEYS = sorted(
    {key for part in (json.loads(EXAMPLE.read_text())["aks"], SMALL, SMALL["nodearrays"]["htc"]) for key in part}
    | {"zones", "zone", "spot", "credential", "cloud", "default", "initial", "value", "password", "placement_groups"}
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=5),
    max_leaves=20,
)
slow_is_fine = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def answer(text: str) -> Config | ConfigError:
    try:
        return parse_config(text)
    except ConfigError as error:
        caught = error
    assert caught.problems
    for problem in caught.problems:
        assert problem.message
        str(problem).encode("utf-8")
    return caught


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


EXAMPLE_DOCUMENT = json.loads(EXAMPLE.read_text())
EXAMPLE_PLACES = places(EXAMPLE_DOCUMENT)[1:]


@slow_is_fine
@given(documents)
def test_no_json_document_raises_anything_but_a_config_error(document: Any) -> None:
    answer(json.dumps(document))


@slow_is_fine
@given(st.text(alphabet='{}[]",:\\0123456789.eE-+ \ntruefalsn\x00é#/'))
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    answer(text)


@slow_is_fine
@given(st.lists(st.tuples(st.sampled_from(EXAMPLE_PLACES), documents), min_size=1, max_size=4), st.booleans())
def test_a_good_file_with_values_replaced_raises_nothing_but_a_config_error(
    changes: list[tuple[tuple[Any, ...], Any]], indented: bool
) -> None:
    document = copy.deepcopy(EXAMPLE_DOCUMENT)
    for path, value in changes:
        replace(document, path, value)
    answer(json.dumps(document, indent=1 if indented else None))


@slow_is_fine
@given(st.sampled_from(EXAMPLE_PLACES), st.text(min_size=1, max_size=8), documents)
def test_a_good_file_with_a_key_added_raises_nothing_but_a_config_error(
    path: tuple[Any, ...], key: str, value: Any
) -> None:
    document = copy.deepcopy(EXAMPLE_DOCUMENT)
    replace(document, (*path, key), value)
    answer(json.dumps(document))


@slow_is_fine
@given(st.integers(min_value=0, max_value=len(EXAMPLE.read_text())))
def test_a_file_cut_anywhere_is_refused_with_a_place(end: int) -> None:
    text = EXAMPLE.read_text().rstrip()
    found = answer(text[:end])
    if end >= len(text):
        assert isinstance(found, Config)
    else:
        assert isinstance(found, ConfigError)
        assert found.problems[0].message.startswith(("line ", "is empty"))


@slow_is_fine
@given(documents)
def test_the_same_text_gives_the_same_answer(document: Any) -> None:
    text = json.dumps({**SMALL, "limits": document, "policy": document})
    first, second = answer(text), answer(text)
    assert isinstance(first, ConfigError) == isinstance(second, ConfigError)
    assert isinstance(first, Config) or first.problems == second.problems  # type: ignore[union-attr]


def replace(document: Any, path: tuple[Any, ...], value: Any) -> None:
    """Set a value where its parents are still there."""
    place = document
    for part in path[:-1]:
        known = place if isinstance(place, dict) else range(len(place)) if isinstance(place, list) else ()
        if part not in known:
            return
        place = place[part]
    if isinstance(place, dict):
        place[str(path[-1])] = value
    elif isinstance(place, list) and isinstance(path[-1], int) and path[-1] < len(place):
        place[path[-1]] = value
