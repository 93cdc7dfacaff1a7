"""`scontrol show nodes`: which nodes exist, in what state, and what is left on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.schedulers.slurm.nodes import UNNAMED_JOB, read_nodes
from autoscale_aks.schedulers.slurm.settings import SlurmSettings
from autoscale_aks.units import Size

if TYPE_CHECKING:
    from autoscale_aks.errors import Problem

GPU_NODE = (
    "NodeName=gpu1 Arch=x86_64 CoresPerSocket=1  CPUAlloc=1 CPUEfctv=4 CPUTot=4 CPULoad=2.87 "
    "AvailableFeatures=cloud,gpu,a100 ActiveFeatures=cloud,gpu,a100 Gres=gpu:a100:2 GresDrain=N/A "
    "GresUsed=gpu:a100:1(IDX:0) NodeAddr=127.0.0.1 NodeHostName=gpu1 Port=17301 Version=22.05.8 "
    "OS=Linux 6.1.0-cloud-amd64 #1 SMP   RealMemory=16000 AllocMem=15000 FreeMem=23410 Sockets=4 Boards=1 "
    "State=MIXED+CLOUD ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A Partitions=gpu  "
    "CfgTRES=cpu=4,mem=16000M,billing=4,gres/gpu=2 AllocTRES=cpu=1,mem=15000M,gres/gpu=1 CapWatts=n/a"
)
MB = 1024**2


def node(state: str = "IDLE", **pairs: Any) -> str:
    fields = {"CPUAlloc": 0, "CPUTot": 4, "RealMemory": 8000, "AllocMem": 0, **pairs}
    return " ".join(["NodeName=n1", *(f"{key}={value}" for key, value in fields.items()), f"State={state}"])


def read(*lines: str, running: dict[str, tuple[str, ...]] | None = None, **settings: Any) -> Any:
    problems: list[Problem] = []
    nodes = read_nodes("\n".join(lines) + "\n\n", SlurmSettings(**settings), running or {}, problems)
    return nodes, problems


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ("IDLE", "Ready"),
        ("MIXED+CLOUD", "Ready"),
        ("ALLOCATED+CLOUD+DYNAMIC_NORM", "Ready"),
        ("IDLE+CLOUD+DYNAMIC_NORM+PLANNED", "Ready"),
        ("ALLOCATED+COMPLETING", "Ready"),
        ("IDLE+CLOUD+DRAIN", "Closed"),
        ("ALLOCATED+CLOUD+DRAIN+DYNAMIC_NORM", "Closed"),
        ("MIXED+CLOUD+FAIL", "Closed"),
        ("IDLE+CLOUD+DRAIN+INVALID_REG", "Closed"),
        ("IDLE+RESERVED", "Closed"),
        ("DOWN", "Down"),
        ("DOWN*", "Down"),
        ("DOWN+DRAIN", "Down"),
        ("IDLE+CLOUD+NOT_RESPONDING", "Down"),
        ("IDLE+CLOUD+REBOOT_ISSUED", "Down"),
        ("IDLE*+DRAIN", "Closed"),
        ("IDLE+CLOUD+POWERING_DOWN", "Down"),
        ("IDLE+CLOUD+INVALID_REG", "Down"),
        ("UNKNOWN", "Down"),
        ("IDLE+CLOUD+NOT_RESPONDING+POWERING_UP", "Booting"),
        ("ALLOCATED#", "Booting"),
        ("MIXED+CLOUD+NOT_RESPONDING+POWERING_UP", "Booting"),
        ("ALLOCATED+CLOUD+DYNAMIC_NORM+POWERED_DOWN", "Booting"),
        ("DOWN+CLOUD+POWERED_DOWN", None),
        ("IDLE+CLOUD+POWERED_DOWN", None),
        ("IDLE+CLOUD+DRAIN+POWERED_DOWN", None),
        ("IDLE+CLOUD+POWERED_DOWN+NOT_RESPONDING+PLANNED", None),
        ("IDLE~", None),
        ("FUTURE", None),
    ],
)
def test_slurms_states_in_our_words(state: str, wanted: str | None) -> None:
    nodes, problems = read(node(state))
    assert [one.state for one in nodes] == ([] if wanted is None else [wanted])
    assert not problems


def test_what_a_node_has_and_what_is_left() -> None:
    ((found,), problems) = read(GPU_NODE, running={"gpu1": ("12", "13_1")})
    assert not problems
    assert (found.name, found.machine, found.state, found.job_ids) == ("gpu1", "gpu1", "Ready", ("12", "13_1"))
    assert dict(found.resources) == {
        "ncpus": 4, "mem": Size(16000 * MB), "ngpus": 2, "gpu_type": "a100",
        "feature_cloud": True, "feature_gpu": True, "feature_a100": True,
    }  # fmt: skip
    assert dict(found.available) == {"ncpus": 3, "mem": Size(1000 * MB), "ngpus": 1}


def test_gpus_in_use_are_taken_from_whatever_slurm_says_of_them() -> None:
    tres = node("MIXED", Gres="gpu:a100:4", AllocTRES="cpu=1,mem=1G,gres/gpu=3,gres/gpu:a100=3", CPUAlloc=1)
    assert read(tres)[0][0].available["ngpus"] == 1
    silent = node("MIXED", Gres="gpu:a100:4", AllocTRES="cpu=1,mem=1G", CPUAlloc=1)
    assert read(silent)[0][0].available["ngpus"] == 0, "a busy node that says nothing promises no GPU"
    assert read(node("IDLE", Gres="gpu:a100:4", AllocTRES=""))[0][0].available["ngpus"] == 4
    several = read(node("IDLE", Gres="gpu:a100:2,gpu:t4:1,fpga:1"))[0][0]
    assert (several.resources["ngpus"], several.resources["gres_fpga"]) == (3, 1)
    assert "gpu_type" not in several.resources, "two types are no type"


def test_a_node_that_works_is_never_reported_idle() -> None:
    # The job may have ended or begun between the two commands; the node's own word counts.
    assert read(node("MIXED", CPUAlloc=2))[0][0].job_ids == (UNNAMED_JOB,)
    assert read(node("IDLE+COMPLETING"))[0][0].job_ids == (UNNAMED_JOB,)
    assert read(node("IDLE"), running={"n1": ("5",)})[0][0].job_ids == ("5",)
    assert read(node("IDLE"))[0][0].job_ids == ()


def test_what_the_system_keeps_for_itself_is_not_offered() -> None:
    (found,) = read(node(CPUEfctv=3, MemSpecLimit=500))[0]
    assert (found.resources["ncpus"], found.resources["mem"]) == (3, Size(7500 * MB))


def test_more_given_away_than_there_is_leaves_nothing() -> None:
    (found,) = read(node("MIXED", CPUAlloc=9, AllocMem=9999))[0]
    assert (found.available["ncpus"], found.available["mem"]) == (0, Size(0))


def test_text_that_people_write_cannot_pass_for_a_state() -> None:
    (found,) = read(node("DOWN") + " Reason=see State=IDLE CPUAlloc=0 [root@2026-11-22T10:42:43]")[0]
    assert found.state == "Down"


def test_a_node_that_cannot_be_read_is_left_out_and_reported() -> None:
    nodes, problems = read(node(CPUTot="many"), "Node x not found", node("IDLE").replace("n1", "n2"))
    assert [one.name for one in nodes] == ["n2"]
    assert [problem.path for problem in problems] == ["node n1", "nodes line 2"]


def test_a_cluster_without_nodes_is_no_problem() -> None:
    assert read("No nodes in the system") == ((), [])
