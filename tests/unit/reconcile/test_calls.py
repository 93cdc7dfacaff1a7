"""How many requests a cycle sends: nothing a machine that could be a chunk, and nothing twice (user ask T08)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import accepted

from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from unit.reconcile.fakes import Site


def calls(site: Site, since: int = 0) -> Counter[str]:
    return Counter(entry.operation for entry in site.requests(since=since))


@pytest.mark.parametrize("machines", [1, 50, 51, 97, 1000])
def test_a_cycle_sends_one_put_for_fifty_machines_and_no_get_for_any(site: Site, machines: int) -> None:
    site.scheduler.submit("burst", iterations=machines)
    assert len(accepted(site.cycle())) == machines
    sent = calls(site)
    assert sent["machine.batch_put"] + sent["machine.put"] == -(-machines // 50)
    assert sent["machine.get"] == 0
    # One look at the pool that is not there yet, and the proof.
    assert sent["machine.list"] - 1 <= int(1.05 * -(-machines // 50)) + 1


def test_a_resident_cycle_asks_nothing_between_its_look_and_its_puts(site: Site) -> None:
    with site.world() as world:
        site.scheduler.submit("first", iterations=60)
        run_cycle(world)
        site.boot()
        site.scheduler.start_all()
        site.scheduler.finish("first")
        site.scheduler.submit("second", iterations=120)
        since = site.last_request
        report = run_cycle(world)
    puts = -(-len(accepted(report)) // 50)
    operations = [entry.operation for entry in site.requests(since=since)]
    first_put = operations.index("machine.batch_put")
    look = Counter(operations[:first_put])
    assert set(look) == {"machine.list", "node.list", "usage.list", "pool.list"}
    assert (look["usage.list"], look["pool.list"]) == (1, 1)  # beside the look, not after it
    assert operations[first_put : first_put + puts] == ["machine.batch_put"] * puts
    assert set(operations[first_put + puts :]) == {"machine.list"}


def test_a_sweep_takes_a_page_for_fifty_machines_and_one_more(site: Site) -> None:
    site.scheduler.submit("burst", iterations=1000)
    site.cycle()
    site.scheduler.finish()
    since = site.last_request
    site.demand()
    assert calls(site, since)["machine.list"] <= int(1.05 * 20) + 1
