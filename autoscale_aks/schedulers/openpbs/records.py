"""`qstat -f -F json` → records, before anything is made of them."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from autoscale_aks.schedulers.openpbs.listing import cut_objects, note
from autoscale_aks.schedulers.openpbs.reasons import OUR_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from autoscale_aks.errors import Problem

_WANTED: Final = (
    "job_state", "queue", "euser", "egroup", "project", "Job_Owner", "Priority", "queue_rank", "comment", "Hold_Types",
    "depend", "array_indices_remaining", "array_state_count", "max_run_subjobs", "schedselect", "exec_host",
)  # fmt: skip
"""The attributes that are read. Those that users may write freely (environment, arguments, names) are not."""

_SHARED: Final = tuple(name for name in _WANTED if name not in {"queue_rank", "exec_host"})
"""What many jobs say alike."""

_MOST_KNOWN: Final = 100_000
_JOB_ID: Final = re.compile(r"[0-9]{1,12}(\[[0-9]{0,10}\])?(\.[A-Za-z0-9][-\w.]{0,253})?\Z", re.ASCII)
_INDENT: Final = re.compile(r'\n([ \t]+)"')
_VALUE: Final = r"[ \t]*([^\n]*)"
"""A value as it stands: the rest of the line."""
_PAIR: Final = re.compile(rf'\n[ \t]+"([^"\n]+)":{_VALUE}')


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class JobFacts:
    """What a job, array or subjob says but for who it is; jobs that say the same in the same words share one.

    Attributes are text, empty where PBS prints none.
    """

    state: str
    queue: str
    user: str
    group: str
    project: str
    priority: str
    comment: str
    holds: str
    depend: str
    tasks: str
    state_count: str
    max_running: str
    select: str
    resources: tuple[tuple[str, str], ...]


class JobRecord(NamedTuple):
    """One job, array or subjob."""

    id: str
    rank: str
    exec_host: str
    facts: JobFacts

    @property
    def is_array(self) -> bool:
        """Whether it is an array (`6[]`), not one of its subjobs."""
        return "[]" in self.id

    @property
    def array_id(self) -> str | None:
        """The array that a subjob belongs to: `6[].server` of `6[3].server`."""
        if "[" not in self.id:
            return None
        number, _, rest = self.id.partition("[")
        if rest.startswith("]"):
            return None
        return f"{number}[]{rest[rest.index(']') + 1 :]}"


def parse_jobs(text: str | Iterable[str], problems: list[Problem]) -> Iterator[JobRecord]:
    """Every job that can be read, of text that may come in pieces. One without a state is left out and reported."""
    known: dict[tuple[str | None, ...], JobFacts] = {}
    for name, body in cut_objects(text, "Jobs", "qstat"):
        if not _JOB_ID.match(name):
            note(problems, f"qstat {name[:60]}", "is no job id, left out")
            continue
        record = _read(name, body, known)
        if not record.facts.state:
            note(problems, f"qstat {name}", "has no state that can be read, left out")
            continue
        yield record


def _read(name: str, body: str, known: dict[tuple[str | None, ...], JobFacts]) -> JobRecord:
    indent = _INDENT.search(body)
    if indent is None:
        return JobRecord(name, "", "", _facts({}, ""))
    wanted, resources = _patterns(indent[1])
    found = dict(wanted.findall(body))
    block = resources.search(body)
    rank, exec_host = found.pop("queue_rank", ""), found.pop("exec_host", "")
    asked = "" if block is None else block[1]
    key = (*map(found.get, _SHARED), asked)
    facts = known.get(key)
    if facts is None:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        facts = known[key] = _facts(found, asked)
    return JobRecord(name, _text(rank), _text(exec_host) if exec_host else "", facts)


def _facts(found: dict[str, str], block: str) -> JobFacts:
    said = {name: _text(raw) for name, raw in found.items()}
    get = said.get
    resources = _pairs(block)
    return JobFacts(
        state=get("job_state", ""),
        queue=sys.intern(get("queue", "")),
        user=sys.intern(get("euser") or get("Job_Owner", "").partition("@")[0]),
        group=get("egroup", ""),
        project=get("project", ""),
        priority=get("Priority", ""),
        comment=get("comment", "").partition(OUR_MARK)[0],
        holds=get("Hold_Types", ""),
        depend=get("depend", ""),
        tasks=get("array_indices_remaining", ""),
        state_count=get("array_state_count", ""),
        max_running=get("max_run_subjobs", ""),
        select=get("schedselect") or next((value for key, value in resources if key == "select"), ""),
        resources=resources,
    )


@lru_cache(maxsize=4096)
def _pairs(block: str) -> tuple[tuple[str, str], ...]:
    """Resources and values; many jobs ask for the same in the same words."""
    return tuple(sorted((key, _text(raw)) for key, raw in _PAIR.findall(block)))


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
    if text[:1] != '"':
        return text
    if "\\" not in text:
        return text[1:-1] if text.endswith('"') and len(text) > 1 else text[1:]
    try:
        found = json.loads(text, strict=False)
    except ValueError:
        return text.strip('"')
    return found if isinstance(found, str) else text
