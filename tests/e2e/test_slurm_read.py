"""SlurmScheduler against a real slurmctld: jobs are submitted with sbatch, and nodes drained, made and removed."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from new_nodes import new_nodes
from slurm_rig import FAKE_GPU_DEVICES, NodeLine, SlurmRig, is_installed

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.port import version_of
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autoscale_aks.schedulers.port import SchedulerNode, SchedulerPort, SchedulerState

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_installed(),
        reason="NO REAL SLURM HERE: apt-get install --no-install-recommends slurmctld slurmd slurm-client "
        "slurm-wlm-basic-plugins",
    ),
]
PATIENCE_S = 60.0
T = TypeVar("T")

NODES = (
    NodeLine("htc-[1-4]", cpus=4, memory_mb=8000, features=("htc", "spot")),
    NodeLine("gpu-1", cpus=4, memory_mb=8000, features=("gpu",), gres="gpu:t4:1"),
)
PARTITIONS = (
    "PartitionName=htc Nodes=htc-[1-4] Default=YES DefMemPerCPU=500",
    "PartitionName=gpu Nodes=gpu-1 DefMemPerCPU=500",
    "NodeSet=grown Feature=grown",
    "PartitionName=fresh Nodes=grown DefMemPerCPU=100",
)


@pytest.fixture(scope="module")
def rig() -> Iterator[SlurmRig]:
    extra = ("GresTypes=gpu", "Licenses=matlab:4", "MaxNodeCount=7", "SchedulerParameters=bf_interval=2")
    gres = f"NodeName=gpu-1 Name=gpu Type=t4 File={FAKE_GPU_DEVICES[0]}\n"
    with SlurmRig(NODES, PARTITIONS, gres_conf=gres, extra=extra, autoboot="htc-[1-2]") as running:
        running.mark_absent("htc-[3-4],gpu-1")
        yield running


@pytest.fixture
def scheduler(rig: SlurmRig) -> SchedulerPort:
    create = {"grown-*": ["cpus=2", "realmemory=1000", "feature=grown"]}
    settings = {"type": "slurm", "slurm_conf": rig.env["SLURM_CONF"], "timeout_s": 20, "create_nodes": create}
    return build_scheduler(settings, environment={**rig.env, "SQUEUE_STATES": "RUNNING", "SQUEUE_FORMAT": "%i"})


def until(look: Callable[[], T | None]) -> T:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    raise TimeoutError("it did not happen")


def nodes(state: SchedulerState) -> dict[str, SchedulerNode]:
    assert state.nodes is not None
    return {node.name: node for node in state.nodes}


def test_jobs_and_nodes_of_a_real_cluster_are_read_closed_and_reopened(rig: SlurmRig, scheduler: SchedulerPort) -> None:
    state = scheduler.read()
    assert (state.jobs, state.problems, state.complete) == ((), (), True)
    assert re.fullmatch(r"slurm\S* \d+\.\d+\.\d+\S*", version_of(scheduler))
    assert {name: node.state for name, node in nodes(state).items()} == {"htc-1": "Ready", "htc-2": "Ready"}
    first = nodes(state)["htc-1"]
    assert (first.resources["ncpus"], first.resources["feature_spot"]) == (4, True)

    assert scheduler.close_nodes(["htc-2", "no-such-node"], "scale in") == ("htc-2",)
    assert scheduler.close_nodes(["htc-2"], "again") == ("htc-2",)
    assert nodes(scheduler.read())["htc-2"].state == "Closed"

    busy = rig.submit("-n4", "-w", "htc-1", "--wrap", "sleep 300")
    until(lambda: scheduler.read().running.get("htc-1"))
    assert scheduler.close_nodes(["htc-1"], "scale in") == (), "a job has landed there"
    closed = nodes(scheduler.read())["htc-1"]
    assert (closed.state, closed.job_ids, closed.available["ncpus"]) == ("Closed", (busy,), 0)
    scheduler.reopen_nodes(["htc-1"])
    until(lambda: nodes(scheduler.read())["htc-1"].state == "Ready")

    ids = _submit_some(rig)
    jobs = {job.name: job for job in scheduler.read().jobs}
    sweep = ids["sweep"]
    assert {name: (job.count, job.runnable) for name, job in jobs.items()} == {
        f"{sweep}_[0-3]": (4, True),
        f"{sweep}_[4-9%4]": (6, False),
        ids["wide"]: (1, True),
        ids["gpu"]: (1, True),
        ids["held"]: (1, False),
        ids["fresh"]: (1, True),
    }
    shapes = {name: [dict(constraint) for constraint in job.shape.constraints] for name, job in jobs.items()}
    assert shapes[f"{sweep}_[0-3]"][0] == {"nodearray": ("htc",), "ncpus": 2, "mem": "memory::1400m"}
    assert shapes[ids["wide"]] == [
        {"nodearray": ("htc",), "ncpus": 4, "mem": "memory::2000m"},
        {"and": ({"feature_htc": True}, {"feature_spot": True})},
        {"shared-consumable": {"resources": ("matlab",), "amount": 2, "decrement_once": True}},
    ]
    assert jobs[ids["wide"]].shape.node_count == 3
    assert shapes[ids["gpu"]][0]["ngpus"] == 1
    assert {"gpu_type": "t4"} in shapes[ids["gpu"]]
    assert scheduler.read().shared_resources["matlab"].current == 4

    scheduler.reopen_nodes(["htc-2"])
    state = until(lambda: _if(scheduler.read(), lambda it: len(it.running.get("htc-2", ())) == 2))
    limited = {job.name: job.count for job in state.jobs if job.name.startswith(sweep)}
    assert limited == {f"{sweep}_[2-3]": 2, f"{sweep}_[4-9%4]": 6}, "two of the four run now"
    rig.run(["scancel", busy, *ids.values()])


def _submit_some(rig: SlurmRig) -> dict[str, str]:
    sleep = ("--wrap", "sleep 300")
    return {
        "sweep": rig.submit("--array=0-9%4", "-c2", "--mem-per-cpu=700", *sleep),
        "wide": rig.submit("-N3", "-n12", "-C", "htc&spot", "-L", "matlab:2", *sleep),
        "gpu": rig.submit("-p", "gpu", "--gres=gpu:t4:1", *sleep),
        "held": rig.submit("-H", *sleep),
        "fresh": rig.submit("-p", "fresh", "-n1", *sleep),
    }


def _if(found: T, condition: Callable[[T], Any]) -> T | None:
    return found if condition(found) else None


def test_dynamic_nodes_are_made_and_forgotten(rig: SlurmRig, scheduler: SchedulerPort) -> None:
    scheduler.add_nodes(new_nodes(["grown-1"]))
    scheduler.add_nodes(new_nodes(["grown-1"]))
    assert "DYNAMIC_NORM" in rig.output("scontrol", "-o", "show", "node", "grown-1")
    assert "grown-1" not in nodes(scheduler.read()), "no machine and no job yet"

    job = rig.submit("-p", "fresh", "-n1", "--wrap", "sleep 300")
    waiting = until(lambda: nodes(scheduler.read()).get("grown-1"))
    assert (waiting.state, waiting.job_ids) == ("Booting", (job,)), "Slurm gave it away before its machine is there"

    with pytest.raises(SchedulerError, match="MaxNodeCount"):
        scheduler.add_nodes(new_nodes([f"grown-{number}" for number in range(2, 9)]))
    made = [f"grown-{number}" for number in range(1, 9)]
    until(lambda: _succeeds(lambda: scheduler.remove_nodes(made)))
    assert "grown" not in rig.output("scontrol", "-a", "-o", "show", "nodes").replace("NodeSet", "")
    assert any(waits.name == job for waits in scheduler.read().jobs), "its job waits again"


def _succeeds(act: Callable[[], object]) -> bool:
    """Slurm refuses to forget a node while it cleans up after a job; the next cycle tries again."""
    try:
        act()
    except SchedulerError:
        return False
    return True


def test_a_removed_node_of_the_configuration_stays_down_until_its_machine_returns(
    rig: SlurmRig, scheduler: SchedulerPort
) -> None:
    rig.run(["scancel", "--state=PENDING", "--user=" + rig.output("scontrol", "show", "config").split("SlurmUser")[1]
             .split("=")[1].split("(")[0].strip()])  # fmt: skip
    until(lambda: scheduler.close_nodes(["htc-2"], "scale in"))
    rig.crash("htc-2")
    scheduler.remove_nodes(["htc-2"])
    shown = rig.output("scontrol", "-o", "show", "node", "htc-2")
    assert {"DOWN", "DRAIN"} <= set(shown.split("State=")[1].split()[0].split("+"))
    scheduler.add_nodes(new_nodes(["htc-2"]))
    rig.boot("htc-2")
    until(lambda: nodes(scheduler.read())["htc-2"].state == "Ready")


def test_a_controller_that_does_not_answer_is_an_error_with_its_own_words(
    rig: SlurmRig, scheduler: SchedulerPort
) -> None:
    rig.stop_controller()
    try:
        with pytest.raises(SchedulerError, match=r"scontrol .*(exit code 1: .*slurm|no answer after)"):
            scheduler.read()
    finally:
        rig.start_controller()
    until(lambda: _succeeds(scheduler.read))
