"""What bounds the harm of one cycle: lists that shrink, mass deletes, caps on creates (user asks T03d, T13c, T13d)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.reconcile.fakes import BOOT_S, IDLE_S, Site, accepted, bucket, claimed, reasons

from autoscale_aks.model.node import Node
from autoscale_aks.model.plan import Plan, Release, ReleaseCause
from autoscale_aks.model.policy import MassDelete, Policy
from autoscale_aks.reconcile.deciding import brake
from autoscale_aks.reconcile.shrinking import CONFIRM_S, SHRINK_COUNT, Doubts
from autoscale_aks.reports.demand import summarise

if TYPE_CHECKING:
    from collections.abc import Callable


def idle_site(site: Site, machines: int) -> Site:
    site.scheduler.submit("work", iterations=machines)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)
    return site


def sources(report: Any) -> dict[str, Any]:
    return {source.name: source for source in report.observation.snapshot.sources}


# Mass deletes


def test_t13d_more_than_the_share_waits_for_a_second_cycle_that_agrees(site: Site) -> None:
    idle_site(site, 30)
    first = site.cycle()
    assert (len(first.plan.withheld), first.releases.deleted, site.deletes()) == (30, [], [])
    assert len(site.cycle().releases.deleted) == 30


def test_t13d_a_dry_run_withholds_the_same(site: Site) -> None:
    idle_site(site, 30)
    seen, plan = site.demand()
    assert len(plan.withheld) == 30
    assert "30 of 30 machines are to go at once" in " ".join(summarise(plan, seen.snapshot).notes)
    site.cycle()
    assert (len(site.demand()[1].withheld), len(site.demand()[1].releases)) == (0, 30)


def test_t13d_only_machines_that_both_cycles_want_to_release_go() -> None:
    nodes = tuple(Node(name=f"htc-{number}") for number in range(30))
    releases = tuple(Release(node, ReleaseCause.IDLE, 400.0) for node in nodes)
    decided = Plan(jobs=(), outcomes=(), placements=(), claims=(), waves=(), releases=releases, nodes=nodes)
    agreed = frozenset(node.name for node in nodes[:25])
    held = brake(decided, Policy(), agreed)
    assert [one.node.name for one in held.releases] == [node.name for node in nodes[:25]]
    assert [one.node.name for one in held.withheld] == [node.name for node in nodes[25:]]


def test_t13d_a_cycle_that_cannot_see_does_not_agree(site: Site) -> None:
    idle_site(site, 30)
    site.cycle()
    site.scheduler.complete = False
    site.cycle()
    site.scheduler.complete = True
    assert site.cycle().releases.deleted == [], "two agreeing cycles in a row"
    assert len(site.cycle().releases.deleted) == 30


def test_t13d_what_was_agreed_long_ago_counts_no_more(site: Site) -> None:
    idle_site(site, 30)
    site.cycle()
    site.advance(4000)
    assert site.cycle().releases.deleted == []


def test_t13d_a_few_machines_may_always_leave_at_once(site: Site) -> None:
    idle_site(site, MassDelete.FREE)
    assert len(site.cycle().releases.deleted) == MassDelete.FREE


@given(
    releases=st.integers(0, 3000),
    machines=st.integers(0, 3000),
    share=st.floats(0, 1),
    count=st.none() | st.integers(0, 500),
)
def test_law_the_brake_holds_above_the_share_or_above_the_count(
    releases: int, machines: int, share: float, count: int | None
) -> None:
    rule = MassDelete(share=share, count=count)
    too_many = releases > share * machines or (count is not None and releases > count)
    assert rule.holds(releases, machines) == (releases > MassDelete.FREE and too_many)


# Lists that shrink


def test_t13c_a_machine_list_that_loses_most_of_what_was_there_deletes_nothing_and_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle_site(site, 30)
    site.scheduler.submit("more", iterations=30)
    with site.world() as world:
        whole = type(world.cloud).list_machines
        monkeypatch.setattr(
            type(world.cloud),
            "list_machines",
            lambda self, pool, deadline=None: _shortened(whole(self, pool, deadline), keep=5),
        )
    report = site.cycle()
    source = sources(report)["machines of pool htc"]
    assert not source.complete
    assert "25 of 30 known machines are missing" in source.detail
    assert (report.plan.releases, report.releases.deleted, site.deletes()) == ((), [], [])
    assert claimed(report.plan) == [], "the machines are still counted as there"
    assert len(site.records()) == 30
    site.advance(CONFIRM_S + 1)
    again = site.cycle()
    assert sources(again)["machines of pool htc"].complete, "it says the same for long enough"
    assert len(claimed(again.plan)) == 25


def _shortened(listing: Any, keep: int) -> Any:
    return replace(listing, machines=listing.machines[:keep])


def test_t13c_a_scheduler_that_forgets_most_of_its_nodes_deletes_nothing_and_buys_nothing(site: Site) -> None:
    """slurmctld came back with an empty state: the machines are old, idle by its account, and unknown."""
    idle_site(site, 30)
    site.scheduler.submit("more", iterations=30)
    site.advance(BOOT_S * 2)
    site.scheduler.joins = lambda name: name.endswith("-1")
    report = site.cycle()
    source = sources(report)["scheduler"]
    assert not source.complete
    assert "known machines are missing" in source.detail
    assert (report.releases.deleted, site.deletes(), claimed(report.plan)) == ([], [], [])
    site.scheduler.joins = lambda _: True
    assert sources(site.cycle())["scheduler"].complete
    assert site.deletes() == []


def test_t13c_a_cluster_that_shows_no_nodes_at_all_makes_no_ready_machine_unborn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle_site(site, 30)
    site.advance(BOOT_S * 2)
    with site.world() as world:
        monkeypatch.setattr(type(world.cloud), "list_nodes", lambda self, pools, deadline=None: ())
    report = site.cycle()
    assert not sources(report)["nodes"].complete
    assert sum(node.is_ready for node in report.observation.snapshot.nodes) == 30
    assert site.deletes() == []


@given(known=st.integers(0, 60), missing=st.integers(0, 60))
def test_law_a_list_is_doubted_when_more_than_half_and_more_than_the_count_vanish(known: int, missing: int) -> None:
    missing = min(missing, known)
    names = [str(number) for number in range(known)]
    doubts = Doubts(100.0, {})
    doubted = bool(doubts.doubt("list", names, names[missing:]))
    assert doubted == (missing > SHRINK_COUNT and missing > known / 2)
    assert (doubts.since == {"list": 100.0}) == doubted


def test_a_list_that_says_the_same_for_long_enough_is_believed() -> None:
    names = [str(number) for number in range(40)]
    assert Doubts(100.0 + CONFIRM_S, {"list": 100.0}).doubt("list", names, [])
    assert not Doubts(100.1 + CONFIRM_S, {"list": 100.0}).doubt("list", names, [])


# Caps on creates


def test_t03d_each_node_array_has_a_cap_of_its_own_and_the_reason_names_it(make_site: Callable[..., Site]) -> None:
    arrays = {
        "htc": {"max_creates_per_cycle": 3, "buckets": [bucket()]},
        "big": {"buckets": [bucket("Standard_D8s_v5", vcpu_count=8)]},
    }
    site = make_site(nodearrays=arrays)
    site.scheduler.submit("small", iterations=5)
    small = site.scheduler.jobs["small"]
    object.__setattr__(small.shape, "constraints", ({"ncpus": 4, "node.nodearray": "htc"},))
    site.scheduler.submit("large", cpus=8, iterations=5)
    report = site.cycle()
    assert len([name for name in accepted(report) if name.startswith("site-htc")]) == 3
    assert len([name for name in accepted(report) if name.startswith("site-big")]) == 5
    assert reasons(report.plan) == {"LIMIT"}
    (outcome,) = [one for one in report.plan.outcomes if one.slots < one.requested]
    assert outcome.reason.binding is not None
    assert (outcome.reason.binding.kind.value, outcome.reason.binding.name) == ("node array creates a cycle", "htc")
    assert len(accepted(site.cycle())) == 2


# Neither side waits for the other (user ask T14c)


@pytest.mark.parametrize("status", [409, 500])
def test_t14c_a_stuck_delete_never_keeps_machines_from_starting(site: Site, status: int) -> None:
    idle_site(site, 5)
    site.fault(kind="error_before", operations=("machine.delete",), status=status, code="OperationNotAllowed")
    assert len(site.cycle().releases.kept) == 5
    site.scheduler.submit("new", iterations=3)
    report = site.cycle()
    assert len(accepted(report)) == 3
    assert len(report.releases.kept) == 5


def test_t14c_a_stuck_create_never_keeps_machines_from_leaving(make_site: Callable[..., Site]) -> None:
    arrays = {"htc": {"buckets": [bucket()]}, "big": {"buckets": [bucket("Standard_D8s_v5", vcpu_count=8)]}}
    site = idle_site(make_site(nodearrays=arrays), 5)
    site.scheduler.submit("large", cpus=8, iterations=4)
    site.fault(kind="error_before", operations=("machine.batch_put", "machine.put", "pool.put"), status=500)
    report = site.cycle()
    assert accepted(report) == []
    assert len(report.releases.deleted) == 5
