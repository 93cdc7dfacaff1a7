"""`qstat -xml -r` → records, before anything is made of them.

Each job stands in its own `<job_list>` and is read alone: one that is malformed spoils no other. (Grid Engine writes
`<` in a job's name as `%lt;`, and names are users' own words; nothing is made of them here.)
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from autoscale_aks.errors import Problem, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPEN: Final = "<job_list"
_CLOSE: Final = "</job_list>"
_FIELD: Final = re.compile(
    r"<(JB_job_number|state|JAT_prio|JB_owner|tasks|slots|queue_name|requested_pe|granted_pe|hard_request|hard_req_queue"
    r"|predecessor_jobs|ad_predecessor_jobs)((?: [a-z_]+=\"[^\"<>]*\")*)>([^<\n]*)</\1>"
)
"""The fields that are read. What users may write freely (names, times, soft requests) is not."""
_NAME: Final = re.compile(r' name="([^"]*)"')
_ID: Final = re.compile(r"[0-9]{1,12}\Z")
_STATE: Final = re.compile(r"[A-Za-z]{1,8}\Z")
_SHOWN_PROBLEMS: Final = 20


class JobRecord(NamedTuple):
    """One job, or tasks of an array that share a state; text, empty where nothing is printed."""

    id: str
    state: str
    priority: str
    owner: str
    tasks: str
    slots: str
    queue_instance: str
    environment: str
    """The parallel environment asked for, or empty."""
    range: str
    """The slots asked for in it: `6-12`."""
    granted: str
    requests: tuple[tuple[str, str], ...]
    queues: tuple[str, ...]
    """Hard queue requests: `all.q`, `all.q@gn2`, `*@@htc`."""
    predecessors: str
    array_predecessors: str

    @property
    def is_running(self) -> bool:
        """Whether it has a place: it runs, is sent there, is suspended or being deleted."""
        return bool(self.queue_instance)

    @property
    def shown_id(self) -> str:
        """`7`, or `7.3-20:1`."""
        return f"{self.id}.{self.tasks}" if self.tasks else self.id


def parse_jobs(text: str, problems: list[Problem]) -> Iterator[JobRecord]:
    """Every job that can be read; others are left out, counted and reported.

    Raises SchedulerError when this is no answer of qstat.
    """
    if "<job_info" not in text:
        raise SchedulerError(f"qstat: printed no XML; it begins {text.strip()[:60]!r}")
    left_out = 0
    position = text.find(_OPEN)
    while position >= 0:
        following = text.find(_OPEN, position + len(_OPEN))
        body = text[position : following if following >= 0 else len(text)]
        record = _read(body)
        if record is None:
            left_out += 1
            if left_out <= _SHOWN_PROBLEMS:
                problems.append(Problem("qstat", f"not a job, left out: {' '.join(body[:120].split())[:60]!r}"))
        else:
            yield record
        position = following
    if left_out > _SHOWN_PROBLEMS:
        problems.append(Problem("qstat", f"{left_out} entries in all are no jobs and were left out"))


def _read(body: str) -> JobRecord | None:
    end = body.find(_CLOSE)
    if end < 0:
        return None
    found: dict[str, str] = {}
    requests: list[tuple[str, str]] = []
    queues: list[str] = []
    environment = ""
    for name, attributes, raw in _FIELD.findall(body, 0, end):
        value = html.unescape(raw) if "&" in raw else raw
        if name == "hard_request":
            requests.append((_named(attributes), value))
        elif name == "hard_req_queue":
            queues.append(value)
        else:
            if name == "requested_pe":
                environment = _named(attributes)
            found.setdefault(name, value)
    get = found.get
    if not _ID.match(get("JB_job_number", "")) or not _STATE.match(get("state", "")):
        return None
    return JobRecord(
        id=found["JB_job_number"],
        state=found["state"],
        priority=get("JAT_prio", ""),
        owner=get("JB_owner", ""),
        tasks=get("tasks", ""),
        slots=get("slots", ""),
        queue_instance=get("queue_name", ""),
        environment=environment,
        range=get("requested_pe", ""),
        granted=get("granted_pe", ""),
        requests=tuple(sorted(requests)),
        queues=tuple(queues),
        predecessors=get("predecessor_jobs", ""),
        array_predecessors=get("ad_predecessor_jobs", ""),
    )


def _named(attributes: str) -> str:
    match = _NAME.search(attributes)
    return "" if match is None else html.unescape(match[1])
