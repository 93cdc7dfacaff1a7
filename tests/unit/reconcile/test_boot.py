"""Machines on their way up: stages, deadlines, dead boots and the circuit of a bucket and image (user ask T12)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import (
    BOOT_S,
    BOOTED_S,
    OTHER_SIZE,
    SIZE,
    SKU_GONE_S,
    Site,
    accepted,
    bucket,
    claimed,
    reasons,
)
from unit.reconcile.test_join import RECORD

from autoscale_aks.emulator.store import NodeStage
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.launch import FaultKind, LaunchOutcome, LaunchState
from autoscale_aks.model.plan import ReleaseCause
from autoscale_aks.reconcile.stages import boot_deadline
from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "site-htc-1"
ASKED = RECORD.asked_at


# Stages


def test_t12a_every_stage_is_recorded_with_its_first_moment(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    moments = [(None, None, None)]
    for _ in range(8):
        site.advance(10)
        site.cycle()
        record = site.records()[NAME]
        moments.append((record.provisioned_at, record.registered_at, record.ready_at))
    asked = site.records()[NAME].asked_at
    provisioned, registered, ready = moments[-1]
    assert provisioned is not None
    assert registered is not None
    assert ready is not None
    assert asked < provisioned <= registered <= ready
    assert len({moment for moment, _, _ in moments if moment is not None}) == 1, "the first time is kept"


@pytest.mark.parametrize(
    ("reached", "deadline"),
    [
        ({}, 1000.0),
        ({"provisioned_at": ASKED + 400.0}, 1000.0),
        ({"provisioned_at": ASKED + 501.0}, 1500.0),
        ({"provisioned_at": ASKED + 10.0, "registered_at": ASKED + 900.0}, 1500.0),
        ({"provisioned_at": ASKED + 900.0, "registered_at": ASKED + 1400.0}, 1500.0),
        ({"provisioned_at": ASKED + 1001.0}, 1000.0),
    ],
)
def test_t12a_visible_progress_late_in_its_time_gives_a_machine_one_extension(
    reached: dict[str, Any], deadline: float
) -> None:
    assert boot_deadline(replace(RECORD, **reached), 1000.0) == ASKED + deadline


@pytest.mark.parametrize(
    ("reached", "deadline"),
    [
        ({}, 100.0),
        ({"provisioned_at": ASKED + 90.0}, 290.0),
        ({"provisioned_at": ASKED + 90.0, "registered_at": ASKED + 280.0}, 330.0),
        ({"provisioned_at": ASKED + 900.0}, 1100.0),
        ({"provisioned_at": ASKED + 90.0, "registered_at": ASKED + 280.0, "ready_at": ASKED + 300.0}, 1000.0),
    ],
)
def test_t12a_a_stage_may_have_a_clock_of_its_own_which_ends_a_boot_before_its_time(
    reached: dict[str, Any], deadline: float
) -> None:
    assert boot_deadline(replace(RECORD, **reached), 1000.0, (100.0, 200.0, 50.0)) == ASKED + deadline


def test_t12a_a_machine_that_is_not_provisioned_in_its_stage_s_time_is_replaced(make_site: Callable[..., Site]) -> None:
    site = make_site(policy={"boot_stages": {"provisioned": {"htc": 100}}})
    site.fault(kind="stuck_creating", names=(NAME,))
    site.scheduler.submit("work")
    site.cycle()
    site.advance(90)
    assert site.cycle().releases.deleted == []
    site.advance(15)
    report = site.cycle()
    assert (report.releases.deleted, accepted(report)) == ([NAME], ["site-htc-2"])


def test_t12a_a_node_that_is_known_and_takes_no_work_in_its_stage_s_time_is_replaced(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(policy={"boot_stages": {"ready": {"default": 90}}})
    site.fault(kind="node_never_ready", names=(NAME,))
    site.scheduler.submit("work")
    site.cycle()
    site.advance(45)
    site.cycle()
    assert site.records()[NAME].registered_at == site.clock.now()
    site.advance(90)
    assert site.cycle().releases.deleted == []
    site.advance(1)
    report = site.cycle()
    assert (report.releases.deleted, accepted(report)) == ([NAME], ["site-htc-2"])


def test_t12a_a_machine_that_registers_late_is_waited_for_and_not_bought_again(make_site: Callable[..., Site]) -> None:
    site = make_site(boot_timeout=50)
    site.fault(kind="node_never_ready", names=(NAME,))
    site.scheduler.submit("work")
    site.cycle()
    site.advance(45)
    assert claimed(site.cycle().plan) == [], "provisioned and registered in its second half"
    site.advance(20)
    report = site.cycle()
    assert (claimed(report.plan), report.releases.deleted) == ([], []), "past its time, within its extension"
    site.advance(20)
    report = site.cycle()
    assert (claimed(report.plan), report.releases.deleted) == (["site-htc-2"], [NAME])


def assigned_to_a_dead_boot(site: Site, state: str) -> None:
    """The scheduler has given a job to a node that never comes up."""
    real = site.scheduler.read

    def read() -> SchedulerState:
        told = real()
        known = [one for one in told.nodes or () if one.machine != NAME]
        dead = SchedulerNode(name="htc-dead", machine=NAME, state=state, job_ids=("17",))
        return replace(told, nodes=(*known, dead), running={"htc-dead": ("17",)})

    site.scheduler.read = read  # type: ignore[method-assign]


def test_t12b_work_that_is_assigned_and_cannot_run_never_protects_a_dead_boot(site: Site) -> None:
    site.fault(kind="stuck_creating", names=(NAME,))
    site.scheduler.submit("work")
    site.cycle()
    assigned_to_a_dead_boot(site, "Booting")
    site.advance(BOOT_S + 1)
    report = site.cycle()
    assert [release.cause for release in report.plan.releases] == [ReleaseCause.BOOT_TIMEOUT]
    assert report.releases.deleted == [NAME]


def test_a_job_that_runs_protects_a_machine_whatever_the_cluster_says_of_it(site: Site) -> None:
    site.fault(kind="node_never_ready", names=(NAME,))
    site.scheduler.submit("work")
    site.cycle()
    assigned_to_a_dead_boot(site, "Ready")
    site.advance(BOOT_S * 3)
    for _ in range(3):
        assert site.cycle().releases.deleted == []
        site.advance(BOOT_S)


def test_a_ready_machine_that_is_lost_is_no_capacity_and_leaves_after_the_boot_timeout(site: Site) -> None:
    site.fault(kind="node_lost", names=(NAME,), after_s=200.0)
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.advance(200)
    assert site.machine(NAME).node is not NodeStage.READY
    assert claimed(site.cycle().plan) == [], "out of sight for a moment"
    site.advance(121)
    report = site.cycle()
    assert (claimed(report.plan), report.releases.deleted) == (["site-htc-2"], [])
    site.advance(BOOT_S)
    report = site.cycle()
    assert [release.cause for release in report.plan.releases] == [ReleaseCause.LOST]
    assert report.releases.deleted == [NAME]


def test_t13_a_delete_that_got_lost_is_tried_again(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
        ledger.record_seen({NAME: MachineState.CLOSING}, site.clock.now())
        ledger.record_seen({NAME: MachineState.DELETING}, site.clock.now())
    assert site.cycle().releases.deleted == [], "the list may be late"
    site.advance(121)
    assert site.cycle().releases.deleted == [NAME]


# Evidence


def test_t12e_the_evidence_of_a_failure_outlives_the_machine(site: Site) -> None:
    site.fault(kind="provisioning_failure", names=(NAME,), code="VMExtensionProvisioningError", message="no DNS")
    site.scheduler.submit("work")
    site.cycle()
    site.advance(15)
    site.cycle()
    site.advance(60)
    site.cycle()
    record = site.records(gone=True)[NAME]
    assert (record.state, record.error_code) == (MachineState.GONE, "VMExtensionProvisioningError")
    assert "no DNS" in record.error_message


def test_t12e_a_boot_that_timed_out_says_how_far_it_got(site: Site) -> None:
    site.fault(kind="node_never_registers", names=(NAME,))
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.advance(BOOT_S)
    site.cycle()
    record = site.records()[NAME]
    assert record.error_code == "BootTimeout"
    assert "provisioned" in record.error_message


# The circuit


def broken_site(make_site: Callable[..., Site], **more: Any) -> Site:
    """No machine of the size joins; three at a time are asked for."""
    site = make_site(policy={"boot_circuit": {"failures": 3, "retry": 3600}, **more.pop("policy", {})}, **more)
    site.fault(kind="node_never_registers", sizes=(SIZE,))
    site.scheduler.submit("array", iterations=3)
    site.cycle()
    site.boot()
    site.cycle()
    site.advance(BOOT_S)
    return site


def test_t12c_machines_in_a_row_that_do_not_join_open_the_circuit_of_their_bucket_at_once(
    make_site: Callable[..., Site],
) -> None:
    site = broken_site(make_site)
    for _ in range(3):
        report = site.cycle()
        assert (accepted(report), reasons(report.plan)) == ([], {"BOOT_CIRCUIT_OPEN"})
        site.advance(10)
    assert len(site.created()) == 3
    told = " ".join(report.observation.notices)
    assert "BOOT_CIRCUIT_OPEN" in told
    assert "not ready in time; it got as far as provisioned" in told


def test_t12c_other_buckets_are_not_affected(make_site: Callable[..., Site]) -> None:
    site = broken_site(make_site, nodearrays={"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}})
    site.cycle()
    made = {machine.size.name for machine in site.machines() if machine.state.value != "Deleting"}
    assert made == {OTHER_SIZE}


def open_circuit(site: Site) -> None:
    assert reasons(site.cycle().plan) == {"BOOT_CIRCUIT_OPEN"}


def test_t12c_after_the_pause_one_machine_is_tried_and_its_success_closes_the_circuit(
    make_site: Callable[..., Site],
) -> None:
    site = broken_site(make_site)
    open_circuit(site)
    site.mend()
    site.advance(3600)
    report = site.cycle()
    assert len(accepted(report)) == 1, "a probe, whatever the demand"
    assert accepted(site.cycle()) == [], "one at a time"
    site.advance(BOOTED_S)
    assert len(accepted(site.cycle())) == 2, "the rest of the work"
    with site.ledger() as ledger:
        assert ledger.circuits() == ()


def test_t12c_a_probe_that_fails_opens_the_circuit_anew(make_site: Callable[..., Site]) -> None:
    site = broken_site(make_site)
    open_circuit(site)
    site.advance(3600)
    assert len(accepted(site.cycle())) == 1
    site.advance(BOOT_S + 1)
    report = site.cycle()
    assert (accepted(report), reasons(report.plan)) == ([], {"BOOT_CIRCUIT_OPEN"})


def test_t12c_another_image_or_a_reset_by_hand_closes_the_circuit(make_site: Callable[..., Site]) -> None:
    site = broken_site(make_site)
    open_circuit(site)
    site.document["nodearrays"]["htc"]["os_sku"] = "AzureLinux"
    _, other_image = site.demand()
    assert len(claimed(other_image)) == 3
    del site.document["nodearrays"]["htc"]["os_sku"]
    assert claimed(site.demand()[1]) == []
    with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
        assert ledger.reset_circuits("htc", SIZE) == 1
    assert len(claimed(site.demand()[1])) == 3


def test_t12d_scarce_capacity_is_no_boot_failure(make_site: Callable[..., Site]) -> None:
    site = make_site(policy={"boot_circuit": {"failures": 1}})
    site.fault(kind="provisioning_failure", code="AllocationFailed")
    site.scheduler.submit("array", iterations=4)
    site.cycles(4, every_s=30.0)
    with site.ledger() as ledger:
        assert ledger.circuits() == ()


# Late success


def refused_by_account(site: Site, name: str) -> None:
    """The ledger believes that a machine was refused; the cloud made it."""
    with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
        query = "UPDATE machines SET state = 'rejected', error_kind = 'unknown', error_code = 'Lost' WHERE name = ?"
        ledger._connection.execute(query, (name,))


def test_t13e_a_late_success_that_is_wanted_is_adopted(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    refused_by_account(site, NAME)
    report = site.cycle()
    assert (claimed(report.plan), report.releases.deleted) == ([], [])
    site.boot()
    site.cycle()
    assert site.records()[NAME].state is MachineState.READY
    assert site.deletes() == []


def test_t13e_a_late_success_that_nothing_wants_is_released_at_once(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.scheduler.finish()
    refused_by_account(site, NAME)
    report = site.cycle()
    assert [release.cause for release in report.plan.releases] == [ReleaseCause.LATE]
    assert report.releases.deleted == [NAME]


@pytest.mark.parametrize("wanted", [True, False])
def test_t13e_a_machine_that_was_believed_gone_and_is_listed_again_is_late_as_well(site: Site, wanted: bool) -> None:
    site.scheduler.submit("work")
    site.cycle()
    with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
        ledger.record_seen({NAME: MachineState.GONE}, site.clock.now())
    if not wanted:
        site.scheduler.finish()
    report = site.cycle()
    assert claimed(report.plan) == []
    assert report.releases.deleted == ([] if wanted else [NAME])


def test_a_machine_whose_answer_was_lost_and_that_is_listed_is_no_late_success(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
        lost = LaunchOutcome(name=NAME, state=LaunchState.UNKNOWN, kind=FaultKind.TRANSIENT, code="Reset", message="?")
        ledger.record_outcomes([lost], site.clock.now())
    site.cycle()
    record = site.records()[NAME]
    assert (record.state, record.error_kind, record.is_late) == (MachineState.LISTED, None, False)
    site.scheduler.finish()
    assert site.cycle().releases.deleted == [], "it was never refused: it boots, and leaves when it is idle"


def test_a_dead_boot_whose_close_is_taken_back_is_not_taken_for_a_machine_that_was_ready(site: Site) -> None:
    site.fault(kind="node_never_registers", names=(NAME,))
    site.scheduler.submit("work")
    site.cycle()
    site.advance(BOOT_S + 1)
    looks = site.scheduler.reads
    site.scheduler.before_read = lambda number: setattr(site.scheduler, "complete", number != looks + 2)
    assert site.cycle().releases.deleted == []
    record = site.records()[NAME]
    assert (record.state, record.ready_at) == (MachineState.LISTED, None)
    assert site.cycle().releases.deleted == [NAME]


@pytest.mark.parametrize("operation", ["node.list", "machine.list"])
def test_a_machine_whose_boot_nobody_can_see_is_neither_given_up_nor_bought_again(site: Site, operation: str) -> None:
    site.scheduler.submit("work", iterations=3)
    site.cycle()
    site.advance(10)
    site.fault(kind="error_before", operations=(operation,), status=500)
    site.cycle()
    site.advance(BOOT_S + 1)
    report = site.cycle()
    assert (claimed(report.plan), report.releases.deleted) == ([], [])
    with site.ledger() as ledger:
        assert ledger.circuits() == ()
    site.mend()
    assert claimed(site.cycle().plan) == []
    assert {record.error_kind for record in site.records().values()} == {None}


def test_t12c_a_probe_is_one_machine_over_all_rounds_of_a_cycle(make_site: Callable[..., Site]) -> None:
    site = broken_site(make_site, nodearrays={"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}})
    sold_out = {"kind": "client_error", "sizes": (OTHER_SIZE,), "code": "SkuNotAvailable"}
    site.fault(**sold_out)
    site.cycle()
    site.mend()
    site.fault(**sold_out)
    site.advance(SKU_GONE_S + 1)
    report = site.cycle()
    asked = [claim.bucket.vm_size for plan in report.rounds for claim in plan.claims]
    assert (asked.count(SIZE), asked.count(OTHER_SIZE)) == (1, 2)
