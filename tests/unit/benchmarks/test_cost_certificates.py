"""The checker of certificates finds true ones true and false ones false; the bench's own mixes pass it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.model.limits import CoreQuota, Limits
from autoscale_aks.model.policy import Objective, Policy
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.planner import plan
from benchmarks.cost_checker import Item, exceeds, verify
from benchmarks.cost_inputs import REGION, read_catalogue, read_mix
from benchmarks.generators import RESOURCES

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan

OFF = Limits()
QUOTA = Limits(families={REGION: {"standardHBrsv3Family": CoreQuota(240)}})


def planned(mix: str, catalogue: str, limits: Limits = OFF, work: int = 2_000_000) -> tuple[Snapshot, Plan]:
    snapshot = Snapshot(
        default_resources=RESOURCES, nodearrays=(read_catalogue(catalogue, None),), jobs=read_mix(mix, 300, None),
        limits=limits,
    )  # fmt: skip
    return snapshot, plan(snapshot, Policy(objective=Objective.COST, optimize_work=work))


@pytest.mark.parametrize("limits", [OFF, QUOTA], ids=["quotas off", "quota binding"])
@pytest.mark.parametrize("mix", ["pow2", "primes"])
def test_the_certificate_of_a_plan_is_true(mix: str, limits: Limits) -> None:
    assert verify(*planned(mix, "all", limits)) == ([], [])


@pytest.mark.parametrize("work", [0, 1, 100_000])
def test_a_bound_holds_wherever_the_work_ends(work: int) -> None:
    assert verify(*planned("pow2", "all", work=work)) == ([], [])


def test_a_bound_that_is_too_high_is_found() -> None:
    snapshot, found = planned("pow2", "def")
    certificate = found.certificate
    assert certificate is not None
    dearer = tuple(replace(one, price=one.price * Fraction(21, 20)) for one in certificate.slots)
    lie = replace(certificate, slots=dearer, bound=sum((one.price * one.slots for one in dearer), Fraction(0)))
    wrong, _ = verify(snapshot, replace(found, certificate=lie))
    assert any("holds more than it costs" in text for text in wrong)


def test_a_price_that_is_not_the_claims_is_found() -> None:
    snapshot, found = planned("pow2", "def")
    assert found.certificate is not None
    lie = replace(found.certificate, cost=found.certificate.cost + 1)
    assert any("claims cost" in text for text in verify(snapshot, replace(found, certificate=lie))[0])


def best_filling(items: list[Item], total: tuple[int, ...]) -> int:
    """By trying every one."""
    if not items:
        return 0
    (needs, worth, there), rest = items[0], items[1:]
    most = min(there, *(t // n for n, t in zip(needs, total, strict=True) if n))
    left = [tuple(t - n * count for n, t in zip(needs, total, strict=True)) for count in range(most + 1)]
    return max(worth * count + best_filling(rest, after) for count, after in enumerate(left))


AMOUNTS = st.tuples(st.integers(1, 4), st.integers(0, 4), st.integers(0, 2))


@given(
    st.lists(st.tuples(AMOUNTS, st.integers(1, 20), st.integers(1, 6)), min_size=1, max_size=4),
    st.tuples(st.integers(1, 12), st.integers(0, 12), st.integers(0, 4)),
)
def test_a_node_s_worth_is_decided_exactly(items: list[Item], total: tuple[int, ...]) -> None:
    best = best_filling(items, total)
    assert exceeds(items, total, best) is False
    assert best == 0 or exceeds(items, total, best - 1) is True
