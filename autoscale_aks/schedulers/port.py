"""What the rest of the program may ask of a scheduler, and what it may assume.

A driver translates to the constraint language; it never decides. It reads in one consistent look, skips and counts
what it cannot read, and its writes are idempotent: closing a closed node and removing an absent one are successes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.errors import Problem
    from autoscale_aks.model.job import Job
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.units import Number, Size, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerNode:
    """A node the scheduler knows. `name` is the scheduler's; `machine` ours, when the driver can tell."""

    name: str
    state: str
    """`Ready`, `Closed` (drained or draining), `Down` or `Booting`, in our words."""
    machine: str | None = None
    resources: Mapping[str, Value] = field(default_factory=frozendict)
    available: Mapping[str, Value] = field(default_factory=frozendict)
    job_ids: tuple[str, ...] = ()
    closed_by_us: bool = False
    """Whether `Closed` is the work of `close_nodes` and not of an administrator, when the driver can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOverhead:
    """What the scheduler's own work takes of a fresh node before any job (a DaemonSet's pods)."""

    select: Mapping[str, Any]
    """Constraint: on which nodes."""
    amounts: Mapping[str, Number | Size]
    """Resource → how much of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerState:
    """One consistent look at the queue and its nodes."""

    jobs: tuple[Job, ...]
    """Waiting jobs, highest scheduler priority first (matching.md A1)."""
    nodes: tuple[SchedulerNode, ...] | None
    """None: this scheduler does not report nodes; readiness then comes from the cluster."""
    shared_resources: Mapping[str, SharedResource] = field(default_factory=frozendict)
    running: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    """Scheduler node name → ids of jobs running there."""
    node_rules: tuple[Mapping[str, Any], ...] = ()
    """`default_resources` entries of nodes that do not exist yet; they stand after the site's own (D1)."""
    overheads: tuple[NodeOverhead, ...] = ()
    takes_reasons: int = 0
    """How many reasons `explain_jobs` may be given in one cycle; 0: the site wants none, or there is no place."""
    problems: tuple[Problem, ...] = ()
    """Records that were skipped, each with where it stood."""
    complete: bool = True
    """False when part of the answer is missing: then nothing may be deleted."""


class SchedulerPort(Protocol):
    """A scheduler as `reconcile` sees it. Every method may raise SchedulerError; none blocks beyond its timeout."""

    def read(self) -> SchedulerState:
        """Jobs and nodes in one look."""
        ...

    def add_nodes(self, names: Sequence[str]) -> None:
        """Make nodes of these names known, before or after their machines boot. Known ones are left alone."""
        ...

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        """Keep new work off these nodes. Returns the names that are closed now; the others must not be deleted."""
        ...

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Undo `close_nodes`."""
        ...

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Forget nodes whose machines are gone. Unknown ones are ignored."""
        ...
