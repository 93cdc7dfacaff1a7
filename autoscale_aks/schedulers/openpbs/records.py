"""`qstat -f -F json` → records, before anything is made of them."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from autoscale_aks.schedulers.openpbs.listing import cut_objects, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.errors import Problem

_WANTED: Final = (
    "job_state", "queue", "euser", "egroup", "project", "Job_Owner", "Priority", "queue_rank", "comment", "Hold_Types",
    "depend", "array_indices_remaining", "array_state_count", "max_run_subjobs", "schedselect", "exec_host",
)  # fmt: skip
"""The attributes that are read. Those that users may write freely (environment, arguments, names) are not."""

_JOB_ID: Final = re.compile(r"[0-9]{1,12}(\[[0-9]{0,10}\])?(\.[A-Za-z0-9][-\w.]{0,253})?\Z", re.ASCII)
_INDENT: Final = re.compile(r'\n([ \t]+)"')
_VALUE: Final = r'[ \t]*(?:"([^"\\\n]*)",?(?=[\r\n])|([^\n]*))'
"""A value: a string without escapes, or the rest of the line."""
_PAIR: Final = re.compile(rf'\n[ \t]+"([^"\n]+)":{_VALUE}')


class JobRecord(NamedTuple):
    """One job, array or subjob: its attributes as text, empty where PBS prints none."""

    id: str
    state: str
    queue: str
    user: str
    group: str
    project: str
    priority: str
    rank: str
    comment: str
    holds: str
    depend: str
    tasks: str
    state_count: str
    max_running: str
    select: str
    exec_host: str
    resources: tuple[tuple[str, str], ...]

    @property
    def is_array(self) -> bool:
        """Whether it is an array (`6[]`), not one of its subjobs."""
        return "[]" in self.id

    @property
    def array_id(self) -> str | None:
        """The array that a subjob belongs to: `6[].server` of `6[3].server`."""
        number, bracket, rest = self.id.partition("[")
        if not bracket or rest.startswith("]"):
            return None
        return f"{number}[]{rest[rest.index(']') + 1 :]}"


def parse_jobs(text: str, problems: list[Problem]) -> Iterator[JobRecord]:
    """Every job that can be read. One without a state is left out, counted and reported."""
    for name, body in cut_objects(text, "Jobs", "qstat"):
        if not _JOB_ID.match(name):
            note(problems, f"qstat {name[:60]}", "is no job id, left out")
            continue
        record = _read(name, body)
        if not record.state:
            note(problems, f"qstat {name}", "has no state that can be read, left out")
            continue
        yield record


def _read(name: str, body: str) -> JobRecord:
    indent = _INDENT.search(body)
    if indent is None:
        return _record(name, {}, ())
    wanted, resources = _patterns(indent[1])
    found = {key: plain or _text(other) for key, plain, other in wanted.findall(body)}
    block = resources.search(body)
    return _record(name, found, () if block is None else _pairs(block[1]))


@lru_cache(maxsize=4096)
def _pairs(block: str) -> tuple[tuple[str, str], ...]:
    """Resources and values; many jobs ask for the same in the same words."""
    return tuple(sorted((key, plain or _text(other)) for key, plain, other in _PAIR.findall(block)))


def _record(name: str, found: dict[str, str], resources: tuple[tuple[str, str], ...]) -> JobRecord:
    get = found.get
    return JobRecord(
        id=name,
        state=get("job_state", ""),
        queue=get("queue", ""),
        user=get("euser") or get("Job_Owner", "").partition("@")[0],
        group=get("egroup", ""),
        project=get("project", ""),
        priority=get("Priority", ""),
        rank=get("queue_rank", ""),
        comment=get("comment", ""),
        holds=get("Hold_Types", ""),
        depend=get("depend", ""),
        tasks=get("array_indices_remaining", ""),
        state_count=get("array_state_count", ""),
        max_running=get("max_run_subjobs", ""),
        select=get("schedselect") or next((value for key, value in resources if key == "select"), ""),
        exec_host=get("exec_host", ""),
        resources=resources,
    )


@lru_cache(maxsize=8)
def _patterns(indent: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Lines of wanted attributes, and the block of requested resources, at this indentation and no other."""
    names = "|".join(_WANTED)
    wanted = re.compile(rf'\n{indent}"({names})":{_VALUE}')
    resources = re.compile(rf'\n{indent}"Resource_List":[ \t]*\{{((?:\n{indent}[ \t]+"[^\n]*)*)')
    return wanted, resources


def _text(raw: str) -> str:
    """What a JSON scalar says, as text: `"1gb",` → `1gb`, `4` → `4`, `false` → `false`."""
    text = raw.rstrip().removesuffix(",")
    if not text.startswith('"'):
        return text
    if "\\" not in text:
        return text[1:-1] if text.endswith('"') and len(text) > 1 else text[1:]
    try:
        found = json.loads(text, strict=False)
    except ValueError:
        return text.strip('"')
    return found if isinstance(found, str) else text
