"""One line of squeue as a record, before anything is made of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from autoscale_aks.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN: Final = (
    "JobArrayID", "JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "HetJobIDSet", "State", "Reason", "Partition",
    "UserName", "PriorityLong", "SubmitTime", "NodeList",
)  # fmt: skip
_OWN_LATER: Final = ("EligibleTime", "Dependency")
_ASKED: Final = (
    "NumNodes", "NumCPUs", "NumTasks", "cpus-per-task", "NTPerNode", "MinCpus", "MinMemory", "MinTmpDisk", "tres-alloc",
    "tres-per-job", "tres-per-node", "tres-per-socket", "tres-per-task", "cpus-per-tres", "mem-per-tres",
    "OverSubscribe", "ReqSwitch", "Feature", "Licenses", "ReqNodes",
)  # fmt: skip
_ASKED_LATER: Final = ("SCT", "CoreSpec", "NTPerCore", "NTPerSocket")
"""What captures of the first versions of this program do not hold, as `_OWN_LATER`."""
FIELDS: Final = (*_OWN, *_OWN_LATER, *_ASKED, *_ASKED_LATER)
"""What squeue is asked for, separated by tabs. A field that a version of Slurm does not know stays empty.

First what is a job's own, then what it asks for: jobs that ask for the same have the same end of the line, which is
therefore taken apart once for all of them. Nothing is asked for that users may write freely; a tab or a line break in
a field would make a line of another length, which is no job.
"""

SEPARATOR: Final = "\t"
_JOB_ID: Final = re.compile(r"[0-9]{1,19}\Z")
_SHOWN_PROBLEMS: Final = 20
_BLOCK: Final = 1 << 18
_BLANKS: Final = ("",) * len(_OWN_LATER)
_BLANK: Final = frozenset({"", "N/A", "n/a", "(null)", "None", "NONE", "Unknown"})


class Asked(NamedTuple):
    """What a job asks for, as text; in the order of `FIELDS`."""

    num_nodes: str
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
    req_switch: str
    feature: str
    licenses: str
    req_nodes: str
    sockets_cores_threads: str
    core_spec: str
    tasks_per_core: str
    tasks_per_socket: str


class QueueRecord(NamedTuple):
    """A job's own fields in the order of `FIELDS`, as text, and the rest of its line."""

    job_array_id: str
    job_id: str
    array_job_id: str
    array_task_id: str
    het_job_id: str
    het_job_id_set: str
    state: str
    reason: str
    partition: str
    user: str
    priority: str
    submit_time: str
    node_list: str
    eligible_time: str
    dependency: str
    rest: str
    """What it asks for, not taken apart: equal for jobs that ask for the same."""

    @property
    def asked(self) -> Asked:
        """What it asks for."""
        return Asked._make(self.rest.split(SEPARATOR))


def parse_queue(text: str, problems: list[Problem]) -> Iterator[tuple[int, QueueRecord]]:
    """Line numbers and records. Lines that are no job are left out, counted, and the first ones reported.

    Lines of an older capture lack the last fields, which are blank then.
    """
    own = len(_OWN) + len(_OWN_LATER)
    left_out, rest, older = 0, len(FIELDS) - own - 1, len(_ASKED) - len(_OWN_LATER) - 1
    make = tuple.__new__  # what `_make` does, without its check of the length, which is made here
    for number, line in enumerate(_lines(text), start=1):
        parts = line.split(SEPARATOR, own)
        separators = parts[own].count(SEPARATOR) if len(parts) > own else 0
        if separators == older:
            *parts, asked = line.split(SEPARATOR, len(_OWN))
            parts += [*_BLANKS, asked + SEPARATOR * len(_ASKED_LATER)]
        if separators in {rest, older} and _JOB_ID.match(parts[1]):
            yield number, make(QueueRecord, parts)
            continue
        if not line.strip():
            continue
        parts = line.split(SEPARATOR)
        left_out += 1
        if left_out <= _SHOWN_PROBLEMS:
            found = f"{len(parts)} fields instead of {len(FIELDS)}" if len(parts) != len(FIELDS) else "no job id"
            problems.append(Problem(f"squeue line {number}", f"not a job, left out: {found}, begins {line[:40]!r}"))
    if left_out > _SHOWN_PROBLEMS:
        problems.append(Problem("squeue", f"{left_out} lines in all are no jobs and were left out"))


def _lines(text: str) -> Iterator[str]:
    """Lines, cut a block at a time: a queue may be large, and is in memory once already."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _BLOCK)
        end = len(text) if end < 0 else end
        yield from text[start:end].split("\n")
        start = end + 1


def is_blank(text: str) -> bool:
    """Whether Slurm means "nothing": `(null)`, `N/A`, `n/a` or empty, depending on the field."""
    return text in _BLANK


def shown_id(record: QueueRecord) -> str:
    """The job's id as users know it: `14_7`, `40+1`; never longer than squeue shows it."""
    text = record.job_array_id.strip() or record.job_id
    return text if len(text) <= 64 else text[:60] + "...]"
