"""More kinds of slots than any search can take: the plan has a bound all the same, and it is true."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from builders import array, job, scenario
from hypothesis import given
from hypothesis import strategies as st
from property.choosy_strategies import choosy_queues
from property.test_cost_duals import what_is_wrong

from autoscale_aks.planning.cost import coarse, deciding
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario

SIZES = [
    {"vm_size": f"S{cores}x{memory}", "vcpu_count": cores, "memory_gb": cores * memory,
     "price": cores * (3 + memory) / 100}
    for cores in (4, 8, 16, 32) for memory in (2, 4, 8)
]  # fmt: skip


@given(choosy_queues(), st.sampled_from([0, 0.05]), st.integers(1, 4))
def test_a_bound_by_slots_taken_together_is_true(raw: dict[str, Any], seconds: float, kinds: int) -> None:
    asked = {**raw, "policy": {"objective": "cost", "optimize_seconds": seconds}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding, "MOST_ITEMS", 0)
        patch.setattr(coarse, "_MOST_KINDS", kinds)
        certificate = plan(*decode_scenario(asked)).certificate
    assert certificate is not None
    assert what_is_wrong(raw, certificate) == []
    assert certificate.bound <= certificate.cost


def test_three_thousand_shapes_have_a_bound() -> None:
    jobs = [
        job(f"j{n}", {"ncpus": 1 + n % 17, "mem": f"memory::{500 + 13 * n}m"}, count=1 + n % 3) for n in range(3000)
    ]
    decided = plan(*decode_scenario(scenario(*jobs, arrays=[array("a", *SIZES)], policy={"objective": "cost"})))
    certificate = decided.certificate
    assert certificate is not None
    assert certificate.cost == decided.price_per_hour
    assert len(certificate.slots) == 3000
    assert 0 < certificate.gap < Fraction(1, 3)
