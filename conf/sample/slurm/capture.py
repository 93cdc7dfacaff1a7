"""Capture a real Slurm queue: start a private slurmctld, submit a day's work, keep what its commands print.

    PYTHONPATH=tests/e2e python conf/sample/slurm/capture.py

Run it as root on a throw-away machine with Slurm's daemons (Debian: slurmctld slurmd slurm-client
slurm-wlm-basic-plugins); about 15 seconds. Root is needed for one thing: the jobs belong to alice, bob, carol
and dave, who exist only inside a mount namespace of this program. It rewrites the captured files here and
in ../slurm-empty, and the table of jobs in README.md.
"""  # noqa: INP001 - sample data with its maker, not a package

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slurm_rig import FAKE_GPU_DEVICES, NodeLine, SlurmRig

HERE = Path(__file__).resolve().parent
INSIDE = "SLURM_CAPTURE_INSIDE"
HOST = "scheduler"
USERS = {"alice": 2001, "bob": 2002, "carol": 2003, "dave": 2004}
SETTLE_S = 40.0

# The driver's query, one job (or one pending array) a line. See README.md for the reason of every part.
FIELDS = (
    "JobArrayID,JobID,ArrayJobID,ArrayTaskID,HetJobID,HetJobIDSet,State,Reason,Partition,UserName,PriorityLong,"
    "SubmitTime,NodeList,NumNodes,NumCPUs,NumTasks,cpus-per-task,NTPerNode,MinCpus,MinMemory,MinTmpDisk,tres-alloc,"
    "tres-per-job,tres-per-node,tres-per-socket,tres-per-task,cpus-per-tres,mem-per-tres,OverSubscribe,ReqSwitch,"
    "Feature,Licenses,ReqNodes"
)
QUERY_ENV = {"SLURM_BITSTR_LEN": "0", "SLURM_TIME_FORMAT": "standard", "TZ": "UTC"}
COMMANDS = {
    "squeue.txt": [
        "squeue",
        "--noheader",
        "--all",
        "--local",
        "--noconvert",
        "--sort=i",
        "--Format=" + FIELDS.replace(",", ":\t,") + ":",
    ],
    "scontrol-show-nodes.txt": ["scontrol", "-a", "-o", "show", "nodes"],
    "scontrol-show-jobs.txt": ["scontrol", "-a", "-o", "-d", "show", "jobs"],
    "scontrol-show-partitions.txt": ["scontrol", "-a", "-o", "show", "partitions"],
    "scontrol-show-licenses.txt": ["scontrol", "-o", "show", "licenses"],
    "sinfo.txt": ["sinfo", "-a"],
}
LARGEST_BYTES = 400_000

# What the machines of four AKS agent pools would bring: 95 % of each size's memory is the jobs'.
NODES = (
    NodeLine("htc-[001-256]", cpus=4, memory_mb=15564, features=("htc", "standard_d4s_v5", "spot")),
    NodeLine("htc-[257-320]", cpus=4, memory_mb=15564, features=("htc", "standard_d4s_v5", "regular")),
    NodeLine("hpc-[001-048]", cpus=16, memory_mb=31129, features=("hpc", "standard_f16s_v2", "regular")),
    NodeLine(
        "gpu-[001-056]",
        cpus=4,
        memory_mb=27238,
        features=("gpu", "standard_nc4as_t4_v3", "regular"),
        gres="gpu:t4:1",
    ),
    NodeLine("mem-[001-024]", cpus=16, memory_mb=124518, features=("mem", "standard_e16s_v5", "regular")),
)
PARTITIONS = (
    "PartitionName=htc Nodes=htc-[001-320] Default=YES DefMemPerCPU=3500 DefaultTime=04:00:00 MaxTime=2-00:00:00",
    "PartitionName=hpc Nodes=hpc-[001-048] DefMemPerCPU=1800 DefaultTime=12:00:00 MaxTime=7-00:00:00",
    "PartitionName=gpu Nodes=gpu-[001-056] DefMemPerCPU=6500 DefaultTime=12:00:00 MaxTime=7-00:00:00",
    "PartitionName=mem Nodes=mem-[001-024] DefMemPerCPU=7500 DefaultTime=12:00:00 MaxTime=7-00:00:00",
    "PartitionName=maint Nodes=htc-[001-320] DefMemPerCPU=3500 State=DOWN",
)
EXTRA = ("GresTypes=gpu", "Licenses=matlab:4,fluent:8", "SchedulerParameters=bf_interval=5,bf_window=10080")
GRES_CONF = f"NodeName=gpu-[001-056] Name=gpu Type=t4 File={FAKE_GPU_DEVICES[0]}\n"
RUNNING = "htc-[001-004],hpc-[001-004],gpu-[001-002],mem-001"
ABSENT = "htc-[005-320],hpc-[005-048],gpu-[003-056],mem-[002-024]"

IRREGULAR = (
    "2,3,5,7,11,13,17,19,23,29,31,37,41,43,47,53,59,61,67,71,73,79,83,89,97,100-109,"
    "113,127,131,137,139,149,151,157,163,167,173,179,181,191,193,197,199,211,223,227,229,233,239,241,251"
)


@dataclasses.dataclass(frozen=True)
class Job:
    """One sbatch call. `{name}` in the arguments stands for the id of an earlier job of that name."""

    user: str
    account: str
    name: str
    args: str
    why: str
    hold_by_root: bool = False


FIRST = (
    Job("bob", "screening", "dock-warm", "-p htc --array=1-40%8 -c2 -t 4:00:00",
        "running array with a limit: 8 tasks fill the four htc machines, the rest waits for the limit"),
    Job("alice", "cfd", "cfd-base", "-p hpc -N4 -n64 --exclusive -t 1-00:00:00 -L fluent:6",
        "running MPI job on all hpc machines; holds 6 of 8 fluent licences"),
    Job("carol", "ml", "train-base", "-p gpu --array=0-1 -c4 --gres=gpu:t4:1 -t 20:00:00", "both gpu machines busy"),
    Job("dave", "genomics", "asm-base", "-p mem -c16 --mem=120000 -t 18:00:00", "the only mem machine busy"),
)  # fmt: skip
WAITING = (
    Job("bob", "screening", "dock-sweep", "-p htc --array=0-599 -t 2:00:00",
        "600 one-core tasks, the partition's memory per CPU: 4 to a machine"),
    Job("bob", "screening", "dock-refine", "-p htc --array=1-250 --mem=3G -t 3:00:00",
        "250 tasks with memory per node: 4 to a machine"),
    Job("dave", "genomics", "align", "-p htc --array=1-120%10 -c2 --mem-per-cpu=3G -t 6:00:00",
        "120 tasks, never more than 10 at once: 5 machines, not 60"),
    Job("alice", "cfd", "param-scan", "-p htc --array=0-318:2 --mem-per-cpu=2G -t 1:00:00",
        "160 tasks with a step"),
    Job("alice", "cfd", "primes", f"-p htc --array={IRREGULAR} -c2 --mem=5G -t 1:30:00",
        "an array with many ranges: its id is far longer than squeue's usual 64 bytes"),
    Job("dave", "genomics", "whole-node", "-p htc --mem=0 -t 5:00:00",
        "--mem=0: all memory of a machine; MinMemory says 0"),
    Job("alice", "cfd", "mesh", "-p htc --exclusive -n2 -t 2:00:00", "one machine for itself (OverSubscribe NO)"),
    Job("bob", "screening", "spot-ok", "-p htc -n3 -C spot|regular -t 1:00:00",
        "three tasks, features with OR: why the separator is no vertical bar"),
    Job("bob", "screening", "regular-only", "-p htc -n6 -c2 -C standard_d4s_v5&regular -t 8:00:00",
        "six 2-core tasks without a node count: at least three machines"),
    Job("dave", "genomics", "either", "-p htc,mem -n1 --mem=8G -t 1:00:00", "two partitions, whichever is first"),
    Job("carol", "ml", "pinned", "-p htc -n1 -w htc-002 -t 1:00:00", "asks for a named machine"),
    Job("alice", "cfd", "post", "-p htc -n1 -L matlab:1 -t 1:00:00", "a licence that is free: worth a machine"),
    Job("alice", "cfd", "fluent-run", "-p hpc -N1 -n16 -L fluent:4 -t 6:00:00",
        "4 licences, 2 left: waits for Licenses, no machine helps"),
    Job("alice", "cfd", "wing-a", "-p hpc -N4 -n64 -t 12:00:00", "4 machines at once"),
    Job("alice", "cfd", "wing-b", "-p hpc -N4 -n64 -t 12:00:00", "4 machines at once"),
    Job("alice", "cfd", "wing-c", "-p hpc -N4 -n64 --switches=1 -t 12:00:00",
        "4 machines under one switch: one placement group"),
    Job("dave", "genomics", "weather", "-p hpc -N8 --exclusive -t 1-12:00:00", "8 whole machines, one task each"),
    Job("dave", "genomics", "lattice", "-p hpc -n128 --ntasks-per-node=16 -t 10:00:00",
        "8 machines, said through tasks per node"),
    Job("alice", "cfd", "elastic", "-p hpc -N2-4 -n32 -t 4:00:00", "a range of machines: two suffice"),
    Job("bob", "screening", "plain-mpi", "-p hpc -n48 -t 4:00:00", "48 tasks anywhere: three machines at least"),
    Job("carol", "ml", "train-sweep", "-p gpu --array=0-39 -c4 --gres=gpu:1 -t 10:00:00",
        "40 tasks, one GPU each: 40 machines"),
    Job("carol", "ml", "train-typed", "-p gpu -N2 --gpus-per-node=t4:1 --ntasks-per-node=1 -c4 -t 8:00:00",
        "GPU per node with its type, two machines"),
    Job("carol", "ml", "train-total", "-p gpu --gpus=4 --cpus-per-gpu=4 --mem-per-gpu=20G -t 8:00:00",
        "GPUs, CPUs and memory said per job and per GPU: four machines"),
    Job("carol", "ml", "train-task", "-p gpu -n2 --gpus-per-task=1 -t 8:00:00", "GPU per task: two machines"),
    Job("dave", "genomics", "assembly", "-p mem --array=0-17 -c8 --mem=100G -t 20:00:00",
        "18 tasks, each a whole machine by memory"),
    Job("dave", "genomics", "variants", "-p mem --array=1-8 -c4 --mem-per-cpu=15G -t 9:00:00",
        "60 GB said per CPU: two to a machine"),
    Job("carol", "ml", "coupled", "-p hpc -N1 -n16 -t 2:00:00 : -p gpu -N1 -n1 --gres=gpu:1",
        "heterogeneous job: an hpc and a gpu machine at the same time"),
    Job("bob", "screening", "later-sweep", "-p htc --array=1-200 -H -t 1:00:00", "held by its user: not runnable"),
    Job("bob", "screening", "stopped", "-p htc -n1 -t 1:00:00", "held by the administrator: not runnable",
        hold_by_root=True),
    Job("bob", "screening", "score", "-p htc --array=1-100 --dependency=afterok:{dock-sweep} -t 0:30:00",
        "waits for the sweep: not runnable"),
    Job("alice", "cfd", "report", "-p htc -n1 --dependency=afterany:{wing-a},afterok:{wing-b} -t 0:10:00",
        "waits for two jobs: not runnable"),
    Job("carol", "ml", "nightly", "-p gpu -n1 --gres=gpu:1 --begin=now+6hours -t 1:00:00",
        "begins in six hours: not runnable"),
    Job("dave", "genomics", "too-long", "-p htc -n1 -t 3-00:00:00", "longer than the partition allows"),
    Job("dave", "genomics", "too-wide", "-p hpc -N60 -n960 -t 1:00:00", "more machines than the partition has"),
    Job("bob", "screening", "closed", "-p maint -n1 -t 1:00:00", "its partition is down"),
)  # fmt: skip


def main() -> int:
    """Enter the namespaces if need be, then capture the empty and the full queue."""
    if os.geteuid():
        sys.stderr.write("capture.py: run as root (see its first lines)\n")
        return 2
    if INSIDE not in os.environ:
        os.execvpe(  # noqa: S606 - no shell is wanted
            "unshare",  # noqa: S607
            ["unshare", "--mount", "--uts", sys.executable, str(Path(__file__).resolve())],
            {**os.environ, INSIDE: "1"},
        )
    os.umask(0o022)
    socket.sethostname(HOST)
    with tempfile.TemporaryDirectory() as private:
        add_to_etc(Path(private))
        with _rig() as rig:
            rig.mark_absent(ABSENT)
            capture(rig, HERE.parent / "slurm-empty")
            ids: dict[str, str] = {}
            for job in FIRST:
                ids[job.name] = submit(rig, job, ids)
            wait_until_busy(rig)
            for job in WAITING:
                ids[job.name] = submit(rig, job, ids)
            wait_until_settled(rig)
            capture(rig, HERE)
            write_table(HERE / "README.md", ids)
    return 0


def _rig() -> SlurmRig:
    return SlurmRig(NODES, PARTITIONS, gres_conf=GRES_CONF, extra=EXTRA, autoboot=RUNNING, cluster="sample")


def add_to_etc(directory: Path) -> None:
    """Put the made-up users and host into this mount namespace's own passwd, group and hosts."""
    lines = {
        "passwd": [f"{user}:x:{uid}:{uid}::/shared/home/{user}:/bin/sh" for user, uid in USERS.items()],
        "group": [f"{user}:x:{uid}:" for user, uid in USERS.items()],
        "hosts": [f"127.0.0.1 {HOST}"],
    }
    for name, added in lines.items():
        mine = directory / name
        mine.write_text("\n".join([Path("/etc", name).read_text(), *added, ""]))
        subprocess.run(["mount", "--bind", str(mine), f"/etc/{name}"], check=True)  # noqa: S603, S607


def submit(rig: SlurmRig, job: Job, ids: dict[str, str]) -> str:
    """Give one job to sbatch as its user and return its id."""
    args = shlex.split(job.args.replace("&", r"\&").replace("|", r"\|").format(**ids))
    own = [f"--uid={job.user}", f"--gid={job.user}", f"--account={job.account}", f"--job-name={job.name}"]
    job_id = rig.submit(*own, f"--chdir=/shared/home/{job.user}", *args, "--wrap=sleep 600")
    if job.hold_by_root:
        rig.run(["scontrol", "hold", job_id])
    return job_id


def wait_until_busy(rig: SlurmRig) -> None:
    """Wait until the first jobs hold every machine."""
    deadline = time.monotonic() + SETTLE_S
    while rig.output("sinfo", "-h", "-a", "-t", "idle", "-n", RUNNING, "-o", "%N").strip():
        if time.monotonic() > deadline:
            raise TimeoutError(rig.output("squeue", "-a") + rig.output("sinfo", "-a") + rig.log())
        time.sleep(0.5)


def wait_until_settled(rig: SlurmRig) -> None:
    """Wait until the scheduler has looked at every job and has given the reason for its waiting."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        time.sleep(1)
        waiting = rig.output("squeue", "-h", "-a", "-t", "PENDING", "-O", "LastSchedEval:|,Reason:|")
        if not re.search(r"^(N/A|Unknown)?\||\|None\|$", waiting, re.MULTILINE):
            break
    time.sleep(6)  # one more turn of the backfill scheduler


def capture(rig: SlurmRig, directory: Path) -> None:
    """Run every command and keep its scrubbed output."""
    directory.mkdir(exist_ok=True)
    for name, command in COMMANDS.items():
        text = scrub(rig.run(command, env=QUERY_ENV).stdout, rig)
        if len(text.encode()) > LARGEST_BYTES:
            raise ValueError(f"{name}: {len(text)} characters are too many for a sample")
        (directory / name).write_text(text)


def scrub(text: str, rig: SlurmRig) -> str:
    """Take this machine's own traits out of a capture; nothing a parser would look at."""
    text = text.replace(str(rig.directory), "/etc/slurm")
    text = re.sub(r"\bPort=\d+", "Port=6818", text)
    text = re.sub(r"\bOS=.*?(?=  RealMemory=)", "OS=Linux 6.1.0-cloud-amd64 #1 SMP ", text)
    text = re.sub(r"\bFreeMem=\d+", "FreeMem=N/A", text)
    text = re.sub(r"\bCPULoad=[\d.]+", "CPULoad=0.00", text)
    return re.sub(r"(AllocNode:Sid=\S+?:)\d+", r"\g<1>1000", text)


def write_table(readme: Path, ids: dict[str, str]) -> None:
    """Replace the table of jobs in the README."""
    rows = ["| id | user | `sbatch` arguments | what it is for |", "| --- | --- | --- | --- |"]
    for job in (*FIRST, *WAITING):
        args = job.args.format(**ids).replace("|", "\\|").replace(IRREGULAR, IRREGULAR[:20] + "…")
        rows.append(f"| {ids[job.name]} {job.name} | {job.user} | `{args}` | {job.why} |")
    begin, end = "<!-- jobs: written by capture.py -->", "<!-- end of jobs -->"
    before, _, rest = readme.read_text().partition(begin)
    readme.write_text("\n".join([f"{before}{begin}", *rows, end]) + rest.partition(end)[2])


if __name__ == "__main__":
    raise SystemExit(main())
