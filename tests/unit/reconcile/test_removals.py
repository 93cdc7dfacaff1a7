"""`azaks remove` that was cut short: the next cycle ends it, and deletes no machine for it (user asks T20c, T33c)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import BOOT_S, BOOTED_S

from autoscale_aks.errors import SchedulerError
from autoscale_aks.reconcile import removals
from autoscale_aks.reconcile.acts import acting, remove_nodes

if TYPE_CHECKING:
    from unit.reconcile.fakes import Site

    from autoscale_aks.schedulers.port import SchedulerState

NAMES = ("site-htc-1", "site-htc-2")


class Cut(BaseException):
    """The end of a run, wherever it is."""


@pytest.fixture
def cut(site: Site) -> Site:
    """Two idle machines; the act died after their nodes were closed."""
    site.scheduler.submit("work", iterations=2)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    looks = site.scheduler.reads

    def die(number: int) -> None:
        if number == looks + 2:
            raise Cut

    site.scheduler.before_read = die
    with suppress(Cut):
        remove(site)
    site.scheduler.before_read = lambda _: None
    assert len(site.scheduler.closed) == 2
    return site


def remove(site: Site) -> None:
    with site.world() as world, acting(world, "remove") as act:
        remove_nodes(world, act, act.seen.snapshot.nodes, force=False)


def nodes(site: Site) -> set[str]:
    return {machine.node_name for machine in site.machines()}


def under_way(site: Site) -> frozenset[str]:
    with site.ledger() as ledger:
        return removals.under_way(ledger)


def test_t33c_a_removal_that_was_cut_short_is_finished_by_the_next_cycle_and_told_of(cut: Site) -> None:
    assert under_way(cut) == frozenset(NAMES)
    report = cut.cycle()
    assert set(cut.scheduler.told("remove")) == nodes(cut)
    assert "a removal by hand was cut short and is ended now: 2 forgotten by the scheduler" in report.notices
    assert (under_way(cut), report.releases.deleted) == (frozenset(), [])


def test_t14_a_node_that_has_work_all_the_same_is_open_again_and_stays(cut: Site) -> None:
    cut.scheduler.start("landed", NAMES[0])
    cut.cycle()
    machine = cut.machine(NAMES[0])
    assert cut.scheduler.told("reopen") == [machine.node_name]
    assert machine.node_name not in cut.scheduler.closed
    assert len(cut.scheduler.told("remove")) == 1


def test_a_machine_that_is_closed_by_a_removal_is_not_taken_for_a_half_done_delete(cut: Site) -> None:
    """A driver that tells who closed a node says that we did."""
    cut.scheduler.tells_who_closed = True
    cut.scheduler.failing["remove"] = "slurmctld is away"
    for _ in range(3):
        report = cut.cycle()
        assert report.releases.deleted == []
        assert any("is not ended yet: slurmctld is away" in notice for notice in report.notices)
        assert under_way(cut) == frozenset(NAMES)
    cut.scheduler.failing.clear()
    cut.cycle()
    assert under_way(cut) == frozenset()


def test_a_node_that_the_scheduler_keeps_down_when_it_was_forgotten_is_not_opened(cut: Site) -> None:
    """Slurm keeps nodes of its configuration file: the act died between the last word and the ledger."""
    real = cut.scheduler.read

    def read() -> SchedulerState:
        told = real()
        return replace(told, nodes=tuple(replace(node, state="Down") for node in told.nodes or ()))

    cut.scheduler.read = read  # type: ignore[method-assign]
    cut.cycle()
    assert cut.scheduler.told("reopen") == []
    assert set(cut.scheduler.told("remove")) == nodes(cut)
    assert under_way(cut) == frozenset()


def test_a_removal_of_a_machine_that_is_gone_or_leaving_is_over(cut: Site) -> None:
    with cut.world() as world:
        world.cloud.delete_machines("htc", list(NAMES))
    cut.advance(BOOTED_S)
    cut.cycle()
    assert (cut.names(), under_way(cut)) == ([], frozenset())


def test_nothing_of_a_removal_that_went_well_is_left_to_do(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    remove(site)
    assert len(site.scheduler.told("remove")) == 1
    assert under_way(site) == frozenset()


def test_a_removal_whose_scheduler_fails_after_the_close_leaves_no_node_closed(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.scheduler.failing["remove"] = "slurmctld is away"
    with pytest.raises(SchedulerError):
        remove(site)
    site.scheduler.failing.clear()
    site.cycle()
    assert len(site.scheduler.told("remove")) == 2
    site.advance(BOOT_S)
    assert site.records()["site-htc-1"].ready_at is not None
