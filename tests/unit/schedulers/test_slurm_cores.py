"""Whole cores and whole nodes, growing partitions, hosts that are excluded, and captures of older versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from slurm_lines import FACTS, array, line, read

from autoscale_aks.schedulers.slurm.cores import (
    Allocation,
    created_threads,
    parse_allocation,
    parse_reserved,
    parse_threads,
)
from autoscale_aks.schedulers.slurm.facts import Partition, parse_excluded, parse_now, parse_partitions
from autoscale_aks.schedulers.slurm.features import parse_counted
from autoscale_aks.schedulers.slurm.records import FIELDS

TWO = replace(FACTS, threads={"htc": 2})
GROWN = replace(
    FACTS,
    partitions={
        "grown": Partition(name="grown", total_nodes=1, grows=True),
        "pairs": Partition(name="pairs", total_nodes=1, grows=True, max_nodes=2),
        "fixed": Partition(name="fixed", total_nodes=1),
    },
)
NODE = (
    "NodeName={name} CoresPerSocket={cores} CPUTot={cpus} Sockets=2 State=IDLE ThreadsPerCore={threads} "
    "Partitions={partitions} OS=Linux"
)


def amounts(fields: dict[str, str], facts: Any = TWO) -> Any:
    (job,) = read(line(**fields), facts=facts).jobs
    return {name: value for name, value in job.shape.constraints[0].items() if name != "nodearray"}


def test_a_job_takes_whole_cores_and_pays_their_memory() -> None:
    assert amounts({}) == {"ncpus": 2, "mem": "memory::1000m"}
    by_cpu = replace(TWO, allocation=Allocation(by_core=False))
    assert amounts({}, by_cpu) == {"ncpus": 1, "mem": "memory::500m"}


def test_one_thread_of_each_core_takes_the_core_and_pays_for_the_thread() -> None:
    assert amounts({"SCT": "*:*:1"}) == {"ncpus": 2, "mem": "memory::500m"}
    assert amounts({"SCT": "*:*:1"}, FACTS) == {"ncpus": 1, "mem": "memory::500m"}, "where cores have one thread anyway"


def test_where_whole_nodes_are_given_out_a_job_is_alone_unless_it_shares() -> None:
    facts = replace(FACTS, allocation=Allocation(by_core=False, by_node=True))
    for sharing, alone in (("OK", True), ("NO", True), ("YES", False)):
        (job,) = read(line(OverSubscribe=sharing), facts=facts).jobs
        assert ({"exclusive": True} in [dict(one) for one in job.shape.constraints]) is alone


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ("SelectType              = select/cons_tres\nSelectTypeParameters    = CR_CORE_MEMORY", Allocation()),
        ("SelectType              = select/cons_res\nSelectTypeParameters    = CR_CPU", Allocation(by_core=False)),
        ("SelectType              = select/linear", Allocation(by_core=False, by_node=True)),
        ("", Allocation()),
    ],
)
def test_what_slurm_gives_out_stands_in_its_configuration(config: str, wanted: Allocation) -> None:
    assert parse_allocation(config) == wanted


def test_a_partition_has_the_threads_of_its_nodes_and_the_least_where_they_differ() -> None:
    lines = [
        NODE.format(name="a", cores=2, cpus=8, threads=2, partitions="both,even"),
        NODE.format(name="b", cores=4, cpus=8, threads=1, partitions="both"),
        NODE.format(name="c", cores=4, cpus=8, threads=2, partitions="cores"),
        "NodeName=d Arch=x86_64",
    ]
    assert parse_threads("\n".join(lines)) == {"both": 1, "even": 2, "cores": 1}, "CPUs that are cores have one thread"
    assert parse_threads(lines[1]) == {}


def test_nodes_that_are_made_have_the_threads_that_all_patterns_say() -> None:
    assert created_threads([["cpus=8", "ThreadsPerCore=2"], ["threadspercore=2"]]) == 2
    assert created_threads([["threadspercore=2"], ["cpus=4"]]) == 1
    assert created_threads([]) == 1


@pytest.mark.parametrize(("text", "cpus"), [("1", 2), ("1 Threads", 1), ("N/A", 0), ("3", 6)])
def test_cores_and_threads_that_are_kept_free(text: str, cpus: int) -> None:
    assert parse_reserved(text, 2) == cpus


@pytest.mark.parametrize(
    ("partition", "nodes", "runnable"),
    [("grown", 2, True), ("pairs", 2, True), ("pairs", 3, False), ("fixed", 2, False), ("grown", 1, False)],
)
def test_a_node_limit_is_the_partitions_own_or_only_what_it_has_grown_to(
    partition: str, nodes: int, runnable: bool
) -> None:
    (job,) = read(line(Partition=partition, Reason="PartitionNodeLimit", NumNodes=str(nodes)), facts=GROWN).jobs
    assert job.runnable is runnable


def test_a_job_that_slurm_holds_because_no_node_fits_yet_says_what_to_do() -> None:
    grown, fixed = read(
        line(JobID="1", Partition="grown", Reason="BadConstraints"),
        line(JobID="2", Partition="fixed", Reason="BadConstraints"),
        facts=GROWN,
    ).jobs
    assert (grown.runnable, fixed.runnable) == (False, False)
    assert "scontrol release" in grown.not_runnable_reason
    assert "no node can ever" in fixed.not_runnable_reason


def test_a_fresh_job_that_waits_for_others_or_a_time_is_not_taken_for_one_that_may_start() -> None:
    facts = replace(FACTS, now="2026-11-22T10:00:05")
    fresh = [
        line(JobID="1", EligibleTime="N/A", Dependency="afterany:7(unfulfilled)"),
        line(JobID="2", EligibleTime="2026-11-22T11:00:00"),
        line(JobID="3", EligibleTime="2026-11-22T10:00:04"),
        array("4", "1-3", EligibleTime="N/A"),
    ]
    found = {job.name: job.not_runnable_reason.partition(":")[0] for job in read(*fresh, facts=facts).jobs}
    assert found == {"1": "Dependency", "2": "BeginTime", "3": "", "4_[1-3]": ""}
    assert parse_now("Configuration data as of 2026-11-22T10:00:05\n\nAuthInfo = x") == facts.now
    assert parse_now("Configuration data as of today") == ""


def test_hosts_that_a_job_will_not_have_are_no_place_for_it_and_for_no_other() -> None:
    facts = replace(FACTS, excluded=parse_excluded("1 htc-[1-2]\n2 \n3 htc-9\n\nsqueue: error: odd"))
    jobs = read(line(JobID="1"), line(JobID="2"), line(JobID="3"), facts=facts).jobs
    assert [dict(job.shape.constraints[-1]) for job in jobs] == [
        {"not": {"node.hostname": ("htc-1", "htc-2")}}, dict(jobs[1].shape.constraints[0]),
        {"not": {"node.hostname": ("htc-9",)}},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "nodes", "wanted"),
    [
        ("[a*2&b*1]", 3, [({"a": 1}, 2), ({"b": 1}, 1)]),
        ("[a*2&b*1]&c", 3, [({"and": ({"a": 1}, {"c": 1})}, 2), ({"and": ({"b": 1}, {"c": 1})}, 1)]),
        ("[a&b*2]", 3, [({"a": 1}, 1), ({"b": 1}, 2)]),
        ("[a*1]", 2, [({"and": ({"a": 1}, {"exclusive": True})}, 1), ({"and": ({"a": 1}, {"exclusive": True})}, 1)]),
        ("a*2", 3, []),
        ("[a|b*2]", 3, []),
        ("[a*9&b*9]", 3, []),
        ("[a*0&b*3]", 3, []),
        ("[a*2&(b)]", 3, []),
    ],
)
def test_counted_features_are_parts_of_the_job(text: str, nodes: int, wanted: list[Any]) -> None:
    assert list(parse_counted(text, lambda name: {name: 1}, nodes)) == wanted


def test_components_that_could_meet_on_a_node_are_kept_apart_as_slurm_does() -> None:
    parts = [line(JobID=str(n), JobArrayID=f"5+{n - 5}", HetJobID="5", HetJobIDSet="5-6", Partition=name)
             for n, name in ((5, "htc"), (6, "htc"))]  # fmt: skip
    (job,) = read(*parts).jobs
    assert all({"exclusive": True} in [dict(one) for one in chunk.constraints] for chunk in job.shape.chunks)
    (job,) = read(parts[0], parts[1].replace("\thtc\t", "\thpc\t")).jobs
    assert not any("exclusive" in one for chunk in job.shape.chunks for one in chunk.constraints)


def test_a_capture_of_an_older_version_is_read_beside_a_new_one() -> None:
    later = {"EligibleTime", "Dependency", "SCT", "CoreSpec", "NTPerCore", "NTPerSocket"}
    values = dict(zip(FIELDS, line(JobID="1").split("\t"), strict=True))
    older = "\t".join(value for name, value in values.items() if name not in later)
    queue = read(older, line(JobID="2"))
    assert [job.name for job in queue.jobs] == ["1", "2"]
    assert queue.jobs[0].shape is queue.jobs[1].shape


def test_the_most_nodes_of_a_job_stand_in_the_partition() -> None:
    text = "PartitionName=a MaxNodes=2 TotalNodes=1\nPartitionName=b MaxNodes=UNLIMITED TotalNodes=1"
    found = parse_partitions(text, [])
    assert found is not None
    assert {name: one.max_nodes for name, one in found.items()} == {"a": 2, "b": None}
