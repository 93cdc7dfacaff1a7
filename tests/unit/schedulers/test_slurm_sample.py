"""The captured queue of conf/sample/slurm: what each of its jobs becomes, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from slurm_lines import SAMPLE

from autoscale_aks.model.job import PackingStrategy
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from autoscale_aks.schedulers.port import SchedulerState

HTC, HPC, GPU, MEM = ({"nodearray": (name,)} for name in ("htc", "hpc", "gpu", "mem"))
WHOLE_HPC = {**HPC, "ncpus": 16, "mem": "memory::28.125g"}
ONE_CORE = {**HTC, "ncpus": 1, "mem": "memory::3500m"}

# name, tasks, constraints, nodes (a negative number: that many slots packed), why
RUNNABLE: list[tuple[str, int, list[dict[str, Any]], int, str]] = [
    ("14_[0-599]", 600, [ONE_CORE], 0, "600 one-core tasks with the partition's memory per CPU are one record"),
    ("15_[1-250]", 250, [{**ONE_CORE, "mem": "memory::3g"}], 0, "--mem=3G for a job of one node is 3 GiB a task"),
    ("16_[1-10]", 10, [{**HTC, "ncpus": 2, "mem": "memory::6g"}], 0, "of 120 tasks ten may run (%10): five machines"),
    ("17_[0-318:2]", 160, [{**ONE_CORE, "mem": "memory::2g"}], 0, "0-318:2 are 160 tasks, not 319"),
    ("18_[2-3,5,7,11,13,17,19,23,29,31,37,41,43,47,53,59,...]", 60, [{**HTC, "ncpus": 2, "mem": "memory::5g"}], 0,
     "all ranges are counted, and the name stays as short as squeue's"),
    ("19", 1, [{**HTC, "ncpus": 1}, {"exclusive": True}], 0, "--mem=0 is all memory, so nobody else fits"),
    ("20", 1, [ONE_CORE, {"exclusive-task": True}], -2, "--exclusive with two tasks: both may share the machine"),
    ("21", 1, [ONE_CORE, {"or": ({"feature_spot": True}, {"feature_regular": True})}], -3,
     "spot|regular is an or, and the bar did not break the line"),
    ("22", 1, [{**HTC, "ncpus": 2, "mem": "memory::7000m"},
               {"and": ({"feature_standard_d4s_v5": True}, {"feature_regular": True})}], -6,
     "six free tasks are six slots, all or none: NumNodes 3 is only Slurm's guess"),
    ("23", 1, [{"nodearray": ("htc", "mem"), "ncpus": 1, "mem": "memory::8g"}], 0,
     "two partitions are one job with a preference, not two jobs"),
    ("24", 1, [ONE_CORE, {"node.hostname": ("htc-002",)}], 0, "-w htc-002: no new machine can be it"),
    ("25", 1, [ONE_CORE, {"shared-consumable": {"resources": ("matlab",), "amount": 1, "decrement_once": True}}], 0,
     "a licence counts once a job"),
    ("27", 1, [WHOLE_HPC], 4, "-N4 -n64: four machines with sixteen tasks each; 112.50G / 64 is 1800M exactly"),
    ("28", 1, [WHOLE_HPC], 4, "the same again"),
    ("29", 1, [WHOLE_HPC], 4, "--switches=1 on several machines: one placement group"),
    ("30", 1, [{**HPC, "ncpus": 1, "mem": "memory::1800m"}, {"exclusive": True}], 8, "eight whole machines"),
    ("31", 1, [WHOLE_HPC], 8, "128 tasks at 16 a node are 8 machines, although its TRES say node=1"),
    ("32", 1, [WHOLE_HPC], 2, "-N2-4: the least is two, although NumNodes says 4 after backfill"),
    ("33", 1, [{**HPC, "ncpus": 1, "mem": "memory::1800m"}], -48, "48 tasks anywhere"),
    ("34_[0-39]", 40, [{**GPU, "ncpus": 4, "mem": "memory::26000m", "ngpus": 1}], 0, "a GPU of any type each"),
    ("35", 1, [{**GPU, "ncpus": 4, "mem": "memory::26000m", "ngpus": 1}, {"gpu_type": "t4"}], 2,
     "gres:gpu:t4:1 names the type"),
    ("36", 1, [{**GPU, "ncpus": 4, "mem": "memory::20g", "ngpus": 1}], -4,
     "--gpus=4 with CPUs and memory per GPU: one slot a GPU, although MinMemory and NumCPUs say 0 and 1"),
    ("37", 1, [{**GPU, "ncpus": 1, "mem": "memory::6500m", "ngpus": 1}], -2, "a GPU per task: one slot a task"),
    ("38_[0-17]", 18, [{**MEM, "ncpus": 8, "mem": "memory::100g"}], 0, "100 GiB each: one to a machine by memory"),
    ("39_[1-8]", 8, [{**MEM, "ncpus": 4, "mem": "memory::60g"}], 0, "15G per CPU and 4 CPUs are 60 GiB"),
]  # fmt: skip

WAITING = {
    "1_[9-40%8]": ("JobArrayTaskLimit", 32, "eight of its tasks run and eight may"),
    "16_[11-120%10]": ("JobArrayTaskLimit", 110, "the rest of an array of which ten may run"),
    "26": ("Licenses", 1, "asks for 4 fluent, 2 are left"),
    "42_[1-200]": ("JobHeldUser", 200, "held"),
    "43": ("JobHeldAdmin", 1, "held"),
    "44_[1-100]": ("Dependency", 100, "waits for the sweep"),
    "45": ("Dependency", 1, "waits for two jobs"),
    "46": ("BeginTime", 1, "begins in six hours"),
    "47": ("PartitionTimeLimit", 1, "three days in a partition of two"),
    "48": ("PartitionConfig: it asks for 60 nodes, its partition has 48", 1, "too wide, and no machine helps"),
    "49": ("PartitionDown", 1, "its partition is down"),
}


@pytest.fixture(scope="module")
def state() -> SchedulerState:
    return build_scheduler({"type": "slurm", "capture_dir": str(SAMPLE)}).read()


def _shown(constraints: Any) -> Any:
    if hasattr(constraints, "items"):
        return {key: _shown(value) for key, value in constraints.items()}
    return tuple(_shown(item) for item in constraints) if isinstance(constraints, tuple) else constraints


@pytest.mark.parametrize(("name", "count", "constraints", "nodes", "why"), RUNNABLE, ids=[row[0] for row in RUNNABLE])
def test_each_waiting_job_becomes_what_it_asked_for(
    state: SchedulerState, name: str, count: int, constraints: list[dict[str, Any]], nodes: int, why: str
) -> None:
    job = next(job for job in state.jobs if job.name == name)
    assert job.problem is None, why
    assert (job.runnable, job.count) == (True, count), why
    assert [_shown(constraint) for constraint in job.shape.constraints] == constraints, why
    assert job.shape.node_count == abs(nodes), why
    assert job.shape.packing_strategy is (PackingStrategy.PACK if nodes < 0 else None), why
    assert job.shape.colocated is (name == "29"), why


@pytest.mark.parametrize("name", WAITING)
def test_jobs_that_no_machine_helps_say_why(state: SchedulerState, name: str) -> None:
    reason, count, why = WAITING[name]
    job = next(job for job in state.jobs if job.name == name)
    assert not job.runnable, why
    assert job.count == count, why
    assert job.not_runnable_reason.startswith(reason), why


def test_a_heterogeneous_job_is_one_gang_of_two_chunks(state: SchedulerState) -> None:
    job = next(job for job in state.jobs if job.name == "40")
    first, second = job.shape.chunks
    assert _shown(first.constraints) == ({**HPC, "ncpus": 1, "mem": "memory::1800m"},)
    assert (first.iterations, first.node_count) == (16, 0)
    assert _shown(second.constraints) == ({**GPU, "ncpus": 1, "mem": "memory::6500m", "ngpus": 1},)
    assert (second.iterations, second.node_count) == (1, 0)


def test_the_tables_above_are_the_whole_queue_in_slurms_order(state: SchedulerState) -> None:
    assert {job.name for job in state.jobs} == {*WAITING, *(row[0] for row in RUNNABLE), "40"}
    # 1,165 pending records and tasks wait for machines; the two components of job 40 are one job here.
    assert sum(job.count for job in state.jobs if job.runnable) == 1_165 - 1
    assert sum(job.count for job in state.jobs) == 1_614 - 1
    priorities = [job.priority for job in state.jobs]
    assert priorities == sorted(priorities, reverse=True)
    assert state.jobs[0].name == "1_[9-40%8]"
    assert not state.problems
    assert state.complete


def test_jobs_that_ask_for_the_same_share_one_shape(state: SchedulerState) -> None:
    shapes = {job.name: job.shape for job in state.jobs}
    assert shapes["27"] is shapes["28"]
    assert shapes["44_[1-100]"] is shapes["45"] is shapes["14_[0-599]"]
    assert shapes["16_[1-10]"] is shapes["16_[11-120%10]"]
    assert shapes["29"] is not shapes["28"]


def test_what_runs_and_what_licences_are_left(state: SchedulerState) -> None:
    assert state.running["htc-001"] == ("1_1", "1_2")
    assert state.running["hpc-003"] == ("2",)
    assert len(state.running) == 11
    assert {name: (it.initial, it.current) for name, it in state.shared_resources.items()} == {
        "fluent": (8, 2),
        "matlab": (4, 4),
    }


def test_captured_nodes_are_reported_only_on_request(state: SchedulerState) -> None:
    assert state.nodes is None
    nodes = build_scheduler({"type": "slurm", "capture_dir": str(SAMPLE), "capture_nodes": True}).read().nodes
    assert nodes is not None
    assert len(nodes) == 11, "437 more have no machine"
    assert all(node.state == "Ready" and node.job_ids for node in nodes)
    gpu = next(node for node in nodes if node.name == "gpu-001")
    assert (gpu.resources["ngpus"], gpu.available["ngpus"], gpu.resources["gpu_type"]) == (1, 0, "t4")
    assert gpu.available["ncpus"] == 0
