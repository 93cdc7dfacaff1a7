"""The whole loop on a real Slurm and the emulator: sbatch → cycle → machines → slurmd → runs → idle → deleted.

Here demand is calculated from the queue; `test_slurm_power_loop.py` is the same with Slurm's own power saving.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from slurm_rig import NodeLine, SlurmRig, is_installed
from slurm_site import CONF, configure, cycle, cycles_until, emulator, flags, machines, queue, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autoscale_aks.emulator.server import EmulatorServer

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_installed(),
        reason="NO REAL SLURM HERE: apt-get install --no-install-recommends slurmctld slurmd slurm-client "
        "slurm-wlm-basic-plugins",
    ),
]

NODES = (
    NodeLine("az1-htc-[1-8]", cpus=4, memory_mb=15360, features=("htc",)),
    NodeLine("login-1", cpus=4, memory_mb=15360, features=("htc",), state="UNKNOWN"),
)
PARTITIONS = (
    "PartitionName=htc Nodes=az1-htc-[1-8],login-1 Default=YES DefMemPerCPU=1000",
    "NodeSet=grown Feature=hpc",
    "PartitionName=hpc Nodes=grown DefMemPerCPU=100",
)


@pytest.fixture
def rig() -> Iterator[SlurmRig]:
    extra = ("MaxNodeCount=30", "SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=1")
    with SlurmRig(NODES, PARTITIONS, extra=extra) as running:
        running.mark_absent("az1-htc-[1-8],login-1")
        yield running


@pytest.fixture
def aks() -> Iterator[EmulatorServer]:
    with emulator() as running:
        yield running


def land_a_job(rig: SlurmRig, directory: Path, node: str) -> tuple[str, Path]:
    """A scontrol that starts a job on `node` in the moment before it drains it, once; and where its id will stand."""
    real, job = shutil.which("scontrol"), directory / "landed"
    script = directory / "scontrol"
    script.write_text(
        f"""#!/bin/sh
case "$*" in *{node}*state=drain*) if [ ! -e {job} ]; then
  sbatch --parsable -o /dev/null -w {node} -n1 --wrap 'sleep 3' > {job}
  until squeue -h -t R -o %i | grep -qx "$(cat {job})"; do sleep 0.1; done
fi;; esac
exec {real} "$@"
"""
    )
    script.chmod(0o755)
    return str(script), job


def fail_to_create(directory: Path) -> str:
    """A scontrol whose first `create` finds nobody to talk to."""
    script, done = directory / "scontrol", directory / "failed"
    script.write_text(
        f"""#!/bin/sh
if [ "$1" = create ] && [ ! -e {done} ]; then touch {done}; echo "Unable to contact slurm controller" >&2; exit 1; fi
exec {shutil.which("scontrol")} "$@"
"""
    )
    script.chmod(0o755)
    return str(script)


def test_jobs_get_machines_run_on_them_and_the_machines_leave(
    rig: SlurmRig, aks: EmulatorServer, tmp_path: Path
) -> None:
    scontrol, landed = land_a_job(rig, tmp_path, "az1-htc-2")
    config = configure(tmp_path, rig, aks, scontrol=scontrol)
    gang = rig.submit("-N2", "-n8", "--wrap", "sleep 2")
    array = rig.submit("--array=1-5%2", "-c4", "--wrap", "sleep 1")
    held = rig.submit("-H", "-N3", "--wrap", "true")
    until(lambda: len(queue(rig)) == 7, "all jobs are in the queue")

    first = cycle(config)
    asked = {claim.name for claim in first.plan.claims}
    assert asked == {f"az1-htc-{number}" for number in range(1, 5)}, "two for the gang, two of five tasks may run"
    assert machines(aks) == asked
    assert first.notices == ()
    assert not cycle(config).plan.claims, "machines on their way are not asked for twice"

    rig.boot(*sorted(asked))
    until(lambda: "RUNNING" in queue(rig, "-j", gang).values() or gang not in queue(rig), "the gang runs")
    while_running = cycle(config)
    assert not while_running.plan.claims
    assert not while_running.releases.deleted

    until(lambda: set(queue(rig)) == {held}, "all work is done")
    done = cycles_until(config, "a job lands on a node that is being closed", lambda _: landed.exists())
    assert done[-1].releases.reopened == ["az1-htc-2"] or "az1-htc-2" in done[-1].releases.kept
    assert "az1-htc-2" not in done[-1].releases.deleted, "its job has come first"
    late = landed.read_text().strip()
    assert queue(rig, "-j", late) == {late: "RUNNING"}
    done += cycles_until(config, "all machines are deleted", lambda _: not machines(aks))
    assert {name for report in done for name in report.releases.deleted} == asked
    assert sum(len(report.plan.claims) for report in done) == 0, "nothing was made for work that had a place"
    assert set(queue(rig)) == {held}, "the held job still waits, and has cost nothing; all others have run"
    for name in asked:
        until(lambda name=name: {"DOWN", "DRAIN"} <= flags(rig, name), f"{name} is out of service")
    assert array not in {job.partition("_")[0] for job in queue(rig)}


def test_a_dynamic_node_is_made_runs_its_job_and_is_forgotten(
    rig: SlurmRig, aks: EmulatorServer, tmp_path: Path
) -> None:
    example = json.loads((CONF / "autoscale.json").read_text())["scheduler"]["create_nodes"]["az1-*"]
    create = {"az1-*": [*example, "nodeaddr=127.0.0.1"]}  # no machine has an address of its own here
    config = configure(tmp_path, rig, aks, job_reasons=True, scontrol=fail_to_create(tmp_path), create_nodes=create)
    job = rig.submit("-p", "hpc", "-n2", "--wrap", "sleep 1")
    never = rig.submit("-p", "hpc", "-c", "64", "--wrap", "true")
    until(lambda: len(queue(rig)) == 2, "the jobs are in the queue")
    first = cycle(config)
    assert [claim.name for claim in first.plan.claims] == ["az1-hpc-1"]
    assert "could not be told of 1 new nodes" in first.notices[0]
    assert "Unable to contact" in first.notices[0]
    assert not flags(rig, "az1-hpc-1")
    assert cycle(config).notices == (), "a machine on its way that the scheduler does not show is told of again"
    made = rig.output("scontrol", "-o", "show", "node", "az1-hpc-1")
    assert "CPUTot=16 " in made
    assert "RealMemory=30474 " in made, "what the bucket promises: 7 % less than 32 GiB, in whole MiB"
    assert "ActiveFeatures=hpc,Standard_F16s_v2 " in made
    assert "AdminComment=azaks: TOO_BIG_FOR_ANY_NODE" in rig.output("scontrol", "-o", "show", "job", never)

    rig.boot("az1-hpc-1", dynamic=True)
    until(lambda: job not in queue(rig), "the job runs and ends")
    done = cycles_until(config, "the machine is deleted", lambda _: not machines(aks))
    assert [name for report in done for name in report.releases.deleted] == ["az1-hpc-1"]
    until(lambda: not flags(rig, "az1-hpc-1"), "the node is forgotten")


def test_a_free_node_of_the_site_comes_before_any_machine_and_is_left_alone(
    rig: SlurmRig, aks: EmulatorServer, tmp_path: Path
) -> None:
    config = configure(tmp_path, rig, aks)
    rig.boot("login-1")
    whole = rig.submit("-n4", "--wrap", "sleep 30")
    seen = cycle(config)
    assert [node.name for node in seen.observation.snapshot.unmanaged_nodes] == ["login-1"]
    assert not seen.plan.claims, "four free cores stand there"
    until(lambda: queue(rig)[whole] == "RUNNING", "it runs on the site's node")
    two = rig.submit("-n4", "--wrap", "sleep 30")
    assert [claim.name for claim in cycle(config).plan.claims] == ["az1-htc-1"]
    rig.boot("az1-htc-1")
    rig.run(["scancel", whole, two])
    cycles_until(config, "the machine leaves", lambda _: not machines(aks))
    assert flags(rig, "login-1") == {"IDLE"}


def test_slurm_takes_the_lines_that_are_shipped_for_demand_calculation() -> None:
    lines = [line for line in (CONF / "slurm.conf").read_text().splitlines() if line and line[0] != "#"]
    mine = ("SelectType", "PrivateData", "ReturnToService", "TreeWidth")  # the rig has the same
    with SlurmRig((), [line for line in lines if not line.startswith(mine)]) as rig:
        rig.run(["scontrol", "create", "nodename=az1-hpc-1", "cpus=16", "realmemory=31744", "feature=hpc",
                 "state=cloud"])  # fmt: skip
        assert "Nodes=az1-hpc-1 " in rig.output("scontrol", "-o", "show", "partition", "hpc")
        assert "TotalNodes=0 " in rig.output("scontrol", "-o", "show", "partition", "htc")
