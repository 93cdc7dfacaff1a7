"""Lines as squeue prints them, and a Slurm that keeps its nodes in a dictionary."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.errors import SchedulerError
from autoscale_aks.model.limits import SharedResource
from autoscale_aks.schedulers.process import Answer
from autoscale_aks.schedulers.slurm.facts import ClusterFacts, Partition
from autoscale_aks.schedulers.slurm.jobs import read_queue
from autoscale_aks.schedulers.slurm.records import FIELDS
from autoscale_aks.schedulers.slurm.settings import SlurmSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.schedulers.slurm.jobs import Queue

SAMPLE = Path(__file__).resolve().parents[3] / "conf" / "sample" / "slurm"

_PLAIN = {
    "JobArrayID": "7", "JobID": "7", "ArrayJobID": "7", "ArrayTaskID": "N/A", "HetJobID": "N/A",
    "HetJobIDSet": "N/A", "State": "PENDING", "Reason": "Resources", "Partition": "htc",
    "UserName": "alice", "QOS": "(null)", "PriorityLong": "1000", "SubmitTime": "2026-11-22T10:00:00",
    "EligibleTime": "2026-11-22T10:00:00", "StartTime": "N/A", "TimeLimit": "1:00:00", "TimeUsed": "0:00",
    "NumNodes": "1", "MaxNodes": "1", "NumCPUs": "1", "NumTasks": "1", "cpus-per-task": "1", "NTPerNode": "0",
    "MinCpus": "1", "MinMemory": "500M", "MinTmpDisk": "0", "tres-alloc": "cpu=1,mem=500M,node=1,billing=1",
    "tres-per-job": "N/A", "tres-per-node": "N/A", "tres-per-socket": "N/A", "tres-per-task": "N/A",
    "cpus-per-tres": "N/A", "mem-per-tres": "N/A", "OverSubscribe": "OK", "Contiguous": "0", "ReqSwitch": "0",
    "Feature": "(null)", "Licenses": "(null)", "Dependency": "(null)", "Reservation": "(null)", "ReqNodes": "",
    "NodeList": "", "SchedNodes": "(null)", "BatchHost": "n/a", "Requeue": "1", "RestartCnt": "0",
    "Account": "physics",
    "SCT": "*:*:*", "CoreSpec": "N/A", "NTPerCore": "N/A", "NTPerSocket": "N/A",
}  # fmt: skip

FACTS = ClusterFacts(
    partitions={
        "htc": Partition(name="htc", total_nodes=320),
        "hpc": Partition(name="hpc", total_nodes=48),
        "urgent": Partition(name="urgent", total_nodes=320, priority_tier=10),
        "fresh": Partition(name="fresh", total_nodes=0, grows=True),
    },
    licenses={"matlab": SharedResource(initial=4, current=4), "ansys": SharedResource(initial=2, current=1)},
    memory_is_managed=True,
)


def line(**fields: str) -> str:
    """A plain one-core job with some fields changed; `_` in a name stands for `-`."""
    changed = {name.replace("_", "-"): value for name, value in fields.items()}
    assert set(changed) <= set(FIELDS), set(changed) - set(FIELDS)
    if "JobID" in changed and "JobArrayID" not in changed:
        changed["JobArrayID"] = changed["ArrayJobID"] = changed["JobID"]
    return "\t".join({**_PLAIN, **changed}[name] for name in FIELDS)


def array(job_id: str, tasks: str, **fields: str) -> str:
    """A pending array."""
    return line(JobID=job_id, JobArrayID=f"{job_id}_[{tasks}]", ArrayJobID=job_id, ArrayTaskID=tasks, **fields)


def task(job_id: str, array_id: str, number: str, **fields: str) -> str:
    """One task of an array as a record of its own."""
    return line(JobID=job_id, JobArrayID=f"{array_id}_{number}", ArrayJobID=array_id, ArrayTaskID=number, **fields)


def read(*lines: str, facts: ClusterFacts = FACTS, **settings: Any) -> Queue:
    """What the driver makes of these lines."""
    return read_queue("\n".join(lines) + "\n", SlurmSettings(**settings), facts)


@dataclass
class FakeSlurm:
    """scontrol over a dictionary of nodes; it behaves as Slurm 22.05 was seen to behave.

    `update` changes the nodes it knows and fails when it does not know one; `create` says nothing when it did
    nothing; `delete` refuses busy nodes.
    """

    nodes: dict[str, str] = field(default_factory=dict)
    queue: str = ""
    reasons: dict[str, str] = field(default_factory=dict)
    table_size: int = 100
    calls: list[tuple[str, ...]] = field(default_factory=list)
    envs: list[dict[str, str]] = field(default_factory=list)
    land_on: str = ""
    """A job lands on this node while it is being drained."""

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        self.calls.append(tuple(args))
        self.envs.append(dict(env))
        if args[0].endswith("squeue"):
            return Answer("" if any(arg.startswith("--format=") for arg in args) else self.queue)
        if "show" in args:
            return Answer(self._show(args[args.index("show") + 1]))
        names = args[2].removeprefix("nodename=").split(",")
        getattr(self, f"_{args[1]}")(names, [part.partition("=")[::2] for part in args[3:]])
        return Answer("")

    def changes(self) -> list[tuple[str, ...]]:
        return [call[1:] for call in self.calls if call[1] in {"update", "create", "delete"}]

    def _show(self, what: str) -> str:
        if what != "nodes":
            return ""
        return "\n".join(
            f"NodeName={name} CPUAlloc={4 if 'ALLOCATED' in state else 0} CPUTot=4 RealMemory=8000 AllocMem=0 "
            f"State={state} Reason={self.reasons.get(name, '')} [root@2026-11-22T10:42:43]"
            for name, state in self.nodes.items()
        )

    def _update(self, names: list[str], changes: list[tuple[str, str]]) -> None:
        state = dict(changes)["state"]
        for name in names:
            if name in self.nodes:
                self.nodes[name] = self._changed(name, state)
                self.reasons[name] = dict(changes).get("reason", "")
        if not set(names) <= set(self.nodes):
            raise SchedulerError("scontrol update: exit code 1: slurm_update error: Invalid node name specified")

    def _changed(self, name: str, state: str) -> str:
        words = self.nodes[name].split("+")
        if state == "drain" and name == self.land_on:
            words[0] = "ALLOCATED"
        if state == "drain" and "DRAIN" not in words:
            words.append("DRAIN")
        if state == "undrain" and "DRAIN" in words:
            words.remove("DRAIN")
        if state == "down":
            words[0] = "DOWN"
        return "+".join(words)

    def _create(self, names: list[str], changes: list[tuple[str, str]]) -> None:
        for name in names:
            if name not in self.nodes and len(self.nodes) < self.table_size:
                self.nodes[name] = "IDLE+CLOUD+DYNAMIC_NORM+POWERED_DOWN"

    def _delete(self, names: list[str], changes: list[tuple[str, str]]) -> None:
        for name in names:
            if name not in self.nodes:
                raise SchedulerError("scontrol delete: exit code 1: Invalid node name specified")
            if "ALLOCATED" in self.nodes[name]:
                raise SchedulerError("scontrol delete: exit code 1: Requested nodes are busy")
            del self.nodes[name]
