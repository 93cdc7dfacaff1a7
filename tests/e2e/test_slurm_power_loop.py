"""The whole loop with Slurm's own power saving: its programs are our hooks, and their host lists become machines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from slurm_rig import NodeLine, SlurmRig, is_installed
from slurm_site import CONF, configure, cycle, cycles_until, emulator, flags, machines, queue, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.emulator.server import EmulatorServer
    from autoscale_aks.reconcile.cycle import CycleReport

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_installed(),
        reason="NO REAL SLURM HERE: apt-get install --no-install-recommends slurmctld slurmd slurm-client "
        "slurm-wlm-basic-plugins",
    ),
]
HOOKS = Path(__file__).parents[2] / "autoscale_aks" / "hooks"
TIMES = {"SuspendTime": "3", "SuspendTimeout": "3", "ResumeTimeout": "60", "SlurmctldParameters":
         "idle_on_node_suspend,power_save_interval=1,power_save_min_interval=1"}  # fmt: skip
NAMES = ("az1-htc-1", "az1-htc-2", "az1-htc-3", "az1-htc-4")


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """The hooks installed as docs/hooks.md says, with this Python and the settings of conf/slurm/wake.json."""
    tmp_path.chmod(0o755)
    (tmp_path / "spool").mkdir()
    for name in ("wake.py", "slurm_power.py"):
        text = (HOOKS / name).read_text().replace("#!/usr/bin/python3 -IS", f"#!{sys.executable} -IS", 1)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for event in ("resume", "suspend", "resume-fail"):
        (tmp_path / f"azaks-{event}").symlink_to("slurm_power.py")
    settings = json.loads((CONF / "wake.json").read_text())
    settings |= {"socket": str(tmp_path / "s"), "spool": str(tmp_path / "spool"), "log": str(tmp_path / "hook.log"),
                 "state_dir": str(tmp_path / "none")}  # fmt: skip
    (tmp_path / "wake.json").write_text(json.dumps(settings))
    return tmp_path


@pytest.fixture
def rig(hooks: Path) -> Iterator[SlurmRig]:
    """A Slurm with the lines of conf/slurm/power-saving.conf, but for nodes, partitions and times."""
    lines = [line for line in (CONF / "power-saving.conf").read_text().splitlines() if line and line[0] != "#"]
    kept = dict(line.split("=", 1) for line in lines if not line.startswith(("NodeName", "PartitionName")))
    for known in ("PrivateData", "ReturnToService", "TreeWidth"):
        del kept[known]  # the rig has the same
    kept = {key: value.replace("/opt/azaks/hooks", str(hooks)) for key, value in {**kept, **TIMES}.items()}
    extra = [f"{key}={value}" for key, value in kept.items()]
    extra.append("SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=1")
    nodes = (NodeLine("az1-htc-[1-4]", cpus=4, memory_mb=15360, features=("htc",)),
             NodeLine("other-1", cpus=64, memory_mb=15360, features=("big",)))  # fmt: skip
    partition = ("PartitionName=htc Nodes=az1-htc-[1-4],other-1 Default=YES DefMemPerCPU=1000",)
    with SlurmRig(nodes, partition, extra=extra) as running:
        yield running


@pytest.fixture
def aks() -> Iterator[EmulatorServer]:
    with emulator() as running:
        yield running


def spooled(hooks: Path) -> list[str]:
    """Events nobody has acted on yet."""
    return sorted(json.loads(path.read_text())["event"] for path in (hooks / "spool").glob("[0-9]*.json"))


def test_slurm_resumes_nodes_that_become_machines_of_their_names_and_suspends_them_again(
    rig: SlurmRig, aks: EmulatorServer, hooks: Path
) -> None:
    config = configure(hooks, rig, aks, power_saving={"spool": str(hooks / "spool")})
    assert cycle(config).notices == ()
    gang = rig.submit("-N2", "-n8", "--wrap", "sleep 1")
    array = rig.submit("--array=1-2", "-c4", "--wrap", "sleep 1")
    too_large = rig.submit("-w", "other-1", "-n1", "--wrap", "true")
    until(lambda: all("POWERING_UP" in flags(rig, name) for name in (*NAMES, "other-1")), "Slurm resumes five nodes")
    until(lambda: "resume" in spooled(hooks), "the hook has kept what was asked")

    first = cycle(config)
    assert machines(aks) == set(NAMES), "exactly the names that Slurm gave"
    assert {claim.name for claim in first.plan.claims} == set(NAMES)
    assert any("other-1: gets no machine: its name is none of ours" in notice for notice in first.notices)
    assert spooled(hooks) == [], "what stands in the ledger is not asked for again"
    assert cycle(config).plan.claims == ()

    rig.boot(*NAMES)
    rig.run(["scancel", too_large])
    cycles_until(config, "the work runs; Slurm looks every 30 s whether booted nodes are there",
                 lambda _: set(queue(rig).values()) == {"RUNNING"} or not queue(rig))  # fmt: skip
    until(lambda: not {job.partition("_")[0] for job in queue(rig)} & {gang, array}, "all work is done")
    until(lambda: "suspend" in spooled(hooks), "Slurm suspends idle nodes")
    late = rig.submit("-n4", "-w", NAMES[0], "--wrap", "sleep 60")
    done: list[str] = []

    def look(report: CycleReport) -> bool:
        done.extend(report.releases.deleted)
        return set(done) == set(NAMES)

    cycles_until(config, "the machines of suspended nodes are deleted", look)
    until(lambda: "POWERING_UP" in flags(rig, NAMES[0]), "a job that landed meanwhile has its node resumed")
    found = cycles_until(config, "the node has a machine again", lambda _: NAMES[0] in machines(aks))
    assert machines(aks) == {NAMES[0]}, "the same name, once the machine that had it was gone"
    assert queue(rig, "-j", late) == {late: "CONFIGURING"}
    assert [claim.name for report in found for claim in report.plan.claims] == [NAMES[0]]
    until(lambda: "POWERED_DOWN" in flags(rig, NAMES[1]), "Slurm may resume the others whenever it wants")
