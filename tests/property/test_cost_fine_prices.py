"""Prices of any number of digits: a plan by price is still found, its price is exact, and its bound holds."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from builders import array, job, scenario
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan

CORES = (2, 4, 8, 16)


def sizes(prices: list[float]) -> list[dict[str, Any]]:
    return [
        {"vm_size": f"S{cores}", "vcpu_count": cores, "memory_gb": 2 * cores, "price": price * cores}
        for cores, price in zip(CORES, prices, strict=True)
    ]


def decided(prices: list[float], counts: list[int]) -> Plan:
    """Slots of 1, 2, 3 … cores; memory is never short."""
    jobs = [job(f"j{n}", {"ncpus": n, "mem": f"memory::{n}g"}, count=count) for n, count in enumerate(counts, 1)]
    raw = scenario(*jobs, arrays=[array("a", *sizes(prices))], policy={"objective": "cost", "optimize_seconds": 0.1})
    return plan(*decode_scenario(raw))


def worth_of(node_cores: int, slots: list[tuple[int, int, Fraction]]) -> Fraction:
    """The most that slots on one node can be worth, of each no more than are wanted: cores, slots wanted, worth."""
    best = [Fraction(0)] * (node_cores + 1)
    for cores, wanted, worth in slots:
        for _ in range(min(wanted, node_cores // cores)):
            for room in range(node_cores, cores - 1, -1):
                best[room] = max(best[room], best[room - cores] + worth)
    return best[-1]


fine = st.floats(0.01, 0.2, allow_nan=False)


@given(st.lists(fine, min_size=4, max_size=4), st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_a_bound_on_prices_of_many_digits_is_true(prices: list[float], counts: list[int]) -> None:
    found = decided(prices, counts)
    certificate = found.certificate
    assert certificate is not None
    assert certificate.cost == found.price_per_hour
    assert certificate.cost <= min(paid for paid in certificate.rules.values() if paid is not None)
    slots = [(one.job + 1, one.slots, one.price) for one in certificate.slots]
    offered = [outcome.bucket.offering for outcome in found.buckets]
    assert all(worth_of(one.vcpu_count, slots) <= (one.price or 0) for one in offered)
    assert certificate.bound == sum(one.price * one.slots for one in certificate.slots) <= certificate.cost


PRICES = (0.0512345678901234, 0.05198765432109876, 1 / 21, 0.0486123456789)


def test_how_many_digits_prices_have_decides_on_nothing() -> None:
    coarse, fine = (decided([round(one, digits) for one in PRICES], [40, 1, 31, 1, 27]) for digits in (6, 17))
    assert coarse.certificate is not None
    assert fine.certificate is not None
    assert [claim.bucket.vm_size for claim in fine.claims] == [claim.bucket.vm_size for claim in coarse.claims]
    assert float(fine.certificate.gap) == pytest.approx(float(coarse.certificate.gap), abs=1e-4)
    assert fine.certificate.gap < Fraction(1, 1000)
