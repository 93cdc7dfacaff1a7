"""Slurm's small languages: memory, TRES, generic resources, arrays, host lists, features, reasons."""

from __future__ import annotations

from typing import Any

import pytest

from autoscale_aks.schedulers.slurm.arrays import parse_tasks
from autoscale_aks.schedulers.slurm.features import COUNTED, SAME_FEATURE, parse_features
from autoscale_aks.schedulers.slurm.hostlists import expand_hosts
from autoscale_aks.schedulers.slurm.nodes import parse_flags
from autoscale_aks.schedulers.slurm.reasons import judge_reason
from autoscale_aks.schedulers.slurm.values import parse_count, parse_gres, parse_memory, parse_tres

MB = 1024**2


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("3500M", 3500 * MB), ("112.50G", 115200 * MB), ("0", 0), ("5G", 5120 * MB), ("1", MB),
     ("1.50T", 1536 * 1024 * MB), ("512K", 512 * 1024), ("4Gc", 4096 * MB)],
)  # fmt: skip
def test_memory_is_exact_and_in_megabytes_when_nothing_is_said(text: str, bytes_: int) -> None:
    assert parse_memory(text, "mem").bytes == bytes_


def test_a_rounded_total_stands_for_what_it_was_rounded_from() -> None:
    total = parse_memory("2.05T", "mem")
    assert total.is_about(600 * 3584 * MB)
    assert not total.is_about(590 * 3500 * MB)
    assert not parse_memory("5G", "mem").is_about(5119 * MB)


@pytest.mark.parametrize("text", ["", "lots", "-5G", "1.2.3G", "5X", "9" * 30, "999999999999P"])
def test_memory_that_cannot_be_meant_names_its_field(text: str) -> None:
    with pytest.raises(ValueError, match="MinMemory"):
        parse_memory(text, "MinMemory")


def test_blank_counts_are_none_and_ranges_their_first() -> None:
    assert [parse_count(text, "n") for text in ("N/A", "", "(null)", "7", "2-4", "2K")] == [0, 0, 0, 7, 2, 2048]
    with pytest.raises(ValueError, match="NumTasks 'x1'"):
        parse_count("x1", "NumTasks")


def test_tres_are_pairs() -> None:
    assert parse_tres("cpu=64,mem=112.50G,node=4,billing=64,gres/gpu:t4=2") == {
        "cpu": "64", "mem": "112.50G", "node": "4", "billing": "64", "gres/gpu:t4": "2",
    }  # fmt: skip
    assert parse_tres("N/A") == {}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("gres:gpu:1", [("gpu", "", 1)]),
        ("gres:gpu:t4:1", [("gpu", "t4", 1)]),
        ("gres:gpu", [("gpu", "", 1)]),
        ("gres/gpu:1", [("gpu", "", 1)]),
        ("gres/gpu:h200:2", [("gpu", "h200", 2)]),
        ("gres/gpu:h200=2,gres/shard=4", [("gpu", "h200", 2), ("shard", "", 4)]),
        ("cpu=8,gres/gpu=1", [("cpu", "", 8), ("gpu", "", 1)]),
        ("gpu:a100:2(IDX:0,1),fpga:1(S:0)", [("gpu", "a100", 2), ("fpga", "", 1)]),
        ("gpu:nvidia_a100-sxm4-80gb:8", [("gpu", "nvidia_a100-sxm4-80gb", 8)]),
        ("gpu:0", [("gpu", "", 0)]),
        ("(null)", []),
    ],
)
def test_generic_resources_of_old_and_new_slurm_are_the_same(text: str, wanted: list[tuple[str, str, int]]) -> None:
    assert [(gres.name, gres.type, gres.count) for gres in parse_gres(text, "gres")] == wanted


@pytest.mark.parametrize(
    ("text", "count", "limit"),
    [("0-599", 600, None), ("1-120%10", 120, 10), ("0-318:2", 160, None), ("2-3,5,7", 4, None), ("5", 1, None),
     ("[1-9:4]", 3, None), ("1,3-5,9-21:6%2", 7, 2)],
)  # fmt: skip
def test_array_tasks_are_counted(text: str, count: int, limit: int | None) -> None:
    tasks = parse_tasks(text)
    assert (tasks.count, tasks.limit) == (count, limit)


@pytest.mark.parametrize(
    ("size", "head", "tail"),
    [(0, "", "2-3,5,9-21:6"), (1, "2", "3,5,9-21:6"), (4, "2-3,5,9", "15-21:6"), (5, "2-3,5,9-15:6", "21"),
     (99, "2-3,5,9-21:6", "")],
)  # fmt: skip
def test_an_array_is_cut_where_its_limit_falls(size: int, head: str, tail: str) -> None:
    first, rest = parse_tasks("2-3,5,9-21:6").split(size)
    assert (str(first), str(rest)) == (head, tail)
    assert first.count + rest.count == 6


@pytest.mark.parametrize("text", ["", "a", "5-1", "1-9:0", "1-5,7,...", "1%x", "1-9999999999", "1--3"])
def test_array_tasks_that_were_cut_short_are_no_guess(text: str) -> None:
    with pytest.raises(ValueError, match="array"):
        parse_tasks(text)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("htc-[001-003]", ["htc-001", "htc-002", "htc-003"]),
        ("gpu-[1,9-10],login", ["gpu-1", "gpu-9", "gpu-10", "login"]),
        ("rack[0-1]-n[8-9]x", ["rack0-n8x", "rack0-n9x", "rack1-n8x", "rack1-n9x"]),
        ("(null)", []),
        ("", []),
    ],
)
def test_host_lists_become_names(text: str, hosts: list[str]) -> None:
    assert list(expand_hosts(text)) == hosts


@pytest.mark.parametrize("text", ["a[1-", "a]1[", "a[x]", "a[9-1]", "a,,b", "n[0-999999999]", "n[1-1000][1-1000]"])
def test_broken_or_endless_host_lists_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host"):
        expand_hosts(text)


A, B, C = ({f"feature_{name}": True} for name in "abc")


@pytest.mark.parametrize(
    ("text", "wanted", "notes"),
    [
        ("a", A, ()),
        ("a|b", {"or": (A, B)}, ()),
        ("a&b&c", {"and": (A, B, C)}, ()),
        ("a,b", {"and": (A, B)}, ()),
        ("a|b&c", {"and": ({"or": (A, B)}, C)}, ()),  # from left to right, as slurmctld was seen to do
        ("a|(b&c)", {"or": (A, {"and": (B, C)})}, ()),
        ("!a&b", {"and": ({"not": A}, B)}, ()),
        ("[a|b]", {"or": (A, B)}, (SAME_FEATURE,)),
        ("[a*1&b*2]", {"or": (A, B)}, (COUNTED,)),
        ("a*2", A, (COUNTED,)),
        ("(null)", None, ()),
    ],
)
def test_features_become_constraints(text: str, wanted: Any, notes: tuple[str, ...]) -> None:
    assert parse_features(text, lambda name: {f"feature_{name}": True}) == (wanted, notes)


@pytest.mark.parametrize("text", ["a|", "|a", "(a", "a)", "[a|b", "a b", "(" * 30 + "a" + ")" * 30, "*", "a&&b"])
def test_features_that_cannot_be_read_are_an_error_and_not_a_crash(text: str) -> None:
    with pytest.raises(ValueError, match="features"):
        parse_features(text, lambda name: {name: True})


@pytest.mark.parametrize(
    "reason",
    ["None", "Resources", "Priority", "ReqNodeNotAvail, UnavailableNodes:htc-[005-320]",
     "ReqNodeNotAvail, May be reserved for other job", "PartitionConfig", "",
     "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"],
)  # fmt: skip
def test_reasons_that_a_machine_can_end(reason: str) -> None:
    verdict = judge_reason(reason, unknown_is_runnable=False)
    assert verdict == (True, True, "")


@pytest.mark.parametrize(
    "reason",
    ["Dependency", "DependencyNeverSatisfied", "BeginTime", "JobHeldUser", "JobHeldAdmin", "JobArrayTaskLimit",
     "Licenses", "Reservation", "ReservationDeleted", "PartitionDown", "PartitionInactive", "PartitionTimeLimit",
     "PartitionNodeLimit", "BadConstraints", "AssocGrpCpuLimit", "AssocMaxJobsLimit", "QOSMaxCpuPerUserLimit",
     "QOSGrpNodeLimit", "MaxNodePerAccount", "InvalidQOS", "job requeued in held state", "BurstBufferStageIn",
     "ReqNodeNotAvail, Reserved for maintenance"],
)  # fmt: skip
def test_reasons_that_no_machine_can_end(reason: str) -> None:
    verdict = judge_reason(reason, unknown_is_runnable=True)
    assert (verdict.runnable, verdict.is_known) == (False, True)
    assert verdict.why.startswith(reason.partition(",")[0])


@pytest.mark.parametrize("runnable", [True, False])
def test_an_unknown_reason_is_decided_by_the_site(runnable: bool) -> None:
    verdict = judge_reason("MoonPhase", unknown_is_runnable=runnable)
    assert (verdict.runnable, verdict.is_known) == (runnable, False)


def test_node_states_of_old_and_new_slurm_are_words() -> None:
    assert parse_flags("IDLE+CLOUD+DRAIN") == {"IDLE", "CLOUD", "DRAIN"}
    assert parse_flags("DOWN*") == {"DOWN", "NOT_RESPONDING"}
    assert parse_flags("ALLOCATED#+DRAIN") == {"ALLOCATED", "POWERING_UP", "DRAIN"}
    assert parse_flags("idle~") == {"IDLE", "POWERED_DOWN"}
