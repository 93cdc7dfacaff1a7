"""One line of squeue as a record, before anything is made of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from autoscale_aks.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS: Final = (
    "JobArrayID", "JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "HetJobOffset", "HetJobIDSet", "State", "Reason",
    "Partition", "UserName", "QOS", "PriorityLong", "SubmitTime", "EligibleTime", "StartTime", "TimeLimit",
    "TimeUsed", "NumNodes", "MaxNodes", "NumCPUs", "NumTasks", "cpus-per-task", "NTPerNode", "MinCpus", "MinMemory",
    "MinTmpDisk", "tres-alloc", "tres-per-job", "tres-per-node", "tres-per-socket", "tres-per-task", "cpus-per-tres",
    "mem-per-tres", "OverSubscribe", "Contiguous", "ReqSwitch", "Feature", "Licenses", "Dependency", "Reservation",
    "ReqNodes", "NodeList", "SchedNodes", "BatchHost", "Requeue", "RestartCnt", "Account",
)  # fmt: skip
"""What squeue is asked for, separated by tabs. A field that a version of Slurm does not know stays empty.

Nothing that users may write freely is asked for but the account, which is the last: a tab or a line break in it
makes a line of another length, which is no job.
"""

SEPARATOR: Final = "\t"
_JOB_ID: Final = re.compile(r"[0-9]{1,19}\Z")
_SHOWN_PROBLEMS: Final = 20
_BLANK: Final = frozenset({"", "N/A", "n/a", "(null)", "None", "NONE", "Unknown"})


class QueueRecord(NamedTuple):
    """The fields in the order of `FIELDS`, as text."""

    job_array_id: str
    job_id: str
    array_job_id: str
    array_task_id: str
    het_job_id: str
    het_job_offset: str
    het_job_id_set: str
    state: str
    reason: str
    partition: str
    user: str
    qos: str
    priority: str
    submit_time: str
    eligible_time: str
    start_time: str
    time_limit: str
    time_used: str
    num_nodes: str
    max_nodes: str
    num_cpus: str
    num_tasks: str
    cpus_per_task: str
    tasks_per_node: str
    min_cpus: str
    min_memory: str
    min_tmp_disk: str
    tres_alloc: str
    tres_per_job: str
    tres_per_node: str
    tres_per_socket: str
    tres_per_task: str
    cpus_per_tres: str
    mem_per_tres: str
    oversubscribe: str
    contiguous: str
    req_switch: str
    feature: str
    licenses: str
    dependency: str
    reservation: str
    req_nodes: str
    node_list: str
    sched_nodes: str
    batch_host: str
    requeue: str
    restart_count: str
    account: str


def parse_queue(text: str, problems: list[Problem]) -> Iterator[tuple[int, QueueRecord]]:
    """Line numbers and records. Lines that are no job are left out, counted, and the first ones reported."""
    left_out = 0
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        parts = line.split(SEPARATOR)
        if len(parts) == len(FIELDS) and _JOB_ID.match(parts[1]):
            yield number, QueueRecord._make(parts)
            continue
        left_out += 1
        if left_out <= _SHOWN_PROBLEMS:
            found = f"{len(parts)} fields instead of {len(FIELDS)}" if len(parts) != len(FIELDS) else "no job id"
            problems.append(Problem(f"squeue line {number}", f"not a job, left out: {found}, begins {line[:40]!r}"))
    if left_out > _SHOWN_PROBLEMS:
        problems.append(Problem("squeue", f"{left_out} lines in all are no jobs and were left out"))


def _lines(text: str) -> Iterator[str]:
    """Lines one by one: a queue may be large, and is in memory once already."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def is_blank(text: str) -> bool:
    """Whether Slurm means "nothing": `(null)`, `N/A`, `n/a` or empty, depending on the field."""
    return text in _BLANK


def shown_id(record: QueueRecord) -> str:
    """The job's id as users know it: `14_7`, `40+1`; never longer than squeue shows it."""
    text = record.job_array_id.strip() or record.job_id
    return text if len(text) <= 64 else text[:60] + "...]"
