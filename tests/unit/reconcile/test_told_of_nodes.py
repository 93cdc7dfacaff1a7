"""What the scheduler is told of new machines, until it shows them, and of jobs that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale_aks.reconcile.job_reasons import FLAG
from autoscale_aks.units import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site


def test_a_new_node_is_told_with_what_it_is_and_what_it_will_have(site: Site) -> None:
    site.scheduler.submit("a")
    site.cycle()
    node = site.scheduler.told_of["site-htc-1"]
    assert (node.nodearray, node.vm_size, node.placement_group) == ("htc", "Standard_D4s_v5", None)
    assert number_of(node.resources["ncpus"]) == 4


def test_a_machine_on_its_way_is_told_again_until_the_scheduler_shows_it(site: Site) -> None:
    site.scheduler.failing["add"] = "down for a minute"
    site.scheduler.submit("a")
    assert "could not be told of 1 new nodes: down for a minute" in " ".join(site.cycle().notices)
    del site.scheduler.failing["add"]
    site.scheduler.joins = lambda _: False
    site.cycle()
    site.boot()
    site.cycle()
    assert site.scheduler.told("add") == ["site-htc-1"] * 3
    assert site.scheduler.told_of["site-htc-1"].address, "by now the machine has one"
    site.scheduler.joins = lambda _: True
    site.cycle()
    site.cycle()
    assert len(site.scheduler.told("add")) == 3


def test_a_scheduler_that_shows_no_nodes_is_told_once(site: Site) -> None:
    site.scheduler.reports_nodes = False
    site.scheduler.submit("a")
    site.cycle()
    site.cycle()
    assert site.scheduler.told("add") == ["site-htc-1"]


def test_jobs_are_told_nothing_unless_the_site_wants_it(site: Site) -> None:
    site.scheduler.submit("big", cpus=64)
    site.cycle()
    assert site.scheduler.told("explain") == []


def test_a_job_is_told_why_it_waits_when_that_changes_and_only_then(site: Site) -> None:
    site.scheduler.takes_reasons = 10
    site.scheduler.submit("big", cpus=64)
    site.scheduler.submit("a")
    site.cycle()
    assert site.scheduler.comments["big"].startswith("TOO_BIG_FOR_ANY_NODE: asks ncpus 64")
    assert site.scheduler.comments["a"] == "WAITING_FOR_BOOT: machines for it are on their way"
    site.cycle()
    assert sorted(site.scheduler.told("explain")) == ["a", "big"]
    site.boot()
    site.cycle()
    assert site.scheduler.comments["a"] == "", "it can start now: our words are taken away"
    site.scheduler.finish()
    site.cycle()
    with site.ledger() as ledger:
        assert ledger.flag(FLAG) is None


def test_only_so_many_jobs_a_cycle_are_told_and_the_first_ones_first(site: Site) -> None:
    site.scheduler.takes_reasons = 2
    for number in range(5):
        site.scheduler.submit(f"big{number}", cpus=64)
    site.cycle()
    assert site.scheduler.told("explain") == ["big0", "big1"]
    site.cycle()
    site.cycle()
    assert site.scheduler.told("explain") == [f"big{number}" for number in range(5)]


def test_a_scheduler_that_takes_no_words_costs_a_notice_and_nothing_else(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.scheduler.takes_reasons = 2
    site.scheduler.failing["explain"] = "permission denied"
    site.scheduler.submit("a")
    report = site.cycle()
    assert "reasons could not be written to jobs: permission denied" in " ".join(report.notices)
    assert site.names() == ["site-htc-1"]
