"""Fillings of one node: each is one, none is worth more than the bound, and the best is found (by brute force)."""

from __future__ import annotations

import itertools
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autoscale_aks.planning.cost import branching, searching
from autoscale_aks.planning.cost.blending import blended
from autoscale_aks.planning.cost.branching import branch
from autoscale_aks.planning.cost.exchanging import exchanges, splits
from autoscale_aks.planning.cost.generation import Generation
from autoscale_aks.planning.cost.greedy import fill_all
from autoscale_aks.planning.cost.guided import Marks, buy, learnt
from autoscale_aks.planning.cost.labels import Node, find
from autoscale_aks.planning.cost.pairing import exchange_pairs
from autoscale_aks.planning.cost.pricing import ask, quick_fillings
from autoscale_aks.planning.cost.problem import CostProblem, Filled, Meter
from autoscale_aks.planning.cost.relaxing import relax
from autoscale_aks.planning.cost.rounding import rounded
from autoscale_aks.planning.cost.searching import Search, best_fillings
from autoscale_aks.planning.cost.sharing import share_out
from autoscale_aks.planning.cost.solver import Parted, new_solver, solver_module

if TYPE_CHECKING:
    from autoscale_aks.planning.places import Column

PLENTY = 1 << 40


@st.composite
def problems(draw: st.DrawFn) -> tuple[CostProblem, Column]:
    """A few kinds of slots on a few sizes, and what slots are worth."""
    dimensions, items, sizes = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    amounts = st.lists(st.integers(0, 5), min_size=dimensions, max_size=dimensions)
    needs = np.array([draw(amounts.filter(any)) for _ in range(items)])
    totals = np.array([[draw(st.integers(1, 12)) for _ in range(dimensions)] for _ in range(sizes)])
    limits = draw(st.integers(0, 1))
    problem = CostProblem(
        needs=needs,
        demand=np.array([draw(st.integers(1, 3)) for _ in range(items)]),
        allowed=np.array([[draw(st.booleans()) for _ in range(sizes)] for _ in range(items)]),
        alone=np.array([draw(st.sampled_from([False, False, False, True])) for _ in range(items)]),
        totals=totals,
        price=np.array([draw(st.integers(1, 20)) for _ in range(sizes)]),
        charges=np.ones((limits, sizes), np.int64),
        room=np.full(limits, draw(st.integers(2, 8)), np.int64),
        coin=Fraction(1),
    )
    return problem, np.array([draw(st.integers(1, 30)) for _ in range(items)], float)


def fillings_of(problem: CostProblem, size: int) -> list[tuple[int, ...]]:
    """All there are, with no more slots than are wanted."""
    most = np.minimum(problem.each[:, size], problem.demand).tolist()
    found = []
    for slots in itertools.product(*(range(count + 1) for count in most)):
        row = np.array(slots)
        if problem.alone[row > 0].any():
            if sum(slots) == 1:
                found.append(slots)
        elif (row @ problem.needs <= problem.totals[size]).all():
            found.append(slots)
    return found


def most_worth(problem: CostProblem, values: Column, size: int) -> float:
    return max(float(np.array(slots) @ values) for slots in fillings_of(problem, size))


def least_price(problem: CostProblem) -> int | None:
    """The least that whole nodes cost, by trying all ways."""
    choices = [
        (int(problem.price[size]), size, np.array(slots))
        for size in range(len(problem.price))
        for slots in fillings_of(problem, size)
        if any(slots)
    ]
    best: list[int | None] = [None]

    def buy(left: Column, paid: int, room: Column) -> None:
        if best[0] is not None and paid >= best[0]:
            return
        if not left.any():
            best[0] = paid
            return
        item = int(np.flatnonzero(left)[0])
        for price, size, slots in choices:
            charged = problem.charges[:, size]
            if slots[item] and (charged <= room).all():
                buy(np.maximum(left - slots, 0), paid + price, room - charged)

    buy(problem.demand.copy(), 0, problem.room.copy())
    return best[0]


@settings(deadline=None)
@given(problems())
def test_part_slots_are_worth_no_less_than_whole_ones(case: tuple[CostProblem, Column]) -> None:
    problem, values = case
    usable = (problem.each > 0) & ~problem.alone[:, None]
    most = np.where(usable, np.minimum(problem.each, problem.demand[:, None]), 0)
    found = relax(problem.needs, values, most, problem.totals, np.zeros(len(problem.price)))
    for size in range(len(problem.price)):
        whole = [slots for slots in fillings_of(problem, size) if not problem.alone[np.array(slots) > 0].any()]
        assert max(float(np.array(slots) @ values) for slots in whole) <= found.upper[size] * (1 + 1e-9)


@settings(deadline=None)
@given(problems(), st.integers(0, 50))
def test_a_quick_filling_fits_its_node_and_holds_what_it_is_given(case: tuple[CostProblem, Column], turn: int) -> None:
    problem, values = case
    most = np.minimum(problem.each, problem.demand[:, None]).T
    given_slots = np.zeros_like(most)
    slots, _ = fill_all(problem.needs, values, most, problem.totals, np.ones(problem.totals.shape), given_slots, turn)
    assert (slots >= given_slots).all()
    assert (slots <= most).all()
    assert (slots @ problem.needs <= problem.totals).all()


@settings(deadline=None)
@given(problems(), st.integers(0, 9))
def test_quick_fillings_are_fillings_whatever_the_turn(case: tuple[CostProblem, Column], turn: int) -> None:
    problem, values = case
    found = quick_fillings(ask(problem, values, problem.price.astype(float)), 0.5, turn)
    for size, slots in zip(found.sizes.tolist(), found.slots, strict=True):
        if problem.each[slots > 0, size].all():
            assert tuple(slots.tolist()) in fillings_of(problem, size)


@settings(deadline=None)
@given(problems(), st.integers(0, 20))
def test_an_exchange_of_pairs_keeps_a_filling_and_never_loses_worth(
    case: tuple[CostProblem, Column], turn: int
) -> None:
    problem, values = case
    for size in range(len(problem.price)):
        most = np.where(problem.alone, 0, np.minimum(problem.each[:, size], problem.demand))
        before = np.array([row for row in fillings_of(problem, size) if (np.array(row) <= most).all()])
        totals, limits = (np.repeat(row[None, :], len(before), axis=0) for row in (problem.totals[size], most))
        found, _ = exchange_pairs(problem.needs, values, limits, totals, before, turn)
        assert (found <= most).all()
        assert (found @ problem.needs <= totals).all()
        assert (found @ values >= before @ values).all()


@settings(deadline=None)
@given(problems(), st.integers(0, 20))
def test_an_empty_node_gets_the_pair_that_is_worth_most(case: tuple[CostProblem, Column], turn: int) -> None:
    problem, values = case
    items, total = len(values), problem.totals[:1]
    pairs = [np.bincount(pair, minlength=items) for pair in itertools.product(range(items), repeat=2)]
    pairs += [*np.eye(items, dtype=np.int64), np.zeros(items, np.int64)]
    best = max(float(row @ values) for row in pairs if (row @ problem.needs <= total[0]).all())
    empty = np.zeros((1, items), np.int64)
    found, _ = exchange_pairs(problem.needs, values, empty + 2, total, empty, turn)
    assert float(found[0] @ values) == best


@settings(deadline=None)
@given(problems(), st.sampled_from([1, 8, 64]))
def test_labels_find_the_best_filling_or_bound_it(case: tuple[CostProblem, Column], labels: int) -> None:
    problem, values = case
    size = 0
    items = np.flatnonzero((problem.each[:, size] > 0) & ~problem.alone)
    if not len(items):
        return
    most = np.minimum(problem.each[items, size], problem.demand[items])
    node = Node(
        needs=problem.needs[items], values=values[items], most=most, total=problem.totals[size],
        weights=np.ones(problem.needs.shape[1]), reached=1.5,
    )  # fmt: skip
    found = find(node, labels, PLENTY, 8)
    best = max(
        float(np.array(slots) @ values)
        for slots in fillings_of(problem, size)
        if not problem.alone[np.array(slots) > 0].any()
    )
    assert best <= max(found.bound, node.reached) * (1 + 1e-9)
    assert (found.slots @ node.needs <= node.total).all()
    assert (found.slots <= most).all()
    if labels == 64 and best > node.reached:
        assert float((found.slots @ node.values).max()) == best


@settings(deadline=None)
@given(problems(), st.sampled_from([(1, 1), (64, PLENTY), (4096, PLENTY)]), st.booleans(), st.data())
def test_no_filling_is_worth_more_than_the_bound_however_little_is_searched(
    case: tuple[CostProblem, Column], effort: tuple[int, int], thorough: bool, data: st.DataObject
) -> None:
    problem, values = case
    asked = ask(problem, values, problem.price.astype(float))
    slack, dear = data.draw(st.sampled_from([1e-4, 0.2, 1.0])), data.draw(st.sampled_from([0, PLENTY]))
    search = Search(slack, *effort, thorough=thorough, dear=np.full(len(problem.price), dear))
    with pytest.MonkeyPatch.context() as patch:
        if data.draw(st.booleans()):
            patch.setattr(searching, "make_lattice", lambda *_: None)
        found = best_fillings(asked, search, solver_module())
    for size in range(len(problem.price)):
        assert most_worth(problem, values, size) <= found.most[size] * (1 + 1e-9)


@settings(deadline=None)
@given(problems(), st.sampled_from([1e-6, 0.3]))
def test_branch_and_bound_finds_the_best_filling_or_bounds_it(case: tuple[CostProblem, Column], gap: float) -> None:
    problem, values = case
    items = np.flatnonzero((problem.each[:, 0] > 0) & ~problem.alone)
    if not len(items):
        return
    most = np.minimum(problem.each[items, 0], problem.demand[items])
    node = Node(
        needs=problem.needs[items], values=values[items], most=most, total=problem.totals[0],
        weights=np.ones(problem.needs.shape[1]), reached=1.5,
    )  # fmt: skip
    found = branch(node, solver_module(), gap)
    whole = [np.array(slots) for slots in fillings_of(problem, 0)]
    best = max(float(slots @ values) for slots in whole if not problem.alone[slots > 0].any())
    assert best <= found.bound * (1 + 1e-9)
    assert (found.slots @ node.needs <= node.total).all()
    assert (found.slots <= most).all()
    if gap < 1e-3 and best > node.reached:
        assert float((found.slots @ node.values).max()) == best


def test_a_search_that_ends_without_a_filling_still_bounds_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of 3 fit into 12 and are worth 12, parts of slots 12, too."""

    class Silent:
        """HiGHS, but for its answer."""

        def __init__(self, solver: Any) -> None:
            self._solver = solver

        def __getattr__(self, name: str) -> Any:
            return getattr(self._solver, name)

        def getSolution(self) -> SimpleNamespace:  # noqa: N802 – HiGHS's name
            return SimpleNamespace(col_value=[])

    monkeypatch.setattr(branching, "new_solver", lambda highspy: Silent(new_solver(highspy)))
    node = Node(
        needs=np.array([[3]]), values=np.array([3.0]), most=np.array([9]), total=np.array([12]),
        weights=np.ones(1), reached=5.0,
    )  # fmt: skip
    found = branch(node, solver_module(), 1e-6)
    assert not len(found.slots)
    assert 12 <= found.bound < 12.001


@settings(deadline=None)
@given(problems())
def test_what_an_item_is_split_into_fits_wherever_it_does(case: tuple[CostProblem, Column]) -> None:
    problem, values = case
    for whole, first, second in splits(problem, values).tolist():
        assert (problem.needs[first] + problem.needs[second] <= problem.needs[whole]).all()
        assert (problem.allowed[first] & problem.allowed[second] | ~problem.allowed[whole]).all()
        assert not problem.alone[[whole, first, second]].any()


@settings(deadline=None)
@given(problems(), st.integers(0, 9))
def test_what_is_bought_by_prices_covers_all_slots_within_the_limits_whatever_the_prices(
    case: tuple[CostProblem, Column], turn: int
) -> None:
    problem, values = case
    if not (problem.each > 0).any(axis=1).all():
        return
    none = np.zeros((0, len(values)), np.int64)
    marks = Marks(values, np.zeros(len(problem.room)), np.zeros(0, np.int64), none)
    for again in range(3):
        found = buy(problem, marks, Meter(PLENTY), turn + again)
        if found is None:
            assert len(problem.room)
            return
        assert problem.holds(found)
        marks = learnt(problem, marks, values, found)


@settings(deadline=None)
@given(problems(), st.data())
def test_parts_of_slots_on_some_sizes_make_no_bound_too_high(
    case: tuple[CostProblem, Column], data: st.DataObject
) -> None:
    problem, _ = case
    if not (problem.each > 0).any(axis=1).all():
        return
    least = least_price(problem)
    if least is None:
        return
    sizes = np.flatnonzero([data.draw(st.booleans()) for _ in problem.price])
    bounded = data.draw(arrays(bool, (len(problem.demand), len(sizes))))
    highspy, meter = solver_module(), Meter(4_000_000)
    run = Generation(problem, highspy, meter, share_out(problem, highspy, meter))
    run.start([])
    run.run(100_000)
    before = run.bound.value
    found = blended(run, Parted(sizes, bounded), highspy, 2_000_000)
    assert before <= found.value <= least * (1 + 1e-6)


@pytest.mark.parametrize("dear", [0, PLENTY], ids=["labels", "branch and bound"])
def test_what_was_left_out_of_a_search_counts_in_its_bound(dear: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of the first two are worth 10.92, whole ones 6.6. The third, worth 8.5, is in no filling worth 10."""
    problem = CostProblem(
        needs=np.array([[6], [5], [9]]), demand=np.ones(3, np.int64), allowed=np.ones((3, 1), bool),
        alone=np.zeros(3, bool), totals=np.array([[10]]), price=np.array([8]), charges=np.zeros((0, 1), np.int64),
        room=np.zeros(0, np.int64), coin=Fraction(1),
    )  # fmt: skip
    monkeypatch.setattr(searching, "make_lattice", lambda *_: None)
    asked = ask(problem, np.array([6.6, 5.4, 8.5]), np.array([8.0]))
    found = best_fillings(asked, Search(0.25, 64, PLENTY, thorough=True, dear=np.array([dear])), solver_module())
    assert 8.5 <= found.most[0] < 10.1


@settings(deadline=None)
@given(problems())
def test_an_exchanged_slot_fits_wherever_the_larger_one_does(case: tuple[CostProblem, Column]) -> None:
    problem, _ = case
    for large, small in exchanges(problem).tolist():
        assert (problem.needs[small] <= problem.needs[large]).all()
        assert (problem.allowed[small] | ~problem.allowed[large]).all()
        assert not problem.alone[[large, small]].any()


@settings(deadline=None)
@given(problems())
def test_whole_nodes_cost_no_less_than_the_least_price_and_bounds_no_more(case: tuple[CostProblem, Column]) -> None:
    """The bound of shared slots, the bound of columns, the least price, and what is bought, in this order."""
    problem, _ = case
    highspy = solver_module()
    if highspy is None or not (problem.each > 0).any(axis=1).all():
        return
    least = least_price(problem)
    if least is None:
        return
    meter = Meter(4_000_000)
    shared = share_out(problem, highspy, meter)
    assert shared is not None
    assert shared.value <= least * (1 + 1e-6)
    run = Generation(problem, highspy, meter, shared)
    run.start([])
    run.run(2_000_000)
    run.settle()
    assert shared.value <= run.bound.value <= least * (1 + 1e-6)
    found = rounded(run, highspy, run.bound.value, None)
    if found is not None:
        assert problem.holds(found)
        assert problem.cost(found) >= least


def test_a_few_nodes_at_a_time_reach_the_least_price() -> None:
    """Alone each pair of 5 and 3 needs a node of 10; three of 5 and three of 3 fit one of 24."""
    problem = CostProblem(
        needs=np.array([[5], [3]]), demand=np.array([3, 3]), allowed=np.ones((2, 2), bool), alone=np.zeros(2, bool),
        totals=np.array([[10], [24]]), price=np.array([5, 11]), charges=np.zeros((0, 2), np.int64),
        room=np.zeros(0, np.int64), coin=Fraction(1),
    )  # fmt: skip
    highspy = solver_module()
    assert highspy is not None
    run = Generation(problem, highspy, Meter(4_000_000), share_out(problem, highspy, Meter(1_000_000)))
    run.start([])
    run.run(2_000_000)
    run.settle()
    three_pairs = (Filled(0, 3, np.array([1, 1])),)
    found = rounded(run, highspy, run.bound.value, three_pairs)
    assert found is not None
    assert problem.cost(found) == least_price(problem) == 11
