"""The checker's knapsack is exact: bounds, tables and search never say what trying every filling denies."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.cost_bounds import Filling, bounds, good_prices, trimmed
from benchmarks.cost_knapsack import LEVELS, Item, Level, Total, exceeds, filling_of, fitting
from benchmarks.cost_search import searched
from benchmarks.cost_tables import Grid, all_tables, best_priced, bound_by, units_of


def best_filling(items: list[Item], total: Total) -> int:
    """By trying every one."""
    if not items:
        return 0
    (needs, worth, there), rest = items[0], items[1:]
    most = min(there, *(t // n for n, t in zip(needs, total, strict=True) if n))
    left = [tuple(t - n * count for n, t in zip(needs, total, strict=True)) for count in range(most + 1)]
    return max(worth * count + best_filling(rest, after) for count, after in enumerate(left))


AMOUNTS = st.tuples(st.integers(0, 5), st.integers(0, 60), st.integers(0, 3)).filter(any)
FLAT = st.tuples(st.integers(0, 5), st.integers(0, 60), st.just(0)).filter(any)
TOTALS = st.tuples(*(st.one_of(st.just(0), st.integers(0, most)) for most in (12, 150, 5)))
WORTH = st.one_of(st.integers(1, 20), st.integers(1, 1 << 62))


def items_of(amounts: st.SearchStrategy[tuple[int, ...]]) -> st.SearchStrategy[list[Item]]:
    """Up to five kinds of slots, of some of which there are few."""
    return st.lists(st.tuples(amounts, st.integers(1, 20), st.integers(1, 6)), min_size=1, max_size=5)


ITEMS = st.one_of(items_of(AMOUNTS), items_of(FLAT))
COARSE = st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 3))
PRICES = st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 8))


def filling(items: list[Item], total: Total, cost: int) -> Filling | None:
    fit = fitting(items, total)
    return filling_of(fit, [worth for _, worth, _ in fit], total, cost) if fit else None


@given(ITEMS, TOTALS)
def test_a_node_s_worth_is_decided_exactly(items: list[Item], total: Total) -> None:
    best = best_filling(items, total)
    assert exceeds(items, total, best) is False
    assert best == 0 or exceeds(items, total, best - 1) is True


@given(ITEMS, TOTALS, st.integers(1, 60))
def test_coarse_tables_and_little_room_leave_it_open_or_say_what_is_so(
    items: list[Item], total: Total, cells: int
) -> None:
    best = best_filling(items, total)
    levels = (Level(cells, 6, 2), Level(4 * cells, 3, 3))
    assert exceeds(items, total, best, levels) in (False, None)
    assert best == 0 or exceeds(items, total, best - 1, levels) in (True, None)


@given(st.lists(st.tuples(AMOUNTS, WORTH, st.integers(1, 6)), min_size=1, max_size=4), TOTALS)
def test_worths_that_do_not_fit_64_bits_are_rounded_to_the_safe_side(items: list[Item], total: Total) -> None:
    best = best_filling(items, total)
    assert exceeds(items, total, best) in (False, None)
    assert best == 0 or exceeds(items, total, best - 1) in (True, None)
    assert best < 1 << 40 or exceeds(items, total, best + (best >> 20)) is False
    assert best < 1 << 40 or exceeds(items, total, best - (best >> 20)) is True


@pytest.mark.parametrize("seed", range(5))
def test_a_sum_of_rounded_worths_never_turns_a_verdict(seed: int) -> None:
    rng = random.Random(seed)
    worths = [(1 << 62) + rng.randrange(1000) for _ in range(6)]
    items = [((1, 0, 0), worth, 1) for worth in worths]
    best = sum(sorted(worths)[-3:])
    for cost in (best - 17, best - 2, best - 1):
        assert exceeds(items, (3, 0, 0), cost) in (True, None)
    for cost in (best, best + 1, best + 17):
        assert exceeds(items, (3, 0, 0), cost) in (False, None)
    assert exceeds(items, (3, 0, 0), best - 1000) is True
    assert exceeds(items, (3, 0, 0), best + 1000) is False


@given(ITEMS, TOTALS, PRICES)
def test_no_filling_is_worth_more_than_at_any_prices(items: list[Item], total: Total, prices: tuple[int, ...]) -> None:
    best = best_filling(items, total)
    made = filling(items, total, best)
    if made is not None:
        assert (bounds(made, np.array([prices])) >= best).all()
        assert (bounds(made, good_prices(made)) >= best).all()
        assert exceeds(items, total, best - 1, ()) in (True, None)


@given(ITEMS, TOTALS, COARSE, PRICES)
def test_no_filling_is_worth_more_than_a_table_says_however_coarse_and_at_any_prices(
    items: list[Item], total: Total, units: tuple[int, ...], prices: tuple[int, ...]
) -> None:
    best = best_filling(items, total)
    made = filling(items, total, best)
    if made is not None:
        grid = Grid(units=np.array(units), prices=np.array(prices))
        bound, _ = bound_by(made, grid)
        assert bound >= best
        assert bound == int(all_tables(made, grid)[0][-1, -1, -1]) + int(grid.prices @ made.room)


@given(ITEMS, TOTALS)
def test_a_table_in_units_of_one_is_exact(items: list[Item], total: Total) -> None:
    best = best_filling(items, total)
    made = filling(items, total, best)
    if made is not None:
        grid = Grid.priced(np.ones(3, np.int64), np.array([3, 3, 3]))
        assert bound_by(made, grid)[0] == best


@given(ITEMS, TOTALS, COARSE, PRICES)
def test_what_is_trimmed_no_better_filling_has(
    items: list[Item], total: Total, units: tuple[int, ...], prices: tuple[int, ...]
) -> None:
    best = best_filling(items, total)
    made = filling(items, total, best - 1)
    if made is not None:
        by_prices, _ = trimmed(made)
        assert worth_of(by_prices) == best
        _, by_table = best_priced(made, np.array(units), np.array(prices), (0.0, 1.0), 4)
        assert worth_of(by_table) == best


def worth_of(made: Filling) -> int:
    rows = zip(made.needs.tolist(), made.worth.tolist(), made.most.tolist(), strict=True)
    return best_filling([(tuple(needs), worth, most) for needs, worth, most in rows], tuple(made.room.tolist()))


@given(ITEMS, TOTALS, COARSE, PRICES)
def test_a_search_alone_decides_it_exactly_and_with_little_room_is_never_wrong(
    items: list[Item], total: Total, units: tuple[int, ...], prices: tuple[int, ...]
) -> None:
    best = best_filling(items, total)
    grid = Grid(units=np.array(units), prices=np.array(prices))
    for cost, verdict in ((best, False), (best - 1, True)):
        made = filling(items, total, cost)
        if made is not None:
            assert searched(made, grid, 1 << 12) is verdict
            assert searched(made, grid, 2) in (verdict, None)


@given(TOTALS, ITEMS, st.integers(1, 2000))
def test_a_table_has_no_more_cells_than_it_may(total: Total, items: list[Item], most_cells: int) -> None:
    made = filling(items, total, 1)
    if made is not None:
        assert np.prod(made.room // units_of(made, most_cells) + 1) <= most_cells


def awkward(seed: int, kinds: int, jobs: int) -> tuple[list[Item], Total]:
    """Slots in odd MiB, dozens to a node, worth about what they take."""
    rng = random.Random(seed)
    items = []
    for _ in range(kinds):
        cpus = rng.randint(1, 12)
        mib = rng.randint(500, 5000) * cpus // 2
        worth = int((cpus * 40_000 + mib * 11) * rng.uniform(0.97, 1.0)) * 1000
        items.append(((cpus, mib, 0), worth, rng.randint(1, jobs)))
    return items, (40, 65_536, 0)


@pytest.mark.parametrize("jobs", [3, 100])
@pytest.mark.parametrize("seed", range(2))
def test_many_awkward_slots_are_decided_to_the_last_unit(seed: int, jobs: int) -> None:
    items, total = awkward(seed, 25, jobs)
    grid = Grid.priced(np.ones(3, np.int64), np.zeros(3, np.int64))
    made = filling(items, total, 1)
    assert made is not None
    best = bound_by(made, grid)[0]
    assert exceeds(items, total, best) is False
    assert exceeds(items, total, best - 1) is True


def test_what_cannot_be_found_out_is_left_open() -> None:
    items, total = awkward(0, 25, 100)
    made = filling(items, total, 1)
    assert made is not None
    best = bound_by(made, Grid.priced(np.ones(3, np.int64), np.zeros(3, np.int64)))[0]
    assert exceeds(items, total, best, LEVELS[:0]) is None
    assert exceeds(items, total, best, (Level(100, 3, 2),)) is None


def test_a_node_that_pays_for_itself_holds_more_than_it_costs_and_an_empty_one_does_not() -> None:
    assert exceeds([], (4, 4, 0), -1) is True
    assert exceeds([], (4, 4, 0), 0) is False
