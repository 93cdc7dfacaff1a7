"""`demand` is `autoscale` without its effects: it writes nowhere, and decides the same (user ask T25)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import IDLE_S, chunk_names, claimed

from autoscale_aks.cli import wiring
from autoscale_aks.errors import LedgerError
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from pathlib import Path

    from unit.reconcile.fakes import Site


def mixed_site(site: Site) -> Site:
    """Machines that run, idle, boot and failed, and work that waits."""
    site.scheduler.submit("old", iterations=3)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)
    site.scheduler.start("running", "site-htc-1")
    site.fault(kind="provisioning_failure", names=("site-htc-4",), code="FailedToCreateOrUpdateVirtualMachineExtension")
    site.scheduler.submit("new", iterations=5)
    site.cycle()
    site.advance(15)
    site.scheduler.submit("newest", iterations=70)
    return site


def mark(path: Path) -> tuple[bytes, int, list[str]]:
    return path.read_bytes(), path.stat().st_mtime_ns, sorted(child.name for child in path.parent.iterdir())


def test_t25b_the_cloud_sees_only_gets(site: Site) -> None:
    mixed_site(site)
    before = site.last_request
    _, plan = site.demand()
    assert plan.claims
    assert plan.releases
    asked = site.requests(since=before)
    assert asked
    assert {entry.method for entry in asked} == {"GET"}


def test_t25b_the_ledger_does_not_change_by_a_byte(site: Site) -> None:
    mixed_site(site)
    before = mark(site.ledger_path)
    site.demand()
    assert mark(site.ledger_path) == before


def test_t25b_an_absent_ledger_is_not_made(site: Site) -> None:
    site.scheduler.submit("work", iterations=3)
    _, plan = site.demand()
    assert claimed(plan) == ["site-htc-1", "site-htc-2", "site-htc-3"]
    assert [*site.directory.iterdir()] == []


def test_t25b_the_scheduler_is_only_read(site: Site) -> None:
    mixed_site(site)
    site.scheduler.calls.clear()
    site.demand()
    assert [method for method, _ in site.scheduler.calls] == ["read"]


def test_t25b_a_dry_run_needs_no_lock(site: Site) -> None:
    site.scheduler.submit("work", iterations=3)
    with site.world() as world:
        assert claimed(site.demand()[1]) == claimed(run_cycle(world).plan)


def test_what_a_dry_run_could_write_it_may_not(site: Site) -> None:
    with wiring.reading_world(site.config, site.clock) as world, pytest.raises(LedgerError, match="reading only"):
        world.ledger.begin_cycle("p", 0.0)


def test_t25a_demand_is_what_autoscale_then_does_name_by_name(site: Site) -> None:
    mixed_site(site)
    before = site.last_request
    _, shown = site.demand()
    report = site.cycle()
    assert shown == report.plan
    assert chunk_names(shown) == chunk_names(report.plan)
    put = [entry.names for entry in site.puts(since=before)]
    assert sorted(put) == sorted(chunk_names(shown))
    gone = {release.node.name for release in shown.releases}
    assert set(report.releases.deleted) == gone
    assert {name for entry in site.requests("machine.delete", since=before) for name in entry.names} == gone


def test_t25a_two_dry_runs_of_the_same_moment_are_equal(site: Site) -> None:
    mixed_site(site)
    assert site.demand()[1] == site.demand()[1]
