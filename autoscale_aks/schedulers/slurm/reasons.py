"""Why a Slurm job waits, and whether a machine would help (user ask T06)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

_WORTH_A_MACHINE: Final = frozenset(
    {"None", "Resources", "Priority", "ReqNodeNotAvail", "NodeDown", "SchedDefer", "Prolog", "PartitionConfig",
     "Nodes required for job are DOWN"}
)  # fmt: skip

_NOT_WORTH: Final = {
    "BadConstraints": "no node can ever have what it asks for",
    "BeginTime": "its begin time is not reached",
    "Cleaning": "its last run is still being cleaned up",
    "DeadLine": "its deadline cannot be met",
    "Dependency": "it waits for other jobs",
    "DependencyNeverSatisfied": "a job it depends on did not end as required",
    "FedJobLock": "another cluster of the federation holds it",
    "FrontEndDown": "the front end is down",
    "InvalidAccount": "its account is not valid",
    "InvalidQOS": "its QOS is not valid",
    "JobArrayTaskLimit": "as many tasks of its array run as its % allows",
    "JobHeldAdmin": "held by an administrator",
    "JobHeldUser": "held by its user",
    "JobHoldMaxRequeue": "held after too many requeues",
    "Licenses": "a licence it needs is in use",
    "MaxMemPerLimit": "it asks for more memory than the limit",
    "MaxPoweredUpNodes": "as many nodes are powered up as the cluster allows",
    "PartitionDown": "its partition is down",
    "PartitionInactive": "its partition is inactive",
    "PartitionNodeLimit": "it asks for more nodes than its partition allows",
    "PartitionTimeLimit": "it asks for more time than its partition allows",
    "PowerNotAvail": "the power cap is reached",
    "PowerReserved": "its power is reserved for another job",
    "Reservation": "it waits for its reservation",
    "ReservationDeleted": "its reservation was deleted",
    "SystemFailure": "held after a failure of Slurm, a file system or the network",
    "AccountNotAllowed": "its account may not use the partition",
    "job requeued in held state": "held after a requeue",
    "launch failed requeued held": "held after its launch failed",
    "user env retrieval failed requeued held": "held: its user's environment could not be read",
}

_NOT_WORTH_PREFIXES: Final = (
    ("JobHeld", "it is held"),
    ("Dependency", "it waits for other jobs"),
    ("Assoc", "a limit of its account is reached"),
    ("QOS", "a limit of its QOS is reached"),
    ("MaxCpuPer", "a limit of its account is reached"),
    ("MaxNodePer", "a limit of its account is reached"),
    ("MaxGRESPer", "a limit of its account is reached"),
    ("MaxSubmit", "a limit of its account is reached"),
    ("BurstBuffer", "it waits for its burst buffer"),
    ("Reservation", "it waits for its reservation"),
)


class Verdict(NamedTuple):
    """Whether the job is worth a machine, whether we know its reason, and the sentence for people."""

    runnable: bool
    is_known: bool
    why: str


@lru_cache(maxsize=4096)
def judge_reason(reason: str, *, unknown_is_runnable: bool) -> Verdict:
    """What a job's Reason means. It may carry details behind a comma: `ReqNodeNotAvail, UnavailableNodes:…`."""
    word, _, detail = reason.strip().strip("()").partition(",")
    word = word.strip() or "None"
    if word == "ReqNodeNotAvail" and "maintenance" in detail:
        return Verdict(runnable=False, is_known=True, why=f"{word}: nodes are reserved for maintenance")
    if word in _WORTH_A_MACHINE:
        return Verdict(runnable=True, is_known=True, why="")
    if word in _NOT_WORTH:
        return Verdict(runnable=False, is_known=True, why=f"{word}: {_NOT_WORTH[word]}")
    for prefix, why in _NOT_WORTH_PREFIXES:
        if word.startswith(prefix):
            return Verdict(runnable=False, is_known=True, why=f"{word}: {why}")
    shown = word[:60]
    return Verdict(
        runnable=unknown_is_runnable,
        is_known=False,
        why="" if unknown_is_runnable else f"{shown}: a reason this program does not know",
    )
