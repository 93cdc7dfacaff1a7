"""What happened to machines and jobs over time: written once a cycle, bounded, read by `azaks history` and reports.

What a machine went through is written by triggers (`history_schema`); the rest comes here in one transaction a cycle,
and only when something changed. Jobs are kept by name, an array by its id, and grouped: one row for all jobs to which
the same happened in the same cycle.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.ledger.access import Access
from autoscale_aks.ledger.records import MachineState, storable
from autoscale_aks.units import natural_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.ledger.records import Row

MOST_ROWS: Final[Mapping[str, int]] = frozendict({"events": 200_000, "job_events": 50_000, "points": 20_000})
"""Most rows of each table, whatever their age: every open of the ledger reads its whole file (0003)."""
MOST_JOB_BYTES: Final = 8 * 1024**2
"""Most bytes of names in rows about jobs."""
BESIDE_MOVES: Final = frozenset({"idle", "provisioned", "registered", "lost", "failed", "evicted", "first job"})
"""Events of machines that are no change of their state."""
_SELDOM_S: Final = 3600.0
"""How often what is too old is dropped."""
_PRUNED: Final = "history pruned"
_LEVEL: Final = 1
_CLOSED: Final = frozenset({MachineState.CLOSING.value, MachineState.DELETING.value})
_OPEN: Final = frozenset({MachineState.READY.value, MachineState.LISTED.value})
_BOOT: Final = {"intended": 0, "accepted": 1, "adopted": 2, "listed": 3, "provisioned": 4, "registered": 5, "ready": 6}
"""The order of what was seen in the same moment."""
_SUGGESTED_ROWS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened to a machine or a job."""

    at: float
    """Seconds since the epoch."""
    event: str
    """`intended`, `accepted`, `ready`, `first job` …; of jobs `waiting`, `reason`, `bought`, `started`, `left`."""
    detail: str = ""
    plan_id: str = ""
    """The cycle, or the verb, in which it was seen; empty when it was neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChange:
    """The same thing that happened to many jobs in one cycle."""

    event: str
    detail: str
    jobs: Mapping[str, str]
    """Job → what is to be said of this one alone; mostly nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePoint:
    """One cycle in numbers."""

    at: float
    plan_id: str
    machines: Mapping[str, int]
    """Stage (`reports.stage_counts.STAGES`) → machines that the cycle found in it."""
    counts: Mapping[str, float | None]
    """`asked`, `accepted`, `rejected`, `unknown`, `deleted`, `kept`, `failed`, `waiting_jobs`, `waiting_slots`,
    `price_per_hour` (None: not known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleHistory:
    """What one cycle adds."""

    at: float
    plan_id: str
    machines: tuple[tuple[str, str, str], ...] = ()
    """Machine, event, detail: what no change of the machine's own record says."""
    jobs: tuple[JobChange, ...] = ()
    memories: Mapping[str, str] = field(default_factory=frozendict)
    """What the next cycle compares with, by name."""
    point: TimelinePoint | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.machines or self.jobs or self.memories or self.point)


class History(Access):
    """The ledger's part that remembers."""

    __slots__ = ()

    def record_history(self, entry: CycleHistory, keep_s: float) -> None:
        """Add what a cycle saw, all of it or nothing; now and then drop what is older than `keep_s` (seconds)."""
        with self._writing() as connection:
            connection.executemany(
                """INSERT INTO events (name, at, event, detail, plan_id)
                   SELECT name, ?, ?, ?, ? FROM machines WHERE name = ?""",
                [(entry.at, event, storable(detail), entry.plan_id, name) for name, event, detail in entry.machines],
            )
            connection.executemany(
                "INSERT INTO job_events (at, plan_id, event, detail, jobs) VALUES (?, ?, ?, ?, ?)",
                [(entry.at, entry.plan_id, one.event, storable(one.detail), _packed(one.jobs)) for one in entry.jobs],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO memories (name, value) VALUES (?, ?)",
                [(name, _squeezed(text)) for name, text in entry.memories.items()],
            )
            if entry.point is not None:
                row = (entry.at, entry.plan_id, json.dumps(dict(entry.point.machines)),
                       json.dumps(dict(entry.point.counts)))  # fmt: skip
                connection.execute("INSERT INTO points (at, plan_id, machines, counts) VALUES (?, ?, ?, ?)", row)
        self._prune(entry.at, keep_s)

    def memory(self, name: str) -> str | None:
        """What an earlier cycle left to compare with; None: nothing, or nothing that can be read."""
        rows = self._read("SELECT value FROM memories WHERE name = ?", name)
        try:
            return zlib.decompress(rows[0][0]).decode() if rows else None
        except (zlib.error, ValueError):
            return None

    def life(self, name: str) -> tuple[Happening, ...]:
        """All that is known of a machine, oldest first; empty for one the ledger does not know."""
        rows = self._read("SELECT at, event, detail, plan_id FROM events WHERE name = ? ORDER BY at, id", name)
        found: list[Happening] = []
        moved = ""
        for at, event, detail, plan_id in rows:
            was, moved = moved, event if event in _CLOSED | _OPEN else moved
            shown = "reopened" if event in _OPEN and was in _CLOSED else event
            found.append(Happening(at=at, event=shown, detail=detail, plan_id=plan_id))
        idle = self._read("SELECT idle_since FROM machines WHERE name = ? AND state = 'ready'", name)
        if idle and idle[0][0] is not None:
            found.append(Happening(at=idle[0][0], event="idle"))
        return tuple(sorted(found, key=lambda one: (one.at, _BOOT.get(one.event, len(_BOOT)))))

    def job_life(self, name: str) -> tuple[Happening, ...]:
        """All that is known of a job, or of an array by its id, oldest first; empty for one never seen waiting."""
        found: list[Happening] = []
        wanted = name.encode()
        for at, plan_id, event, detail, jobs in self._read(
            "SELECT at, plan_id, event, detail, jobs FROM job_events ORDER BY at, id"
        ):
            content = _unpacked(jobs)
            if wanted not in content:
                continue
            for line in content.decode("utf-8", "replace").split("\n"):
                job, _, own = line.partition("\t")
                if job == name:
                    said = ": ".join(part for part in (detail, own) if part)
                    found.append(Happening(at=at, event=event, detail=said, plan_id=plan_id))
        return tuple(found)

    def machine_called(self, name: str) -> str | None:
        """The machine of this name, or whose node has this name."""
        query = (
            "SELECT name FROM machines WHERE name = ? OR node_name = ? ORDER BY name = ? DESC, asked_at DESC LIMIT 1"
        )
        rows = self._read(query, name, name, name)
        return str(rows[0][0]) if rows else None

    def remembered_names(self) -> tuple[str, ...]:
        """Machines, and jobs of late, for a hint at a name that is not known."""
        names = {row[0] for row in self._read("SELECT name FROM machines")}
        for (jobs,) in self._read("SELECT jobs FROM job_events ORDER BY id DESC LIMIT ?", _SUGGESTED_ROWS):
            names.update(line.partition("\t")[0] for line in _unpacked(jobs).decode("utf-8", "replace").split("\n"))
        return tuple(sorted(names - {""}, key=natural_key))

    def timeline(self, since: float) -> tuple[TimelinePoint, ...]:
        """Cycles since a moment, oldest first: machines by stage, and what was made, refused and deleted.

        A cycle in which nothing changed has no point of its own; between two points things were as at the first one.
        """
        rows = self._read("SELECT at, plan_id, machines, counts FROM points WHERE at >= ? ORDER BY at, id", since)
        return tuple(map(_decode_point, rows))

    def last_point(self) -> TimelinePoint | None:
        """The newest point of the timeline; None: there is none."""
        rows = self._read("SELECT at, plan_id, machines, counts FROM points ORDER BY id DESC LIMIT 1")
        return _decode_point(rows[0]) if rows else None

    def _prune(self, now: float, keep_s: float) -> None:
        """Drop what is too old or too much. A machine that is still there keeps its birth."""
        rows = self._read("SELECT at FROM moments WHERE name = ?", _PRUNED)
        if rows and 0 <= now - rows[0][0] < _SELDOM_S:
            return
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO moments (name, at) VALUES (?, ?)", (_PRUNED, now))
            connection.execute(
                """DELETE FROM events WHERE at < ? AND name NOT IN
                   (SELECT name FROM machines WHERE state NOT IN ('gone', 'rejected'))""",
                (now - keep_s,),
            )
            for table in ("job_events", "points"):
                connection.execute(f"DELETE FROM {table} WHERE at < ?", (now - keep_s,))  # noqa: S608
            for table, most in MOST_ROWS.items():
                newest = f"(SELECT max(id) FROM {table})"  # noqa: S608
                connection.execute(f"DELETE FROM {table} WHERE id <= {newest} - ?", (most,))  # noqa: S608
            connection.execute(
                """DELETE FROM job_events WHERE id <= (SELECT max(id) FROM (
                   SELECT id, sum(length(jobs)) OVER (ORDER BY id DESC) AS size FROM job_events) WHERE size > ?)""",
                (MOST_JOB_BYTES,),
            )


def _packed(jobs: Mapping[str, str]) -> bytes:
    return _squeezed("\n".join(f"{job}\t{own}" if own else job for job, own in jobs.items()))


def _squeezed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "replace"), _LEVEL)


def _unpacked(jobs: Any) -> bytes:
    """The names of a row; none when it cannot be read: history is worth no failure."""
    try:
        return zlib.decompress(jobs)
    except (zlib.error, TypeError):
        return b""


def _decode_point(row: Row) -> TimelinePoint:
    at, plan_id, machines, counts = row
    return TimelinePoint(
        at=at, plan_id=plan_id, machines=frozendict(json.loads(machines)), counts=frozendict(json.loads(counts))
    )


def plain_names(names: Iterable[str]) -> list[str]:
    """Names that a list can hold: without the characters that end them."""
    return [name for name in names if "\n" not in name and "\t" not in name]
