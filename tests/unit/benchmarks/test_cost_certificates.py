"""The checker of certificates finds true ones true and false ones false; the bench's own mixes pass it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.model.limits import CoreQuota, Limits
from autoscale_aks.model.policy import Objective, Policy
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.planning.planner import plan
from benchmarks.cost_checker import verify
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


def test_prices_a_little_too_high_for_awkward_slots_are_found_and_true_ones_are_not() -> None:
    snapshot, found = planned("lognormal", "all")
    assert verify(snapshot, found) == ([], [])
    certificate = found.certificate
    assert certificate is not None
    dearer = tuple(replace(one, price=one.price * Fraction(1001, 1000)) for one in certificate.slots)
    wrong, open_ = verify(snapshot, lied_about(found, replace(certificate, slots=dearer)))
    assert any("holds more than it costs" in text for text in wrong)
    assert open_ == []


def test_a_price_that_is_not_the_claims_is_found() -> None:
    snapshot, found = planned("pow2", "def")
    assert found.certificate is not None
    lie = replace(found.certificate, cost=found.certificate.cost + 1)
    assert any("claims cost" in text for text in verify(snapshot, replace(found, certificate=lie))[0])


def lied_about(plan: Plan, certificate: Any) -> Plan:
    """The plan with another certificate, whose bound is what its dual values add up to."""
    total = sum((one.price * one.slots for one in certificate.slots), Fraction(0))
    total -= sum((one.price * one.left for one in certificate.limits), Fraction(0))
    return replace(plan, certificate=replace(certificate, bound=max(total, Fraction(0))))


def test_slots_counted_as_dearer_ones_are_found() -> None:
    snapshot, found = planned("pow2", "def")
    assert found.certificate is not None
    cheap, *others, dear = sorted(found.certificate.slots, key=lambda one: one.price)
    moved = (replace(cheap, slots=cheap.slots - 1), *others, replace(dear, slots=dear.slots + 1))
    wrong, _ = verify(snapshot, lied_about(found, replace(found.certificate, slots=moved)))
    assert any("were placed, the bound counts" in text for text in wrong)


def test_a_limit_said_to_be_tighter_than_it_is_is_found() -> None:
    snapshot, found = planned("pow2", "all", QUOTA)
    assert found.certificate is not None
    (limit,) = [one for one in found.certificate.limits if one.price]
    assert verify(snapshot, found)[0] == []
    tighter = tuple(replace(one, left=one.left // 2) if one is limit else one for one in found.certificate.limits)
    wrong, _ = verify(snapshot, lied_about(found, replace(found.certificate, limits=tighter)))
    assert any("the bound counts with" in text for text in wrong)


def test_a_bucket_the_plan_does_not_speak_of_is_checked_all_the_same() -> None:
    snapshot, found = planned("pow2", "def")
    (array,) = snapshot.nodearrays
    cheaper = replace(array.offerings[0], vm_size="Standard_Forgotten", price=Fraction(1, 1000))
    wrong, _ = verify(replace(snapshot, nodearrays=(replace(array, offerings=(*array.offerings, cheaper)),)), found)
    assert any("holds more than it costs" in text for text in wrong)


def test_a_node_that_holds_too_much_and_a_slot_that_stands_nowhere_are_found() -> None:
    snapshot, found = planned("pow2", "def")
    first, *others = found.placements
    doubled = replace(found, placements=(replace(first, slots_each=first.slots_each + 99), *others))
    wrong, _ = verify(snapshot, doubled)
    assert any("holds more than a" in text for text in wrong)
    assert any("are said to" in text for text in verify(snapshot, replace(found, placements=tuple(others)))[0])


def test_jobs_written_one_by_one_are_checked_as_groups_are() -> None:
    snapshot, _ = planned("primes", "def")
    singles = tuple(
        replace(job, name=f"{job.name}-{number}", count=1) for job in snapshot.jobs for number in range(job.count)
    )
    alone = replace(snapshot, jobs=singles)
    found = plan(alone, Policy(objective=Objective.COST, optimize_work=2_000_000))
    assert len(found.jobs) > 200
    assert verify(alone, found) == ([], [])
