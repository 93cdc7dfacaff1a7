"""The cloud says no: throttled, refused, out of quota, without the batch header (user asks T08, T10, T11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import IDLE_S, OTHER_SIZE, SIZE, SKU_GONE_S, accepted, bucket, claimed, reasons

from autoscale_aks.emulator.settings import QuotaSettings
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.launch import FaultKind, LaunchState
from autoscale_aks.model.plan import ReleaseCause
from autoscale_aks.model.policy import BackOffTimes

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

BACK_OFF_S = {FaultKind.CAPACITY: SKU_GONE_S, FaultKind.QUOTA: BackOffTimes().quota_s}
TWO_SIZES = {"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}}


def ready_site(site: Site, machines: int) -> Site:
    """Machines that have been idle for longer than the idle timeout, and no cycle has seen that yet."""
    site.scheduler.submit("work", iterations=machines)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S + 1)
    return site


# Throttled


def test_t10c_429_at_start_up_deletes_and_creates_nothing_and_says_so(site: Site) -> None:
    ready_site(site, 2)
    site.scheduler.submit("new", iterations=9)
    site.fault(kind="throttle", operations=("machine.list",), after_s=200.0)
    before = site.last_request
    report = site.cycle()
    assert (claimed(report.plan), report.plan.releases, report.releases.deleted) == ([], (), [])
    assert {entry.method for entry in site.requests(since=before)} == {"GET"}
    assert reasons(report.plan) == {"API_THROTTLED"}
    assert report.is_cloud_down
    with site.ledger() as ledger:
        assert ledger.cycles(1)[0].status == "cloud unavailable"


def test_t10b_the_retry_after_holds_for_the_next_run_which_asks_the_cloud_nothing(site: Site) -> None:
    site.scheduler.submit("new")
    site.fault(kind="throttle", operations=("machine.list",), after_s=200.0)
    site.cycle()
    site.mend()
    before = site.last_request
    site.advance(100)
    report = site.cycle()
    assert (site.requests(since=before), reasons(report.plan)) == ([], {"API_THROTTLED"})
    site.advance(101)
    assert claimed(site.cycle().plan) == ["site-htc-1"]


def test_t10c_a_short_storm_of_429_loses_and_doubles_nothing(site: Site) -> None:
    site.scheduler.submit("array", iterations=60)
    for operation in ("machine.list", "machine.batch_put", "pool.get", "pool.put", "node.list"):
        site.fault(kind="throttle", operations=(operation,), after_s=2.0, count=4)
    report = site.cycle()
    assert (len(site.names()), report.is_clean) == (60, True)
    assert claimed(site.cycle().plan) == []
    with site.ledger() as ledger:
        assert ledger.back_offs(site.clock.now()) == ()


def test_throttled_creates_are_refused_not_lost_and_are_no_capacity_failure(site: Site) -> None:
    site.scheduler.submit("array", iterations=3)
    site.fault(kind="throttle", operations=("machine.batch_put", "machine.put"), after_s=500.0)
    report = site.cycle()
    assert site.names() == []
    assert not report.is_clean
    with site.ledger() as ledger:
        assert ledger.back_offs(site.clock.now()) == ()
        assert ledger.not_before() is not None
    site.mend()
    site.advance(501)
    again = site.cycle()
    assert len(site.names()) == 3
    assert not set(claimed(again.plan)) & set(claimed(report.plan)), "names never come back"


# No access


@pytest.mark.parametrize("status", [401, 403])
def test_without_access_nothing_is_planned_and_the_reason_is_auth(site: Site, status: int) -> None:
    ready_site(site, 1)
    site.scheduler.submit("new", iterations=3)
    site.fault(kind="error_before", operations=("machine.list",), status=status, code="AuthorizationFailed")
    before = site.last_request
    report = site.cycle()
    assert (claimed(report.plan), report.releases.deleted) == ([], [])
    assert reasons(report.plan) == {"AUTH"}
    assert {entry.method for entry in site.requests(since=before)} == {"GET"}
    assert report.is_cloud_down


def test_a_cloud_that_does_not_answer_at_all_is_down_and_loses_nothing(site: Site) -> None:
    ready_site(site, 2)
    names = set(site.records())
    site.scheduler.submit("new", iterations=3)
    site.emulator.stop()
    report = site.cycle()
    assert (report.is_cloud_down, report.releases.deleted) == (True, [])
    assert names <= set(site.records())
    site.emulator.start()
    site.advance(200)
    site.cycle()
    assert len(site.names()) == 3


# Refused


def test_a_quota_refusal_is_recorded_backed_off_and_goes_to_the_other_size(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays=TWO_SIZES)
    site.fault(kind="client_error", sizes=(SIZE,), code="QuotaExceeded", message=QUOTA)
    site.scheduler.submit("array", iterations=3)
    report = site.cycle()
    assert report.names(LaunchState.REJECTED) == claimed(report.plan) == ["site-htc-1", "site-htc-2", "site-htc-3"]
    records = site.records()
    assert {records[name].error_kind for name in claimed(report.plan)} == {"quota"}
    with site.ledger() as ledger:
        (back_off,) = ledger.back_offs(site.clock.now())
        assert (back_off.vm_size, back_off.nodearray, back_off.spot) == (SIZE, None, False)
    (_, moved) = report.rounds
    assert {claim.bucket.vm_size for claim in moved.claims} == {OTHER_SIZE}
    assert site.names() == claimed(moved) == accepted(report) == ["site-htc-4", "site-htc-5", "site-htc-6"]
    assert claimed(site.cycle().plan) == []
    assert {record.state for name, record in site.records(gone=True).items() if name in claimed(report.plan)} == {
        MachineState.GONE
    }


QUOTA = (
    "Operation could not be completed as it results in exceeding approved standardDSv5Family Cores quota. Additional "
    "details - Current Limit: 10, Current Usage: 8, Additional Required: 4."
)


@pytest.mark.parametrize("kind", list(BACK_OFF_S))
def test_with_one_size_only_the_work_waits_for_the_end_of_the_back_off(site: Site, kind: Any) -> None:
    code = {"quota": "QuotaExceeded", "capacity": "SkuNotAvailable"}[kind.value]
    site.fault(kind="client_error", code=code, message=QUOTA if kind.value == "quota" else "sold out")
    site.scheduler.submit("work")
    site.cycle()
    report = site.cycle()
    assert (claimed(report.plan), reasons(report.plan)) == ([], {"CAPACITY_BACKOFF"})
    site.mend()
    site.advance(BACK_OFF_S[kind] - 10)
    assert claimed(site.cycle().plan) == []
    site.advance(11)
    assert claimed(site.cycle().plan) == ["site-htc-2"]


def test_a_size_the_region_does_not_have_refuses_the_whole_chunk(site: Site) -> None:
    site.fault(kind="size_not_supported", sizes=(SIZE,))
    site.scheduler.submit("array", iterations=5)
    report = site.cycle()
    assert len(report.names(LaunchState.REJECTED)) == 5
    assert site.names() == []


def test_t11b_half_a_batch_refused_leaves_the_other_half_and_the_ledger_knows_which(site: Site) -> None:
    site.fault(kind="client_error", every=2, operations=(), code="InvalidParameter")
    site.scheduler.submit("array", iterations=10)
    report = site.cycle()
    assert len(report.names(LaunchState.REJECTED)) == 5
    assert report.names(LaunchState.ACCEPTED) == [name for name in claimed(report.plan) if name in site.names()]
    states = {name: record.state for name, record in site.records().items()}
    assert {name for name, state in states.items() if state is MachineState.REJECTED} == set(
        report.names(LaunchState.REJECTED)
    )
    site.mend()
    assert (claimed(site.cycle().plan), len(site.names())) == ([], 5), "what is wrong is not sent again at once"
    site.advance(BackOffTimes().validation_s)
    site.cycle()
    assert len(site.names()) == 10


def test_a_pool_that_cannot_be_made_refuses_its_own_machines_only(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={
        "htc": {"max_count": 2, "buckets": [bucket()]}, "big": {"buckets": [bucket("Standard_D8s_v5", vcpu_count=8)]},
    })  # fmt: skip
    site.fault(kind="error_before", operations=("pool.put",), pools=("big",), status=400, code="InvalidParameter")
    site.scheduler.submit("small", iterations=2)
    site.scheduler.submit("large", cpus=8, iterations=2)
    report = site.cycle()
    assert site.names() == ["site-htc-1", "site-htc-2"]
    assert report.names(LaunchState.REJECTED) == ["site-big-1", "site-big-2"]
    assert {record.error_code for record in site.records().values()} == {"", "PoolNotReady"}


def test_t08b_quota_that_shows_only_on_the_machines_sends_the_rest_to_the_other_size_at_once(
    make_site: Callable[..., Site],
) -> None:
    switches = {"quota": QuotaSettings(limits={"standardDSv5Family": 12})}
    site = make_site(switches, nodearrays=TWO_SIZES, quota={"live": False})
    site.scheduler.submit("array", iterations=5)
    site.cycle()
    site.advance(15)
    report = site.cycle()
    assert [release.cause for release in report.plan.releases] == [ReleaseCause.FAILED] * 2
    assert sorted(report.releases.deleted) == ["site-htc-4", "site-htc-5"]
    assert {claim.name: claim.bucket.vm_size for claim in report.plan.claims} == {
        "site-htc-6": OTHER_SIZE,
        "site-htc-7": OTHER_SIZE,
    }
    with site.ledger() as ledger:
        ((back_off, why),) = ledger.back_off_reasons(site.clock.now()).items()
    assert back_off.vm_size == SIZE
    assert "standardDSv5Family" in why
    site.boot()
    assert claimed(site.cycle().plan) == []
    assert len(site.names()) == 5


def test_t08b_machines_that_fail_for_capacity_are_not_made_again_and_again(site: Site) -> None:
    site.fault(kind="provisioning_failure", code="AllocationFailed")
    site.scheduler.submit("array", iterations=4)
    reports = site.cycles(10, every_s=30.0)
    assert len(site.created()) == 4
    assert sorted(site.deletes()) == sorted(site.created())
    assert reasons(reports[-1].plan) == {"CAPACITY_BACKOFF"}
    site.mend()
    site.advance(BACK_OFF_S[FaultKind.CAPACITY])
    assert len(claimed(site.cycle().plan)) == 4


# The batch header is ignored (batching.md B10)


def test_b10_where_the_batch_header_is_ignored_every_machine_still_comes_one_by_one(
    make_site: Callable[..., Site],
) -> None:
    site = make_site({"batch_mode": "unsupported"})
    site.scheduler.submit("array", iterations=7)
    report = site.cycle()
    assert site.names() == sorted(claimed(report.plan))
    assert (len(site.names()), report.is_clean) == (7, True)
    assert report.puts == len(site.puts()) == 7
    with site.ledger() as ledger:
        assert ledger.flag("batch_honoured:aks-emulated") == "no"


def test_b10_the_next_run_remembers_and_sends_no_batch_at_all(make_site: Callable[..., Site]) -> None:
    site = make_site({"batch_mode": "unsupported"})
    site.scheduler.submit("first", iterations=4)
    site.cycle()
    before = site.last_request
    site.scheduler.submit("second", iterations=4)
    report = site.cycle()
    assert [entry.operation for entry in site.puts(since=before)] == ["machine.put"] * 4
    assert all(entry.batch is None for entry in site.puts(since=before))
    assert (report.puts, len(site.names())) == (4, 8)


def test_a_cluster_that_honours_batches_is_remembered_as_well(site: Site) -> None:
    site.scheduler.submit("array", iterations=4)
    site.cycle()
    with site.ledger() as ledger:
        assert ledger.flag("batch_honoured:aks-emulated") == "yes"


@pytest.mark.parametrize("kind", ["reset_after", "error_after"])
def test_b9_an_answer_that_was_lost_after_the_work_is_no_second_machine(site: Site, kind: str) -> None:
    site.fault(kind=kind, operations=("machine.batch_put",), count=1)
    site.scheduler.submit("array", iterations=8)
    report = site.cycle()
    assert (len(site.names()), report.is_clean) == (8, True)
    assert claimed(site.cycle().plan) == []
    assert len(site.created()) == 8


@pytest.mark.parametrize("kind", ["reset_before", "error_before"])
def test_b9_a_request_that_did_nothing_is_sent_again_machine_by_machine(site: Site, kind: str) -> None:
    site.fault(kind=kind, operations=("machine.batch_put",), count=1)
    site.scheduler.submit("array", iterations=8)
    site.cycle()
    assert len(site.names()) == 8
    assert claimed(site.cycle().plan) == []
