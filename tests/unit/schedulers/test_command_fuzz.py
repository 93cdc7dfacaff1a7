"""Whatever a program prints as its jobs, no record raises and no bad one costs a good one beside it."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.command.parse import parse_state

GOOD = {"name": "good", "constraints": [{"ncpus": 1}]}
DOCUMENT: dict[str, Any] = {
    "jobs": [
        {"name": "a", "constraints": [{"ncpus": 2, "memgb": "memory::4g"}], "iterations": 97, "priority": 5},
        {"name": "b", "node_count": 4, "colocated": True, "packing_strategy": "scatter", "queue": "q", "user": "alice"},
        {"name": "c", "executing_hostnames": ["n1"], "constraints": [{"or": [{"feature": "x"}, {"ncpus": 1}]}]},
        {"name": "d", "runnable": False, "not_runnable_reason": "held", "count": 3},
    ],
    "nodes": [{"name": "n1", "state": "Ready", "resources": {"ncpus": 4}, "available": {"ncpus": 2}, "job_ids": ["c"]}],
    "shared_resources": {"licence": {"initial": 4, "current": 1}},
}
ODD = st.one_of(
    st.sampled_from([None, True, -1, 0, 10**30, 1e308, "", "many", "memory::x", "size::1q", "٣", [], {}, [[[]]], "\x00",
                     {"shared-consumable": {}}, {"not": {"not": {}}}, [{"ncpus": []}]]),
    st.text(max_size=20),
    st.floats(),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda it: st.lists(it, max_size=3), max_leaves=5),
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [*((value, key) for key in keys), *(place for key in keys for place in places(value[key]))]


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        every = places(found)
        if not every:
            break
        parent, key = draw(st.sampled_from(every))
        if draw(st.booleans()):
            parent[key] = draw(ODD)
        else:
            del parent[key]
    return found


@given(mutated(DOCUMENT["jobs"]), mutated(DOCUMENT))
def test_the_good_job_after_any_others_is_found(jobs: list[Any], document: dict[str, Any]) -> None:
    document["jobs"] = [*jobs, GOOD]
    try:
        text = json.dumps(document, allow_nan=False)
    except ValueError:  # what a program may print and JSON does not know
        text = json.dumps(document)
    try:
        state = parse_state(text, "jobs")
    except SchedulerError:
        assert "NaN" in text or "Infinity" in text, "the text as a whole was JSON"
        return
    assert "good" in [job.name for job in state.jobs]
    for job in state.jobs:
        assert job.problem is None or job.problem.path
    assert state.complete or state.problems


@given(st.lists(st.one_of(st.text(max_size=60), mutated(DOCUMENT["jobs"]).map(json.dumps)), max_size=6))
def test_the_good_line_among_any_others_is_found(lines: list[str]) -> None:
    good = json.dumps(GOOD)
    text = "\n".join([good, *(" ".join(line.split()) for line in lines), good.replace("good", "last")])
    names = [job.name for job in parse_state(text, "jobs").jobs]
    assert {"good", "last"} <= set(names)


@given(st.text(max_size=200))
def test_any_text_is_a_queue_or_an_error_that_says_so(text: str) -> None:
    try:
        said = str(len(parse_state(text, "jobs").jobs))
    except SchedulerError as error:
        said = str(error)
    assert said.isdigit() or said.startswith("jobs: ")
