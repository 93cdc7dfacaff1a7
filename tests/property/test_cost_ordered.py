"""What is said of the placement in configured order without making it is true of it (docs/calculations.md, Cost)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from builders import array, job, scenario
from hypothesis import given
from hypothesis import strategies as st
from scenario_strategies import scenarios

from autoscale_aks.model.policy import Objective
from autoscale_aks.planning.cost import deciding
from autoscale_aks.planning.cost.ordered import is_sure_to_be_dearer
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario

if TYPE_CHECKING:
    from autoscale_aks.planning.placer import Placer

sizes = st.tuples(st.integers(1, 12), st.integers(1, 24), st.integers(1, 40))
asked = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6), st.integers(1, 9)), min_size=1, max_size=4)
limited = st.fixed_dictionaries(
    {}, optional={"cluster_max_nodes": st.integers(1, 12), "cluster_max_cores": st.integers(1, 60)}
)


def offered_and_asked(
    offered: list[tuple[int, int, int]], wanted: list[tuple[int, int, int]], limits: dict[str, Any], most: int | None
) -> dict[str, Any]:
    buckets = [
        {"vm_size": f"S{n}", "vm_family": f"f{n % 2}", "vcpu_count": cpus, "memory_gb": mem, "price": price}
        for n, (cpus, mem, price) in enumerate(offered)
    ]
    families = {"westus2": {"f0": {"quota_cores": most}}} if most else {}
    jobs = [job(f"j{n}", {"ncpus": c, "mem": f"memory::{m}g"}, count=k) for n, (c, m, k) in enumerate(wanted)]
    return scenario(*jobs, arrays=[array("a", *buckets)], limits={**limits, "families": families}, policy={})


def claimed(raw: dict[str, Any], share: Fraction) -> None:
    """Hold what is said before the placement in order against that placement."""
    snapshot, policy = decode_scenario(raw)

    def spy(placer: Placer) -> tuple[Placer, None]:
        in_order = deciding._to_be_placed_in_order(placer)
        price = deciding.price_of(placer)
        dearer = [] if price is None else [one for one in (price, price * share) if is_sure_to_be_dearer(
            placer, in_order, one)]  # fmt: skip
        in_order.place_all()
        theirs = deciding.price_of(in_order)
        for one in dearer:
            assert all(mine >= other for mine, other in zip(placer.placed, in_order.placed, strict=True))
            assert theirs is None or placer.placed != in_order.placed or theirs >= one
        return placer, None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding, "decide_by_cost", spy)
        plan(snapshot, replace(policy, objective=Objective.COST, optimize_work=1))


SHARES = st.sampled_from([Fraction(1, 2), Fraction(4, 5), Fraction(19, 20)])


@given(st.lists(sizes, min_size=1, max_size=4), asked, limited, st.none() | st.integers(1, 40), SHARES)
def test_a_placement_said_to_be_dearer_is_and_places_no_slot_more(
    offered: list[tuple[int, int, int]], wanted: list[tuple[int, int, int]], limits: dict[str, Any], most: int | None,
    share: Fraction,
) -> None:  # fmt: skip
    claimed(offered_and_asked(offered, wanted, limits, most), share)


@given(scenarios(), SHARES)
def test_nor_is_anything_wrong_said_of_any_other_scenario(raw: dict[str, Any], share: Fraction) -> None:
    claimed(raw, share)


DEAR_FIRST = [(8, 16, 90), (8, 16, 10)]
CHEAP_FIRST = [(8, 16, 10), (8, 16, 90)]


@pytest.mark.parametrize(
    ("offered", "limits", "is_made"),
    [(DEAR_FIRST, {}, False), (CHEAP_FIRST, {}, True), (DEAR_FIRST, {"cluster_max_nodes": 40}, False),
     (DEAR_FIRST, {"cluster_max_nodes": 2}, True)],
    ids=["a dear size first", "the cheapest first", "a limit for all alike", "not all can be placed"],
)  # fmt: skip
def test_the_placement_in_order_is_made_only_where_it_could_be_better(
    monkeypatch: pytest.MonkeyPatch, offered: list[tuple[int, int, int]], limits: dict[str, Any], is_made: bool
) -> None:
    snapshot, policy = decode_scenario(offered_and_asked(offered, [(3, 5, 50)], limits, None))
    placed: list[Objective] = []
    kept = deciding.Placer.place_all

    def spy(placer: Placer) -> None:
        placed.append(placer.policy.objective)
        kept(placer)

    monkeypatch.setattr(deciding.Placer, "place_all", spy)
    plan(snapshot, replace(policy, objective=Objective.COST, optimize_work=1))
    assert placed == [Objective.COST, *([Objective.ORDER] if is_made else [])]
