"""Machines that failed and whose nodes the scheduler knows: released like any other, and never under a job (T14a)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import BOOTED_S

from autoscale_aks.cloud.aks.client import AksClient
from autoscale_aks.model.launch import FaultKind
from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

    from autoscale_aks.model.launch import MachineListing

NAME = "site-htc-1"


@pytest.fixture
def failed(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An extension of the VM failed; its node came up all the same and is open."""
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    real: Callable[..., MachineListing] = AksClient.list_machines

    def listed(*arguments: Any, **options: Any) -> MachineListing:
        found = real(*arguments, **options)
        return replace(found, machines=tuple(replace(one, **FAILURE) for one in found.machines))

    monkeypatch.setattr(AksClient, "list_machines", listed)
    return site


FAILURE: dict[str, Any] = {
    "provisioning_state": "Failed",
    "error_kind": FaultKind.UNKNOWN,
    "error_code": "VMExtensionProvisioningError",
    "error_message": "exit code 50",
}


def test_t14a_a_job_that_lands_on_a_failed_machine_between_the_looks_keeps_it(failed: Site) -> None:
    looks = failed.scheduler.reads

    def land(number: int) -> None:
        if number == looks + 2:
            failed.scheduler.start("landed", NAME)

    failed.scheduler.before_read = land
    report = failed.cycle()
    assert (report.releases.deleted, report.releases.reopened) == ([], [NAME])
    assert failed.scheduler.closed == set()


def test_a_failed_machine_without_work_is_closed_before_it_is_deleted(failed: Site) -> None:
    assert failed.cycle().releases.deleted == [NAME]
    told = [method for method, _ in failed.scheduler.calls]
    assert told[-4:] == ["read", "close", "read", "remove"]


def test_a_failed_machine_that_is_open_and_cannot_be_closed_stays(failed: Site) -> None:
    failed.scheduler.wont_close = {failed.machine(NAME).node_name}
    report = failed.cycle()
    assert (report.releases.deleted, report.releases.kept) == ([], {NAME: "the scheduler did not close it"})


def in_state(site: Site, state: str, *jobs: str) -> None:
    """The scheduler shows the node so, with these jobs."""
    real = site.scheduler.read

    def read() -> SchedulerState:
        node = SchedulerNode(name="htc-1", machine=NAME, state=state, job_ids=jobs)
        return replace(real(), nodes=(node,), running={"htc-1": jobs} if jobs else {})

    site.scheduler.read = read  # type: ignore[method-assign]


@pytest.mark.parametrize("state", ["Down", "Booting"])
def test_a_failed_machine_whose_node_is_not_up_goes_though_it_cannot_be_closed(failed: Site, state: str) -> None:
    in_state(failed, state)
    failed.scheduler.wont_close = {"htc-1"}
    assert failed.cycle().releases.deleted == [NAME]


def test_t12b_work_that_is_assigned_and_cannot_run_never_protects_a_machine_that_was_not_made(site: Site) -> None:
    site.fault(kind="provisioning_failure", names=(NAME,), code="VMExtensionProvisioningError")
    site.scheduler.submit("work")
    site.cycle()
    in_state(site, "Booting", "17")
    site.advance(BOOTED_S)
    assert site.cycle().releases.deleted == [NAME]


def test_t13_a_machine_that_is_gone_is_kept_in_mind_until_the_scheduler_can_be_told(failed: Site) -> None:
    """While the scheduler's answer is not whole its node may be hidden: forgotten now, it would stay there for ever."""
    with failed.world() as world:
        world.cloud.delete_machines("htc", [NAME])
    failed.advance(BOOTED_S)
    in_state(failed, "Down")
    whole = failed.scheduler.read
    failed.scheduler.read = lambda: replace(whole(), nodes=(), complete=False)  # type: ignore[method-assign]
    failed.cycle()
    assert NAME in failed.records()
    assert failed.scheduler.told("remove") == []
    failed.scheduler.read = whole  # type: ignore[method-assign]
    failed.cycle()
    assert failed.scheduler.told("remove") == ["htc-1"]
    assert failed.records() == {}
