"""A protected machine survives every way of being deleted (user ask T20)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import BOOT_S, IDLE_S, Site, claimed

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.reconcile.join import KEEP_ALIVE_TAG

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "site-htc-1"


def protect(site: Site, until: float | None = None) -> None:
    with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
        ledger.protect(NAME, owner="ann", reason="debugging", until=until, now=site.clock.now())


def unprotect(site: Site) -> None:
    with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
        assert ledger.unprotect(NAME)


def idle(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)


def never_boots(site: Site) -> None:
    site.fault(kind="node_never_registers", names=(NAME,))
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.advance(BOOT_S)


def fails(site: Site) -> None:
    site.fault(kind="provisioning_failure", names=(NAME,), code="VMExtensionProvisioningError")
    site.scheduler.submit("work")
    site.cycle()
    site.scheduler.finish()
    site.advance(15)


def lost(site: Site) -> None:
    site.fault(kind="node_lost", names=(NAME,), after_s=100.0)
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.advance(100)
    site.cycle()
    site.advance(BOOT_S + 1)


def half_closed(site: Site) -> None:
    idle(site)
    site.scheduler.failing["close"] = "slurmctld is away"
    site.cycle()
    site.scheduler.failing.clear()
    assert site.records()[NAME].state is MachineState.CLOSING


def comes_late(site: Site) -> None:
    """Refused by the ledger's account, and listed all the same."""
    site.scheduler.submit("work")
    site.cycle()
    site.scheduler.finish()
    with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
        ledger._connection.execute("UPDATE machines SET state = 'rejected', error_kind = 'unknown'")


WAYS = [idle, never_boots, fails, lost, half_closed, comes_late]


@pytest.mark.parametrize("way", WAYS)
def test_t20a_a_protected_machine_survives_and_leaves_when_the_protection_is_taken_back(
    site: Site, way: Callable[[Site], None]
) -> None:
    way(site)
    protect(site)
    for _ in range(3):
        assert site.cycle().releases.deleted == []
        site.advance(30)
    assert site.deletes() == []
    assert NAME in site.names()
    unprotect(site)
    gone: list[str] = []
    for _ in range(12):
        gone += site.cycle().releases.deleted
        site.advance(IDLE_S)
    assert gone == [NAME], "without the protection this very way deletes it"


def test_t20b_a_protection_ends_by_itself_and_is_told_with_its_owner_and_reason(site: Site) -> None:
    idle(site)
    protect(site, until=site.clock.now() + 100)
    report = site.cycle()
    assert report.releases.deleted == []
    (told,) = report.observation.notices
    assert "ann" in told
    assert "debugging" in told
    assert "2027-" in told, "the expiry is a date"
    site.advance(100)
    assert site.cycle().releases.deleted == [NAME]


def test_t20b_a_protected_machine_still_takes_work(site: Site) -> None:
    idle(site)
    protect(site)
    site.scheduler.submit("more")
    assert claimed(site.cycle().plan) == []


def test_t20a_a_machine_that_is_protected_while_it_is_being_closed_is_reopened(site: Site) -> None:
    half_closed(site)
    site.scheduler.closed.add(site.machine(NAME).node_name)
    protect(site)
    site.cycle()
    assert site.machine(NAME).node_name not in site.scheduler.closed
    assert site.records()[NAME].state is MachineState.READY


def test_a_machine_with_the_keep_alive_tag_is_protected_too(site: Site) -> None:
    idle(site)
    machine = site.machine(NAME)
    machine.tags = {**(machine.tags or {}), KEEP_ALIVE_TAG: "true"}
    machine.rendered = None
    assert site.cycle().releases.deleted == []
    machine.tags = {name: value for name, value in machine.tags.items() if name != KEEP_ALIVE_TAG}
    machine.rendered = None
    assert site.cycle().releases.deleted == [NAME]


def test_a_protection_that_comes_between_the_plan_and_the_delete_holds(site: Site) -> None:
    idle(site)
    with site.world() as world:
        real = world.ledger.protections
        calls = []

        def later(now: float) -> object:
            calls.append(now)
            if len(calls) == 2:
                world.ledger.protect(NAME, owner="ann", reason="look", until=None, now=now)
            return real(now)

        world.ledger.protections = later  # type: ignore[method-assign, assignment]
        assert run_cycle(world).releases.deleted == []
    assert site.deletes() == []
