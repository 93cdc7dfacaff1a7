"""How a cycle's work grows: not at all with the queue, and no faster than the fleet (user ask T34).

Counted and not timed: statements of the ledger, pages of lists and other requests, calls of the scheduler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import BOOTED_S, IDLE_S, bucket

from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

FLEETS = (50, 100, 200)
PAGE = 50
STATEMENTS = 12
"""Of the ledger for each machine, in the cycle that has most to write down."""
WHOLE = {"mass_delete": {"share": 1, "count": None}}


@dataclass(frozen=True)
class Work:
    """What one cycle did."""

    statements: int
    commits: int
    requests: int
    calls: int


def work_of(site: Site) -> Work:
    """One cycle, with everything that it asks counted."""
    statements: list[str] = []
    calls, since = len(site.scheduler.calls), site.last_request
    with site.world() as world:
        world.ledger._connection.set_trace_callback(statements.append)
        run_cycle(world)
        world.ledger._connection.set_trace_callback(None)
    asked = [text for text in statements if not text.startswith("--")]
    return Work(
        statements=len(asked),
        commits=asked.count("COMMIT"),
        requests=len(site.requests(since=since)),
        calls=len(site.scheduler.calls) - calls,
    )


def life(site: Site, machines: int, *, jobs: int = 0, cpus: int = 4) -> dict[str, Work]:
    """The cycles of a fleet's life: it is asked for, boots, works, and leaves. `jobs` wait beside it all the time."""
    for number in range(jobs):
        site.scheduler.submit(f"waits-{number}", cpus=cpus)
    site.scheduler.submit("work", iterations=machines)
    found = {"asked for": work_of(site)}
    site.advance(BOOTED_S)
    found["joins"] = work_of(site)
    names = site.names()
    for name in names:
        site.scheduler.start("work", name)
    found["begins to work"] = work_of(site)
    found["works"] = work_of(site)
    site.scheduler.running.clear()
    found["is idle"] = work_of(site)
    site.advance(IDLE_S + 1)
    found["leaves"] = work_of(site)
    site.advance(BOOTED_S)
    found["is gone"] = work_of(site)
    return found


def capped(make_site: Callable[..., Site], **more: Any) -> Site:
    return make_site(policy=WHOLE, nodearrays={"htc": {"buckets": [bucket()], **more}})


@pytest.mark.parametrize("cpus", [4, 5], ids=["that fits", "that fits nowhere"])
def test_t34_what_a_cycle_asks_does_not_grow_with_the_queue(make_site: Callable[..., Site], cpus: int) -> None:
    """Ten machines in all, whoever waits for more."""
    few, many = (life(capped(make_site, max_count=10), 10, jobs=jobs, cpus=cpus) for jobs in (40, 2000))
    for phase, small in few.items():
        large = many[phase]
        assert (large.commits, large.requests, large.calls) == (small.commits, small.requests, small.calls), phase
        assert large.statements <= small.statements + 2, f"{phase}: {small} became {large}"


def test_t34_what_a_cycle_asks_grows_no_faster_than_the_fleet(make_site: Callable[..., Site]) -> None:
    """Doubled twice: the second doubling adds at most twice what the first one added, in every cycle of a life."""
    lives = [life(capped(make_site), machines) for machines in FLEETS]
    for phase in lives[0]:
        small, middle, large = (one[phase] for one in lives)
        assert large.calls == small.calls, f"{phase}: the scheduler is asked for all machines at once"
        assert large.commits <= small.commits + len(FLEETS), f"{phase}: a transaction is for many machines"
        assert large.statements - middle.statements <= 2 * (middle.statements - small.statements), phase
        assert large.statements <= STATEMENTS * FLEETS[-1] + 100, f"{phase}: {large}"
        pages = FLEETS[-1] // PAGE
        assert large.requests <= small.requests + 2 * pages + 1, f"{phase}: {small} became {large}"


def test_t34_a_quiet_cycle_writes_no_more_for_a_large_fleet_than_for_a_small_one(
    make_site: Callable[..., Site],
) -> None:
    small, large = (life(capped(make_site), machines)["works"] for machines in (FLEETS[0], FLEETS[-1]))
    assert (large.statements, large.commits, large.calls) == (small.statements, small.commits, small.calls)
