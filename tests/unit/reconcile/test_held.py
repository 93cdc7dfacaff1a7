"""Nodes that somebody closes before they were ever ready: boots that fail in their time, told of, and not doubled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import BOOT_S, BOOTED_S, Site, accepted, claimed

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.plan import ReleaseCause

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.schedulers.port import SchedulerState

NAME = "site-htc-1"


def close_at_birth(site: Site, state: str = "Closed") -> None:
    """Each node registers with the scheduler in this state: a drain by the scheduler itself, or by an administrator."""
    real = site.scheduler.read

    def read() -> SchedulerState:
        told = real()
        return replace(told, nodes=tuple(replace(node, state=state) for node in told.nodes or ()))

    site.scheduler.read = read  # type: ignore[method-assign]


@pytest.fixture
def held(site: Site) -> Site:
    """A machine that came up closed."""
    close_at_birth(site)
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    return site


def told(site: Site) -> str:
    return " ".join(site.cycle().observation.notices)


def test_t12_machines_that_come_up_closed_are_not_bought_again_in_every_cycle(held: Site) -> None:
    for _ in range(5):
        assert claimed(held.cycle().plan) == []
        held.advance(60.0)
    assert held.created() == [NAME]


def test_t28_what_holds_a_machine_back_and_until_when_is_said_in_every_cycle(held: Site) -> None:
    for _ in range(2):
        assert f"never ready, {NAME}: its node is closed in the scheduler; given up from" in told(held)


def test_t12_a_machine_that_was_never_ready_and_is_closed_is_a_failed_boot_whose_reason_names_it(held: Site) -> None:
    held.cycle()
    held.advance(BOOT_S)
    report = held.cycle()
    assert [release.cause for release in report.plan.releases] == [ReleaseCause.BOOT_TIMEOUT]
    assert report.releases.deleted == [NAME]
    evidence = held.records(gone=True)[NAME].error_message
    assert evidence == "not ready in time; it got as far as registered; its node is closed in the scheduler"


def test_t12c_an_image_whose_nodes_all_come_up_closed_opens_its_circuit(make_site: Callable[..., Site]) -> None:
    site = make_site(policy={"boot_circuit": {"failures": 3, "retry": 1e6}})
    close_at_birth(site)
    site.scheduler.submit("work", iterations=3)
    for _ in range(12):
        site.cycle()
        site.advance(BOOT_S / 3)
    assert len(site.created()) == 3
    assert site.names() == []


def test_t20_a_protection_keeps_a_machine_that_was_closed_before_it_was_ready(held: Site) -> None:
    with Ledger.open(held.ledger_path, now=held.clock.now()) as ledger:
        ledger.protect(NAME, owner="ann", reason="looking at it", until=None, now=held.clock.now())
    for _ in range(3):
        held.advance(BOOT_S)
        assert NAME not in held.cycle().releases.deleted


def test_a_machine_that_is_opened_in_time_is_ready_and_takes_its_work(held: Site) -> None:
    held.cycle()
    del held.scheduler.read  # type: ignore[misc]
    report = held.cycle()
    assert report.observation.ready.keys() == {NAME}
    assert (accepted(report), held.deletes()) == ([], [])


def test_t20_a_closed_machine_that_a_lost_ledger_took_in_stays_and_is_told_of(held: Site) -> None:
    """Nobody knows whether it was in use before somebody closed it."""
    held.scheduler.finish()
    held.ledger_path.unlink()
    for _ in range(3):
        assert f"{NAME}: its node is closed in the scheduler, and whether it ever was ready" in told(held)
        held.advance(BOOT_S)
    assert held.deletes() == []


def test_t14_work_on_a_node_that_is_drained_at_the_first_look_keeps_it(held: Site) -> None:
    """It took a job between two looks, and was drained."""
    held.scheduler.start("work", NAME)
    for _ in range(3):
        report = held.cycle()
        assert (report.releases.deleted, report.observation.failed) == ([], ())
        held.advance(BOOT_S)


def test_t20_a_node_that_somebody_else_closed_is_never_opened_by_us(held: Site) -> None:
    """A job is found on the second look: the machine stays, and so does the administrator's word."""
    held.cycle()
    held.advance(BOOT_S)
    looks = held.scheduler.reads
    held.scheduler.before_read = lambda number: held.scheduler.start("work", NAME) if number == looks + 2 else None
    report = held.cycle()
    assert (report.releases.deleted, report.releases.reopened) == ([], [NAME])
    assert held.scheduler.told("reopen") == []
    assert held.records()[NAME].state is MachineState.LISTED


def test_t03_a_node_that_the_scheduler_finds_down_before_it_has_spoken_is_on_its_way(site: Site) -> None:
    """As between the kubelet and the scheduler's own daemon: bought once, and failed if it stays so."""
    close_at_birth(site, "Down")
    site.scheduler.submit("work")
    for _ in range(3):
        site.cycle()
        site.advance(BOOTED_S)
    assert site.created() == [NAME]
    site.advance(BOOT_S)
    site.cycle()
    assert "its node is down in the scheduler" in site.records(gone=True)[NAME].error_message
