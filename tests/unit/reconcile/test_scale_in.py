"""Scale-in: close in the scheduler, look again, delete, remove; nothing on half a picture (user asks T13, T14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import BOOT_S, IDLE_S, Site, bucket, claimed

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.plan import ReleaseCause

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.reconcile import CycleReport


def idle_site(site: Site, machines: int = 3) -> Site:
    """Ready machines whose work has just ended; the cycle that saw them idle is over."""
    site.scheduler.submit("work", iterations=machines)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    return site


def causes(report: CycleReport) -> list[ReleaseCause]:
    return [release.cause for release in report.plan.releases]


def node_name(site: Site, machine: str) -> str:
    return site.machine(machine).node_name


def test_idle_machines_leave_after_the_timeout_and_not_before(site: Site) -> None:
    idle_site(site)
    site.advance(IDLE_S - 1)
    assert causes(site.cycle()) == []
    site.advance(1)
    report = site.cycle()
    assert causes(report) == [ReleaseCause.IDLE] * 3
    assert sorted(report.releases.deleted) == ["site-htc-1", "site-htc-2", "site-htc-3"]
    assert set(site.states().values()) == {"Deleting"}
    site.advance(60)
    last = site.cycle()
    assert (site.names(), last.observation.snapshot.nodes, site.records()) == ([], (), {})


def test_t14a_the_order_is_close_read_again_delete_remove(site: Site) -> None:
    idle_site(site, 1)
    name, node = "site-htc-1", node_name(site, "site-htc-1")
    site.advance(IDLE_S)
    site.scheduler.calls.clear()
    before = site.last_request
    seen: list[int] = []
    site.scheduler.before_read = lambda _: seen.append(len(site.requests("machine.delete", since=before)))
    site.cycle()
    steps = [call for call in site.scheduler.calls if call[0] != "add"]
    assert steps == [("read", ()), ("close", (node,)), ("read", ()), ("remove", (node,))]
    assert seen == [0, 0], "a delete left before the second look"
    assert site.deletes() == [name]


def test_closing_is_in_the_ledger_before_the_scheduler_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    idle_site(site, 1)
    site.advance(IDLE_S)
    states: list[MachineState] = []
    close = site.scheduler.close_nodes
    monkeypatch.setattr(
        site.scheduler,
        "close_nodes",
        lambda names, why: (states.append(site.records()["site-htc-1"].state), close(names, why))[1],
    )
    site.cycle()
    assert states == [MachineState.CLOSING]


def test_t14a_a_job_that_lands_between_close_and_the_second_look_reopens_its_node(site: Site) -> None:
    idle_site(site)
    site.advance(IDLE_S)
    looks = site.scheduler.reads

    def land(number: int) -> None:
        if number == looks + 2:
            site.scheduler.start("late", "site-htc-2")

    site.scheduler.before_read = land
    report = site.cycle()
    assert report.releases.reopened == ["site-htc-2"]
    assert sorted(report.releases.deleted) == sorted(site.deletes()) == ["site-htc-1", "site-htc-3"]
    assert site.scheduler.told("reopen") == [node_name(site, "site-htc-2")]
    assert node_name(site, "site-htc-2") not in site.scheduler.closed
    assert site.records()["site-htc-2"].state is MachineState.READY
    site.advance(IDLE_S)
    assert site.cycle().releases.deleted == [], "it has a job"
    site.scheduler.finish("late")
    site.cycle()
    site.advance(IDLE_S)
    assert site.cycle().releases.deleted == ["site-htc-2"]


def test_a_job_that_lands_before_the_first_look_keeps_its_node_open(site: Site) -> None:
    idle_site(site)
    site.advance(IDLE_S)
    site.scheduler.start("early", "site-htc-1")
    report = site.cycle()
    assert sorted(report.releases.deleted) == ["site-htc-2", "site-htc-3"]
    assert node_name(site, "site-htc-1") not in site.scheduler.told("close")


def test_t14a_a_scheduler_that_reports_no_nodes_is_still_looked_at_twice(site: Site) -> None:
    site.scheduler.reports_nodes = False
    idle_site(site, 2)
    site.advance(IDLE_S)
    looks = site.scheduler.reads
    site.scheduler.before_read = lambda number: number == looks + 2 and site.scheduler.start("late", "site-htc-1")
    report = site.cycle()
    assert (report.releases.reopened, report.releases.deleted) == (["site-htc-1"], ["site-htc-2"])


def test_a_node_the_scheduler_does_not_close_is_kept_and_reopened(site: Site) -> None:
    idle_site(site, 2)
    site.advance(IDLE_S)
    stubborn = node_name(site, "site-htc-1")
    site.scheduler.wont_close = {stubborn}
    report = site.cycle()
    assert report.releases.deleted == ["site-htc-2"]
    assert list(report.releases.kept) == ["site-htc-1"]
    assert site.scheduler.told("reopen") == [stubborn]
    assert not report.is_clean


@pytest.mark.parametrize("method", ["close", "read again"])
def test_t14b_a_scheduler_that_fails_half_way_keeps_the_machines_and_the_next_cycle_finishes(
    site: Site, method: str
) -> None:
    idle_site(site, 2)
    site.advance(IDLE_S)
    looks = site.scheduler.reads

    def fail(number: int) -> None:
        if method == "close" or number == looks + 2:
            site.scheduler.failing["close" if method == "close" else "read"] = "slurmctld is away"

    site.scheduler.before_read = fail
    report = site.cycle()
    assert (report.releases.deleted, set(report.releases.kept)) == ([], {"site-htc-1", "site-htc-2"})
    assert site.deletes() == []
    assert {record.state for record in site.records().values()} == {MachineState.CLOSING}
    site.scheduler.before_read, site.scheduler.failing = lambda _: None, {}
    again = site.cycle()
    assert sorted(again.releases.deleted) == ["site-htc-1", "site-htc-2"]


def test_t14b_when_reopening_fails_the_cycle_goes_on_and_the_next_one_reopens(site: Site) -> None:
    idle_site(site, 2)
    site.advance(IDLE_S)
    looks = site.scheduler.reads
    site.scheduler.before_read = lambda number: number == looks + 2 and site.scheduler.start("late", "site-htc-1")
    site.scheduler.failing["reopen"] = "slurmctld is away"
    report = site.cycle()
    assert report.releases.deleted == ["site-htc-2"]
    assert "slurmctld is away" in report.releases.kept["site-htc-1"]
    with site.ledger() as ledger:
        assert ledger.cycles(1)[0].status == "incomplete"
    site.scheduler.failing.clear()
    assert site.cycle().releases.reopened == ["site-htc-1"]
    assert node_name(site, "site-htc-1") not in site.scheduler.closed
    assert "site-htc-1" not in site.deletes()


def test_a_scheduler_that_cannot_forget_a_node_does_not_stop_the_cycle_and_is_told_again(site: Site) -> None:
    idle_site(site, 1)
    node = node_name(site, "site-htc-1")
    site.advance(IDLE_S)
    site.scheduler.failing["remove"] = "slurmctld is away"
    report = site.cycle()
    assert (report.releases.deleted, len(report.notices)) == (["site-htc-1"], 1)
    site.scheduler.failing.clear()
    site.cycle()
    assert site.scheduler.told("remove").count(node) >= 1


def test_t14c_a_delete_that_the_cloud_refuses_keeps_the_node_closed_and_is_tried_again(site: Site) -> None:
    idle_site(site, 1)
    site.advance(IDLE_S)
    site.fault(kind="error_before", operations=("machine.delete",), status=409, code="OperationNotAllowed")
    report = site.cycle()
    assert list(report.releases.kept) == ["site-htc-1"]
    assert node_name(site, "site-htc-1") in site.scheduler.closed
    site.scheduler.submit("new")
    busy = site.cycle()
    assert claimed(busy.plan) == ["site-htc-2"], "a machine that is closing is no capacity"
    site.mend()
    assert site.cycle().releases.deleted == ["site-htc-1"]


def test_demand_that_swings_faster_than_the_idle_timeout_deletes_nothing(site: Site) -> None:
    idle_site(site, 4)
    for _ in range(6):
        site.advance(IDLE_S * 0.6)
        site.scheduler.submit("burst", iterations=4)
        assert claimed(site.cycle().plan) == []
        site.advance(IDLE_S * 0.6)
        site.scheduler.finish()
        site.cycle()
    assert site.deletes() == []
    assert len(site.created()) == 4


def test_machines_that_waiting_work_wants_stay_and_the_others_leave(site: Site) -> None:
    idle_site(site, 4)
    site.advance(IDLE_S)
    site.scheduler.submit("some", iterations=3)
    report = site.cycle()
    assert (claimed(report.plan), len(report.releases.deleted)) == ([], 1)


def test_a_closed_node_that_somebody_else_closed_is_left_alone(site: Site) -> None:
    idle_site(site, 2)
    site.scheduler.closed.add(node_name(site, "site-htc-1"))
    site.cycle()
    site.advance(IDLE_S * 2)
    assert site.cycle().releases.deleted == ["site-htc-2"]
    site.scheduler.submit("work")
    assert claimed(site.cycle().plan) == ["site-htc-3"], "a closed node is no capacity"
    assert "site-htc-1" in site.names()


def test_a_closing_node_is_no_capacity_for_new_work(site: Site) -> None:
    idle_site(site, 1)
    site.advance(IDLE_S)
    site.cycle()
    site.scheduler.submit("work")
    assert claimed(site.cycle().plan) == ["site-htc-2"]


def test_the_delete_brake_bounds_one_cycle(make_site: Callable[..., Site]) -> None:
    site = idle_site(make_site(policy={"max_deletes_per_cycle": 2}), 5)
    site.advance(IDLE_S)
    assert [len(report.releases.deleted) for report in site.cycles(3, every_s=1.0)] == [2, 2, 1]


def test_many_machines_leave_in_requests_of_fifty(make_site: Callable[..., Site]) -> None:
    site = idle_site(make_site(policy={"mass_delete": {"share": 1, "count": None}}), 120)
    site.advance(IDLE_S)
    assert len(site.cycle().releases.deleted) == 120
    assert sorted(len(entry.names) for entry in site.requests("machine.delete")) == [20, 50, 50]


def test_each_node_array_has_its_own_idle_timeout(make_site: Callable[..., Site]) -> None:
    site = make_site(idle_timeout={"default": 1000.0, "htc": 50.0})
    idle_site(site, 1)
    site.advance(50.0)
    assert site.cycle().releases.deleted == ["site-htc-1"]


# What could not be seen is not deleted (user ask T13c).


def test_t13c_a_list_whose_second_page_fails_deletes_nothing_and_asks_for_nothing_twice(
    make_site: Callable[..., Site],
) -> None:
    site = idle_site(make_site({"page_size": 2}), 5)
    site.advance(IDLE_S)
    site.scheduler.submit("work", iterations=5)
    site.break_second_pages()
    report = site.cycle()
    sources = {source.name: source for source in report.observation.snapshot.sources}
    assert not sources["machines of pool htc"].complete
    assert "page 2" in sources["machines of pool htc"].detail
    assert (report.plan.releases, report.releases.deleted, site.deletes()) == ((), [], [])
    assert claimed(report.plan) == []


def test_t13c_an_incomplete_queue_deletes_nothing(site: Site) -> None:
    idle_site(site)
    site.advance(IDLE_S * 3)
    site.scheduler.complete = False
    report = site.cycle()
    assert (report.plan.releases, report.releases.deleted) == ((), [])
    site.scheduler.complete = True
    assert len(site.cycle().releases.deleted) == 3


def test_t13c_what_an_earlier_run_began_to_close_waits_for_a_whole_picture_too(site: Site) -> None:
    idle_site(site, 1)
    site.advance(IDLE_S)
    site.scheduler.failing["close"] = "slurmctld is away"
    site.cycle()
    site.scheduler.failing.clear()
    site.scheduler.complete = False
    assert site.cycle().releases.deleted == []
    assert site.records()["site-htc-1"].state is MachineState.CLOSING
    site.scheduler.complete = True
    assert site.cycle().releases.deleted == ["site-htc-1"]


def test_t13c_a_second_look_that_is_incomplete_deletes_nothing(site: Site) -> None:
    idle_site(site, 2)
    site.advance(IDLE_S)
    looks = site.scheduler.reads
    site.scheduler.before_read = lambda number: setattr(site.scheduler, "complete", number != looks + 2)
    report = site.cycle()
    assert (report.releases.deleted, site.deletes()) == ([], [])
    assert set(report.releases.kept) == {"site-htc-1", "site-htc-2"}
    assert site.scheduler.closed == set(), "nothing stays closed"


def test_t13c_a_node_list_that_fails_deletes_nothing(site: Site) -> None:
    idle_site(site)
    site.advance(IDLE_S)
    site.fault(kind="error_before", operations=("node.list",), status=500)
    report = site.cycle()
    assert (report.releases.deleted, site.deletes()) == ([], [])


def test_a_cycle_that_cannot_see_forgets_neither_idle_time_nor_capacity(site: Site) -> None:
    """One failed list among many good ones keeps no machine for ever, and doubles none that outlived its boot."""
    idle_site(site, 2)
    site.scheduler.submit("long", iterations=2)
    site.advance(BOOT_S + 1)
    site.fault(kind="error_before", operations=("machine.list",), status=500, count=5)
    report = site.cycle()
    assert claimed(report.plan) == [], "two ready machines are there for the two tasks"
    assert sum(node.is_ready for node in report.observation.snapshot.nodes) == 2
    site.mend()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S / 2)
    site.fault(kind="error_before", operations=("machine.list",), status=500, count=5)
    site.cycle()
    site.mend()
    site.advance(IDLE_S / 2)
    assert len(site.cycle().releases.deleted) == 2, "the blind cycle in between did not reset the idle time"


# Machines that never come, or die.


def test_a_machine_that_never_boots_is_deleted_after_the_boot_timeout_and_replaced(site: Site) -> None:
    site.fault(kind="stuck_creating", names=("site-htc-1",))
    site.scheduler.submit("work")
    site.cycle()
    site.advance(BOOT_S - 10)
    assert claimed(site.cycle().plan) == []
    site.advance(20)
    report = site.cycle()
    assert causes(report) == [ReleaseCause.BOOT_TIMEOUT]
    assert report.releases.deleted == ["site-htc-1"]
    assert claimed(report.plan) == ["site-htc-2"]


@pytest.mark.parametrize("kind", ["node_never_registers", "node_never_ready"])
def test_a_machine_whose_node_never_comes_is_not_counted_for_ever(site: Site, kind: str) -> None:
    site.fault(kind=kind, names=("site-htc-1",))
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    assert claimed(site.cycle().plan) == []
    site.advance(BOOT_S)
    report = site.cycle()
    assert (report.releases.deleted, claimed(report.plan)) == (["site-htc-1"], ["site-htc-2"])


def test_a_node_that_the_scheduler_never_sees_is_in_flight_until_its_boot_timeout(site: Site) -> None:
    site.scheduler.joins = lambda _: False
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    report = site.cycle()
    assert [node.state for node in report.observation.snapshot.nodes] == ["Joining"]
    site.advance(BOOT_S)
    assert site.cycle().releases.deleted == ["site-htc-1"]


def test_failed_machines_are_deleted_and_their_demand_gets_new_names(site: Site) -> None:
    site.fault(
        kind="provisioning_failure",
        code="FailedToCreateOrUpdateVirtualMachineExtension",
        names=("site-htc-2", "site-htc-3"),
    )
    site.scheduler.submit("array", iterations=4)
    site.cycle()
    site.advance(15)
    report = site.cycle()
    assert causes(report) == [ReleaseCause.FAILED] * 2
    assert sorted(report.releases.deleted) == ["site-htc-2", "site-htc-3"]
    assert claimed(report.plan) == ["site-htc-5", "site-htc-6"]
    site.boot()
    assert claimed(site.cycle().plan) == []
    assert site.names() == ["site-htc-1", "site-htc-4", "site-htc-5", "site-htc-6"]


def test_an_evicted_spot_machine_is_deleted_and_replaced(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"spot": True, "buckets": [bucket()]}})
    site.fault(kind="evict", names=("site-htc-1",), after_s=100.0)
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    assert claimed(site.cycle().plan) == []
    site.advance(100)
    report = site.cycle()
    assert (report.releases.deleted, claimed(report.plan)) == (["site-htc-1"], ["site-htc-2"])


def test_a_machine_that_somebody_deleted_is_gone_and_the_scheduler_forgets_its_node(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    machine = site.machine("site-htc-1")
    real = site.scheduler._machines
    site.scheduler._machines = lambda: [machine]
    machine.pool.remove(machine)
    report = site.cycle()
    assert site.scheduler.told("remove") == [machine.node_name]
    assert claimed(report.plan) == ["site-htc-2"]
    assert site.records(gone=True)["site-htc-1"].state is MachineState.GONE
    site.scheduler._machines = real


def test_a_scheduler_that_cannot_forget_a_lost_node_does_not_keep_new_machines_from_starting(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    machine = site.machine("site-htc-1")
    site.scheduler._machines = lambda: [machine]
    machine.pool.remove(machine)
    site.scheduler.failing["remove"] = "slurmctld is away"
    report = site.cycle()
    assert claimed(report.plan) == ["site-htc-2"] == site.names()
    assert "slurmctld is away" in " ".join(report.notices)
    site.scheduler.failing.clear()
    site.cycle()
    assert site.scheduler.told("remove") == [machine.node_name] * 2, "it is told again"
    assert site.records(gone=True)["site-htc-1"].state is MachineState.GONE
