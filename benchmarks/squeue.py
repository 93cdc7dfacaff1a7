"""A `squeue` capture of single jobs, and the Slurm driver's own reader over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.schedulers.slurm.facts import ClusterFacts, Partition
from autoscale_aks.schedulers.slurm.jobs import read_queue
from autoscale_aks.schedulers.slurm.records import FIELDS
from autoscale_aks.schedulers.slurm.settings import SlurmSettings

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path

    from autoscale_aks.model.job import Job

_PLAIN: Final = {
    "ArrayTaskID": "N/A", "HetJobID": "N/A", "HetJobOffset": "N/A", "HetJobIDSet": "N/A", "State": "PENDING",
    "Reason": "Resources", "Partition": "htc", "UserName": "alice", "QOS": "(null)", "PriorityLong": "1000",
    "SubmitTime": "2026-11-22T10:00:00", "EligibleTime": "2026-11-22T10:00:00", "StartTime": "N/A",
    "TimeLimit": "1:00:00", "TimeUsed": "0:00", "NumNodes": "1", "MaxNodes": "1", "NumTasks": "1", "NTPerNode": "0",
    "MinTmpDisk": "0", "tres-per-job": "N/A", "tres-per-node": "N/A", "tres-per-socket": "N/A",
    "tres-per-task": "N/A", "cpus-per-tres": "N/A", "mem-per-tres": "N/A", "OverSubscribe": "OK", "Contiguous": "0",
    "ReqSwitch": "0", "Feature": "(null)", "Licenses": "(null)", "Dependency": "(null)", "Reservation": "(null)",
    "ReqNodes": "", "NodeList": "", "SchedNodes": "(null)", "BatchHost": "n/a", "Requeue": "1", "RestartCnt": "0",
    "Account": "physics",
    "SCT": "*:*:*", "CoreSpec": "N/A", "NTPerCore": "N/A", "NTPerSocket": "N/A",
}  # fmt: skip
_FACTS: Final = ClusterFacts(partitions={"htc": Partition(name="htc", total_nodes=5000)}, memory_is_managed=True)
_SETTINGS: Final = SlurmSettings(partitions={"htc": ("htc0",)})


def write_squeue(path: Path, rng: random.Random, rows: Sequence[tuple[int, int, int]]) -> None:
    """Write `(cpus, mem_mib, count)` as that many lines in random order."""
    order = [index for index, row in enumerate(rows) for _ in range(row[2])]
    rng.shuffle(order)
    with path.open("w", encoding="ascii") as file:
        for number, index in enumerate(order, start=1):
            cpus, mem, _ = rows[index]
            fields = {
                **_PLAIN, "JobArrayID": str(number), "JobID": str(number), "ArrayJobID": str(number),
                "NumCPUs": str(cpus), "cpus-per-task": str(cpus), "MinCpus": str(cpus), "MinMemory": f"{mem}M",
                "tres-alloc": f"cpu={cpus},mem={mem}M,node=1,billing={cpus}",
            }  # fmt: skip
            file.write("\t".join(fields[name] for name in FIELDS) + "\n")


def read_squeue(path: Path) -> tuple[Job, ...]:
    """The jobs, one record each."""
    queue = read_queue(path.read_text("ascii"), _SETTINGS, _FACTS)
    if queue.problems:
        raise ValueError(f"the capture cannot be read: {queue.problems[0]}")
    return queue.jobs
