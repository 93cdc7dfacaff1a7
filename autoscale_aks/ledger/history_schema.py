"""The step of the ledger's file that brought history: what happened to machines and jobs, and orders given by hand.

Machines write their own history: triggers add to `events` in the very transaction that changes a machine, with the
plan id of the cycle under way. Jobs are many and change little, so `job_events` has one row for all jobs to which the
same happened in a cycle (`jobs` is a compressed list), and `memories` holds what the next cycle compares with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAN: Final = "coalesce((SELECT CASE WHEN ended_at IS NULL THEN plan_id END FROM cycles ORDER BY id DESC LIMIT 1), '')"
"""The cycle under way; empty between cycles."""

_STATEMENTS: Final[Sequence[str]] = (
    "ALTER TABLE events ADD COLUMN plan_id TEXT NOT NULL DEFAULT ''",
    "DROP TRIGGER machine_recorded",
    "DROP TRIGGER machine_moved",
    """
    CREATE TRIGGER machine_recorded AFTER INSERT ON machines BEGIN
        INSERT INTO events (name, at, event, detail, plan_id)
        VALUES (new.name, new.updated_at, CASE new.state WHEN 'intended' THEN 'intended' ELSE 'adopted' END,
                CASE new.state WHEN 'intended' THEN 'plan ' || new.plan_id || ', chunk ' || new.chunk_id
                ELSE new.state END,
                CASE new.state WHEN 'intended' THEN new.plan_id ELSE PLAN_UNDER_WAY END);
    END
    """,
    """
    CREATE TRIGGER machine_moved AFTER UPDATE OF state ON machines WHEN new.state <> old.state BEGIN
        INSERT INTO events (name, at, event, detail, plan_id)
        SELECT new.name, new.idle_since, 'idle', '', ''
        WHERE new.state = 'closing' AND new.idle_since IS NOT NULL;
        INSERT INTO events (name, at, event, detail, plan_id)
        VALUES (new.name, new.updated_at, new.state,
                CASE WHEN new.state IN ('rejected', 'unknown')
                     THEN trim(coalesce(new.error_kind, '') || ' ' || new.error_code || ': ' || new.error_message,
                               ' :')
                     WHEN new.state = 'ready' THEN coalesce(new.node_name, '') ELSE '' END,
                PLAN_UNDER_WAY);
    END
    """,
    """
    CREATE TRIGGER machine_provisioned AFTER UPDATE OF provisioned_at ON machines
    WHEN old.provisioned_at IS NULL AND new.provisioned_at IS NOT NULL BEGIN
        INSERT INTO events (name, at, event, detail, plan_id)
        VALUES (new.name, new.provisioned_at, 'provisioned', '', PLAN_UNDER_WAY);
    END
    """,
    """
    CREATE TRIGGER machine_registered AFTER UPDATE OF registered_at ON machines
    WHEN old.registered_at IS NULL AND new.registered_at IS NOT NULL BEGIN
        INSERT INTO events (name, at, event, detail, plan_id)
        VALUES (new.name, new.registered_at, 'registered', '', PLAN_UNDER_WAY);
    END
    """,
    """
    CREATE TRIGGER machine_lost AFTER UPDATE OF lost_since ON machines
    WHEN old.lost_since IS NULL AND new.lost_since IS NOT NULL BEGIN
        INSERT INTO events (name, at, event, detail, plan_id)
        VALUES (new.name, new.lost_since, 'lost', '', PLAN_UNDER_WAY);
    END
    """,
    """
    CREATE TABLE job_events (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        plan_id TEXT NOT NULL,
        event TEXT NOT NULL,
        detail TEXT NOT NULL,
        jobs BLOB NOT NULL
    )
    """,
    "CREATE TABLE memories (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE points (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        plan_id TEXT NOT NULL,
        machines TEXT NOT NULL,
        counts TEXT NOT NULL
    )
    """,
    "CREATE INDEX points_by_time ON points (at)",
    """
    CREATE TABLE drains (
        name TEXT PRIMARY KEY NOT NULL,
        owner TEXT NOT NULL,
        reason TEXT NOT NULL,
        added_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TRIGGER drained_machine_is_gone AFTER UPDATE OF state ON machines WHEN new.state = 'gone' BEGIN
        DELETE FROM drains WHERE name = new.name;
    END
    """,
)

HISTORY: Final[Sequence[str]] = tuple(statement.replace("PLAN_UNDER_WAY", _PLAN) for statement in _STATEMENTS)
