"""The checker's knapsack is exact: bound, table, shared table and search each say what trying every filling says."""

from __future__ import annotations

from math import gcd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cost_knapsack
from benchmarks.cost_knapsack import (
    Item,
    Total,
    exceeds,
    fitting,
    looked_up,
    relaxed,
    searched,
    shared_table,
    table_of,
    useful,
)


def best_filling(items: list[Item], total: Total) -> int:
    """By trying every one."""
    if not items:
        return 0
    (needs, worth, there), rest = items[0], items[1:]
    most = min(there, *(t // n for n, t in zip(needs, total, strict=True) if n))
    left = [tuple(t - n * count for n, t in zip(needs, total, strict=True)) for count in range(most + 1)]
    return max(worth * count + best_filling(rest, after) for count, after in enumerate(left))


AMOUNTS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)).filter(any)
TOTALS = st.tuples(*(st.one_of(st.just(0), st.integers(0, most)) for most in (12, 12, 4)))
ITEMS = st.lists(st.tuples(AMOUNTS, st.integers(1, 20), st.integers(1, 6)), min_size=1, max_size=4)
FIRST_ASKED = st.lists(
    st.tuples(AMOUNTS.filter(lambda needs: needs[0] > 0), st.integers(1, 20), st.integers(1, 6)), min_size=1, max_size=4
)


@given(ITEMS, TOTALS)
def test_a_node_s_worth_is_decided_exactly(items: list[Item], total: Total) -> None:
    best = best_filling(items, total)
    assert exceeds(items, total, best) is False
    assert best == 0 or exceeds(items, total, best - 1) is True


@given(ITEMS, TOTALS)
def test_a_search_alone_decides_it_exactly(items: list[Item], total: Total) -> None:
    fit, best = fitting(items, total), best_filling(items, total)
    if fit:
        assert searched(fit, total, best) is False
        assert searched(fit, total, best - 1) is True


@given(ITEMS, TOTALS)
def test_a_search_that_may_not_look_far_is_never_wrong(items: list[Item], total: Total) -> None:
    fit, best = fitting(items, total), best_filling(items, total)
    if fit:
        assert searched(fit, total, best, 3) in (False, None)
        assert searched(fit, total, best - 1, 3) in (True, None)


@given(ITEMS, TOTALS)
def test_a_table_alone_decides_it_exactly(items: list[Item], total: Total) -> None:
    units = [gcd(*(needs[d] for needs, _, _ in items)) or 1 for d in range(3)]
    table = table_of(items, units, [t // u + 1 for t, u in zip(total, units, strict=True)])
    assert int(table.max()) == int(table[-1, -1, -1]) == best_filling(items, total)


@given(st.one_of(ITEMS, FIRST_ASKED), st.lists(TOTALS, min_size=1, max_size=4))
def test_one_table_for_many_nodes_says_of_each_what_its_own_would(items: list[Item], totals: list[Total]) -> None:
    table, units = shared_table(items, totals)
    for total in totals:
        known = looked_up(table, units, items, total)
        assert known in (None, best_filling(items, total))
        assert table is None or known is not None  # nodes so small are all in it


@given(st.one_of(ITEMS, FIRST_ASKED), TOTALS)
def test_what_is_left_off_a_node_as_useless_no_filling_uses(items: list[Item], total: Total) -> None:
    cut = useful(items, total)
    assert all(one <= whole for one, whole in zip(cut, total, strict=True))
    assert best_filling(items, cut) == best_filling(items, total)


@given(ITEMS, TOTALS)
def test_the_bound_by_prices_is_never_below_the_best_filling(items: list[Item], total: Total) -> None:
    fit = fitting(items, total)
    assert relaxed(fit, total) >= best_filling(items, total)


@given(ITEMS, TOTALS)
def test_part_fillings_dropped_for_better_ones_change_no_verdict(items: list[Item], total: Total) -> None:
    fit, best = fitting(items, total), best_filling(items, total)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost_knapsack, "_MANY", 0)
        patch.setattr(cost_knapsack, "_GRID", (3, 3, 2))
        if fit:
            assert searched(fit, total, best) is False
            assert searched(fit, total, best - 1) is True
