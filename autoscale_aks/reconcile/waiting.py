"""Which jobs wait and why, from one cycle to the next: compared as sets, because a queue is long and changes little."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.ledger.history import JobChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from autoscale_aks.model.plan import Plan

MOST_JOBS: Final = 100_000
"""Jobs beyond these, in the order in which they are served, have no history."""
_GROUP: Final = "\x00"

Groups = dict[tuple[str, int], tuple[str, ...]]
"""(reason code, since when in whole seconds) → jobs, as the queue has them: names in order take half the room."""


def job_key(name: str) -> str:
    """What a job is remembered by: an array, `14_[3-9]`, by its id, because its brackets change as its tasks start."""
    return name[: name.rindex("_[")] if name.endswith("]") and "_[" in name else name


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one cycle."""

    jobs: Mapping[str, tuple[str, ...]]
    """Reason code → jobs that stand in a scheduler, by `job_key`; each job once."""
    slots: int
    """What all of them ask for."""
    records: int
    digest: str
    """The same for the same jobs with the same reasons in the same order."""

    @classmethod
    def of(cls, decided: Plan) -> Waiting:
        """The queue of a plan, without headroom."""
        names: defaultdict[int, list[str]] = defaultdict(list)
        count = sum(not job.is_headroom for job in decided.jobs[-_HEADROOM_AT_END:])
        count += max(len(decided.jobs) - _HEADROOM_AT_END, 0)
        for job, outcome in zip(decided.jobs[:count], decided.outcomes[:count], strict=True):
            names[id(outcome)].append(job.name)
        outcomes = {id(outcome): outcome for outcome in decided.outcomes[:count]}
        hashed = hashlib.sha256()
        found: dict[str, tuple[str, ...]] = {}
        seen: set[str] = set()
        for number, members in names.items():
            code = outcomes[number].reason.code.value
            keys = _keys(members)
            hashed.update(f"{_GROUP}{code}\n".encode())
            hashed.update("\n".join(keys).encode("utf-8", "replace"))
            room = MOST_JOBS - len(seen)
            new = tuple(job for job in dict.fromkeys(keys[:room]) if job not in seen)
            seen.update(new)
            found[code] = found.get(code, ()) + new
        return cls(
            jobs=frozendict(found),
            slots=sum(outcomes[number].requested * len(members) for number, members in names.items()),
            records=count,
            digest=hashed.hexdigest(),
        )


_HEADROOM_AT_END: Final = 1000
"""Headroom stands at the end of a plan's jobs; so many are looked at."""


def _keys(names: Sequence[str]) -> Sequence[str]:
    """The names jobs are remembered by; one that a list of lines cannot hold is left out."""
    text = "\n".join(names)
    if "\t" in text or _GROUP in text or text.count("\n") != len(names) - 1:
        names = [name for name in names if not {"\n", "\t", _GROUP}.intersection(name)]
    return list(map(job_key, names)) if "_[" in text else names


def parse_groups(text: str | None) -> Groups:
    """What an earlier cycle left; None is nothing."""
    found: Groups = {}
    for part in (text or "").split(_GROUP):
        head, _, names = part.partition("\n")
        code, _, since = head.partition("\t")
        if names and since.isdigit():
            found[code, int(since)] = tuple(names.split("\n"))
    return found


def render_groups(groups: Groups) -> str:
    """The text that `parse_groups` reads."""
    return _GROUP.join(f"{code}\t{since}\n" + "\n".join(jobs) for (code, since), jobs in groups.items())


def compare(
    before: Groups, waiting: Waiting, places: Mapping[str, str], now: float
) -> tuple[tuple[JobChange, ...], Groups]:
    """What happened to jobs, and what is to be left for the next cycle: each with the moment it was first seen.

    What happened: new jobs, new reasons, and jobs that left the queue. `places` are jobs that run, each with where.
    """
    known = {job: group for group, jobs in before.items() for job in jobs}
    told: list[JobChange] = []
    found: Groups = {}
    for code, jobs in waiting.jobs.items():
        by_group: defaultdict[tuple[str, int] | None, list[str]] = defaultdict(list)
        for job in jobs:
            by_group[known.pop(job, None)].append(job)
        moved: defaultdict[str | None, list[str]] = defaultdict(list)
        for group, members in by_group.items():
            other, since = group or (None, int(now))
            moved[other] += members
            found[code, since] = found.get((code, since), ()) + tuple(members)
        for other, members in moved.items():
            if other is None:
                told.append(JobChange(event="waiting", detail=code, jobs=dict.fromkeys(members, "")))
            elif other != code:
                told.append(JobChange(event="reason", detail=f"{other} → {code}", jobs=dict.fromkeys(members, "")))
    return (*told, *_left(known, places)), found


def _left(known: Iterable[str], places: Mapping[str, str]) -> Iterator[JobChange]:
    """Jobs that waited and do not wait any more."""
    started = {job: places[job] for job in known if job in places}
    if started:
        yield JobChange(event="started", detail="", jobs=started)
    if gone := [job for job in known if job not in started]:
        detail = "ended, cancelled, or started unseen"
        yield JobChange(event="left", detail=detail, jobs=dict.fromkeys(gone, ""))


def oldest_by_reason(groups: Groups) -> Mapping[str, int]:
    """Reason code → since when its oldest job waits, in seconds since the epoch."""
    found: dict[str, int] = {}
    for code, since in groups:
        found[code] = min(since, found.get(code, since))
    return frozendict(found)
