"""Why jobs wait, as a real slurmctld says it: who is worth a machine, who is not, and what a growing partition hides.

QOS and association limits need an accounting database, which is not part of the rig: their reasons are known by name
(tests/unit/schedulers/test_slurm_values.py).
"""

from __future__ import annotations

import getpass
import re
from typing import TYPE_CHECKING, Final

import pytest
from slurm_rig import FAKE_GPU_DEVICES, NodeLine, SlurmRig, is_installed
from slurm_site import until

from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.model.job import Job

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_installed(),
        reason="NO REAL SLURM HERE: apt-get install --no-install-recommends slurmctld slurmd slurm-client "
        "slurm-wlm-basic-plugins",
    ),
]

EXTRA: Final = (
    "GresTypes=gpu",
    "Licenses=matlab:4,ansys:2",
    "MaxNodeCount=100",
    "SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0",
)
PARTITIONS: Final = (
    "PartitionName=work Nodes=work-[1-4] Default=YES DefMemPerCPU=500",
    "PartitionName=spare Nodes=work-[1-4] DefMemPerCPU=500",
    "PartitionName=pairs Nodes=work-[1-4] MaxNodes=2 DefMemPerCPU=500",
    "PartitionName=short Nodes=work-[1-4] MaxTime=10 DefMemPerCPU=500",
    "PartitionName=closed Nodes=work-[1-4] State=DOWN DefMemPerCPU=500",
    "NodeSet=grown Feature=grown",
    "PartitionName=grown Nodes=grown DefMemPerCPU=500",
    "PartitionName=grownpairs Nodes=grown MaxNodes=2 DefMemPerCPU=500",
    "NodeSet=mixed Feature=mixed",
    "PartitionName=mixed Nodes=mixed DefMemPerCPU=500",
    "NodeSet=patterned Feature=patterned",
    "PartitionName=patterned Nodes=patterned,pattern-1 DefMemPerCPU=500",
)
WAITING: Final = (
    ("--hold", "JobHeldUser", "the user holds it"),
    ("--begin=now+1hour", "BeginTime", "its time has not come"),
    ("-d after:FIRST", "Dependency", "it waits until another one starts"),
    ("-d afterany:FIRST", "Dependency", "… ends"),
    ("-d afterok:FIRST", "Dependency", "… ends well"),
    ("-d afternotok:FIRST", "Dependency", "… ends badly"),
    ("-J first -d singleton", "Dependency", "… of its own name ends"),
    ("--array=1-3 -d aftercorr:ARRAY", "Dependency", "each task waits for its own counterpart"),
    ("-d afterok:GONE", "DependencyNeverSatisfied", "that one was cancelled: it will wait for ever"),
    ("--reservation=later", "Reservation", "its reservation begins in an hour"),
    ("-p pairs -N 3", "PartitionNodeLimit", "three nodes, and the partition gives two"),
    ("-p grownpairs -N 3", "PartitionNodeLimit", "as much where the partition grows"),
    ("-p short -t 60", "PartitionTimeLimit", "an hour, and the partition gives ten minutes"),
    ("-p closed", "PartitionDown", "the partition takes jobs and starts none"),
    ("-N 2 -d afterany:FIRST : -n 1 -d afterany:FIRST", "Dependency", "a heterogeneous job waits as one"),
)
RUNNABLE: Final = (
    ("-p work,spare -N 2", ("work", "spare"), "two partitions: the node arrays of both, in this order"),
    ("--qos=high -A physics", ("work",), "without accounting these are words"),
    ("-L ansys:1", ("work",), "both licences are reserved: the stock says so, and the planner waits for it"),
    ("-p grown -N 2", ("grown",), "more nodes than the partition has now, which Slurm calls its limit"),
    ("-p grown -n 8", ("grown",), "more cores than there are now"),
    ("-p patterned --gres=gpu:1", ("patterned",), "a node that never boots shows Slurm what may come"),
)


@pytest.fixture(scope="module")
def rig() -> Iterator[SlurmRig]:
    nodes = (
        NodeLine("work-[1-4]", 4, 8000),
        NodeLine("pattern-1", 8, 16000, gres="gpu:t4:1", state="DOWN"),
    )
    gres = f"NodeName=pattern-1,big-1 Name=gpu Type=t4 File={FAKE_GPU_DEVICES[0]}\n"
    with SlurmRig(nodes, PARTITIONS, gres_conf=gres, extra=EXTRA) as running:
        running.mark_absent("work-[1-4]")
        running.run(["scontrol", "create", "reservation", "reservationname=later", "nodes=work-1",
                     f"users={getpass.getuser()}", "starttime=now+3600", "duration=60"])  # fmt: skip
        running.run(["scontrol", "create", "reservation", "reservationname=taken", "licenses=ansys:2",
                     "flags=LICENSE_ONLY", "users=nobody", "starttime=now", "duration=60"])  # fmt: skip
        make(running, "grown-1", "feature=grown")
        yield running


def make(rig: SlurmRig, name: str, *attributes: str) -> None:
    """A node that is made at run time, as a cycle does; no machine boots, so it only gets jobs."""
    address = f"127.0.2.{len(rig.output('scontrol', '-a', '-o', 'show', 'nodes').splitlines())}"
    rig.run(["scontrol", "create", f"nodename={name}", "cpus=4", "realmemory=8000", "state=cloud",
             f"nodeaddr={address}", *attributes])  # fmt: skip


def submit(rig: SlurmRig, options: str) -> str:
    return rig.submit("--wrap", "sleep 300", *options.split())


def reason(rig: SlurmRig, job: str) -> str:
    return rig.output("squeue", "-h", "-a", "-j", job, "-o", "%r").strip()


def not_looked_at(rig: SlurmRig, ids: dict[str, str]) -> set[str]:
    """Waiting jobs that show another reason than Slurm comes to in the end."""
    settled = {options: code for options, code, _ in WAITING}
    return {options for options in settled if not reason(rig, ids[options]).startswith(settled[options])}


def read(rig: SlurmRig) -> dict[str, Job]:
    """Jobs and arrays by their id."""
    settings = {"type": "slurm", "slurm_conf": rig.env["SLURM_CONF"]}
    state = build_scheduler(settings, environment=rig.env).read()
    return {job.name.partition("_")[0]: job for job in state.jobs}


def test_each_job_waits_or_is_worth_a_machine_as_written(rig: SlurmRig) -> None:
    gone = submit(rig, "--hold")
    rig.run(["scancel", gone])
    others = {"FIRST": submit(rig, "-J first"), "ARRAY": submit(rig, "--array=1-3"), "GONE": gone}
    ids = {
        options: submit(rig, re.sub("FIRST|ARRAY|GONE", lambda match: others[match[0]], options))
        for options, *_ in (*WAITING, *RUNNABLE)
    }
    early = {"BeginTime", "Dependency", "DependencyNeverSatisfied"}
    waiting = {options: code for options, code, _ in WAITING}
    first = read(rig)
    hasty = [options for options, code in waiting.items() if code in early and first[ids[options]].runnable]
    assert hasty == [], "in the first seconds Slurm shows other reasons"
    until(lambda: not not_looked_at(rig, ids), lambda: {it: reason(rig, ids[it]) for it in not_looked_at(rig, ids)})
    settings = {"type": "slurm", "slurm_conf": rig.env["SLURM_CONF"]}
    state = build_scheduler(settings, environment=rig.env).read()
    jobs = {job.name.partition("_")[0]: job for job in state.jobs}
    assert [problem.message for problem in state.problems if "unknown reason" in problem.message] == []
    assert {name: stock.current for name, stock in state.shared_resources.items()} == {"matlab": 4, "ansys": 0}
    for options, code, why in WAITING:
        job = jobs[ids[options]]
        found = (job.runnable, job.not_runnable_reason.partition(":")[0])
        assert found == (False, code), f"{options}: {why}; {reason(rig, ids[options])}"
    for options, arrays, why in RUNNABLE:
        job = jobs[ids[options]]
        assert (job.not_runnable_reason, job.runnable) == ("", True), f"{options}: {why}"
        assert job.shape.constraints[0]["nodearray"] == arrays, f"{options}: {why}"
    rig.run(["scancel", *ids.values(), *others.values()])


def test_a_job_that_no_node_fits_yet_is_held_by_slurm_and_starts_when_released(rig: SlurmRig) -> None:
    """The trap that docs/slurm.md names, and its two ways out."""
    settings = {"type": "slurm", "slurm_conf": rig.env["SLURM_CONF"]}
    held, kept = submit(rig, "-p mixed --gres=gpu:1"), submit(rig, "-p patterned --gres=gpu:1")
    make(rig, "small-1", "feature=mixed")
    make(rig, "small-2", "feature=patterned")
    until(lambda: reason(rig, held) == "BadConstraints", "Slurm holds the job, because no node of its partition fits")
    jobs = {job.name: job for job in build_scheduler(settings, environment=rig.env).read().jobs}
    assert not jobs[held].runnable
    assert "`scontrol release` it" in jobs[held].not_runnable_reason
    assert jobs[kept].runnable, "a node in slurm.conf that never boots keeps Slurm from holding it"
    make(rig, "big-1", "feature=mixed", "gres=gpu:t4:1")
    rig.run(["scontrol", "release", held])
    until(lambda: rig.output("squeue", "-h", "-j", held, "-o", "%N").strip() == "big-1", "it gets the node")
