"""Machines that were accepted and are no use: over quota, evicted, stuck, deleted by somebody (§2.5, §5.3, §9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from faults.fault_rig import POOL, by_state, check_books, chunks, names_of, refusals, template_of
from unit.reconcile.fakes import BOOT_S, OTHER_SIZE, SIZE, bucket, claimed

from autoscale_aks.cloud.aks.scale import Watch
from autoscale_aks.emulator.settings import QuotaSettings
from autoscale_aks.emulator.store import NodeStage, State
from autoscale_aks.model.launch import FaultKind, LaunchState

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.fault_rig import Rig
    from unit.reconcile.fakes import Site

CORES = 4
"""vCPUs of one machine of SIZE or OTHER_SIZE."""


def check_site(site: Site, count: int) -> None:
    """The site has what it needs and nothing else: emulator, ledger and plan agree, and no name was made twice."""
    assert claimed(site.cycle().plan) == []
    assert len(site.names()) == count
    assert set(site.records()) == set(site.names())
    assert {machine.node for machine in site.machines()} == {NodeStage.READY}
    assert set(site.emulator.state.pools()[0].generations.values()) == {1}
    assert all(machine.revision == 0 for machine in site.machines())


# Quota


@pytest.mark.parametrize("batch", [True, False], ids=["batch", "single"])
@pytest.mark.parametrize("limit", ["family", "regional", "spot"])
def test_quota_reached_midway_fails_the_rest_and_deleting_those_leaves_what_fits(
    make_rig: Callable[..., Rig], limit: str, batch: bool
) -> None:
    rig = make_rig(quota=QuotaSettings(**{limit: 7 * CORES}))
    client = rig.client()
    wanted = chunks(4, 5, template_of(spot=limit == "spot"))
    outcomes = client.launch(wanted, workers=4, batch=batch)
    check_books(rig, wanted, outcomes)
    rig.advance()
    listed = client.list_machines(POOL).machines
    failed = [machine for machine in listed if machine.is_failed]
    assert (len(listed), len(failed)) == (20, 13)
    assert {machine.error_kind for machine in failed} == {FaultKind.QUOTA}
    assert client.delete_machines(POOL, [machine.name for machine in failed]).refused == ()
    rig.advance()
    assert rig.alive() == {machine.name for machine in listed if not machine.is_failed}
    assert rig.doubled() == {}


def test_the_next_run_does_not_touch_a_failed_machine_that_holds_its_name(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(quota=QuotaSettings(family=3 * CORES))
    client = rig.client()
    wanted = chunks(1, 5)
    client.create_machines(wanted)
    rig.advance()
    again = client.create_machines(wanted)
    assert {each.kind for each in refusals(again).values()} == {FaultKind.QUOTA}
    assert len(by_state(again, LaunchState.ACCEPTED)) == 3
    assert rig.doubled() == {}
    assert len(rig.machines()) == 5


def test_scale_machine_says_which_machines_the_quota_took(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(quota=QuotaSettings(family=6 * CORES))
    names = [f"s-{index}" for index in range(10)]
    record = rig.client().scale_machine(template_of(), 10, 2, names=names, watch=Watch(poll_s=5.0))
    assert (record.successful_machines, len(record.failed_machines), record.success) == (6, 4, False)
    failed = {name for name, machine in rig.machines().items() if machine.state is State.FAILED}
    assert {machine.name for machine in record.failed_machines} == failed
    assert {machine.code for machine in record.failed_machines} == {"OperationNotAllowed"}


@pytest.mark.parametrize("cap", ["nodes_per_cluster", "machines_per_pool"])
def test_a_cap_of_the_cluster_reached_in_the_middle_of_a_batch(make_rig: Callable[..., Rig], cap: str) -> None:
    rig = make_rig(**{cap: 13})
    wanted = chunks(4, 5)
    outcomes = rig.client().create_machines(wanted)
    check_books(rig, wanted, outcomes)
    assert len(by_state(outcomes, LaunchState.ACCEPTED)) == len(rig.alive()) == 13
    assert {each.kind for each in refusals(outcomes).values()} == {FaultKind.VALIDATION}


@pytest.mark.parametrize("limits", [{"family": 7 * CORES}, {"limits": {"standardDSv5Family": 7 * CORES}}], ids=str)
def test_cycles_take_what_the_quota_gives_and_the_rest_of_another_size(
    make_site: Callable[..., Site], limits: dict[str, Any]
) -> None:
    site = make_site(
        {"quota": QuotaSettings(**limits)}, nodearrays={"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}}
    )
    site.scheduler.submit("array", iterations=12)
    for _ in range(12):
        site.cycle()
        site.boot()
    check_site(site, 12)
    sizes = [machine.size.name for machine in site.machines()]
    assert sizes.count(SIZE) == 7


def test_cycles_under_a_regional_quota_hold_what_fits_and_grow_when_it_is_raised(
    make_site: Callable[..., Site],
) -> None:
    site = make_site({"quota": QuotaSettings(regional=5 * CORES)})
    site.scheduler.submit("array", iterations=8)
    for _ in range(6):
        site.cycle()
        site.boot()
    good = [machine.name for machine in site.machines() if machine.state is State.SUCCEEDED]
    assert len(good) == 5
    for quota in site.emulator.state.quotas.values():
        quota.set_limit("cores", 100)
    site.cycles(8, every_s=300.0)
    check_site(site, 8)
    assert set(good) <= set(site.names())


# Eviction, and VMs that somebody deleted


def hit_running(site: Site, **rule: Any) -> None:
    """A fault that strikes what runs now, and nothing that comes later."""
    answer = requests.post(f"{site.emulator.base_url}/_emulator/faults", json=rule, timeout=10)
    assert answer.status_code == 201, answer.text
    site.mend()


def spot_site(make_site: Callable[..., Site], **switches: Any) -> Site:
    return make_site(switches, nodearrays={"htc": {"spot": True, "buckets": [bucket()]}})


@pytest.mark.parametrize("kind", ["evict", "vm_deleted"])
@pytest.mark.parametrize("list_vm_state", ["always", "expand"])
def test_half_of_a_running_array_is_evicted_and_replaced(
    make_site: Callable[..., Site], kind: str, list_vm_state: str
) -> None:
    site = spot_site(make_site, list_vm_state=list_vm_state)
    site.scheduler.submit("array", iterations=10)
    site.cycle()
    site.boot()
    site.cycle()
    hit_running(site, kind=kind, every=2)
    lost = {machine.name for machine in site.machines() if machine.vm_state == "Deleted"}
    assert len(lost) == 5
    site.cycles(6, every_s=90.0)
    check_site(site, 10)
    assert lost.isdisjoint(site.names())


def test_machines_evicted_while_they_boot_are_replaced(make_site: Callable[..., Site]) -> None:
    site = spot_site(make_site)
    site.scheduler.submit("array", iterations=10)
    site.fault(kind="evict", names=("*-1", "*-4", "*-7"), after_s=5.0)
    site.cycles(6, every_s=90.0)
    check_site(site, 10)
    assert {"site-htc-1", "site-htc-4", "site-htc-7"}.isdisjoint(site.names())


def test_a_wave_that_is_evicted_again_and_again_never_leaves_more_than_is_needed(
    make_site: Callable[..., Site],
) -> None:
    site = spot_site(make_site)
    site.scheduler.submit("array", iterations=6)
    site.fault(kind="evict", probability=0.5, after_s=1.0, count=12)
    for _ in range(20):
        site.cycle()
        site.advance(45.0)
        useful = [machine for machine in site.machines() if machine.vm_state != "Deleted"]
        assert len([machine for machine in useful if machine.state is not State.DELETING]) <= 6
    check_site(site, 6)


def test_an_evicted_machine_is_still_there_for_the_client_until_it_is_deleted(rig: Rig) -> None:
    wanted = chunks(1, 4, template_of(spot=True))
    client = rig.client()
    rig.fault(kind="evict", names=("m-0-1",), after_s=1.0)
    outcomes = client.create_machines(wanted)
    rig.advance()
    check_books(rig, wanted, outcomes)
    again = client.create_machines(wanted)
    assert set(refusals(again)) == {"m-0-1"}
    assert client.delete_machines(POOL, ["m-0-1"]).refused == ()
    rig.mend()
    rig.advance()
    third = client.create_machines(wanted)
    assert (refusals(third), rig.alive()) == ({}, set(names_of(wanted)))
    assert rig.pool.generations == {name: 2 if name == "m-0-1" else 1 for name in names_of(wanted)}


# Canceled, and stuck


def test_machines_whose_creation_is_canceled_are_deleted_and_replaced(site: Site) -> None:
    """§2.4: nobody has seen it, and it counts as failed."""
    site.scheduler.submit("array", iterations=8)
    rule = site.fault(kind="provisioning_canceled", names=("*-3", "*-6"))
    site.cycle()
    site.emulator.state.faults.remove(rule)
    site.cycles(6, every_s=90.0)
    check_site(site, 8)
    assert {"site-htc-3", "site-htc-6"}.isdisjoint(site.names())


@pytest.mark.parametrize("kind", ["stuck_creating", "node_never_registers", "node_never_ready"])
def test_machines_that_never_come_up_are_given_up_after_the_boot_timeout_and_replaced(site: Site, kind: str) -> None:
    site.scheduler.submit("array", iterations=8)
    rule = site.fault(kind=kind, names=("*-2", "*-5"))
    site.cycle()
    site.emulator.state.faults.remove(rule)
    site.boot()
    site.cycles(5, every_s=120.0)
    assert site.deletes() == [], "they have until their boot timeout"
    site.advance(BOOT_S)
    site.cycles(5, every_s=90.0)
    check_site(site, 8)
    assert sorted(site.deletes()) == ["site-htc-2", "site-htc-5"]


def test_a_stuck_machine_counts_as_accepted_and_can_be_deleted(rig: Rig) -> None:
    rig.fault(kind="stuck_creating", names=("m-0-1",))
    client = rig.client()
    wanted = chunks(1, 3)
    outcomes = client.create_machines(wanted)
    rig.advance()
    check_books(rig, wanted, outcomes)
    assert {machine.name: machine.provisioning_state for machine in client.list_machines(POOL).machines} == {
        "m-0-0": "Succeeded",
        "m-0-1": "Creating",
        "m-0-2": "Succeeded",
    }
    assert client.delete_machines(POOL, ["m-0-1"]).refused == ()
    rig.advance()
    assert set(rig.machines()) == {"m-0-0", "m-0-2"}


def test_scale_machine_does_not_wait_for_a_stuck_machine_beyond_its_time(rig: Rig) -> None:
    rig.fault(kind="stuck_creating", names=("s-3",))
    names = [f"s-{index}" for index in range(10)]
    record = rig.client().scale_machine(template_of(), 10, 1, names=names, watch=Watch(timeout_s=300.0, poll_s=5.0))
    assert record.readiness["P90"].elapsed_s is not None
    assert (record.readiness["P100"].elapsed_s, record.success) == (None, False)
    assert rig.alive() == set(names)
