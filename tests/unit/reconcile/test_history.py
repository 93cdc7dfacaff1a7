"""What happened to machines and jobs can be told afterwards, and telling it never costs a cycle (user ask T28b)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from unit.reconcile.fakes import IDLE_S, SIZE, Site, bucket

from autoscale_aks.ledger.store import Ledger
from autoscale_aks.reconcile.waiting import job_key, parse_groups, render_groups
from autoscale_aks.reports.stage_counts import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "site-htc-1"


def machine_life(site: Site, name: str = NAME) -> list[str]:
    with site.ledger() as ledger:
        return [one.event for one in ledger.life(name)]


def job_life(site: Site, name: str) -> list[tuple[str, str]]:
    with site.ledger() as ledger:
        return [(one.event, one.detail) for one in ledger.job_life(name)]


def whole_life(site: Site) -> None:
    """One job from the queue to its end, and the machine that was made for it."""
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.start("work", NAME)
    site.cycle()
    site.advance(100)
    site.scheduler.finish("work")
    site.cycle()
    site.advance(IDLE_S + 1)
    site.cycle()
    site.advance(200)
    site.cycle()


def test_a_machines_whole_life_is_told_in_order_with_the_plan_of_each_step(site: Site) -> None:
    whole_life(site)
    told = machine_life(site)
    steps = ["intended", "accepted", "ready", "first job", "idle", "closing", "deleting", "gone"]
    assert [event for event in told if event in steps] == steps
    assert {"provisioned", "registered"} <= set(told)
    with site.ledger() as ledger:
        plans = [cycle.plan_id for cycle in ledger.cycles()]
        life = ledger.life(NAME)
        assert all(one.plan_id in plans for one in life if one.event != "idle"), "idleness is nobody's deed"
        assert life[0].plan_id == plans[-1]
        assert [one.detail for one in life if one.event == "first job"] == ["work"]
        assert [one.at for one in life] == sorted(one.at for one in life)


def test_a_jobs_life_names_the_machines_made_for_it_and_where_it_started(site: Site) -> None:
    whole_life(site)
    events = job_life(site, "work")
    assert [event for event, _ in events if event != "reason"] == ["waiting", "bought", "started"]
    assert ("bought", NAME) in events
    assert events[-1] == ("started", f"on {NAME}")


def test_a_reason_that_changes_is_told_and_a_job_that_vanishes_is(make_site: Callable[..., Site]) -> None:
    site = make_site(limits={"cluster_max_nodes": 1})
    site.scheduler.submit("a")
    site.scheduler.submit("b")
    site.cycle()
    site.document["limits"] = {"cluster_max_nodes": 2}
    site.cycle()
    site.scheduler.finish("b")
    site.cycle()
    events = job_life(site, "b")
    assert events[0] == ("waiting", "LOST_TO_PRIORITY")
    assert ("bought", "site-htc-2") in events
    assert [event for event, _ in events][-1] == "left"
    assert any(event == "reason" and detail.startswith("LOST_TO_PRIORITY → ") for event, detail in events)


def test_a_cycle_in_which_nothing_changed_adds_nothing(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    for _ in range(3):
        site.cycle()
        site.advance(5)

    def rows() -> list[int]:
        with site.ledger() as ledger:
            tables = ("events", "job_events", "points")
            return [ledger._read(f"SELECT count(*) FROM {table}")[0][0] for table in tables]

    before = rows()
    site.cycle()
    assert rows() == before


def test_an_eviction_and_a_failure_are_told_apart_with_the_services_words(site: Site) -> None:
    site.fault(kind="provisioning_failure", names=(NAME,), code="VMExtensionProvisioningError")
    site.scheduler.submit("work")
    site.cycle()
    site.advance(15)
    site.cycle()
    with site.ledger() as ledger:
        failed = [one for one in ledger.life(NAME) if one.event == "failed"]
    assert len(failed) == 1
    assert "VMExtensionProvisioningError" in failed[0].detail


def test_a_reopened_machine_reads_reopened(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)
    reads = site.scheduler.reads
    site.scheduler.before_read = lambda n: site.scheduler.start("late", NAME) if n == reads + 2 else None
    site.cycle()
    assert "reopened" in machine_life(site)


def test_the_timeline_counts_stages_and_deeds(site: Site) -> None:
    begun = site.clock.now()
    whole_life(site)
    with site.ledger() as ledger:
        points = ledger.timeline(begun)
        assert ledger.timeline(points[1].at)[0] == points[1]
    assert all(set(point.machines) == set(STAGES) for point in points)
    assert sum(point.counts["accepted"] or 0 for point in points) == 1
    assert sum(point.counts["deleted"] or 0 for point in points) == 1
    assert max(point.machines["busy"] for point in points) == 1
    assert points[-1].machines["draining"] == 0


def test_a_price_that_is_known_is_in_the_timeline(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"buckets": [bucket(SIZE, price=0.25)]}})
    site.scheduler.submit("work", iterations=2)
    site.cycle()
    site.boot()
    site.cycle()
    with site.ledger() as ledger:
        point = ledger.last_point()
    assert point is not None
    assert point.counts["price_per_hour"] == 0.5


def test_history_that_cannot_be_written_is_a_notice_and_the_cycle_goes_on(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    with sqlite3.connect(site.ledger_path) as file:
        file.execute("DROP TABLE points")
    site.scheduler.submit("more")
    report = site.cycle()
    assert any(notice.startswith("history was not written") for notice in report.notices)
    assert len(site.names()) == 2


def test_zero_days_write_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site(ledger={"path": "ledger.sqlite", "history_days": 0})
    whole_life(site)
    assert job_life(site, "work") == []


def test_history_is_bounded_by_age_and_living_machines_keep_their_birth(make_site: Callable[..., Site]) -> None:
    site = make_site(ledger={"path": "ledger.sqlite", "history_days": 1}, idle_timeout=10 * 86_400)
    site.scheduler.submit("old")
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(2 * 86_400)
    site.scheduler.submit("new")
    site.cycle()
    assert job_life(site, "old") == []
    assert job_life(site, "new")
    assert machine_life(site)[0] == "intended"


def test_history_is_bounded_by_rows(site: Site) -> None:
    with Ledger.open(site.ledger_path, now=0.0) as ledger:
        connection = ledger._connection
        connection.executemany(
            "INSERT INTO job_events (id, at, plan_id, event, detail, jobs) VALUES (?, 5e9, '', 'waiting', '', x'00')",
            [(1,), (600_000,)],
        )
        ledger._prune(5e9, 86_400.0)
        assert ledger._read("SELECT id FROM job_events") == [(600_000,)]


def test_an_array_is_remembered_by_its_id_whatever_is_left_of_it() -> None:
    assert job_key("14_[3-9]") == job_key("14_[4-9%2]") == "14"
    assert job_key("14[].server") == "14[].server"
    assert job_key("plain") == "plain"


def test_groups_survive_their_text() -> None:
    groups = {("LIMIT", 5): ("a", "b"), ("QUOTA", 7): ("c",)}
    assert parse_groups(render_groups(groups)) == groups
    assert parse_groups(None) == parse_groups("") == parse_groups("rubbish") == {}
