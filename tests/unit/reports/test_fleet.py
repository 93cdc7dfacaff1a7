"""The machines of the report, and what fills them."""

from __future__ import annotations

import pytest
from builders import array, f4, job, node, scenario
from report_scenes import big_scene, full_scene

from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.planning.space import build_space
from autoscale_aks.reports.demand import DemandReport, summarise
from autoscale_aks.reports.fleet import MOST_CELLS, CellState
from autoscale_aks.reports.fullness import Gauge


def report_of(*jobs: dict[str, object], **more: object) -> DemandReport:
    snapshot, policy = decode_scenario(scenario(*jobs, **more))
    return summarise(plan(snapshot, policy), snapshot, policy=policy)


def test_a_cell_is_filled_by_what_runs_and_by_what_the_plan_places() -> None:
    (row,) = report_of(job("a"), nodes=[node("htc-1", available={"ncpus": 2}, job_ids=["r"])]).fleet
    (cell,) = row.cells
    assert (cell.state, cell.used, cell.filled, cell.first) == (CellState.BUSY, 0.5, 0.75, "htc-1")
    assert [(fill.name, fill.total, fill.used, fill.planned) for fill in row.fills] == [("ncpus", 4, 2, 1)]
    assert (row.running_jobs, row.jobs, row.other_jobs) == (1, (("a", 1),), 0)


def test_the_fullest_resource_fills_the_cell() -> None:
    (row,) = report_of(job("a", {"ncpus": 1, "mem": "memory::6g"}), nodes=[node("htc-1")]).fleet
    assert row.cells[0].filled == 0.75
    assert [(fill.name, fill.is_size) for fill in row.fills] == [("ncpus", False), ("memory", True)]


def test_memory_under_several_names_is_one_quantity() -> None:
    rules = [
        {"select": {}, "name": "mem", "value": "node.memory"},
        {"select": {}, "name": "memgb", "value": "node.memory"},
    ]
    (row,) = report_of(job("a", {"mem": "memory::4g"}), nodes=[node("htc-1")], default_resources=rules).fleet
    assert [(fill.name, fill.total, fill.planned) for fill in row.fills] == [("memory", 8 * 1024**3, 4 * 1024**3)]


def test_every_state_has_its_cells() -> None:
    report = full_scene().report()
    states = {state for row in report.fleet for state in row.states}
    assert states == {CellState.BUSY, CellState.PROTECTED, CellState.BOOTING, CellState.NEW, CellState.LEAVING}
    idle = report_of(nodes=[node("htc-1"), node("htc-2", state="offline")]).fleet[0]
    assert idle.states == {CellState.IDLE: 1, CellState.OFF: 1}


def test_every_machine_is_in_one_cell() -> None:
    scene = full_scene()
    for row in scene.report().fleet:
        assert sum(cell.nodes for cell in row.cells) == row.nodes
    nodes = sum(row.nodes for row in scene.report().fleet)
    assert nodes == len(scene.snapshot.nodes) + len(scene.plan.claims)


def test_on_premise_nodes_are_shown_and_are_not_ours() -> None:
    own = [{"hostname": "onprem-1", "resources": {"ncpus": 8}, "available": {}, "job_ids": []}]
    report = report_of(job("a"), arrays=[array("htc", f4())], unmanaged_nodes=own)
    assert [(row.bucket, row.nodes) for row in report.fleet] == [("on-premise", 1)]
    assert report.buckets == ()


def test_a_large_fleet_is_drawn_with_few_cells() -> None:
    report = big_scene(nodes=5000, jobs=2000).report()
    cells = sum(len(row.cells) for row in report.fleet)
    assert sum(row.nodes for row in report.fleet) > 5000
    assert cells <= MOST_CELLS + 8 * len(report.fleet) * len(CellState)


@pytest.mark.parametrize("state", ["Failed", "offline"])
def test_what_is_off_fills_nothing(state: str) -> None:
    (row,) = report_of(nodes=[node("htc-1", state=state)]).fleet
    assert row.fills == ()


def test_machines_that_are_equally_full_are_read_once() -> None:
    gauge = htc_gauge()
    first, second = ({"ncpus": 2, "tag": tag} for tag in ("a", "b"))
    assert gauge.read(first, first) is gauge.read(second, second)
    assert gauge.read(first, {"ncpus": 1}).amounts[0] == (2, 1)


def test_true_is_no_amount_although_it_equals_one() -> None:
    gauge = htc_gauge()
    assert gauge.read({"ncpus": 1}, {"ncpus": 1}).used == 0.75
    assert gauge.read({"ncpus": True}, {"ncpus": True}).used == 0.0


def htc_gauge() -> Gauge:
    snapshot, _ = decode_scenario(scenario(job("a")))
    rules = parse_default_resources(snapshot.default_resources)
    return Gauge(build_space(snapshot, rules).empty[0].kind)
