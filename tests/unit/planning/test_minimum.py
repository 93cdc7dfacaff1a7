"""Releases with their causes, and what a node array keeps whatever the demand (user asks T14, T20, T21)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from frozendict import frozendict
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.model.bucket import NodeArray
from autoscale_aks.model.node import Node, Stage
from autoscale_aks.model.plan import ReleaseCause
from autoscale_aks.model.policy import Policy, Timeout
from autoscale_aks.model.snapshot import Snapshot, Source
from autoscale_aks.planning.scale_in import plan_releases

NOW = 10_000.0
POLICY = Policy(
    idle_timeout=Timeout(default_s=300.0),
    boot_timeout=Timeout(default_s=1800.0),
    min_lifetime=Timeout(default_s=0.0, by_nodearray=frozendict({"old": 5000.0})),
    gang_timeout=600.0,
)


def node(**changes: Any) -> Node:
    """A ready machine that is old and has work in this plan unless told otherwise."""
    return replace(Node(name="htc-1", nodearray="htc", create_time=NOW - 4000), **changes)


def release(one: Node, *, wanted: bool = False, policy: Policy = POLICY) -> ReleaseCause | None:
    found = plan_releases(Snapshot(now=NOW, nodes=(one,)), policy, {0} if wanted else set())
    return found[0].cause if found else None


IDLE = {"idle_since": NOW - 301}
BOOTING = {"stage": Stage.IN_FLIGHT, "state": "Creating"}
STORIES = [
    (ReleaseCause.IDLE, IDLE, False),
    (ReleaseCause.FAILED, {"state": "Failed"}, True),
    (ReleaseCause.BOOT_TIMEOUT, {**BOOTING, "boot_deadline": NOW - 1}, True),
    (ReleaseCause.BOOT_TIMEOUT, {**BOOTING, "create_time": NOW - 1801}, True),
    (ReleaseCause.LOST, {"state": "Down", "lost_since": NOW - 1801}, True),
    (ReleaseCause.LATE, {**BOOTING, "create_time": NOW, "is_late": True}, False),
    (ReleaseCause.SURPLUS, {**BOOTING, "create_time": NOW - 700, "surplus_since": NOW - 600}, False),
    (ReleaseCause.SURPLUS, {"surplus_since": NOW - 600}, False),
]
"""Cause, the node it is of, and whether work in this plan changes nothing about it."""


@pytest.mark.parametrize(("cause", "what", "even_if_wanted"), STORIES)
def test_every_cause_has_its_node(cause: ReleaseCause, what: dict[str, Any], even_if_wanted: bool) -> None:
    assert release(node(**what)) is cause
    assert (release(node(**what), wanted=True) is cause) == even_if_wanted


@pytest.mark.parametrize(("cause", "what", "even_if_wanted"), STORIES)
@pytest.mark.parametrize("guard", [{"keep_alive": True}, {"job_ids": ("7",)}, {"stage": Stage.DRAINING}])
def test_t20a_no_cause_takes_a_machine_that_is_protected_works_or_leaves_already(
    cause: ReleaseCause, what: dict[str, Any], even_if_wanted: bool, guard: dict[str, Any]
) -> None:
    assert release(node(**{**what, **guard})) is None


@pytest.mark.parametrize(
    "what",
    [
        {"idle_since": NOW - 299},
        {**IDLE, "nodearray": "old"},
        {**BOOTING, "boot_deadline": NOW + 1},
        {"state": "Down", "lost_since": NOW - 1799},
        {"state": "Closed", **IDLE},
        {**BOOTING, "create_time": NOW, "surplus_since": NOW - 599},
        {**BOOTING, "create_time": NOW - 100},
        {},
    ],
)
def test_before_its_time_or_closed_by_somebody_else_a_machine_stays(what: dict[str, Any]) -> None:
    assert release(node(**what)) is None


def test_t15c_a_machine_younger_than_its_minimum_lifetime_is_not_idle_yet() -> None:
    young = {**IDLE, "nodearray": "old"}
    assert release(node(**young, create_time=NOW - 4999)) is None
    assert release(node(**young, create_time=NOW - 5000)) is ReleaseCause.IDLE


def test_t13c_no_cause_releases_anything_while_a_source_is_not_whole() -> None:
    for _, what, _ in STORIES:
        blind = Snapshot(now=NOW, nodes=(node(**what),), sources=(Source(name="machines", complete=False),))
        assert plan_releases(blind, POLICY, set()) == ()


@given(
    idle=st.lists(st.integers(300, 900), max_size=8),
    busy=st.integers(0, 4),
    failed=st.integers(0, 3),
    least=st.integers(0, 9),
)
def test_law_t21a_idle_machines_leave_down_to_the_minimum_longest_idle_first(
    idle: list[int], busy: int, failed: int, least: int
) -> None:
    nodes = [
        *(node(name=f"idle-{number}", idle_since=NOW - seconds) for number, seconds in enumerate(idle)),
        *(node(name=f"busy-{number}", job_ids=("1",)) for number in range(busy)),
        *(node(name=f"failed-{number}", state="Failed") for number in range(failed)),
    ]
    array = NodeArray(name="htc", agent_pool="htc", location="x", min_nodes=least)
    found = plan_releases(Snapshot(now=NOW, nodes=tuple(nodes), nodearrays=(array,)), POLICY, set())
    left = len(idle) + busy - sum(one.cause is ReleaseCause.IDLE for one in found)
    assert left >= min(least, len(idle) + busy)
    assert left == max(busy, min(least, len(idle) + busy))
    assert sum(one.cause is ReleaseCause.FAILED for one in found) == failed
    gone = [one.idle_s or 0 for one in found if one.cause is ReleaseCause.IDLE]
    kept = sorted(idle)[: len(idle) - len(gone)]
    assert sorted(gone) == sorted(idle)[len(kept) :]
