"""Stories that other autoscalers lose money or jobs on (user asks T03b, T13c, T15c)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import IDLE_S, Site, claimed

from autoscale_aks.emulator.draws import Delay
from autoscale_aks.emulator.settings import Timing
from autoscale_aks.emulator.store import NodeStage

if TYPE_CHECKING:
    from collections.abc import Callable

SLOW = Timing(
    pool_create=Delay(1.0),
    machine_create=Delay(450.0, 120.0, "uniform"),
    machine_fail=Delay(10.0),
    machine_delete=Delay(20.0),
    node_register=Delay(20.0, 60.0),
    node_ready=Delay(20.0, 60.0),
)
"""Ten-minute boots, staggered."""


@pytest.mark.parametrize("starts", ["at once", "staggered", "in the middle of the boots"])
def test_t03b_64_jobs_with_ticks_of_15_seconds_and_ten_minute_boots_make_exactly_64_machines(
    make_site: Callable[..., Site], starts: str
) -> None:
    site = make_site({"timing": SLOW})
    site.scheduler.submit("job-0")
    for number in range(1, 64):
        site.scheduler.submit(f"job-{number}")
    dice, joined = random.Random(starts), set()
    site.scheduler.joins = lambda name: name in joined
    for _ in range(140):
        site.cycle()
        site.advance(15)
        up = [machine.name for machine in site.machines() if machine.node is NodeStage.READY]
        joined.update(up if starts == "at once" else dice.sample(up, len(up) // 2 + (len(up) % 2)))
        if starts != "at once" or len(joined) == 64:
            site.scheduler.start_all()
        if not site.scheduler.jobs:
            break
    site.cycle()
    assert site.scheduler.jobs == {}
    assert (len(site.created()), len(set(site.created())), site.deletes()) == (64, 64, [])


def test_t15c_demand_that_swings_faster_than_the_idle_timeout_deletes_nothing_however_it_falls(site: Site) -> None:
    dice = random.Random(15)
    site.scheduler.submit("first", iterations=6)
    site.cycle()
    site.boot()
    for _ in range(40):
        site.scheduler.finish()
        site.scheduler.submit("burst", iterations=6)
        site.cycle()
        site.advance(dice.uniform(5, 20))
        site.scheduler.finish()
        site.cycle()
        site.advance(dice.uniform(5, IDLE_S - 30))
    assert (len(site.created()), site.deletes()) == (6, [])


def test_t13c_page_one_of_three_and_then_500_deletes_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site({"page_size": 5})
    site.scheduler.submit("work", iterations=15)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S * 4)
    site.break_second_pages()
    for _ in range(3):
        report = site.cycle()
        assert (report.plan.releases, report.plan.withheld, claimed(report.plan)) == ((), (), [])
        site.advance(60)
    assert (site.deletes(), len(site.names())) == ([], 15)


def test_t13c_429_from_the_first_request_on_deletes_nothing(site: Site) -> None:
    site.scheduler.submit("work", iterations=15)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S * 4)
    site.fault(kind="throttle", operations=("machine.list", "node.list", "pool.get"), after_s=30.0)
    for _ in range(4):
        assert site.cycle().releases.deleted == []
        site.advance(31)
    assert (site.deletes(), len(site.names())) == ([], 15)
