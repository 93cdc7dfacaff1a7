"""What one bucket refuses is asked of the next in the same cycle, and gangs move as a whole (user asks T04, T08)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import BOOTED_S, OTHER_SIZE, SIZE, SKU_GONE_S, accepted, bucket, claimed, reasons

from autoscale_aks.model.launch import LaunchState
from autoscale_aks.model.plan import ReleaseCause
from autoscale_aks.model.policy import BackOffTimes
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.reconcile.failover import ROUNDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

    from autoscale_aks.reconcile import CycleReport

THIRD_SIZE = "Standard_E4s_v5"
TWO_SIZES = {"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}}
SOLD_OUT = {"kind": "client_error", "code": "SkuNotAvailable", "message": "sold out"}


def sizes(site: Site) -> dict[str, int]:
    found: dict[str, int] = {}
    for machine in site.machines():
        found[machine.size.name] = found.get(machine.size.name, 0) + 1
    return found


def moved(report: CycleReport) -> list[list[str]]:
    return [[claim.name for claim in plan.claims] for plan in report.rounds[1:]]


def test_t08c_the_ten_of_fifty_that_are_refused_are_asked_of_the_other_size_in_the_same_cycle(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.fault(**SOLD_OUT, sizes=(SIZE,), every=5)
    site.scheduler.submit("array", iterations=50)
    report = site.cycle()
    assert (len(report.names(LaunchState.REJECTED)), len(accepted(report))) == (10, 50)
    assert sizes(site) == {SIZE: 40, OTHER_SIZE: 10}
    assert (report.asked, report.is_clean) == (60, True)
    assert "10 machines were refused (SkuNotAvailable)" in " ".join(report.notices)
    assert f"10 of htc/{OTHER_SIZE}" in " ".join(report.notices)
    assert claimed(site.cycle().plan) == [], "nothing is left to ask for"
    assert len(set(site.created())) == len(site.created()), "no name comes twice"


@pytest.mark.parametrize("code", ["SkuNotAvailable", "QuotaExceeded", "InvalidParameter"])
def test_capacity_quota_and_validation_move_on_and_are_backed_off_by_their_class(
    make_site: Callable[..., Site], code: str
) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.fault(kind="client_error", code=code, message="no", sizes=(SIZE,))
    site.scheduler.submit("array", iterations=3)
    site.cycle()
    assert sizes(site) == {OTHER_SIZE: 3}
    times = BackOffTimes()
    lasts = {"SkuNotAvailable": SKU_GONE_S, "QuotaExceeded": times.quota_s, "InvalidParameter": times.validation_s}
    with site.ledger() as ledger:
        (back_off,) = ledger.back_offs(site.clock.now())
    assert back_off.until == pytest.approx(site.clock.now() + lasts[code], abs=10)


def test_t08d_spot_zone_and_region_have_times_of_their_own_and_the_site_may_set_them(
    make_site: Callable[..., Site],
) -> None:
    arrays = {
        "spot": {"spot": True, "buckets": [bucket()]},
        "zonal": {"zones": ["1"], "buckets": [bucket()]},
        "plain": {"buckets": [bucket()]},
    }
    wanted = {"spot": 11.0, "zone": 22.0, "region": 33.0}
    site = make_site(nodearrays=arrays, policy={"back_off": wanted})
    site.fault(**SOLD_OUT)
    site.scheduler.submit("array", iterations=1)
    site.cycle()
    with site.ledger() as ledger:
        found = {
            (one.nodearray, one.zone, one.spot): (one.until or 0) - site.clock.now()
            for one in ledger.back_offs(site.clock.now() - 5)
        }
    assert found == {
        ("spot", None, True): pytest.approx(11.0, abs=6),
        (None, "1", False): pytest.approx(22.0, abs=6),
        ("plain", None, False): pytest.approx(33.0, abs=6),
    }


def test_t08b_after_a_refusal_the_size_s_family_comes_last_among_equals(make_site: Callable[..., Site]) -> None:
    sisters = [bucket(vm_family="D"), bucket("Standard_D4_v5", vm_family="D"), bucket(OTHER_SIZE, vm_family="F")]
    site = make_site(nodearrays={"htc": {"buckets": sisters}})
    site.fault(**SOLD_OUT, sizes=(SIZE,))
    site.scheduler.submit("one")
    site.cycle()
    assert sizes(site) == {OTHER_SIZE: 1} or sizes(site) == {"Standard_D4_v5": 1}
    site.scheduler.submit("two")
    notices = site.cycle().observation.notices
    assert any(notice.startswith("D in eastus2 comes last among equals: ") for notice in notices), "as Azure writes it"
    assert sizes(site)[OTHER_SIZE] >= 1, "the sister size is only the last choice now"
    site.advance(BackOffTimes().family_s + 10)
    site.mend()
    seen, _ = site.demand()
    assert next(one.vm_size for one in seen.snapshot.nodearrays[0].offerings) == SIZE, "marks end"


def test_t08e_a_job_is_never_moved_against_its_own_constraints(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.fault(**SOLD_OUT, sizes=(SIZE,))
    site.scheduler.submit("any", iterations=2)
    site.scheduler.submit("picky", iterations=2)
    picky = site.scheduler.jobs["picky"]
    object.__setattr__(picky.shape, "constraints", ({"ncpus": 4, "node.vm_size": SIZE},))
    report = site.cycle()
    assert (sizes(site), report.is_clean) == ({OTHER_SIZE: 2}, False)
    assert reasons(report.final) == {"CAPACITY_BACKOFF"}


def test_rounds_are_bounded_and_every_bucket_is_asked_once(make_site: Callable[..., Site]) -> None:
    names = [f"Standard_D{4 * number}s_v5" for number in range(1, ROUNDS + 3)]
    site = make_site(nodearrays={"htc": {"buckets": [bucket(name, vm_family=name) for name in names]}})
    site.fault(**SOLD_OUT)
    site.scheduler.submit("work")
    report = site.cycle()
    assert (len(report.rounds), report.is_clean) == (ROUNDS, False)
    asked = [plan.claims[0].bucket.vm_size for plan in report.rounds]
    assert asked == names[:ROUNDS]
    assert site.names() == []


def test_no_round_is_begun_after_the_deadline_of_the_cycle(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.fault(**SOLD_OUT, sizes=(SIZE,))
    site.scheduler.submit("work")
    with site.world() as world:
        report = run_cycle(world, until=site.clock.now())
    assert (len(report.rounds), site.names()) == (1, [])
    assert len(site.cycle().rounds) == 1
    assert sizes(site) == {OTHER_SIZE: 1}, "the next cycle asks elsewhere"


def test_a_halted_cycle_begins_no_further_round_and_lets_nothing_go(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.fault(**SOLD_OUT, sizes=(SIZE,))
    site.scheduler.submit("work")
    with site.world() as world:
        report = run_cycle(replace(world, halted=lambda: "SIGTERM"))
    assert (len(report.rounds), site.names()) == (1, [])
    assert "nothing was let go: SIGTERM" in report.notices


def test_caps_on_creates_hold_over_all_rounds(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES, policy={"max_creates_per_cycle": 8})
    site.fault(**SOLD_OUT, sizes=(SIZE,), every=2)
    site.scheduler.submit("array", iterations=20)
    report = site.cycle()
    assert report.asked == 8
    assert len(site.names()) == 4


def test_throttled_creates_do_not_move_on(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.scheduler.submit("array", iterations=3)
    site.fault(kind="throttle", operations=("machine.batch_put", "machine.put"), after_s=500.0)
    assert len(site.cycle().rounds) == 1
    assert site.names() == []


def test_a_pool_that_is_not_ready_is_not_asked_again_in_the_same_cycle(make_site: Callable[..., Site]) -> None:
    arrays = {
        "htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]},
        "big": {"buckets": [bucket("Standard_D8s_v5", vcpu_count=8)]},
    }
    site = make_site(nodearrays=arrays)
    site.fault(**SOLD_OUT, sizes=(SIZE,))
    site.fault(kind="error_before", operations=("pool.put",), pools=("big",), status=400, code="InvalidParameter")
    site.scheduler.submit("small", iterations=2)
    site.scheduler.submit("large", cpus=8)
    report = site.cycle()
    assert sizes(site) == {OTHER_SIZE: 2}
    asked = [claim.bucket.array.name for plan in report.rounds for claim in plan.claims]
    assert asked.count("big") == 1
    assert not report.is_clean


# Gangs


def grouped(*names: str, **more: Any) -> dict[str, Any]:
    """Node arrays that each have one placement group of up to ten nodes."""
    return {
        name: {"max_placement_group_size": 10, "placement_groups": [f"{name}_pg"], "buckets": [bucket(size)], **more}
        for name, size in zip(names, (SIZE, OTHER_SIZE, THIRD_SIZE), strict=False)
    }


def test_t04_a_gang_that_no_size_can_take_whole_keeps_what_was_accepted_and_asks_only_for_the_rest(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays={"htc": {"buckets": [bucket(), bucket(OTHER_SIZE, max_count=2)]}})
    site.fault(**SOLD_OUT, sizes=(SIZE,), every=4)
    site.scheduler.submit("mpi", iterations=1, node_count=8)
    report = site.cycle()
    assert sizes(site) == {SIZE: 6, OTHER_SIZE: 2}
    assert moved(report) == [["site-htc-9", "site-htc-10"]]
    assert claimed(site.cycle().plan) == []
    assert {record.surplus_since for record in site.records().values()} == {None}


def test_t04_a_gang_that_another_size_can_take_whole_moves_there(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.fault(**SOLD_OUT, sizes=(SIZE,), every=4)
    site.scheduler.submit("mpi", iterations=1, node_count=8)
    site.cycle()
    assert sizes(site) == {SIZE: 6, OTHER_SIZE: 8}
    assert sum(record.surplus_since is not None for record in site.records().values()) == 6


def test_t04c_a_colocated_gang_moves_as_a_whole_and_what_it_leaves_is_released_at_the_deadline(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays=grouped("one", "two"), policy={"gang_timeout": 200})
    site.fault(**SOLD_OUT, sizes=(SIZE,), every=4)
    site.scheduler.submit("mpi", iterations=1, node_count=4, colocated=True)
    report = site.cycle()
    assert sizes(site) == {SIZE: 3, OTHER_SIZE: 4}, "three were accepted before the fourth was refused"
    assert [len(names) for names in moved(report)] == [4]
    left = {name for name in site.names() if name.startswith("site-one")}
    assert {name for name, record in site.records().items() if record.surplus_since is not None} == left
    site.advance(BOOTED_S)
    assert site.cycle().releases.deleted == [], "they may still be of use"
    site.advance(150)
    late = site.cycle()
    assert {release.cause for release in late.plan.releases} == {ReleaseCause.SURPLUS}
    assert set(late.releases.deleted) == left


def test_t04c_other_work_may_have_the_surplus_of_a_gang_before_its_deadline(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=grouped("one", "two"), policy={"gang_timeout": 200})
    site.fault(**SOLD_OUT, sizes=(SIZE,), every=4)
    site.scheduler.submit("mpi", iterations=1, node_count=4, colocated=True)
    site.cycle()
    site.scheduler.submit("small", iterations=3)
    assert claimed(site.cycle().plan) == []
    assert {record.surplus_since for record in site.records().values()} == {None}
    site.advance(250)
    assert site.cycle().releases.deleted == []


def test_t04b_a_gang_that_no_other_bucket_can_take_whole_asks_for_nothing_more(make_site: Callable[..., Site]) -> None:
    arrays = grouped("one", "two")
    arrays["two"]["max_count"] = 3
    site = make_site(nodearrays=arrays, policy={"gang_timeout": 30})
    site.fault(**SOLD_OUT, sizes=(SIZE,), every=4)
    site.scheduler.submit("mpi", iterations=1, node_count=4, colocated=True)
    report = site.cycle()
    assert sizes(site) == {SIZE: 3}
    assert moved(report) == []
    assert "no other bucket can take their work now" in " ".join(report.notices)
    site.advance(BOOTED_S)
    assert len(site.cycle().releases.deleted) == 3, "no remainder stands idle after the deadline"


def test_t04c_a_gang_of_which_a_machine_fails_later_moves_and_its_rest_is_released_at_the_deadline(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays=grouped("one", "two"), policy={"gang_timeout": 200})
    site.fault(kind="provisioning_failure", names=("site-one-3",), code="AllocationFailed")
    site.scheduler.submit("mpi", iterations=1, node_count=4, colocated=True)
    site.cycle()
    site.advance(15)
    report = site.cycle()
    assert len(claimed(report.plan)) == 4, "the whole gang goes to the other group"
    assert report.releases.deleted == ["site-one-3"]
    rest = {name for name in site.names() if name.startswith("site-one")} - {"site-one-3"}
    assert {name for name, record in site.records().items() if record.surplus_since is not None} == rest
    site.advance(BOOTED_S)
    site.cycle()
    site.advance(150)
    assert set(site.cycle().releases.deleted) == rest


def test_without_a_gang_a_sister_s_failure_makes_no_idle_machine_surplus(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES, policy={"gang_timeout": 10})
    site.fault(kind="provisioning_failure", names=("site-htc-3",), code="AllocationFailed")
    site.scheduler.submit("array", iterations=5)
    site.cycle()
    site.scheduler.finish()
    site.advance(15)
    site.cycle()
    assert {record.surplus_since for record in site.records().values()} == {None}


def test_machines_of_a_plan_that_are_wanted_are_no_surplus_when_a_sister_fails(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.fault(kind="provisioning_failure", names=("site-htc-3",), code="AllocationFailed")
    site.scheduler.submit("array", iterations=5)
    site.cycle()
    site.advance(15)
    site.cycle()
    assert {record.surplus_since for record in site.records().values()} == {None}


def test_t19b_an_eviction_lets_the_family_come_last(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"spot": True, "buckets": [bucket(), bucket(OTHER_SIZE)]}})
    site.fault(kind="evict", names=("site-htc-1",), after_s=100.0)
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.advance(100)
    site.cycle()
    with site.ledger() as ledger:
        ((family, why),) = ledger.family_marks(site.clock.now()).items()
    assert "dsv5" in family
    assert "MachineLost" in why
