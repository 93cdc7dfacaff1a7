"""A cycle with a slow source of limits decides by the last ones, and asks once a minute (user asks T09e, T11)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from unit.reconcile.fakes import accepted

from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.settings import QuotaSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

FAMILY = "standardDSv5Family"


def limited(make_site: Callable[..., Site]) -> Site:
    quota = QuotaSettings(limits={FAMILY: 40}, used_by_others={FAMILY: 20}, lag_s=0.0)
    return make_site({"quota": quota}, quota={"deadline_s": 0.3})


def test_a_cycle_goes_on_with_the_last_numbers_when_the_usages_are_slow(make_site: Callable[..., Site]) -> None:
    site = limited(make_site)
    site.cycle()
    site.emulator.state.faults.add(FaultRule(kind="slow", operations=("usage.list", "pool.list"), after_s=1.5))
    site.advance(61)
    for number in range(9):
        site.scheduler.submit(f"job{number}")
    report = site.cycle()
    assert len(accepted(report)) == 5  # 20 of 40 cores are left, by the numbers of a minute ago
    assert any("could not be read again" in notice for notice in report.observation.notices)


def test_limits_are_asked_for_once_a_minute_however_often_the_loop_turns(make_site: Callable[..., Site]) -> None:
    site = limited(make_site)
    for _ in range(8):
        site.cycle()
        site.advance(15)
    asked = Counter(entry.operation for entry in site.emulator.journal.entries())
    assert 1 <= asked["usage.list"] <= 3
    assert asked["sku.list"] <= 1
