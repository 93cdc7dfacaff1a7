"""Cycles one after another, and one writer at a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.site_fixture import make_site, site

from autoscale_aks.errors import LockHeldError
from autoscale_aks.ledger.lock import holder
from autoscale_aks.loop import run_until, writing_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from unit.reconcile.fakes import Site

__all__ = ["make_site", "site"]


class Still:
    """A clock that only notes for how long it was to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 1000.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_a_run_that_writes_keeps_every_other_writer_out_and_says_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with writing_ledger(path, "site", os.getpid(), Still()):
        held = holder(path)
        assert held is not None
        assert (held["owner"], held["pid"]) == ("site", os.getpid())
        with (
            pytest.raises(LockHeldError, match=rf"site, process {os.getpid()}.*1970-01-01T00:16:40Z"),
            writing_ledger(path, "site", os.getpid(), Still()),
        ):
            pass
    assert holder(path) is None


def test_the_lock_is_free_after_a_run_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(ZeroDivisionError), writing_ledger(path, "site", 1, Still()):
        raise ZeroDivisionError
    with writing_ledger(path, "site", 1, Still()) as ledger:
        assert ledger.machines() == ()


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
