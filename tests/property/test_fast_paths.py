"""What is quick decides as what is slow: walking, gangs alike, a few places first, one column at a time."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from builders import solve
from checker import check
from hypothesis import given
from hypothesis import strategies as st
from scenario_strategies import scenarios

from autoscale_aks.planning import packing, placer
from autoscale_aks.units import natural_key, natural_order

if TYPE_CHECKING:
    from collections.abc import Callable


def many_times(raw: dict[str, Any], times: int) -> dict[str, Any]:
    """The scenario's jobs again and again, one after the other."""
    jobs = [{**job, "name": f"{job['name']}.{time}"} for time in range(times) for job in raw["jobs"]]
    return {**copy.deepcopy(raw), "jobs": jobs}


def decided(answer: dict[str, Any]) -> Any:
    """Everything that was decided, with the slots of each job by node."""
    assert answer["ok"], answer
    jobs = []
    for entry in answer["jobs"]:
        slots: dict[str, int] = {}
        for at in entry["nodes"]:
            slots[at["name"]] = slots.get(at["name"], 0) + at["slots"]
        jobs.append((entry["name"], entry["status"], entry["slots"], sorted(slots.items()), entry["reason"]))
    return jobs, answer["new_nodes"], answer["buckets"], answer["existing_nodes"], answer["shared_resources"]


def solve_with(raw: dict[str, Any], name: str, value: Any, place: Any = placer) -> dict[str, Any]:
    """Answered with one function or number of the planner put aside."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, value)
        return solve(raw)


@given(scenarios(), st.integers(2, 12))
def test_small_jobs_placed_by_walking_go_where_each_would_go_alone(raw: dict[str, Any], times: int) -> None:
    many = many_times(raw, times)
    walked = solve_with(many, "is_worthwhile", lambda _: True)
    assert decided(walked) == decided(solve_with(many, "is_worthwhile", lambda _: False))
    assert check(many, walked) == []


@given(scenarios(), st.integers(2, 30))
def test_gangs_placed_together_go_where_each_would_go_alone(raw: dict[str, Any], times: int) -> None:
    jobs = [{**job, "count": job.get("count", 1) * times} for job in raw["jobs"]]
    many = {**copy.deepcopy(raw), "jobs": jobs}
    together = solve(many)
    assert decided(together) == decided(solve_with(many, "place_alike", lambda *_: 0))
    if not any("chunks" in job for job in jobs):  # the checker cannot tell apart whose chunk stands where
        assert check(many, together) == []


@given(scenarios(), st.sampled_from([0, 1, 2]))
def test_looking_at_fewer_places_first_decides_the_same(raw: dict[str, Any], few: int) -> None:
    assert decided(solve(raw)) == decided(solve_with(raw, "_FEW_PLACES", few, packing))


@given(st.lists(st.from_regex(r"\A(htc|n)-?[0-9]{0,3}x?[0-9]{0,20}\Z"), max_size=8))
def test_a2_natural_order_is_that_of_the_natural_keys(names: list[str]) -> None:
    by_key: Callable[[int], Any] = lambda index: natural_key(names[index])  # noqa: E731
    assert natural_order(names) == sorted(range(len(names)), key=by_key)
