"""Whatever the API server shows, reading never raises and never loses a good pod beside a bad one."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from kube_objects import CAPTURES, node, pod, read

from autoscale_aks.matching.parse import parse_constraints

PODS = json.loads((CAPTURES / "30-three-nodes" / "pods.json").read_text())["items"]
NODES = json.loads((CAPTURES / "30-three-nodes" / "nodes.json").read_text())["items"]
ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1e308,
        "",
        "x",
        "\x00",
        "9" * 5000,
        [],
        {},
        [None],
        {"x": None},
        [[]],
        "In",
        "Exists",
        "1Gi",
        "-1",
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found.extend(places(child, (*path, key)))
    return found


@st.composite
def mutated(draw: st.DrawFn, seeds: list[Any]) -> Any:
    found = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(found)))
        target = found
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = copy.deepcopy(draw(ODD))
        if not places(found):
            break
    return found


@settings(max_examples=max(200, settings().max_examples))
@given(st.lists(st.one_of(mutated(PODS), ODD), max_size=6), st.lists(st.one_of(mutated(NODES), ODD), max_size=3))
def test_any_look_can_be_read_and_the_good_pod_in_it_is_found(pods: list[Any], nodes: list[Any]) -> None:
    state = read(*pods, pod("good"), nodes=(*nodes, node("good")))
    jobs = {job.name: job for job in state.jobs}
    assert jobs["default/good"].runnable
    assert "good" in [one.name for one in state.nodes or ()]
    for job in state.jobs:
        assert (job.problem is not None) == (job.count == 0)
        assert job.runnable == (not job.not_runnable_reason)
        for constraints in (job.shape.constraints, *(chunk.constraints for chunk in job.shape.chunks)):
            parse_constraints(constraints, job.name)


def test_a_selector_that_cannot_be_read_makes_its_own_pod_invalid_and_no_other() -> None:
    broken = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": 7}}}
    for selector in ({"matchLabels": {"app": 7}}, {"matchExpressions": [{"key": "a", "operator": "Near"}]}):
        bad = pod("bad", labels={"x": "y"}, topologySpreadConstraints=[{**broken, "labelSelector": selector}])
        jobs = {job.name: job for job in read(bad, pod("good", labels={"app": "a"})).jobs}
        assert jobs["default/bad"].problem is not None
        assert jobs["default/good"].runnable
