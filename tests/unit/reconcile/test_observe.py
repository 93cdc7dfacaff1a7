"""What one look sees: each machine once, only ours, and never a write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from unit.reconcile.fakes import IDLE_S, SIZE, bucket, claimed

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.launch import OWNER_TAG
from autoscale_aks.reconcile.names import LONGEST_NAME, machine_prefix, number_of_name

if TYPE_CHECKING:
    from unit.reconcile.fakes import Site


def put_machine(site: Site, name: str, tags: dict[str, str] | None = None) -> None:
    """Somebody else makes a machine in our pool."""
    spec = site.emulator.settings.clusters[0]
    url = f"{site.emulator.base_url}{spec.id}/agentPools/htc/machines/{name}?api-version=2025-06-02-preview"
    body: dict[str, Any] = {"properties": {"hardware": {"vmSize": SIZE}, "tags": tags or {}}}
    answer = requests.put(url, json=body, headers={"Authorization": "Bearer other"}, timeout=10)
    assert answer.ok, answer.text


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("other-htc-1", {OWNER_TAG: "other"}),
        ("byhand", {}),
        ("site2-htc-1", {OWNER_TAG: "site2"}),
        ("sitehtc1", {}),
        ("site-htc-99", {OWNER_TAG: "other"}),
    ],
)
def test_t13a_machines_without_our_mark_are_neither_counted_nor_touched(
    site: Site, name: str, tags: dict[str, str]
) -> None:
    site.scheduler.submit("work")
    site.cycle()
    put_machine(site, name, tags)
    site.boot()
    site.scheduler.submit("more")
    report = site.cycle()
    assert claimed(report.plan) == ["site-htc-2"], "a stranger's machine is no capacity"
    site.scheduler.finish()
    site.boot()
    site.cycle()
    site.advance(IDLE_S * 2)
    site.cycle()
    site.boot()
    site.cycle()
    assert site.names() == [name]
    assert name not in site.deletes()
    assert name not in site.records(gone=True)


def test_a_machine_with_our_name_and_no_tag_at_all_is_ours(site: Site) -> None:
    """One header form of the batch loses the tags of all machines but the first (batching.md B7)."""
    site.scheduler.submit("work")
    site.cycle()
    put_machine(site, "site-htc-7")
    site.scheduler.submit("more")
    report = site.cycle()
    assert claimed(report.plan) == []
    assert site.records()["site-htc-7"].state is MachineState.LISTED


def test_t03a_a_machine_in_ledger_list_cluster_and_scheduler_is_one_node(site: Site) -> None:
    site.scheduler.submit("array", iterations=4)
    site.cycle()
    for wait_s in (0, 20, 20, 20, 20):
        site.advance(wait_s)
        names = [node.name for node in site.cycle().observation.snapshot.nodes]
        assert sorted(names) == site.names()
        assert len(set(names)) == len(names) == 4


def test_a_second_pool_that_cannot_be_read_makes_only_its_own_machines_uncertain(make_site: Any) -> None:
    site = make_site(nodearrays={
        "htc": {"max_count": 1, "buckets": [bucket()]}, "big": {"buckets": [bucket("Standard_D8s_v5", vcpu_count=8)]},
    })  # fmt: skip
    site.scheduler.submit("small")
    site.scheduler.submit("large", cpus=8)
    site.cycle()
    site.fault(kind="error_before", operations=("machine.list",), pools=("big",), status=500)
    report = site.cycle()
    complete = {source.name: source.complete for source in report.observation.snapshot.sources}
    assert complete == {
        "scheduler": True, "machines of pool htc": True, "machines of pool big": False, "nodes": True,
    }  # fmt: skip
    assert claimed(report.plan) == []


def test_records_that_cannot_be_read_stand_in_the_report_beside_the_plan(site: Site) -> None:
    site.scheduler.submit("good")
    site.scheduler.submit("bad", cpus=-3)
    seen, plan = site.demand()
    assert claimed(plan) == ["site-htc-1"]
    assert {outcome.status.value for outcome in plan.outcomes} == {"success", "invalid"}
    assert seen.unrecorded == ()


def test_names_end_in_their_number_and_stay_within_the_services_34() -> None:
    assert machine_prefix("site", "htc") == "site-htc-"
    assert number_of_name("site-htc-41") == 41
    assert [number_of_name(name) for name in ("site-htc-", "site", "site-htc-x", "41")] == [None] * 4
    longest = machine_prefix("o" * 8, "n" * 16) + "9" * 8
    assert len(longest) == LONGEST_NAME


def test_a_cloud_that_cannot_be_reached_is_asked_for_one_pool_only(make_site: Any) -> None:
    """Every further pool would wait through all its retries again, and the cycle would take minutes."""
    site = make_site(nodearrays={
        "htc": {"buckets": [bucket()]}, "big": {"buckets": [bucket("Standard_D8s_v5", vcpu_count=8)]},
    })  # fmt: skip
    site.scheduler.submit("small")
    site.emulator.stop()
    report = site.cycle()
    sources = {source.name: source.complete for source in report.observation.snapshot.sources}
    assert sources == {"scheduler": True, "machines of pool htc": False}
    assert "refused" in report.observation.snapshot.sources[1].detail.lower()
    assert report.is_cloud_down


def test_a_node_list_that_fails_does_not_make_ready_machines_unborn(site: Site) -> None:
    """Past the boot timeout they would offer nothing, and the work they have room for would be bought again."""
    site.scheduler.submit("work", iterations=3)
    site.cycle()
    site.boot()
    site.cycle()
    site.advance(7200)
    site.fault(kind="error_before", operations=("node.list",), status=500)
    report = site.cycle()
    assert not all(source.complete for source in report.observation.snapshot.sources)
    assert [node.is_ready for node in report.observation.snapshot.nodes] == [True] * len(site.names())
    assert claimed(report.plan) == []
    assert report.releases.deleted == []


def test_t03a_machines_that_only_the_scheduler_shows_count_while_the_list_is_not_whole(site: Site) -> None:
    """The ledger is lost and the cloud does not answer: what the scheduler runs is not bought again."""
    site.scheduler.submit("work", iterations=3)
    site.cycle()
    site.boot()
    site.cycle()
    site.ledger_path.unlink()
    site.scheduler.submit("more", iterations=3)
    site.scheduler.finish("work")
    site.fault(kind="error_before", operations=("machine.list",), status=500)
    report = site.cycle()
    assert sorted(node.name for node in report.observation.snapshot.nodes) == site.names()
    assert claimed(report.plan) == []
    assert site.records() == {}, "a list that shows them says more of them than their name"
    site.mend()
    assert claimed(site.cycle().plan) == []
    assert sorted(site.records()) == site.names()
    assert site.deletes() == []


def test_a_node_of_the_scheduler_s_own_with_a_name_like_ours_is_no_machine(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    assert len(site.cycle().observation.snapshot.nodes) == 1
    machine = site.machine("site-htc-1")
    machine.pool.remove(machine)
    site.scheduler._machines = lambda: [machine]
    assert site.cycle().observation.snapshot.nodes == (), "a whole list has the last word"


@pytest.mark.parametrize("is_ours", [True, False])
def test_t33d_the_release_of_a_node_that_we_closed_goes_on_after_the_ledger_was_lost(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_ours: bool
) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.scheduler.finish()
    site.scheduler.closed.update(machine.node_name for machine in site.machines())
    plain = site.scheduler._nodes
    monkeypatch.setattr(site.scheduler, "_nodes", lambda: [replace(node, closed_by_us=is_ours) for node in plain()])
    site.ledger_path.unlink()
    report = site.cycle()
    assert report.releases.deleted == (["site-htc-1"] if is_ours else []), "an administrator's word stands"
    assert "1 machines that the ledger did not know were taken in by their marks" in report.notices


def test_a_delete_that_a_killed_run_sent_and_did_not_record_is_known_at_the_next_look(site: Site) -> None:
    site.scheduler.submit("work")
    site.cycle()
    site.boot()
    site.cycle()
    with site.world() as world:
        world.ledger.record_seen({"site-htc-1": MachineState.CLOSING}, site.clock.now(), {})
        world.cloud.delete_machines("htc", ["site-htc-1"])
    assert site.records()["site-htc-1"].state is MachineState.CLOSING
    site.scheduler.finish()
    site.cycle()
    assert site.records()["site-htc-1"].state is MachineState.DELETING
