"""The ledger: what we are about to ask for, what became of it, and what the next run must not forget.

Every method is one transaction. What a method has returned from is on the disk; what a killed one left is undone.
Machine names are the keys, so a name can be recorded once and never twice.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from frozendict import frozendict

from autoscale_aks.errors import LedgerBusyError, LedgerError
from autoscale_aks.ledger.back_offs import BackOffs
from autoscale_aks.ledger.explaining import explained
from autoscale_aks.ledger.guards import Guards
from autoscale_aks.ledger.history import BESIDE_MOVES, History
from autoscale_aks.ledger.lock import describe_user
from autoscale_aks.ledger.observations import Observations
from autoscale_aks.ledger.opening import identity, open_for_writing, open_snapshot
from autoscale_aks.ledger.orders import Orders
from autoscale_aks.ledger.records import (
    MACHINE_COLUMNS,
    MOVES,
    MachineState,
    decode_cycle,
    decode_machine,
    encode_machine,
    storable,
)
from autoscale_aks.ledger.stages import Stages
from autoscale_aks.units import natural_key

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from autoscale_aks.ledger.opening import Opened
    from autoscale_aks.ledger.records import CycleRecord, MachineRecord, Row
    from autoscale_aks.model.launch import LaunchOutcome

log: Final = logging.getLogger(__name__)
_BUSY_TIMEOUT_S: Final = 10.0
"""How long a writer waits for another process that has the file."""
READ_PATIENCE_S: Final = 30.0
"""How long a reader looks for a gap beside a writer that never rests: as long as a person waits for a verb."""
_KEPT_CYCLES: Final = 1000
_NOT_BEFORE: Final = "not before"
_NAMES_A_QUERY: Final = 500
_NUMBER: Final = re.compile(r"(?<![0-9])([0-9]{1,15})\Z")

_INSERT: Final = (
    f"INSERT INTO machines ({', '.join(MACHINE_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(MACHINE_COLUMNS))})"
)
_ADOPT: Final = f"""{_INSERT}
    ON CONFLICT (name) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at, idle_since = NULL,
        error_kind = excluded.error_kind, error_message = excluded.error_message
    WHERE machines.state = 'gone'
"""
_SELECT: Final = f"SELECT {', '.join(MACHINE_COLUMNS)} FROM machines"  # noqa: S608
_ADVANCE: Final = """
    INSERT INTO series (nodearray, next_number) VALUES (?, ?)
    ON CONFLICT (nodearray) DO UPDATE SET next_number = max(next_number, excluded.next_number)
"""
_OUTCOME: Final = """
    UPDATE machines SET state = :state, error_kind = :kind, error_code = :code, error_message = :message,
        updated_at = CASE WHEN state = :state THEN updated_at ELSE :now END
    WHERE name = :name AND (state IN ('intended', 'accepted', 'unknown', 'rejected')
                            OR (state = 'listed' AND :state = 'rejected'))
"""
_SEEN: Final = """
    UPDATE machines SET state = :state, node_name = coalesce(:node_name, node_name),
        ready_at = CASE WHEN :state = 'ready' THEN coalesce(ready_at, :now) ELSE ready_at END,
        updated_at = CASE WHEN state = :state THEN updated_at ELSE :now END
    WHERE name = :name AND state IN ({legal})
        AND (state <> :state OR (:node_name IS NOT NULL AND node_name IS NOT :node_name))
"""
_SEEN_INTO: Final[Mapping[MachineState, str]] = frozendict(
    {
        state: _SEEN.format(legal=", ".join(sorted(f"'{known.value}'" for known in {state, *sources})))
        for state, sources in MOVES.items()
    }
)
"""By the state moved to: from which states that is legal is part of the statement."""


@final
class Ledger(BackOffs, Guards, Observations, Stages, History, Orders):
    """The open ledger; a context manager. All times are seconds since the epoch, and arguments.

    Assumes one writer at a time: hold a `WriterLock` while writing. Readers need no lock and see one moment.
    """

    def __init__(self, path: Path, opened: Opened, *, read_only: bool) -> None:
        self.path = path
        self.notices = opened.notices
        self.file_version = opened.file_version
        """The version the file had when it was opened; None: there was no file."""
        self._connection = opened.connection
        self._file = identity(path)
        self._read_only = read_only

    @classmethod
    def open(
        cls, path: str | Path, *, now: float, read_only: bool = False, busy_timeout_s: float | None = None
    ) -> Ledger:
        """Open the ledger at `path`, making it (file 0600, directory 0700) when there is none.

        `read_only` neither makes nor changes anything: it answers from a copy in memory taken now. A damaged file
        is set aside by a writing run, which says so in `notices`. `busy_timeout_s`: how long another process that has
        the file is waited for (None: 10 s to write, `READ_PATIENCE_S` to read). Raises LedgerError with a next step.
        """
        place = Path(path)
        if read_only:
            patience_s = READ_PATIENCE_S if busy_timeout_s is None else busy_timeout_s
            try:
                return cls(place, open_snapshot(place, patience_s=patience_s), read_only=True)
            except LedgerBusyError as error:
                raise LedgerBusyError(f"{error}: {describe_user(place)}") from error
        wait_s = _BUSY_TIMEOUT_S if busy_timeout_s is None else busy_timeout_s
        return cls(place, open_for_writing(place, now=now, busy_timeout_s=wait_s), read_only=False)

    @property
    def in_place(self) -> bool:
        """Whether the file at `path` is still the one that was opened: a run that lasts may outlive its file."""
        return identity(self.path) == self._file

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Machines

    def next_number(self, nodearray: str) -> int:
        """The lowest number no machine of the node array ever had."""
        rows = self._read("SELECT next_number FROM series WHERE nodearray = ?", nodearray)
        return int(rows[0][0]) if rows else 1

    def record_intents(self, records: Sequence[MachineRecord], next_numbers: Mapping[str, int], now: float) -> None:
        """Write down what is about to be asked for, all of it or nothing; when this returns it is on the disk.

        Raises LedgerError, and records nothing, when a name is known already.
        """
        with self._writing() as connection:
            asked = Counter(record.name for record in records)
            taken = sorted(self._known(asked) | {name for name in asked if asked[name] > 1}, key=natural_key)
            if taken:
                raise LedgerError(
                    f"ledger {self.path}: {', '.join(taken[:5])}{' …' if taken[5:] else ''} already recorded; names "
                    "never come back, so nothing was recorded: plan again from the ledger's next number"
                )
            rows = [(*row[:9], MachineState.INTENDED.value, row[10], now, *row[12:]) for row in _rows(records)]
            connection.executemany(_INSERT, rows)
            connection.executemany(_ADVANCE, next_numbers.items())
        log.debug("%d intents recorded", len(rows))

    def readmit(self, names: Iterable[str]) -> None:
        """Let names come again of machines that are gone, or were refused; their history is dropped.

        Only for names that somebody else gives and asks for again (a scheduler that powers its own nodes): ours never
        come back. Names of other machines, and unknown ones, stay as they are.
        """
        with self._writing() as connection:
            query = "DELETE FROM machines WHERE state IN ('gone', 'rejected') AND name = ?"
            connection.executemany(query, [(name,) for name in names])

    def record_outcomes(self, outcomes: Iterable[LaunchOutcome], now: float) -> None:
        """What became of requests. A machine seen since then is not moved back; unknown names are ignored."""
        with self._writing() as connection:
            connection.executemany(
                _OUTCOME,
                [
                    {
                        "name": outcome.name,
                        "state": outcome.state.value,
                        "kind": outcome.kind.value if outcome.kind else None,
                        "code": storable(outcome.code),
                        "message": storable(outcome.message),
                        "now": now,
                    }
                    for outcome in outcomes
                ],
            )

    def record_seen(
        self,
        names_and_states: Mapping[str, MachineState],
        now: float,
        node_names: Mapping[str, str] = frozendict(),
    ) -> None:
        """What was seen of machines, or done to them, by name; unknown names are ignored: they are to be adopted.

        `updated_at` moves only with the state, and `ready_at` is the first time a machine was ready. A move that
        `MOVES` does not have is not made: what came later is the truth.
        """
        with self._writing() as connection:
            for into in dict.fromkeys(names_and_states.values()):
                connection.executemany(
                    _SEEN_INTO[into],
                    [
                        {"name": name, "state": state.value, "node_name": node_names.get(name), "now": now}
                        for name, state in names_and_states.items()
                        if state is into
                    ],
                )

    def adopt(self, records: Sequence[MachineRecord], now: float) -> None:
        """Take in machines found with our mark and not known here; names known already stay as they are.

        One believed gone is taken back, or nobody would look after it again, and its first record stays.
        The number a name ends in is used up: the node array's next number is moved beyond it.
        """
        with self._writing() as connection:
            rows = [(*row[:11], now, *row[12:]) for row in _rows(records)]
            connection.executemany(_ADOPT, rows)
            numbers = ((record.nodearray, _NUMBER.search(record.name)) for record in records)
            connection.executemany(_ADVANCE, [(name, int(found[1]) + 1) for name, found in numbers if found])

    def set_idle(self, idle: Mapping[str, float | None]) -> None:
        """Since when each machine is without work; None: it has work."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE machines SET idle_since = :since WHERE name = :name AND idle_since IS NOT :since",
                [{"name": name, "since": since} for name, since in idle.items()],
            )

    def machines(self, include_gone: bool = False) -> tuple[MachineRecord, ...]:
        """All machines in natural order of their names."""
        rows = self._read(_SELECT if include_gone else f"{_SELECT} WHERE state <> 'gone'")
        return tuple(decode_machine(row) for row in sorted(rows, key=lambda row: natural_key(row[0])))

    def believed_gone(self, names: Iterable[str]) -> frozenset[str]:
        """Which of these machines are known and were taken for gone."""
        query = "SELECT name FROM machines WHERE state = 'gone' AND name IN ({})"
        return frozenset(self._among(query, names))

    def history(self, name: str) -> tuple[tuple[float, str, str], ...]:
        """How a machine moved, oldest first: when, what (`intended`, `adopted` or a state), and details.

        `life` tells what else happened to it.
        """
        rows = self._read("SELECT at, event, detail FROM events WHERE name = ? ORDER BY id", name)
        return tuple((at, event, detail) for at, event, detail in rows if event not in BESIDE_MOVES)

    def forget_gone(self, older_than: float) -> int:
        """Drop machines that are gone, or were refused, since before `older_than`, with their history; how many.

        Next numbers stay: their names never come back.
        """
        query = "DELETE FROM machines WHERE state IN ('gone', 'rejected') AND updated_at < ?"
        with self._writing() as connection:
            return connection.execute(query, (older_than,)).rowcount

    # Throttling, and what was learned

    def not_before(self) -> float | None:
        """The service's `Retry-After` as a moment, for all processes; None: it set none."""
        rows = self._read("SELECT at FROM moments WHERE name = ?", _NOT_BEFORE)
        return float(rows[0][0]) if rows else None

    def set_not_before(self, moment: float | None) -> None:
        """No request before `moment`; None lifts it."""
        self._set("moments", "at", _NOT_BEFORE, moment)

    def flag(self, name: str, default: str | None = None) -> str | None:
        """Something learned and worth keeping, by name."""
        rows = self._read("SELECT value FROM flags WHERE name = ?", name)
        return str(rows[0][0]) if rows else default

    def flags(self, prefix: str) -> Mapping[str, str]:
        """All flags whose names begin with `prefix`, without it."""
        rows = self._read("SELECT name, value FROM flags WHERE substr(name, 1, ?) = ?", len(prefix), prefix)
        return frozendict({name.removeprefix(prefix): value for name, value in rows})

    def set_flag(self, name: str, value: str | None) -> None:
        """Keep `value` under `name`; None drops it."""
        self._set("flags", "value", name, value)

    def set_flags(self, values: Mapping[str, str | None]) -> None:
        """Keep or drop (None) many at once, in one transaction."""
        with self._writing() as connection:
            for name, value in values.items():
                _set_in(connection, "flags", "value", name, value)

    # Cycles

    def begin_cycle(self, plan_id: str, now: float) -> None:
        """A run starts; one that never ended was killed and is marked `interrupted`."""
        log.debug("cycle %s begins", plan_id)
        with self._writing() as connection:
            connection.execute("UPDATE cycles SET status = 'interrupted' WHERE status = 'running'")
            query = "INSERT INTO cycles (plan_id, started_at, status, summary) VALUES (?, ?, 'running', '{}')"
            newest = connection.execute(query, (plan_id, now)).lastrowid or 0
            connection.execute("DELETE FROM cycles WHERE id <= ?", (newest - _KEPT_CYCLES,))

    def end_cycle(self, plan_id: str, now: float, status: str, summary: Mapping[str, Any]) -> None:
        """The run ends; values in `summary` that JSON does not know are kept as their text."""
        text = json.dumps(dict(summary), default=str)
        query = """UPDATE cycles SET ended_at = ?, status = ?, summary = ?
                   WHERE id = (SELECT max(id) FROM cycles WHERE plan_id = ? AND ended_at IS NULL)"""
        with self._writing() as connection:
            if connection.execute(query, (now, status, text, plan_id)).rowcount != 1:
                raise LedgerError(f"ledger {self.path}: cycle {plan_id} was never begun, or has ended already")
        log.debug("cycle %s ends: %s %s", plan_id, status, text)

    def cycles(self, limit: int = 50) -> tuple[CycleRecord, ...]:
        """The last cycles, newest first."""
        query = "SELECT plan_id, started_at, ended_at, status, summary FROM cycles ORDER BY id DESC LIMIT ?"
        return tuple(decode_cycle(row) for row in self._read(query, limit))

    # The file

    def _read(self, query: str, *values: object) -> list[Row]:
        with explained(self.path):
            return self._connection.execute(query, values).fetchall()

    def _set(self, table: str, column: str, name: str, value: float | str | None) -> None:
        with self._writing() as connection:
            _set_in(connection, table, column, name, value)

    def _known(self, names: Iterable[str]) -> set[str]:
        return self._among("SELECT name FROM machines WHERE name IN ({})", names)

    def _among(self, query: str, names: Iterable[str]) -> set[str]:
        asked = list(names)
        known: set[str] = set()
        for start in range(0, len(asked), _NAMES_A_QUERY):
            part = asked[start : start + _NAMES_A_QUERY]
            known.update(row[0] for row in self._read(query.format(", ".join("?" * len(part))), *part))
        return known

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it on the disk, or none of it."""
        if self._read_only:
            raise LedgerError(f"ledger {self.path} was opened for reading only; nothing was recorded")
        connection = self._connection
        with explained(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def _set_in(connection: sqlite3.Connection, table: str, column: str, name: str, value: float | str | None) -> None:
    if value is None:
        connection.execute(f"DELETE FROM {table} WHERE name = ?", (name,))  # noqa: S608
    else:
        query = f"INSERT OR REPLACE INTO {table} (name, {column}) VALUES (?, ?)"  # noqa: S608
        connection.execute(query, (name, value))


def _rows(records: Iterable[MachineRecord]) -> Iterator[Row]:
    return (encode_machine(record) for record in records)
