"""A scheduler that powers its own nodes: machines of exactly the names it asks for, and gone when it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import BOOT_S, IDLE_S, config_document

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.schedulers.port import NodeRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

    from autoscale_aks.ledger.store import Ledger


@pytest.fixture
def powered(site: Site) -> Site:
    site.scheduler.powered = None
    return site


def ask(site: Site, *names: str, up: bool = True, problem: str = "") -> None:
    at = site.clock.now()
    site.scheduler.requests += [NodeRequest(name=name, is_up=up, at=at, problem=problem) for name in names]


def test_machines_of_exactly_these_names_are_made_in_chunks_and_settled_once_the_ledger_has_them(powered: Site) -> None:
    ask(powered, *(f"site-htc-{number}" for number in (*range(3, 60), 70, 7000)))
    report = powered.cycle()
    assert powered.names() == sorted(f"site-htc-{number}" for number in (*range(3, 60), 70, 7000))
    assert report.puts == 2
    assert powered.scheduler.requests == []
    assert len(powered.scheduler.told("settle")) == 59
    assert report.notices == ()
    powered.cycle()
    assert len(powered.puts()) == 2


def test_a_request_stays_open_until_its_machine_is_in_the_ledger(
    powered: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    settle = powered.scheduler.settle_requests

    def looking(requests: list[NodeRequest]) -> None:
        seen.append(set(powered.records()))
        settle(requests)

    monkeypatch.setattr(powered.scheduler, "settle_requests", looking)
    ask(powered, "site-htc-5")
    powered.cycle()
    assert seen == [{"site-htc-5"}]


def test_a_refused_machine_is_asked_for_again_under_its_name_and_under_no_other(powered: Site) -> None:
    ask(powered, "site-htc-4", "site-htc-9")
    powered.fault(kind="client_error", names=("site-htc-9",), code="QuotaExceeded", message="no")
    first = powered.cycle()
    assert {one.name for one in powered.scheduler.requests} <= {"site-htc-4", "site-htc-9"}
    assert powered.scheduler.requests
    assert any("asked for again in the next cycle" in notice for notice in first.notices)
    powered.mend()
    powered.advance(2 * 3600)
    powered.cycle()
    assert set(powered.created()) == {"site-htc-4", "site-htc-9"}
    assert powered.names() == ["site-htc-4", "site-htc-9"]
    assert powered.scheduler.requests == []


def test_more_than_a_limit_allows_is_explained_and_the_rest_made_when_there_is_room(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(limits={"cluster_max_nodes": 2})
    site.scheduler.powered = None
    ask(site, "site-htc-1", "site-htc-2", "site-htc-3")
    report = site.cycle()
    assert site.names() == ["site-htc-1", "site-htc-2"]
    assert [str(one.message) for one in report.plan.problems] == [
        "of 3 nodes that it powers up, 1 machines are missing: LIMIT"
    ]
    assert "site-htc-3: has no machine yet and is asked for again" in " ".join(report.notices)
    assert [one.name for one in site.scheduler.requests] == ["site-htc-3"]


@pytest.mark.parametrize("name", ["c1", "site-htc-007", "site-gpu-1", "other-htc-1"])
def test_a_name_that_is_not_ours_is_explained_and_settled(powered: Site, name: str) -> None:
    ask(powered, name, "site-htc-1")
    report = powered.cycle()
    assert powered.names() == ["site-htc-1"]
    assert f"{name}: gets no machine: its name is none of ours (site-htc-NUMBER)" in " ".join(report.notices)
    assert powered.scheduler.requests == []


def test_a_request_that_nobody_waits_for_any_more_makes_nothing(powered: Site) -> None:
    ask(powered, "site-htc-1", problem="Slurm does not wait for it any more: it is IDLE")
    report = powered.cycle()
    assert powered.names() == []
    assert "does not wait for it any more" in " ".join(report.notices)
    assert powered.scheduler.requests == []


def test_numbers_that_lie_absurdly_far_apart_are_refused(powered: Site) -> None:
    ask(powered, "site-htc-1", "site-htc-999999999999")
    assert "more than 100000 beyond" in " ".join(powered.cycle().notices)
    assert powered.names() == ["site-htc-1"]


def test_idle_machines_stay_until_the_scheduler_says_so_and_may_come_again_under_their_names(powered: Site) -> None:
    ask(powered, "site-htc-1", "site-htc-2")
    powered.cycle()
    powered.boot()
    powered.advance(10 * IDLE_S)
    for _ in range(3):
        assert powered.cycle().releases.deleted == []
        powered.advance(10 * IDLE_S)
    ask(powered, "site-htc-1", up=False)
    powered.advance(1.0)
    ask(powered, "site-htc-1")
    report = powered.cycle()
    assert report.releases.deleted == ["site-htc-1"]
    assert "site-htc-1: waits until the machine that had its name is gone" in " ".join(report.notices)
    assert [one.is_up for one in powered.scheduler.requests] == [True]
    powered.advance(300.0)
    powered.scheduler.closed.clear()
    powered.cycle()
    assert powered.created().count("site-htc-1") == 2
    assert powered.scheduler.requests == []
    powered.boot()
    powered.cycle()
    assert powered.records()["site-htc-1"].state is MachineState.READY


def test_a_node_with_work_is_not_deleted_and_the_request_stays(powered: Site) -> None:
    ask(powered, "site-htc-1")
    powered.cycle()
    powered.boot()
    powered.scheduler.submit("a")
    powered.scheduler.start("a", "site-htc-1")
    powered.cycle()
    ask(powered, "site-htc-1", up=False)
    assert powered.cycle().releases.deleted == []
    assert len(powered.scheduler.requests) == 1
    powered.scheduler.finish("a")
    assert powered.cycle().releases.deleted == ["site-htc-1"]
    assert powered.scheduler.requests == []


def test_a_suspend_of_what_is_not_there_or_is_newer_is_settled_and_deletes_nothing(powered: Site) -> None:
    ask(powered, "site-htc-8", up=False)
    powered.advance(1.0)
    ask(powered, "site-htc-1")
    powered.cycle()
    at = powered.records()["site-htc-1"].asked_at - 0.5
    powered.scheduler.requests.append(NodeRequest(name="site-htc-1", is_up=False, at=at))
    powered.cycle()
    assert powered.scheduler.requests == []
    assert powered.deletes() == []


def test_only_the_named_node_arrays_are_the_schedulers(make_site: Callable[..., Site]) -> None:
    arrays = {"htc": config_document("http://localhost")["nodearrays"]["htc"], "hpc": {"buckets": [
        {"vm_size": "Standard_D4s_v5", "vcpu_count": 4, "memory_gb": 16}]}}  # fmt: skip
    site = make_site(nodearrays=arrays)
    site.scheduler.powered = ("hpc",)
    site.scheduler.submit("a")
    ask(site, "site-hpc-3")
    site.cycle()
    assert site.names() == ["site-hpc-3", "site-htc-1"]
    site.boot()
    site.scheduler.finish("a")
    site.cycle()
    site.advance(IDLE_S + 1)
    assert site.cycle().releases.deleted == ["site-htc-1"]
    assert BOOT_S > IDLE_S


def test_names_come_again_only_of_machines_that_are_gone_or_were_refused(powered: Site) -> None:
    ask(powered, "site-htc-1")
    powered.cycle()
    with powered.world() as world:
        ledger: Ledger = world.ledger
        ledger.readmit(["site-htc-1", "unknown"])
    assert set(powered.records()) == {"site-htc-1"}


def test_many_nodes_that_are_powered_down_are_no_list_that_cannot_be_believed(powered: Site) -> None:
    names = [f"site-htc-{number}" for number in range(1, 31)]
    ask(powered, *names)
    powered.cycle()
    powered.boot()
    powered.cycle()
    ask(powered, *names, up=False)
    powered.scheduler.joins = lambda _: False
    report = powered.cycle()
    assert sorted(report.releases.deleted) == sorted(names), "the scheduler itself has said so, and shows them no more"
    assert powered.scheduler.requests == []
