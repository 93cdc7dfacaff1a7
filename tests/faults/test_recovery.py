"""Runs that were killed, ledgers that were lost, machines that came late: the next cycle puts it right (T13, T33)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import IDLE_S, SIZE, FakeScheduler, bucket, claimed, patch_wiring

from autoscale_aks.cli import wiring
from autoscale_aks.errors import LedgerError, SchedulerError
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.reconcile.join import VISIBILITY_GRACE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site


class KilledError(BaseException):
    """The process ends here."""


def killed_cycle(site: Site, monkeypatch: pytest.MonkeyPatch, where: str, *, after: bool = False) -> None:
    """A cycle that ends in a call of the cloud, the scheduler or the ledger; before its work, or right after."""
    part, method = where.split(".")
    with monkeypatch.context() as patch, wiring.writing_world(site.config, site.clock) as world:
        target: Any = getattr(world, part)
        kind = target if part == "scheduler" else type(target)
        real = getattr(kind, method)

        def die(*args: Any, **options: Any) -> Any:
            if after:
                real(*args, **options)
            raise KilledError

        patch.setattr(kind, method, die)
        with pytest.raises(KilledError):
            run_cycle(world)


def settle(site: Site) -> None:
    """Cycles until all that was begun has come to its end."""
    site.advance(VISIBILITY_GRACE_S + 1)
    site.cycles(4, every_s=60.0)


STEPS = [
    ("ledger.record_intents", False),
    ("ledger.record_intents", True),
    ("cloud.ensure_pool", False),
    ("cloud.ensure_pool", True),
    ("cloud.create_machines", False),
    ("cloud.create_machines", True),
    ("ledger.record_outcomes", False),
    ("ledger.record_outcomes", True),
    ("scheduler.add_nodes", False),
    ("scheduler.add_nodes", True),
    ("ledger.end_cycle", False),
]


@pytest.mark.parametrize(("where", "after"), STEPS)
def test_t33c_killed_at_any_step_of_scale_out_the_next_cycles_make_exactly_the_machines_needed(
    site: Site, monkeypatch: pytest.MonkeyPatch, where: str, after: bool
) -> None:
    site.scheduler.submit("array", iterations=60)
    killed_cycle(site, monkeypatch, where, after=after)
    settle(site)
    assert len(site.names()) == 60
    assert len(site.created()) == len(set(site.created())) == 60, "no machine was made twice or in vain"
    assert {name for name, record in site.records().items()} == set(site.names())
    assert claimed(site.cycle().plan) == []


def idle(site: Site, machines: int) -> Site:
    site.scheduler.submit("work", iterations=machines)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)
    return site


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "where", ["ledger.record_seen", "scheduler.close_nodes", "cloud.delete_machines", "scheduler.remove_nodes"]
)
def test_t33c_killed_at_any_step_of_scale_in_the_next_cycles_finish_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, where: str, after: bool
) -> None:
    idle(site, 3)
    killed_cycle(site, monkeypatch, where, after=after)
    settle(site)
    assert (site.names(), site.records()) == ([], {})
    with site.ledger() as ledger:
        assert "interrupted" in {cycle.status for cycle in ledger.cycles()}


def test_t14a_a_job_that_lands_on_a_node_a_killed_run_had_closed_reopens_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle(site, 1)
    killed_cycle(site, monkeypatch, "cloud.delete_machines")
    assert site.records()["site-htc-1"].state is MachineState.CLOSING
    site.scheduler.start("late", "site-htc-1")
    assert site.cycle().releases.reopened == ["site-htc-1"]
    assert (site.scheduler.closed, site.deletes()) == (set(), [])


def test_intents_that_no_request_followed_count_for_the_grace_and_are_then_planned_under_new_names(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.scheduler.submit("array", iterations=3)
    killed_cycle(site, monkeypatch, "cloud.create_machines")
    intents = {name: record.state for name, record in site.records().items()}
    assert intents == dict.fromkeys(["site-htc-1", "site-htc-2", "site-htc-3"], MachineState.INTENDED)
    site.advance(VISIBILITY_GRACE_S - 10)
    assert claimed(site.cycle().plan) == [], "they may exist and not show yet"
    site.advance(11)
    assert claimed(site.cycle().plan) == ["site-htc-4", "site-htc-5", "site-htc-6"]
    assert len(site.names()) == 3
    assert {record.state for name, record in site.records(gone=True).items() if name in intents} == {MachineState.GONE}


def test_a_machine_that_shows_up_after_it_was_given_up_is_taken_in_and_leaves_when_idle(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T13e: late success."""
    site.scheduler.submit("work")
    killed_cycle(site, monkeypatch, "cloud.create_machines", after=True)
    machine = site.machine("site-htc-1")
    machine.pool.remove(machine)
    site.advance(VISIBILITY_GRACE_S + 1)
    assert claimed(site.cycle().plan) == ["site-htc-2"]
    machine.pool.add(machine)
    site.boot()
    report = site.cycle()
    assert {node.name for node in report.observation.snapshot.nodes} == {"site-htc-1", "site-htc-2"}
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)
    assert sorted(site.cycle().releases.deleted) == ["site-htc-1", "site-htc-2"]


# The ledger is lost (user ask T33d)


@pytest.mark.parametrize("booted", [False, True])
def test_t33d_after_the_ledger_is_lost_machines_are_adopted_from_their_marks_and_not_doubled(
    site: Site, booted: bool
) -> None:
    site.scheduler.submit("array", iterations=55)
    site.cycle()
    if booted:
        site.boot()
    before = site.records()
    site.ledger_path.unlink()
    report = site.cycle()
    assert claimed(report.plan) == []
    after = site.records()
    assert set(after) == set(before) == set(site.names())
    for name, record in after.items():
        assert (record.nodearray, record.pool, record.vm_size) == ("htc", "htc", SIZE)
        assert record.plan_id == before[name].plan_id
        assert record.asked_at == pytest.approx(before[name].asked_at, abs=10)


def test_t33d_names_are_not_used_again_after_the_ledger_was_lost(site: Site) -> None:
    site.scheduler.submit("array", iterations=5)
    site.cycle()
    site.ledger_path.unlink()
    site.scheduler.submit("more", iterations=2)
    assert claimed(site.cycle().plan) == ["site-htc-6", "site-htc-7"]


def test_t33d_placement_groups_come_back_from_the_tags(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"hpc": {"placement_groups": ["pg1"], "buckets": [bucket()]}})
    site.scheduler.submit("mpi", node_count=3, colocated=True)
    site.cycle()
    site.boot()
    site.ledger_path.unlink()
    report = site.cycle()
    assert claimed(report.plan) == []
    assert {node.placement_group for node in report.observation.snapshot.nodes} == {"pg1"}


def test_t33d_adopted_machines_leave_like_any_other(site: Site) -> None:
    site.scheduler.submit("array", iterations=3)
    site.cycle()
    site.boot()
    site.ledger_path.unlink()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)
    assert len(site.cycle().releases.deleted) == 3
    site.boot()
    site.cycle()
    assert site.names() == []


def test_a_damaged_ledger_is_set_aside_with_a_notice_and_nothing_is_doubled(site: Site) -> None:
    site.scheduler.submit("array", iterations=3)
    site.cycle()
    content = bytearray(site.ledger_path.read_bytes())
    content[100:2000] = b"\xff" * 1900
    site.ledger_path.write_bytes(bytes(content))
    with site.world() as world:
        assert len(world.ledger.notices) == 1
        assert claimed(run_cycle(world).plan) == []
    assert len(site.created()) == 3


def test_when_intents_cannot_be_written_no_request_leaves(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise LedgerError("the disk is full")

    site.scheduler.submit("array", iterations=3)
    with site.world() as world:
        monkeypatch.setattr(type(world.ledger), "record_intents", full)
        with pytest.raises(LedgerError, match="disk is full"):
            run_cycle(world)
    assert {entry.method for entry in site.requests()} == {"GET"}


def test_a_scheduler_that_cannot_be_read_stops_the_cycle_before_the_cloud_is_changed(site: Site) -> None:
    site.scheduler.submit("array", iterations=3)
    site.scheduler.failing["read"] = "slurmctld is away"
    with pytest.raises(SchedulerError, match="slurmctld is away"):
        site.cycle()
    assert {entry.method for entry in site.requests()} <= {"GET"}, "sizes may be looked up before the queue is read"
    with site.ledger() as ledger:
        assert [cycle.status for cycle in ledger.cycles()] == ["scheduler unavailable"]
    site.scheduler.failing.clear()
    assert len(claimed(site.cycle().plan)) == 3


def test_t33b_two_autoscalers_of_different_owners_share_a_pool_without_touching_each_other(
    site: Site, make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_site()
    other.emulator = site.emulator
    other.document = {**site.document, "aks": {**site.document["aks"], "owner": "other"}}
    other.clock = site.clock
    other.scheduler = FakeScheduler(site.machines)
    for one, jobs in ((site, 2), (other, 3)):
        patch_wiring(monkeypatch, one)
        one.scheduler.submit("work", iterations=jobs)
        one.cycle()
    assert site.names() == ["other-htc-1", "other-htc-2", "other-htc-3", "site-htc-1", "site-htc-2"]
    site.boot()
    patch_wiring(monkeypatch, site)
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(IDLE_S)
    site.cycle()
    site.boot()
    site.cycle()
    assert site.names() == ["other-htc-1", "other-htc-2", "other-htc-3"]
