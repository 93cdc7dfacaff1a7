"""What changed from one demand report to the next (user ask T25c): two JSON documents compared. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import InputError, Problem
from autoscale_aks.reports.document import SCHEMA_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json = dict[str, Any]

_FIGURES: Final = (
    "jobs", "slots", "placed_slots", "waiting_jobs", "waiting_slots", "ready_nodes", "in_flight_nodes", "idle_nodes",
    "protected_nodes", "machines", "puts", "stopping", "price_per_hour", "running_price_per_hour",
    "idle_price_per_hour", "protected_price_per_hour",
)  # fmt: skip
_LISTS: Final = ("starts", "stops", "waiting", "in_flight", "jobs")


@dataclass(frozen=True, slots=True)
class Change:
    """A count of machines (of jobs, for waits) then and now. 0: it was not there, or is not any more."""

    key: str
    before: int
    now: int


@dataclass(frozen=True, slots=True)
class FigureChange:
    """A figure of the summary then and now; None: it was, or is, not known."""

    key: str
    before: float | None
    now: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed since an earlier report."""

    since: str | None
    """When the earlier one was made, RFC 3339."""
    starts: tuple[Change, ...]
    stops: tuple[Change, ...]
    waits: tuple[Change, ...]
    in_flight: tuple[Change, ...]
    figures: tuple[FigureChange, ...]
    now_waiting: tuple[str, ...]
    no_longer_waiting: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both reports say the same."""
        return not any((self.starts, self.stops, self.waits, self.in_flight, self.figures,
                        self.now_waiting, self.no_longer_waiting))  # fmt: skip


def check_report(document: Any, where: str) -> Json:
    """The document, when it is a demand report of this version. Raises InputError that says what it is instead."""
    if not isinstance(document, dict) or "schema" not in document:
        hint = "write one with `azaks demand --format json --output FILE`"
        raise InputError([Problem(where, f"is no demand report: it has no `schema`; {hint}")])
    if document["schema"] != SCHEMA_ID:
        raise InputError([Problem(f"{where}: schema", f"is {document['schema']!r}; this program reads {SCHEMA_ID}")])
    problems = [
        Problem(f"{where}: {name}", "expected a list of objects")
        for name in _LISTS
        if not isinstance(document.get(name), list) or not all(isinstance(row, dict) for row in document[name])
    ]
    if not isinstance(document.get("summary"), dict):
        problems.append(Problem(f"{where}: summary", "expected an object"))
    if problems:
        raise InputError(problems)
    return document


def compare(before: Json, now: Json) -> Changes:
    """What `now` says that `before`, a report that `check_report` has passed, did not, and the other way round."""
    was, waits = _waiting(before), _waiting(now)
    return Changes(
        since=before.get("at"),
        starts=_changes(before["starts"], now["starts"], ("bucket",), "machines"),
        stops=_changes(before["stops"], now["stops"], ("bucket", "cause"), "machines"),
        waits=_changes(before["waiting"], now["waiting"], ("key",), "jobs"),
        in_flight=_changes(before["in_flight"], now["in_flight"], ("bucket", "stage"), "machines"),
        figures=tuple(_figures(before["summary"], now["summary"])),
        now_waiting=tuple(name for name in waits if name not in was),
        no_longer_waiting=tuple(name for name in was if name not in waits),
    )


def render_changes(changes: Changes) -> Json:
    """The comparison as JSON (`changes` of the schema)."""
    tables = {
        name: [{"key": one.key, "before": one.before, "now": one.now} for one in getattr(changes, name)]
        for name in ("starts", "stops", "waits", "in_flight", "figures")
    }
    return {
        "since": changes.since,
        **tables,
        "now_waiting": list(changes.now_waiting),
        "no_longer_waiting": list(changes.no_longer_waiting),
    }


def _changes(before: Iterable[Json], now: Iterable[Json], names: tuple[str, ...], counted: str) -> tuple[Change, ...]:
    was, there = _counts(before, names, counted), _counts(now, names, counted)
    return tuple(
        Change(key, was.get(key, 0), there.get(key, 0))
        for key in dict.fromkeys((*there, *was))
        if was.get(key, 0) != there.get(key, 0)
    )


def _counts(rows: Iterable[Json], names: tuple[str, ...], counted: str) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for row in rows:
        count = row.get(counted)
        found[", ".join(str(row.get(name, "")) for name in names)] += count if isinstance(count, int) else 0
    return found


def _figures(before: Json, now: Json) -> Iterable[FigureChange]:
    for name in _FIGURES:
        if before.get(name) != now.get(name):
            yield FigureChange(name, before.get(name), now.get(name))


def _waiting(document: Json) -> dict[str, None]:
    """Names of the jobs that wait, in the order of the queue."""
    return {str(job.get("name")): None for job in document["jobs"] if job.get("status") != "success"}
