"""One machine and one cycle as the ledger keeps them, and their rows in the file."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from frozendict import frozendict

from autoscale_aks.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

Row: TypeAlias = tuple[Any, ...]

_MESSAGE_LENGTH: Final = 2000


class MachineState(enum.Enum):
    """How far a machine we asked for has come, in the order of a life without trouble."""

    INTENDED = "intended"
    """Written down, and perhaps asked for: a killed run leaves it so. Look at the cloud before asking again."""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    """Asked for, and the answer was lost. Look at the cloud before asking again."""
    LISTED = "listed"
    READY = "ready"
    CLOSING = "closing"
    DELETING = "deleting"
    GONE = "gone"


_ASKED: Final = frozenset({MachineState.INTENDED, MachineState.ACCEPTED, MachineState.UNKNOWN})
_ALL: Final = frozenset(MachineState)

MOVES: Final[Mapping[MachineState, frozenset[MachineState]]] = frozendict(
    {
        MachineState.INTENDED: frozenset(),
        MachineState.ACCEPTED: _ASKED,
        MachineState.REJECTED: _ASKED | {MachineState.LISTED},
        MachineState.UNKNOWN: _ASKED,
        MachineState.LISTED: _ASKED | {MachineState.REJECTED, MachineState.CLOSING},
        MachineState.READY: _ALL - {MachineState.GONE},
        MachineState.CLOSING: _ALL - {MachineState.DELETING, MachineState.GONE},
        MachineState.DELETING: _ALL - {MachineState.GONE},
        MachineState.GONE: _ALL,
    }
)
"""State → the states it may be reached from by what is seen or done. The store moves no machine any other way.

A closed machine may be reopened, and one whose delete was lost taken back; no machine becomes unborn, and one that is
gone comes back only by being adopted, when a list shows it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRecord:
    """One machine we asked for, or adopted. Times are seconds since the epoch."""

    name: str
    nodearray: str
    pool: str
    vm_size: str
    zone: str | None
    spot: bool
    placement_group: str | None
    plan_id: str
    chunk_id: str
    state: MachineState
    asked_at: float
    updated_at: float
    """When `state` last changed; seeing the same state again does not move it."""
    ready_at: float | None = None
    """When it was first seen ready."""
    idle_since: float | None = None
    node_name: str | None = None
    error_kind: str | None = None
    """Why it was refused, or failed later: evidence that stays when the machine is gone (user ask T12e)."""
    error_code: str = ""
    error_message: str = ""
    provisioned_at: float | None = None
    """When its VM was first seen made."""
    registered_at: float | None = None
    """When its node was first seen in the cluster or by the scheduler."""
    lost_since: float | None = None
    """Since when a machine that was ready has not been."""
    surplus_since: float | None = None
    """Since when it has no work because the rest of its gang was refused."""

    @property
    def is_asked_for(self) -> bool:
        """Whether this ledger asked for it; otherwise it was taken in by its marks, and its past is not known."""
        return bool(self.chunk_id)

    @property
    def is_late(self) -> bool:
        """It came, or may still come, although it was refused or believed gone."""
        return self.error_kind is not None and self.state in {MachineState.REJECTED, MachineState.LISTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRecord:
    """One run of observe, plan, apply, record."""

    plan_id: str
    started_at: float
    ended_at: float | None
    """None: still running, or killed (`status` says which)."""
    status: str
    summary: Mapping[str, Any] = field(default_factory=frozendict)


MACHINE_COLUMNS: Final = (
    "name", "nodearray", "pool", "vm_size", "zone", "spot", "placement_group", "plan_id", "chunk_id", "state",
    "asked_at", "updated_at", "ready_at", "idle_since", "node_name", "error_kind", "error_code", "error_message",
    "provisioned_at", "registered_at", "lost_since", "surplus_since",
)  # fmt: skip


def encode_machine(record: MachineRecord) -> Row:
    """A record as a row of `machines`, in the order of `MACHINE_COLUMNS`."""
    return (
        record.name,
        record.nodearray,
        record.pool,
        record.vm_size,
        record.zone,
        record.spot,
        record.placement_group,
        record.plan_id,
        record.chunk_id,
        record.state.value,
        record.asked_at,
        record.updated_at,
        record.ready_at,
        record.idle_since,
        record.node_name,
        record.error_kind,
        record.error_code,
        storable(record.error_message),
        record.provisioned_at,
        record.registered_at,
        record.lost_since,
        record.surplus_since,
    )


def decode_machine(row: Row) -> MachineRecord:
    """A row of `machines` as a record."""
    try:
        state = MachineState(row[9])
    except ValueError as error:
        raise LedgerError(f"machine {row[0]} has the unknown state {row[9]!r}; install the newer version") from error
    return MachineRecord(
        name=row[0],
        nodearray=row[1],
        pool=row[2],
        vm_size=row[3],
        zone=row[4],
        spot=bool(row[5]),
        placement_group=row[6],
        plan_id=row[7],
        chunk_id=row[8],
        state=state,
        asked_at=row[10],
        updated_at=row[11],
        ready_at=row[12],
        idle_since=row[13],
        node_name=row[14],
        error_kind=row[15],
        error_code=row[16],
        error_message=row[17],
        provisioned_at=row[18],
        registered_at=row[19],
        lost_since=row[20],
        surplus_since=row[21],
    )


def decode_cycle(row: Row) -> CycleRecord:
    """A row of `cycles` as a record."""
    plan_id, started_at, ended_at, status, summary = row
    return CycleRecord(
        plan_id=plan_id,
        started_at=started_at,
        ended_at=ended_at,
        status=status,
        summary=frozendict(json.loads(summary)),
    )


def storable(text: str) -> str:
    """Free text from outside as the file can hold it: valid Unicode, and no longer than evidence needs."""
    return text[:_MESSAGE_LENGTH].encode("utf-8", "replace").decode("utf-8")
