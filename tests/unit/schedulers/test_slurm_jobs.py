"""Records to jobs: arrays and their limits, heterogeneous jobs, order, and what cannot be read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from slurm_lines import FACTS, array, line, read, task

from autoscale_aks.schedulers.slurm.records import FIELDS, Asked, QueueRecord


def test_the_query_and_the_record_have_the_same_fields() -> None:
    own = len(QueueRecord._fields) - 1
    assert own + len(Asked._fields) == len(FIELDS) == 39
    record = QueueRecord._make((*FIELDS[:own], "\t".join(FIELDS[own:])))
    asked = record.asked
    assert (record.node_list, record.priority, record.partition) == ("NodeList", "PriorityLong", "Partition")
    assert (asked.num_nodes, asked.req_switch, asked.tres_alloc) == ("NumNodes", "ReqSwitch", "tres-alloc")
    assert (asked.licenses, asked.req_nodes) == ("Licenses", "ReqNodes")


@pytest.mark.parametrize(
    ("others", "names"),
    [
        ([], ["5_[1-3]", "5_[4-20%3]"]),
        ([task("6", "5", "0", State="RUNNING", NodeList="htc-1")], ["5_[1-2]", "5_[3-20%3]"]),
        ([task(str(6 + n), "5", str(90 + n), State="RUNNING", NodeList="htc-1") for n in range(3)], ["5_[1-20%3]"]),
        ([task("6", "5", "0", State="COMPLETING", NodeList="htc-1")], ["5_[1-3]", "5_[4-20%3]"]),
        ([task("6", "5", "0", State="CONFIGURING", NodeList="htc-1")], ["5_[1-2]", "5_[3-20%3]"]),
        ([task("6", "5", "0")], ["5_[1-2]", "5_[3-20%3]", "5_0"]),
        ([task("6", "5", "0", Reason="JobHeldUser")], ["5_[1-3]", "5_[4-20%3]", "5_0"]),
        ([task("6", "9", "0", State="RUNNING", NodeList="htc-1")], ["5_[1-3]", "5_[4-20%3]"]),
    ],
    ids=[
        "nothing runs",
        "one runs",
        "three run",
        "one ends",
        "one boots",
        "one waits again",
        "one is held",
        "others",
    ],
)
def test_an_array_asks_for_as_many_machines_as_its_limit_leaves(others: list[str], names: list[str]) -> None:
    jobs = read(array("5", "1-20%3", Reason="Priority"), *others).jobs
    assert [job.name for job in jobs] == names
    assert sum(job.count for job in jobs if job.name.startswith("5_[")) == 20
    for job in jobs:
        assert job.runnable is not (job.name.endswith("%3]") or "Held" in job.not_runnable_reason)


def test_an_array_that_waits_for_its_limit_asks_for_nothing() -> None:
    (job,) = read(array("5", "1-20%3", Reason="JobArrayTaskLimit")).jobs
    assert (job.count, job.runnable) == (20, False)


def test_slurm_looks_at_partitions_of_a_higher_tier_first_then_priority_then_age() -> None:
    queue = read(
        line(JobID="1", PriorityLong="10"),
        line(JobID="2", PriorityLong="30", SubmitTime="2026-11-22T10:00:05"),
        line(JobID="10", PriorityLong="30"),
        line(JobID="9", PriorityLong="30"),
        line(JobID="4", PriorityLong="1", Partition="urgent"),
        line(JobID="5", PriorityLong="N/A"),
    )
    assert [job.name for job in queue.jobs] == ["4", "9", "10", "2", "1", "5"]


def _het(**second: str) -> list[str]:
    both = {"HetJobID": "40", "HetJobIDSet": "40-41", "Licenses": "matlab:1"}
    return [
        line(**{"JobID": "40", "JobArrayID": "40+0", "ArrayJobID": "40", **both}),
        line(**{"JobID": "41", "JobArrayID": "40+1", "ArrayJobID": "41", **both, **second}),
    ]


def test_a_heterogeneous_job_waits_for_the_one_component_that_cannot_run() -> None:
    (job,) = read(*_het(Reason="Reservation")).jobs
    assert (job.name, job.runnable) == ("40", False)
    assert len(job.shape.chunks) == 2


def test_licences_of_all_components_count_once_a_job() -> None:
    (job,) = read(*_het(Partition="hpc", Licenses="matlab:2,ansys")).jobs
    assert [constraint["shared-consumable"]["amount"] for constraint in job.shape.constraints] == [1, 3]
    assert all(constraint["shared-consumable"]["decrement_once"] for constraint in job.shape.constraints)
    assert [chunk.constraints[0]["nodearray"] for chunk in job.shape.chunks] == [("htc",), ("hpc",)]


def test_a_component_that_cannot_be_read_takes_its_whole_job_with_it() -> None:
    (job,) = read(_het()[0]).jobs
    assert job.problem is not None
    assert "1 of the 2 components" in job.problem.message
    (job,) = read(*_het(NumTasks="many")).jobs
    assert job.problem is not None
    assert "NumTasks 'many'" in job.problem.message


def test_a_field_that_cannot_be_read_makes_its_own_job_invalid_and_no_other() -> None:
    queue = read(line(JobID="1"), line(JobID="2", MinMemory="lots"), array("3", "1-5,7,..."), line(JobID="4"))
    assert {job.name: job.problem and job.problem.path for job in queue.jobs} == {
        "1": None,
        "2": "squeue line 2",
        "3_[1-5,7,...]": "squeue line 3",
        "4": None,
    }
    assert queue.skipped == 0


def test_lines_that_are_no_jobs_are_left_out_counted_and_reported() -> None:
    tabbed = line(JobID="2", Reason="two\twords")
    split = line(JobID="3", ReqNodes="first\nsecond")
    queue = read(line(JobID="1"), tabbed, split, "slurm_load_jobs error", "", line(JobID="x"))
    assert [job.name for job in queue.jobs] == ["1"]
    assert [problem.path for problem in queue.problems] == [f"squeue line {number}" for number in (2, 3, 4, 5, 7)]
    assert "40 fields instead of 39" in queue.problems[0].message
    assert queue.skipped == 5


def test_many_bad_lines_are_counted_but_not_all_printed() -> None:
    queue = read(*["nonsense"] * 500)
    assert len(queue.problems) == 21
    assert queue.problems[-1].message.startswith("500 lines")


def test_unknown_reasons_are_counted_once_with_an_example() -> None:
    queue = read(*(line(JobID=str(number), Reason="MoonPhase") for number in range(1, 4)))
    assert [job.runnable for job in queue.jobs] == [True] * 3
    (problem,) = queue.problems
    assert problem.message == "unknown reason 'MoonPhase', treated as runnable (3 jobs, first 1)"
    assert not read(line(Reason="MoonPhase"), unknown_is_runnable=False).jobs[0].runnable


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL"])
def test_jobs_that_are_over_are_nobodys_business(state: str) -> None:
    queue = read(line(State=state, NodeList="htc-1"))
    assert (queue.jobs, dict(queue.running), queue.problems) == ((), {}, ())


@pytest.mark.parametrize("state", ["RUNNING", "SUSPENDED", "CONFIGURING", "COMPLETING", "SOMETHING_NEW"])
def test_whatever_holds_nodes_runs_on_them(state: str) -> None:
    queue = read(line(State=state, NodeList="htc-[1-2]"))
    assert dict(queue.running) == {"htc-1": ("7",), "htc-2": ("7",)}
    assert queue.jobs == ()


def test_an_unknown_state_without_nodes_is_reported() -> None:
    queue = read(line(State=""))
    assert (queue.jobs, queue.skipped) == ((), 1)


@pytest.mark.parametrize("state", ["REQUEUE_HOLD", "SPECIAL_EXIT"])
def test_requeued_jobs_that_are_held_are_not_runnable(state: str) -> None:
    (job,) = read(line(State=state, Reason="None")).jobs
    assert job.not_runnable_reason.startswith(state)


@pytest.mark.parametrize(
    ("partition", "nodes", "dynamic", "runnable"),
    [
        ("hpc", "60", None, False),
        ("hpc", "8", None, False),
        ("fresh", "8", None, True),
        ("hpc", "60", True, True),
        ("fresh", "8", False, False),
        ("unheard", "8", None, True),
    ],
)
def test_partition_config_is_worth_a_machine_where_partitions_grow(
    partition: str, nodes: str, dynamic: bool | None, runnable: bool
) -> None:
    (job,) = read(line(Partition=partition, NumNodes=nodes, Reason="PartitionConfig"), dynamic_nodes=dynamic).jobs
    assert job.runnable is runnable


def test_partitions_that_the_site_does_not_serve_ask_for_nothing() -> None:
    (job,) = read(line(Partition="gpu"), partitions={"gpu": ()}).jobs
    assert not job.runnable
    assert "scheduler.partitions" in job.not_runnable_reason


@pytest.mark.parametrize(
    ("licenses", "wanted", "notes"),
    [
        ("matlab:2,ansys:1", {"matlab": 2, "ansys": 1}, 0),
        ("matlab", {"matlab": 1}, 0),
        ("matlab,comsol:3", {"matlab": 1}, 1),
        ("matlab:1|ansys:1", {}, 1),
    ],
)
def test_only_licences_that_slurm_counts_are_counted(licenses: str, wanted: dict[str, int], notes: int) -> None:
    queue = read(line(Licenses=licenses))
    shared = [constraint["shared-consumable"] for constraint in queue.jobs[0].shape.constraints[1:]]
    assert {entry["resources"][0]: entry["amount"] for entry in shared} == wanted
    assert len(queue.problems) == notes


def test_what_cannot_be_said_of_a_job_is_reported_and_the_job_counted() -> None:
    queue = read(line(Feature="[a*1&b*2]", MinTmpDisk="100", tres_per_socket="gres:gpu:1"))
    assert queue.jobs[0].runnable
    assert len(queue.problems) == 3


def test_an_unknown_cluster_is_no_obstacle() -> None:
    facts = replace(FACTS, partitions=None, licenses={}, memory_is_managed=None)
    (job,) = read(line(Reason="PartitionConfig", NumNodes="9"), facts=facts).jobs
    assert job.runnable


def test_absurd_numbers_are_an_error_of_their_job() -> None:
    for fields in ({"NumTasks": "9" * 18, "NumCPUs": "1"}, {"NumNodes": "1" * 40}, {"MinCpus": "9" * 12}):
        (job,) = read(line(**fields, tres_per_job="gres:gpu:1")).jobs
        assert job.problem is not None or job.requested < 10**7
