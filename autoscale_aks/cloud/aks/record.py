"""The operation record of a direct scale-out (batching.md B11). Pure; `to_json` is for a result file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.cloud.aks.wire import format_timestamp
from autoscale_aks.model.launch import FaultKind, LaunchState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.cloud.aks.readiness import Reached
    from autoscale_aks.model.launch import ChunkOutcome, LaunchOutcome, Machine

MAX_FAILED_DETAILS: Final = 10
MAX_DETAIL_MESSAGE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTiming:
    """One chunk's PUT: its time includes waiting for the throttle."""

    started_at: float
    ended_at: float
    machines: int
    attempts: int

    def to_dict(self) -> dict[str, Any]:
        """Start and end in UTC, whole seconds."""
        return {
            "start_time": format_timestamp(self.started_at),
            "end_time": format_timestamp(self.ended_at),
            "execution_time_seconds": round(self.ended_at - self.started_at, 3),
            "total_machines_in_batch": self.machines,
            "attempts": self.attempts,
        }


@dataclass(frozen=True, slots=True)
class FailedMachine:
    """A machine that did not come: refused, unknown, or failed later."""

    name: str
    state: str
    code: str
    message: str
    kind: FaultKind | None = None

    def to_dict(self) -> dict[str, Any]:
        """Its message cut to 300 characters."""
        return {
            "name": self.name,
            "provisioningState": self.state,
            "error_kind": self.kind.value if self.kind else None,
            "error_code": self.code,
            "error_message": self.message[:MAX_DETAIL_MESSAGE],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """What was asked, what came of it, and how long it took."""

    cluster: str
    agent_pool: str
    vm_size: str
    count: int
    workers: int
    use_batch_api: bool
    command_execution_time: float
    """Seconds from the first PUT to the last answer, in both modes."""
    started_at: float = 0.0
    """When the first PUT went out, in seconds since the epoch; 0: none did."""
    puts: int = 0
    batch_command_execution_times: Mapping[str, ChunkTiming] = field(default_factory=frozendict)
    """By chunk id."""
    successful_machines: int = 0
    failed_machines: tuple[FailedMachine, ...] = ()
    """All of them; `to_json` gives details of the first ten."""
    readiness: Mapping[str, Reached] = field(default_factory=frozendict)
    """The compatible form; empty when nobody waited."""
    new_node_readiness: Mapping[str, Reached] = field(default_factory=frozendict)
    node_readiness_time: float | None = None
    """Seconds to P100 of the compatible form; None when it was not reached."""

    @property
    def unknown(self) -> int:
        """Machines of which nobody can say whether they exist."""
        return sum(machine.state == LaunchState.UNKNOWN.value for machine in self.failed_machines)

    @property
    def failed_by_kind(self) -> Mapping[str, int]:
        """How many machines did not come for which kind of reason; the unknown ones are left out."""
        kinds = Counter(
            machine.kind.value if machine.kind else FaultKind.UNKNOWN.value
            for machine in self.failed_machines
            if machine.state != LaunchState.UNKNOWN.value
        )
        return frozendict(sorted(kinds.items()))

    @property
    def success(self) -> bool:
        """Whether every machine came and, if nodes were waited for, all of them got ready."""
        return not self.failed_machines and all(reached.elapsed_s is not None for reached in self.readiness.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "cluster": self.cluster,
            "agent_pool": self.agent_pool,
            "vm_size": self.vm_size,
            "count": self.count,
            "workers": self.workers,
            "use_batch_api": self.use_batch_api,
            "start_time": format_timestamp(self.started_at) if self.started_at else None,
            "puts": self.puts,
            "command_execution_time": round(self.command_execution_time, 3),
            "batch_command_execution_times": {
                chunk: timing.to_dict() for chunk, timing in self.batch_command_execution_times.items()
            },
            "successful_machines": self.successful_machines,
            "failed_machine_count": len(self.failed_machines),
            "failed_by_kind": dict(self.failed_by_kind),
            "unknown_machines": self.unknown,
            "failed_machines": [machine.to_dict() for machine in self.failed_machines[:MAX_FAILED_DETAILS]],
            "readiness": {name: reached.to_dict() for name, reached in self.readiness.items()},
            "new_node_readiness": {name: reached.to_dict() for name, reached in self.new_node_readiness.items()},
            "node_readiness_time": None if self.node_readiness_time is None else round(self.node_readiness_time, 3),
            "success": self.success,
        }

    def to_json(self) -> str:
        """One line."""
        return json.dumps(self.to_dict(), separators=(",", ":"))


def chunk_timings(chunks: Sequence[ChunkOutcome]) -> Mapping[str, ChunkTiming]:
    """The timing of every chunk that was sent."""
    return frozendict(
        {
            chunk.chunk_id: ChunkTiming(
                started_at=chunk.started_at,
                ended_at=chunk.ended_at,
                machines=len(chunk.outcomes),
                attempts=chunk.attempts,
            )
            for chunk in chunks
            if chunk.puts
        }
    )


def command_seconds(chunks: Sequence[ChunkOutcome]) -> float:
    """From the first PUT to the last answer."""
    sent = [chunk for chunk in chunks if chunk.puts]
    return max(chunk.ended_at for chunk in sent) - min(chunk.started_at for chunk in sent) if sent else 0.0


def failed_outcome(outcome: LaunchOutcome) -> FailedMachine | None:
    """A machine whose PUT did not end well."""
    if outcome.state is LaunchState.ACCEPTED:
        return None
    return FailedMachine(outcome.name, outcome.state.value, outcome.code, outcome.message, outcome.kind)


def failed_machine(machine: Machine) -> FailedMachine | None:
    """A machine that was accepted and failed later."""
    if not machine.is_failed:
        return None
    state = "Deleted" if machine.vm_state == "Deleted" else machine.provisioning_state
    return FailedMachine(machine.name, state, machine.error_code, machine.error_message, machine.error_kind)
