"""Whatever is written: always an answer or errors with paths, never another exception, never a hang."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

from builders import array, f4, job, node, scenario, solve, solve_text
from hypothesis import given
from hypothesis import strategies as st
from scenario_strategies import scenarios, trees

from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.expression import parse_expression
from autoscale_aks.matching.parse import parse_constraint
from autoscale_aks.units import Size, parse_size

numbers = st.one_of(
    st.integers(-3, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10**18, 10**70, 10**400, -0.0, 1e-300]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=8), st.sampled_from(
    ["memory::4g", "memory::", "size::-1g", "node.vcpu_count", "node.x", "`1/0`", "`node.memory * 1e9`", "htc-1",
     "*", "[", "2026-13-01T00:00:00Z",
     "pack", "Failed", "exclusive", "pg0"]))  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
KEYS = st.sampled_from(["ncpus", "mem", "and", "or", "xor", "not", "never", "exclusive", "exclusive-task",
                        "in-a-placement-group", "node.vm_size",
                        "node.x", "node.", "capacity-failure-backoff", "shared-consumable", "shared-non-consumable",
                        "memgb", ""])  # fmt: skip


def is_answer(answer: dict[str, Any]) -> bool:
    """An answer, or errors that all have a path and a message."""
    problems = answer.get("errors", [])
    return (answer["ok"] or bool(problems)) and all(isinstance(p["path"], str) and p["message"] for p in problems)


@given(st.text(alphabet="0123456789.gGkKmbBpPtT:size memory-+eE٣", max_size=12))
def test_v1_any_text_is_a_size_or_an_error_that_names_it(text: str) -> None:
    try:
        read: object = parse_size(text)
    except ValueError as error:
        read = str(error)
    assert isinstance(read, Size) or repr(text)[:20] in str(read)


@given(st.one_of(st.text(max_size=30), st.text(alphabet="0123456789.()+-*/<>=,' nodevcpu_utifelsmax", max_size=40)))
def test_d3_any_text_is_an_expression_or_an_error(text: str) -> None:
    try:
        parsed = parse_expression(text)
    except ValueError:
        return
    for facts in ({"vcpu_count": 4}, {}):
        with contextlib.suppress(ValueError):
            parsed.evaluate(facts.get)


@given(
    st.recursive(
        st.dictionaries(KEYS, anything, max_size=2),
        lambda inner: st.dictionaries(KEYS, st.one_of(inner, st.lists(inner, max_size=3)), max_size=2),
        max_leaves=5,
    )
)
def test_c7_any_json_is_a_constraint_or_an_error_with_a_path(raw: dict[str, Any]) -> None:
    try:
        parsed = parse_constraint(raw, "c")
    except ConstraintError as error:
        problems = error.problems
    else:
        problems = ()
    assert all(problem.path.startswith("c") and problem.message for problem in problems)
    if problems:
        return
    assert (
        parse_constraint(
            json.loads(json.dumps(parsed.to_json(), default=str)) if "." not in str(raw) else parsed.to_json(), "c"
        )
        == parsed
    )
    assert is_answer(solve(scenario(job("a", raw, iterations=3), job("b"), nodes=[node()])))


def spots(raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path] if path else []
    entries = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    for key, value in entries:
        found += spots(value, (*path, key))
    return found


@given(scenarios(), st.data())
def test_a_scenario_with_anything_anywhere_is_answered_or_refused(raw: dict[str, Any], data: st.DataObject) -> None:
    raw = copy.deepcopy(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(spots(raw)))
        target = raw
        try:
            for step in way:
                target = target[step]
            change = data.draw(st.sampled_from(["replace", "remove", "misspell"]))
            if change == "replace":
                target[last] = data.draw(anything)
            elif change == "remove" or not isinstance(target, dict):
                del target[last]
            else:
                target[f"{last}s"] = target.pop(last)
        except (KeyError, IndexError, TypeError):
            continue
    assert is_answer(solve(raw))


@given(
    trees(),
    st.integers(0, 10**7),
    st.integers(0, 3),
    st.integers(0, 50),
    st.sampled_from([None, "pack", "scatter"]),
    st.booleans(),
)
def test_large_counts_end(
    tree: dict[str, Any], iterations: int, count: int, nodes: int, strategy: str | None, colocated: bool
) -> None:
    bucket = f4(max_count=20, placement_groups=["pg0"])
    shape = {
        "iterations": iterations,
        "count": count,
        "node_count": nodes,
        "packing_strategy": strategy,
        "colocated": colocated,
    }
    raw = scenario(job("a", tree, **shape), arrays=[array("htc", bucket)], shared_resources={"lic": {"initial": 10**6}})
    assert is_answer(solve(raw))


@given(st.text(max_size=60))
def test_any_text_is_answered(text: str) -> None:
    assert is_answer(solve_text(text))
