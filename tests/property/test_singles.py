"""Small jobs placed by walking, in short lists and blocks of rows, go where each would go alone (A1, A2, P5)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from builders import array, job, scenario, solve
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_strategies import scenarios
from test_fast_paths import decided, many_times

from autoscale_aks.model.snapshot import NameSeries
from autoscale_aks.planning import placer, singles, walks
from autoscale_aks.planning.cost.problem import CostProblem
from autoscale_aks.planning.cost.quick import QuickFillings
from autoscale_aks.planning.records import NameBook


def walked(raw: dict[str, Any], few: int, block: int) -> Any:
    """What is decided by walking, with so few rows looked at one by one and blocks of so many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placer, "is_worthwhile", lambda _: True)
        patch.setattr(walks, "_FEW", few)
        patch.setattr(walks, "_BLOCK", block)
        patch.setattr(singles, "_FEW", few)
        return decided(solve(raw))


def alone(raw: dict[str, Any]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placer, "is_worthwhile", lambda _: False)
        return decided(solve(raw))


@settings(max_examples=50)
@given(scenarios(), st.integers(2, 12), st.integers(0, 2), st.integers(1, 4))
def test_short_lists_and_small_blocks_decide_the_same(raw: dict[str, Any], times: int, few: int, block: int) -> None:
    many = many_times(raw, times)
    assert walked(many, few, block) == alone(many)


def offering(cores: int, gib: int, **more: Any) -> dict[str, Any]:
    return {"vm_size": f"S{cores}_{gib}", "vcpu_count": cores, "memory_gb": gib, **more}


needs = st.tuples(st.integers(1, 7), st.sampled_from([1, 2, 5, 9]))


@settings(max_examples=25)
@given(
    st.lists(needs, min_size=2, max_size=9, unique=True),
    st.lists(st.integers(0, 8), min_size=40, max_size=120),
    st.integers(0, 40),
    st.sampled_from([None, 3, 11]),
    st.sampled_from(["order", "cost"]),
)
def test_interleaved_singles_beside_a_pool_and_limits(
    shapes: list[tuple[int, int]], order: list[int], pool: int, most: int | None, objective: str
) -> None:
    sizes = [
        offering(4, 16, price=0.3, **({} if most is None else {"max_count": most})),
        offering(8, 20, price=0.5), offering(2, 40, price=0.35),
    ]  # fmt: skip
    jobs = [job("pool", {"ncpus": 3, "mem": "memory::2g"}, count=pool)] if pool else []
    for number, index in enumerate(order):
        cores, gib = shapes[index % len(shapes)]
        jobs.append(job(f"j{number}", {"ncpus": cores, "mem": f"memory::{gib}g"}, count=1 + number % 3 // 2))
    arrays = [array("htc", *sizes[:2], max_count=30), array("mem", *sizes[1:], priority=1, max_count=9)]
    raw = {**scenario(*jobs, arrays=arrays), "policy": {"objective": objective}}
    assert walked(raw, 1, 3) == walked(raw, 8, 32) == alone(raw)


@st.composite
def problems(draw: st.DrawFn) -> tuple[CostProblem, Any, Any]:
    items, sizes = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    several = lambda least, count: np.array(draw(st.lists(st.integers(least, 12), min_size=count, max_size=count)))  # noqa: E731
    problem = CostProblem(
        needs=several(0, 2 * items).reshape(items, 2) // 3 + np.array([1, 0]),
        demand=several(1, items),
        allowed=several(0, items * sizes).reshape(items, sizes) > 2,
        alone=several(0, items) > 10,
        totals=several(1, 2 * sizes).reshape(sizes, 2) * 2,
        price=several(1, sizes),
        charges=np.zeros((0, sizes), np.int64),
        room=np.zeros(0, np.int64),
        coin=Fraction(1),
    )
    steps = np.cumsum(several(0, 4 * items).reshape(4, items) // 4, axis=0)
    return problem, np.array(draw(st.permutations(range(items)))), np.maximum(problem.demand - steps, 0)


@given(problems())
def test_fillings_that_are_kept_are_those_that_would_be_made_anew(drawn: tuple[CostProblem, Any, Any]) -> None:
    problem, order, lefts = drawn
    fillings = QuickFillings(problem, order)
    for left in lefts:
        fillings.renew(left)
        assert fillings.slots.tolist() == [one_by_one(problem, size, order, left) for size in range(len(problem.price))]


def one_by_one(problem: CostProblem, size: int, order: Any, left: Any) -> list[int]:
    """A node filled with item after item."""
    room, slots = problem.totals[size].copy(), [0] * len(left)
    for item in order.tolist():
        while (
            problem.allowed[item, size] and not problem.alone[item] and slots[item] < left[item]
            and (problem.needs[item] <= room).all()
        ):  # fmt: skip
            room -= problem.needs[item]
            slots[item] += 1
    return slots


@given(st.frozensets(st.integers(0, 9)), st.integers(0, 5), st.integers(1, 12))
def test_names_taken_one_by_one_are_those_taken_at_once(taken: frozenset[int], start: int, count: int) -> None:
    series = {"htc": NameSeries(prefix="htc-", start=start, taken=taken)}
    one_by_one, at_once = NameBook(dict(series)), NameBook(dict(series))
    names = [one_by_one.take_one("htc") for _ in range(count)]
    assert names == [number + offset for number, length in at_once.take("htc", count) for offset in range(length)]
    assert one_by_one.take_one("htc") == at_once.take("htc", 1)[0][0]
