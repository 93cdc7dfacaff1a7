"""The ledger's tables, and the steps from each version of them to the next.

Version 2 brought boot stages, protections, boot circuits, weak marks on families and machines that were observed to be
smaller than promised. Version 3 brought history (`history_schema`), version 4 what machines of a
size and image turned out to have.

A step is never changed once released: the version in the file (`PRAGMA user_version`) counts the steps it has seen.
`events` is written by triggers, in the same transaction as the change it tells of, and is never rewritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import LedgerError
from autoscale_aks.ledger.history_schema import HISTORY

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

APPLICATION_ID: Final = 0x617A6B73
"""`azks` in the file's header: the file is ours."""

MAGIC: Final = b"SQLite format 3\0"
APPLICATION_ID_AT: Final = 68
"""Where SQLite keeps the application id in the file's header."""

_VERSION_1: Final = (
    """
    CREATE TABLE machines (
        name TEXT PRIMARY KEY NOT NULL,
        nodearray TEXT NOT NULL,
        pool TEXT NOT NULL,
        vm_size TEXT NOT NULL,
        zone TEXT,
        spot INTEGER NOT NULL,
        placement_group TEXT,
        plan_id TEXT NOT NULL,
        chunk_id TEXT NOT NULL,
        state TEXT NOT NULL,
        asked_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        ready_at REAL,
        idle_since REAL,
        node_name TEXT,
        error_kind TEXT,
        error_code TEXT NOT NULL DEFAULT '',
        error_message TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL REFERENCES machines (name) ON DELETE CASCADE,
        at REAL NOT NULL,
        event TEXT NOT NULL,
        detail TEXT NOT NULL
    )
    """,
    "CREATE INDEX events_of_a_machine ON events (name)",
    """
    CREATE TRIGGER machine_recorded AFTER INSERT ON machines BEGIN
        INSERT INTO events (name, at, event, detail)
        VALUES (new.name, new.updated_at, CASE new.state WHEN 'intended' THEN 'intended' ELSE 'adopted' END,
                CASE new.state WHEN 'intended' THEN 'plan ' || new.plan_id || ', chunk ' || new.chunk_id
                ELSE new.state END);
    END
    """,
    """
    CREATE TRIGGER machine_moved AFTER UPDATE OF state ON machines WHEN new.state <> old.state BEGIN
        INSERT INTO events (name, at, event, detail)
        VALUES (new.name, new.updated_at, new.state,
                CASE WHEN new.state IN ('rejected', 'unknown')
                     THEN trim(coalesce(new.error_kind, '') || ' ' || new.error_code || ': ' || new.error_message,
                               ' :')
                     WHEN new.state = 'ready' THEN coalesce(new.node_name, '') ELSE '' END);
    END
    """,
    """
    CREATE TRIGGER events_are_final BEFORE UPDATE ON events BEGIN
        SELECT raise(ABORT, 'events are never rewritten');
    END
    """,
    "CREATE TABLE series (nodearray TEXT PRIMARY KEY NOT NULL, next_number INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE back_offs (
        key TEXT PRIMARY KEY NOT NULL,
        code TEXT NOT NULL,
        until REAL,
        nodearray TEXT,
        vm_size TEXT,
        zone TEXT,
        spot INTEGER,
        reason TEXT NOT NULL,
        added_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE TABLE flags (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE moments (name TEXT PRIMARY KEY NOT NULL, at REAL NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE cycles (
        id INTEGER PRIMARY KEY,
        plan_id TEXT NOT NULL,
        started_at REAL NOT NULL,
        ended_at REAL,
        status TEXT NOT NULL,
        summary TEXT NOT NULL
    )
    """,
)

_VERSION_2: Final = (
    "ALTER TABLE machines ADD COLUMN provisioned_at REAL",
    "ALTER TABLE machines ADD COLUMN registered_at REAL",
    "ALTER TABLE machines ADD COLUMN lost_since REAL",
    "ALTER TABLE machines ADD COLUMN surplus_since REAL",
    """
    CREATE TABLE protections (
        name TEXT PRIMARY KEY NOT NULL,
        owner TEXT NOT NULL,
        reason TEXT NOT NULL,
        until REAL,
        added_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE circuits (
        key TEXT PRIMARY KEY NOT NULL,
        nodearray TEXT NOT NULL,
        vm_size TEXT NOT NULL,
        zone TEXT,
        spot INTEGER NOT NULL,
        image TEXT NOT NULL,
        failures INTEGER NOT NULL,
        last_error TEXT NOT NULL,
        opened_at REAL,
        changed_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE family_marks (
        family TEXT PRIMARY KEY NOT NULL,
        until REAL NOT NULL,
        reason TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE small_sizes (
        nodearray TEXT NOT NULL,
        vm_size TEXT NOT NULL,
        resource TEXT NOT NULL,
        machine TEXT NOT NULL,
        promised TEXT NOT NULL,
        found TEXT NOT NULL,
        seen_at REAL NOT NULL,
        PRIMARY KEY (nodearray, vm_size, resource, machine)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE proposals (name TEXT PRIMARY KEY NOT NULL, at REAL NOT NULL) WITHOUT ROWID",
)

_VERSION_4: Final = (
    """
    CREATE TABLE observed_sizes (
        vm_size TEXT NOT NULL,
        image TEXT NOT NULL,
        resource TEXT NOT NULL,
        machine TEXT NOT NULL,
        promised TEXT NOT NULL,
        found TEXT NOT NULL,
        seen_at REAL NOT NULL,
        PRIMARY KEY (vm_size, image, resource, machine)
    ) WITHOUT ROWID
    """,
)

MIGRATIONS: Final[tuple[Sequence[str], ...]] = (_VERSION_1, _VERSION_2, HISTORY, _VERSION_4)
"""Step N takes a file from version N to version N + 1; a new file takes them all."""


def read_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """The version of an open file; 0 for a file with nothing in it. Raises LedgerError for anything not ours."""
    version = int(_scalar(connection, "PRAGMA user_version"))
    owner = int(_scalar(connection, "PRAGMA application_id"))
    if owner != APPLICATION_ID:
        if owner or version or _scalar(connection, "SELECT count(*) FROM sqlite_master"):
            raise LedgerError(f"{path} is another program's database, not a ledger; give another path for the ledger")
        return 0
    if version > newest:
        raise LedgerError(
            f"ledger {path} has version {version} and this program reads up to {newest}; install the newer program, "
            f"or put back the copy {path}.bak-v{newest} it made"
        )
    return version


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]]) -> None:
    """Take an open file to the newest version, in one transaction: a killed run leaves the old version."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(_scalar(connection, "PRAGMA user_version"))
        for step in steps[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _scalar(connection: sqlite3.Connection, query: str) -> int:
    row: tuple[int] = connection.execute(query).fetchone()
    return row[0]
