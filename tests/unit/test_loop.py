"""Cycles one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unit.reconcile.site_fixture import make_site, site

from autoscale_aks.loop import run_until

if TYPE_CHECKING:
    from unit.reconcile.fakes import Site

__all__ = ["make_site", "site"]


def test_cycles_run_at_the_interval_until_the_work_is_done(site: Site) -> None:
    site.scheduler.submit("work", iterations=2)
    begun = site.clock.now()
    with site.world() as world:
        reports = run_until(world, lambda report: bool(report.observation.ready), interval_s=20.0, cycles=50)
    assert len(reports) == 4
    assert 60 <= site.clock.now() - begun < 70
    assert [len(report.plan.claims) for report in reports] == [2, 0, 0, 0]


def test_at_most_so_many_cycles_run(site: Site) -> None:
    with site.world() as world:
        assert len(run_until(world, lambda _: False, interval_s=20.0, cycles=3)) == 3
