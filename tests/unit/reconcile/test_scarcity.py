"""What a refusal says beside its own bucket: larger sizes, the whole region, and spot machines that do not last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import OTHER_SIZE, SIZE, accepted, bucket

from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

    from autoscale_aks.reconcile import CycleReport

SMALL, SAME, LARGE = "Standard_D2s_v5", "Standard_D4_v5", "Standard_D8s_v5"
QUOTA = "Operation could not be completed as it results in exceeding approved {} quota. Current Limit: 10."
FAMILY = {"code": "OperationNotAllowed", "message": QUOTA.format("standardDSv5Family Cores")}
REGION = {"code": "OperationNotAllowed", "message": QUOTA.format("Total Regional Cores")}


def family(*sizes: tuple[str, int], name: str = "D") -> list[dict[str, Any]]:
    return [{"vm_size": size, "vcpu_count": cores, "memory_gb": 4 * cores, "vm_family": name} for size, cores in sizes]


def asked(report: CycleReport) -> list[str]:
    """The size of each round."""
    return [plan.claims[0].bucket.vm_size for plan in report.rounds]


@pytest.mark.parametrize("is_late", [False, True])
def test_what_a_family_has_no_room_for_its_larger_sizes_are_not_asked_for_and_its_smaller_ones_are(
    make_site: Callable[..., Site], is_late: bool
) -> None:
    site = make_site(nodearrays={"htc": {"buckets": family((SIZE, 4), (SAME, 4), (LARGE, 8), (SMALL, 2))}})
    if is_late:
        site.fault(kind="provisioning_failure", sizes=(SIZE,), **FAMILY)
    else:
        site.fault(kind="client_error", sizes=(SIZE,), **FAMILY)
    site.scheduler.submit("work", cpus=2)
    reports = [site.cycle()]
    if is_late:
        site.advance(15.0)
        reports.append(site.cycle())
    assert [size for report in reports for size in asked(report)] == [SIZE, SMALL]
    with site.ledger() as ledger:
        held = {one.vm_size: one.until for one in ledger.back_offs(site.clock.now())}
    assert set(held) == {SIZE, SAME, LARGE}
    assert len(set(held.values())) == 1, "as long as the size itself"


def test_a_size_the_service_does_not_sell_says_nothing_of_its_family(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"buckets": family((SIZE, 4), (LARGE, 8))}})
    site.fault(kind="client_error", sizes=(SIZE,), code="VMSizeNotSupported", message="no")
    site.scheduler.submit("work")
    assert asked(site.cycle()) == [SIZE, LARGE]


@pytest.mark.parametrize("is_late", [False, True])
def test_when_the_region_s_cores_are_used_up_no_other_regular_size_is_asked_for_in_that_cycle(
    make_site: Callable[..., Site], is_late: bool
) -> None:
    arrays = {"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}, "more": {"buckets": [bucket("Standard_E4s_v5")]}}
    site = make_site(nodearrays=arrays)
    site.fault(kind="provisioning_failure" if is_late else "client_error", **REGION)
    site.scheduler.submit("work")
    report = site.cycle()
    if is_late:
        site.advance(15.0)
        report = site.cycle()
    assert asked(report) == ([] if is_late else [SIZE])
    assert site.cycle().rounds[0].claims[0].bucket.vm_size == OTHER_SIZE, "only the bucket is remembered"


def test_the_region_s_cores_say_nothing_of_spot_machines(make_site: Callable[..., Site]) -> None:
    arrays = {"htc": {"buckets": [bucket()], "priority": 9}, "cheap": {"buckets": [bucket(OTHER_SIZE)], "spot": True}}
    site = make_site(nodearrays=arrays)
    site.fault(kind="client_error", sizes=(SIZE,), **REGION)
    site.scheduler.submit("work")
    assert accepted(site.cycle()) == ["site-cheap-1"]


def test_what_an_earlier_round_may_not_ask_again_a_later_one_may_not_either(make_site: Callable[..., Site]) -> None:
    """A pool that is not ready says nothing that is remembered, and is asked for once in a cycle all the same."""
    arrays = {
        "broken": {"buckets": [bucket()], "priority": 9},
        "htc": {"buckets": [bucket(OTHER_SIZE), bucket("Standard_E4s_v5"), bucket("Standard_E4as_v5")]},
    }
    site = make_site(nodearrays=arrays)
    site.fault(kind="error_before", operations=("pool.put",), pools=("broken",), status=400, code="InvalidParameter")
    site.fault(kind="client_error", code="SkuNotAvailable", message="no", sizes=(OTHER_SIZE, "Standard_E4s_v5"))
    site.scheduler.submit("picky", node_count=1)
    site.scheduler.submit("other")
    report = site.cycle()
    names = [claim.bucket.array.name for plan in report.rounds[1:] for claim in plan.claims]
    assert "broken" not in names


@pytest.mark.parametrize("ended", ["deadline", "halted", "rounds"])
def test_t04c_what_was_accepted_of_a_gang_is_surplus_however_the_search_for_the_rest_ended(
    make_site: Callable[..., Site], ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = {"placement_groups": ["pg"], "max_placement_group_size": 9}
    arrays = {"one": {"buckets": [bucket()], **groups}, "two": {"buckets": [bucket(OTHER_SIZE)], **groups}}
    site = make_site(nodearrays=arrays, policy={"gang_timeout": 100})
    site.fault(kind="client_error", code="SkuNotAvailable", message="no", sizes=(SIZE,), every=4)
    site.scheduler.submit("mpi", iterations=1, node_count=4, colocated=True)
    with site.world() as world:
        if ended == "deadline":
            run_cycle(world, until=site.clock.now())
        elif ended == "halted":
            object.__setattr__(world, "halted", lambda: "SIGTERM")
            run_cycle(world)
        else:
            monkeypatch.setattr("autoscale_aks.reconcile.failover.ROUNDS", 1)
            run_cycle(world)
    left = {name for name, record in site.records().items() if record.surplus_since is not None}
    assert left == set(site.names())
    assert len(left) == 3


def test_t19b_after_so_many_evictions_within_the_window_regular_machines_are_taken(
    make_site: Callable[..., Site],
) -> None:
    arrays = {"cheap": {"buckets": [bucket()], "spot": True, "priority": 9}, "htc": {"buckets": [bucket(OTHER_SIZE)]}}
    policy = {"spot_evictions": {"count": 2, "window": 3000}}
    site = make_site(nodearrays=arrays, policy=policy)
    taken = []
    for number in range(3):
        site.scheduler.submit(f"job-{number}")
        (name,) = accepted(site.cycle())
        taken.append(name.rsplit("-", 1)[0])
        site.boot()
        site.cycle()
        site.fault(kind="evict", names=(name,), after_s=1.0)
        site.emulator._service.apply_fault_now(1 + number, site.emulator.clock.now())
        site.advance(5)
        site.scheduler.finish()
        site.cycle()
        site.advance(30)
        site.cycle()
    assert taken == ["site-cheap", "site-cheap", "site-htc"]
    site.scheduler.submit("later")
    seen, _ = site.demand()
    assert any("cheap is left alone" in text for text in seen.notices)
    site.advance(4000)
    site.scheduler.finish()
    site.scheduler.submit("much later", iterations=2)
    assert accepted(site.cycle()) == ["site-cheap-3"], "one is there, and for the other spot is tried again"
