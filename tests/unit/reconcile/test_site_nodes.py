"""Nodes of the site that are no machines of ours: used first, and never touched (matching.md P1, A3)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from frozendict import frozendict
from unit.reconcile.fakes import IDLE_S

from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.schedulers.port import SchedulerNode
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

ROOT = Path(__file__).parents[3]
FREE = frozendict({"ncpus": 4})


def own(name: str, **more: Any) -> SchedulerNode:
    return SchedulerNode(**{"name": name, "machine": name, "state": "Ready", "resources": FREE, "available": FREE,
                            **more})  # fmt: skip


def test_a_free_node_of_the_site_is_used_before_a_machine_is_bought(site: Site) -> None:
    site.scheduler.site_nodes = [own("rack-1")]
    site.scheduler.submit("a")
    report = site.cycle()
    assert [node.name for node in report.plan.unmanaged_nodes] == ["rack-1"]
    assert site.names() == []
    site.scheduler.submit("b")
    site.cycle()
    assert site.names() == ["site-htc-1"]


@pytest.mark.parametrize(
    "change",
    [{"state": "Down"}, {"state": "Closed"}, {"state": "Booting"}, {"available": frozendict({"ncpus": 0})},
     {"resources": frozendict({"ncpus": 2}), "available": frozendict({"ncpus": 2})}],
)  # fmt: skip
def test_a_node_that_cannot_take_the_job_keeps_no_machine_away(site: Site, change: dict[str, Any]) -> None:
    site.scheduler.site_nodes = [own("rack-1", **change)]
    site.scheduler.submit("a")
    site.cycle()
    assert site.names() == ["site-htc-1"]


def test_a_scheduler_that_has_tried_them_all_is_believed(site: Site) -> None:
    """kube-scheduler says unschedulable: no node that is there takes the pod, whatever room we see on it (T06a)."""
    site.scheduler.site_nodes, site.scheduler.site_nodes_count = [own("aks-system-12345678-vmss000000")], False
    site.scheduler.submit("a")
    report = site.cycle()
    assert report.plan.unmanaged_nodes == ()
    assert site.names() == ["site-htc-1"]


def test_the_sites_nodes_are_never_closed_reopened_or_removed_however_idle(site: Site) -> None:
    site.scheduler.site_nodes = [own("rack-1"), own("rack-2", state="Closed", closed_by_us=True)]
    for _ in range(4):
        site.cycle()
        site.advance(10 * IDLE_S)
    assert {method for method, _ in site.scheduler.calls} == {"read"}
    assert site.deletes() == []


def test_our_own_names_are_never_taken_for_the_sites(site: Site) -> None:
    site.scheduler.site_nodes = [own("site-htc-77"), own("n5", machine="site-htc-78")]
    report = site.cycle()
    assert report.plan.unmanaged_nodes == ()


def test_a_node_serves_the_node_array_that_most_waiting_work_asks_for(site: Site) -> None:
    site.scheduler.site_nodes = [own("rack-1", nodearrays=("all", "mem", "htc")), own("rack-2", nodearrays=("mem",))]
    for number in range(3):
        shape = JobShape(constraints=({"ncpus": 4, "nodearray": ("htc",)},))
        site.scheduler.jobs[f"j{number}"] = Job(name=f"j{number}", shape=shape)
    report = site.cycle()
    assert [dict(node.resources)["nodearray"] for node in report.plan.unmanaged_nodes] == ["htc", "mem"]
    assert len(site.names()) == 2, "one of three runs on rack-1, none on rack-2"


def test_a_captured_slurm_shows_its_nodes_with_the_arrays_of_their_partitions() -> None:
    capture = {"type": "slurm", "capture_dir": str(ROOT / "conf" / "sample" / "slurm-empty"), "capture_nodes": True}
    nodes = build_scheduler({**capture, "partitions": {"hpc": ["mpi", "hpc"]}}, environment={}).read().nodes or ()
    served = {node.name: node.nodearrays for node in nodes}
    assert served["hpc-001"] == ("mpi", "hpc")
    assert served["htc-001"] == ("htc", "maint")


def test_nodes_of_a_captured_openpbs_come_before_machines(make_site: Callable[..., Site]) -> None:
    capture = ROOT / "tests" / "fixtures" / "openpbs" / "20-joined"
    found = build_scheduler({"type": "openpbs", "capture_dir": str(capture), "capture_nodes": True}, environment={})
    ready = [node for node in found.read().nodes or () if node.state == "Ready" and node.available.get("ncpus")]
    assert [node.name for node in ready] == ["n04"]
    site = make_site()
    site.scheduler.site_nodes = ready
    site.scheduler.submit("a", cpus=1)
    report = site.cycle()
    assert {node.name for node in report.plan.unmanaged_nodes} == {node.name for node in ready}
    assert site.names() == []
