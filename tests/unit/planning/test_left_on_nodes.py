"""What is left on nodes: equal nodes are worked out once, and only equal ones (`planning/outcomes.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import array, job, node, scenario

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES = [
    {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
    {"select": {}, "name": "ngpus", "value": 2},
    {"select": {}, "name": "rack", "value": "none"},
]


def left(*nodes: dict[str, Any], tasks: int = 1) -> tuple[Mapping[str, Any], ...]:
    raw = scenario(job("a", {"ncpus": 1}, iterations=tasks), arrays=[array("htc")], nodes=list(nodes))
    raw["default_resources"] = RULES
    snapshot, policy = decode_scenario(raw)
    return tuple(plan(snapshot, policy).left)


def test_equal_nodes_have_the_same_left() -> None:
    first, *others = left(*(node(f"htc-{number}") for number in range(1, 5)), tasks=16)
    assert (first["ncpus"], first["ngpus"], first["rack"]) == (0, 2, "none")
    assert all(other is first for other in others)


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        ({"ngpus": 1}, "ngpus", 1),
        ({"ngpus": 0}, "ngpus", 0),
        ({"rack": "r1"}, "rack", "r1"),
        ({"rack": True}, "rack", True),
        ({"rack": 1}, "rack", 1),
    ],
)
def test_what_the_scheduler_says_of_one_node_is_said_of_no_other(
    said: dict[str, Any], name: str, value: object
) -> None:
    plain, told = left(node("htc-1"), node("htc-2", available=said), tasks=0)
    assert (plain["ncpus"], plain["ngpus"], plain["rack"]) == (4, 2, "none")
    assert told[name] == value
    assert type(told[name]) is type(value)


def test_true_and_one_are_told_apart() -> None:
    yes, one = left(node("htc-1", available={"rack": True}), node("htc-2", available={"rack": 1}), tasks=0)
    assert (yes["rack"], one["rack"]) == (True, 1)
    assert (type(yes["rack"]), type(one["rack"])) == (bool, int)
