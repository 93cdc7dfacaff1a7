"""Machines beyond demand: minimums and headroom, never on top of what is there (user ask T21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unit.reconcile.fakes import IDLE_S, OTHER_SIZE, Site, accepted, bucket, claimed

from autoscale_aks.reports.demand import render_demand, summarise

if TYPE_CHECKING:
    from collections.abc import Callable

FOUR = {"ncpus": 4}


def with_minimum(make_site: Callable[..., Site], count: int, **more: Any) -> Site:
    return make_site(nodearrays={"htc": {"min_nodes": count, "buckets": [bucket()], **more}})


def settle(site: Site) -> None:
    site.boot()
    site.cycle()


def test_t21a_a_minimum_is_there_without_any_work_and_is_asked_for_once(make_site: Callable[..., Site]) -> None:
    site = with_minimum(make_site, 3)
    assert len(accepted(site.cycle())) == 3
    for _ in range(4):
        site.advance(15)
        assert claimed(site.cycle().plan) == []
    site.advance(IDLE_S * 3)
    site.cycle()
    assert (len(site.names()), site.deletes()) == (3, [])


def test_t21a_a_minimum_counts_machines_with_work_and_is_not_added_on_top(make_site: Callable[..., Site]) -> None:
    site = with_minimum(make_site, 3)
    site.scheduler.submit("work", iterations=5)
    assert len(accepted(site.cycle())) == 5
    settle(site)
    site.scheduler.start_all()
    assert claimed(site.cycle().plan) == []


def test_t21a_exclusive_jobs_do_not_make_the_minimum_additive(make_site: Callable[..., Site]) -> None:
    site = with_minimum(make_site, 4)
    site.scheduler.submit("work", iterations=3)
    work = site.scheduler.jobs["work"]
    object.__setattr__(work.shape, "constraints", ({"ncpus": 1, "exclusive": True},))
    assert len(accepted(site.cycle())) == 4


def test_t21a_idle_machines_leave_down_to_the_minimum(make_site: Callable[..., Site]) -> None:
    site = with_minimum(make_site, 2)
    site.scheduler.submit("work", iterations=5)
    site.cycle()
    settle(site)
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)
    assert len(site.cycle().releases.deleted) == 3
    settle(site)
    site.advance(IDLE_S)
    site.cycle()
    assert len(site.names()) == 2


def test_t21a_a_minimum_stays_within_limits_and_says_what_is_missing(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"min_nodes": 5, "buckets": [bucket()]}}, limits={"cluster_max_nodes": 3})
    report = site.cycle()
    assert len(site.names()) == 3
    (problem,) = [one for one in report.plan.problems if one.path == "nodearrays.htc.min_nodes"]
    assert "2 machines are missing: LIMIT" in problem.message


def test_a_minimum_respects_the_caps_on_creates(make_site: Callable[..., Site]) -> None:
    site = make_site(
        nodearrays={"htc": {"min_nodes": 9, "max_creates_per_cycle": 4, "buckets": [bucket()]}},
        policy={"max_creates_per_cycle": 6},
    )
    site.scheduler.submit("work", iterations=2)
    assert len(accepted(site.cycle())) == 4
    assert len(accepted(site.cycle())) == 4
    assert len(accepted(site.cycle())) == 1


def test_a_failed_machine_is_replaced_to_the_minimum(make_site: Callable[..., Site]) -> None:
    site = with_minimum(make_site, 2)
    site.fault(kind="provisioning_failure", names=("site-htc-1",), code="VMExtensionProvisioningError")
    site.cycle()
    site.advance(15)
    report = site.cycle()
    assert (report.releases.deleted, accepted(report)) == (["site-htc-1"], ["site-htc-3"])


# Headroom


def with_headroom(make_site: Callable[..., Site], count: int = 2, **more: Any) -> Site:
    room = [{"count": count, "constraints": FOUR}]
    return make_site(nodearrays={"htc": {"headroom": room, "buckets": [bucket()]}}, **more)


def test_t21a_there_is_always_room_for_the_shapes_that_are_kept(make_site: Callable[..., Site]) -> None:
    site = with_headroom(make_site)
    assert len(accepted(site.cycle())) == 2
    settle(site)
    site.advance(IDLE_S * 3)
    assert site.cycle().releases.deleted == [], "room that is kept is not idle"
    site.scheduler.submit("now")
    report = site.cycle()
    assert len(claimed(report.plan)) == 1, "the job has its room at once, and the room is made good"
    assert {outcome.slots for outcome in report.plan.outcomes} == {1, 2}


def test_t21a_free_capacity_counts_so_headroom_is_never_additive(make_site: Callable[..., Site]) -> None:
    site = with_headroom(make_site)
    site.scheduler.submit("work", iterations=3)
    site.cycle()
    settle(site)
    assert len(site.names()) == 5
    site.scheduler.finish()
    site.cycle()
    assert claimed(site.cycle().plan) == []
    site.advance(IDLE_S)
    site.cycle()
    settle(site)
    assert len(site.names()) == 2


def test_t21c_headroom_takes_nothing_that_a_waiting_job_could_have(make_site: Callable[..., Site]) -> None:
    site = with_headroom(make_site, count=3, limits={"cluster_max_nodes": 4})
    site.scheduler.submit("work", iterations=3)
    report = site.cycle()
    assert len(site.names()) == 4
    assert report.plan.outcomes[0].slots == 3


def test_t21c_headroom_gives_way_when_a_job_waits_for_a_limit(make_site: Callable[..., Site]) -> None:
    """Room that is kept in one node array holds the quota that a job needs in another."""
    arrays = {
        "htc": {"headroom": [{"count": 3, "constraints": FOUR}], "buckets": [bucket()]},
        "big": {"buckets": [bucket(OTHER_SIZE, vcpu_count=8)]},
    }
    site = make_site(nodearrays=arrays, limits={"cluster_max_nodes": 3})
    site.cycle()
    settle(site)
    site.scheduler.submit("large", cpus=8)
    site.cycle()
    site.advance(IDLE_S)
    assert len(site.cycle().releases.deleted) == 3
    settle(site)
    site.cycle()
    assert any(name.startswith("site-big") for name in site.names())


def test_t21d_reports_show_headroom_apart_with_its_machines_and_price(make_site: Callable[..., Site]) -> None:
    site = make_site(
        nodearrays={"htc": {"headroom": [{"count": 2, "constraints": FOUR}], "buckets": [bucket(price=0.25)]}}
    )
    site.scheduler.submit("work")
    seen, plan = site.demand()
    report = summarise(plan, seen.snapshot, seen.notices)
    (row,) = report.room
    assert (report.jobs, report.slots, report.machines) == (1, 1, 3)
    assert (row.name, row.slots, row.placed, row.machines, row.price_per_hour) == ("headroom of htc", 2, 2, 2, 0.5)
    assert render_demand(report, plan)["headroom"][0]["machines"] == 2


def test_headroom_that_cannot_be_had_is_told_and_is_no_waiting_job(
    make_site: Callable[..., Site],
) -> None:
    site = with_headroom(make_site, count=3, limits={"cluster_max_nodes": 1})
    seen, plan = site.demand()
    report = summarise(plan, seen.snapshot)
    assert report.waits == ()
    (row,) = report.room
    assert (row.placed, row.slots) == (1, 3)
    assert "cluster nodes" in row.message


def test_headroom_is_never_written_to_the_scheduler(make_site: Callable[..., Site]) -> None:
    site = with_headroom(make_site)
    site.cycle()
    settle(site)
    assert {method for method, _ in site.scheduler.calls} <= {"read", "add"}
    assert site.scheduler.jobs == {}


def test_t21a_room_is_kept_within_its_windows_and_leaves_after_them(make_site: Callable[..., Site]) -> None:
    """The site begins on a Friday at eight in the morning, UTC."""
    window = {"days": ["fri"], "from": "09:00", "to": "10:00"}
    room = [{"constraints": FOUR, "when": [window]}]
    site = make_site(nodearrays={"htc": {"headroom": room, "buckets": [bucket()]}})
    site.cycle()
    assert site.names() == []
    site.advance(3600.0)
    site.cycle()
    assert len(site.names()) == 1
    site.boot()
    site.cycle()
    site.advance(3600.0)
    site.cycles(8, every_s=60.0)
    assert site.names() == []
