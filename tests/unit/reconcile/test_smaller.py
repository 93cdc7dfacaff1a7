"""A machine smaller than promised: at most one more is tried, then the job is told why (user ask T03c)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import BOOTED_S, OTHER_SIZE, SIZE, Site, accepted, bucket, claimed, reasons

from autoscale_aks.ledger.guards import SmallSize
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.reconcile.sizes import KEPT_S, observed
from autoscale_aks.units import Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.schedulers.port import SchedulerState


def join_with(site: Site, **resources: object) -> None:
    """Nodes join with these resources instead of what was promised."""
    real = site.scheduler.read

    def read() -> SchedulerState:
        told = real()
        nodes = tuple(
            replace(
                node,
                resources=dict(resources),
                available={"ncpus": 0} if node.job_ids else {},
            )
            for node in told.nodes or ()
            if site.machine(node.machine or "").size.name == SIZE
        )
        others = tuple(node for node in told.nodes or () if site.machine(node.machine or "").size.name != SIZE)
        return replace(told, nodes=(*nodes, *others))

    site.scheduler.read = read  # type: ignore[method-assign]


def run(site: Site, cycles: int = 10) -> None:
    for _ in range(cycles):
        site.cycle()
        site.advance(BOOTED_S)


def test_t03c_one_more_machine_is_tried_and_then_the_job_is_told_why(site: Site) -> None:
    join_with(site, ncpus=3)
    site.scheduler.submit("work", cpus=4)
    run(site)
    assert len(site.created()) == 2
    report = site.cycle()
    assert reasons(report.plan) == {"TOO_BIG_FOR_ANY_NODE"}
    (outcome,) = report.plan.outcomes
    assert (outcome.reason.misses[0].wanted, outcome.reason.misses[0].offered) == (4, 3)
    (told,) = report.observation.notices
    assert "OBSERVED_SMALLER: 2 machines of htc/Standard_D4s_v5 have ncpus 3 where 4 was promised" in told


def test_t03c_work_that_fits_the_real_machines_goes_on(site: Site) -> None:
    join_with(site, ncpus=3)
    site.scheduler.submit("work", cpus=4)
    run(site, 8)
    site.scheduler.submit("smaller", cpus=3, iterations=4)
    report = site.cycle()
    by_name = dict(zip([job.name for job in report.plan.jobs], report.plan.outcomes, strict=True))
    assert by_name["smaller"].slots == 4
    assert len(claimed(report.plan)) == 4 - sum(node.is_ready for node in report.observation.snapshot.nodes)


def test_t03c_the_job_goes_to_a_size_that_can_take_it(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}})
    join_with(site, ncpus=3)
    site.scheduler.submit("work", cpus=4)
    run(site, 6)
    assert [site.machine(name).size.name for name in site.names() if site.machine(name).size.name == OTHER_SIZE]
    assert len(site.created()) == 3


def test_machines_that_all_came_smaller_at_once_are_not_tried_again(site: Site) -> None:
    join_with(site, ncpus=3)
    site.scheduler.submit("array", cpus=4, iterations=5)
    run(site, 5)
    assert len(site.created()) == 5


def test_machines_as_large_as_promised_or_larger_are_never_remembered(site: Site) -> None:
    join_with(site, ncpus=5)
    site.scheduler.submit("work", cpus=4)
    run(site, 3)
    with site.ledger() as ledger:
        assert ledger.small_sizes(0.0) == ()


@pytest.mark.parametrize("by_hand", [True, False])
def test_the_promise_is_believed_again_after_a_while_or_when_somebody_says_so(site: Site, by_hand: bool) -> None:
    join_with(site, ncpus=3)
    site.scheduler.submit("work", cpus=4)
    run(site, 8)
    assert accepted(site.cycle()) == []
    if by_hand:
        with Ledger.open(site.ledger_path, now=site.clock.now()) as ledger:
            assert ledger.forget_small("htc", SIZE) == 2
        for machine in site.machines():
            machine.pool.remove(machine)
    else:
        for machine in site.machines():
            machine.pool.remove(machine)
        site.advance(KEPT_S + 1)
    site.advance(200)
    site.cycle()
    assert len(accepted(site.cycle())) + len(site.names()) >= 1


def small(machine: str, found: str) -> SmallSize:
    return SmallSize(
        nodearray="htc", vm_size=SIZE, resource="mem", machine=machine, promised="memory::16g", found=found
    )


def test_what_counts_is_the_second_smallest_so_that_every_larger_job_was_failed_twice(site: Site) -> None:
    arrays = site.config.arrays
    seen = [small("a", "memory::12g"), small("b", "memory::15g"), small("c", "memory::14g")]
    (array,) = observed(arrays, seen)
    assert array.offerings[0].observed == {"mem": Size(14 * 1024**3)}
    (once,) = observed(arrays, seen[:1])
    assert once.offerings[0].observed == {}
