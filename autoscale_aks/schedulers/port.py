"""What the rest of the program may ask of a scheduler, and what it may assume.

A driver translates to the constraint language; it never decides. It reads in one consistent look, skips and counts
what it cannot read, and its writes are idempotent: closing a closed node and removing an absent one are successes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

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
    nodearrays: tuple[str, ...] = ()
    """Whose jobs may run here, where jobs name node arrays: what a node of the site itself counts for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """A node that is to be made known: what it is, and where, as far as it is known by now."""

    name: str
    """The machine's, and so the node's (`model/node_names.py`)."""
    nodearray: str = ""
    vm_size: str = ""
    placement_group: str | None = None
    zone: str | None = None
    resources: Mapping[str, Value] = field(default_factory=frozendict)
    """What an empty node of its bucket has for jobs, by the site's `default_resources`."""
    address: str | None = None
    """Its IP address; None: not known before the machine is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRequest:
    """A node that the scheduler itself wants up or down, by name (Slurm's power saving).

    It is told in every read until it is settled. A later request of the same node replaces an earlier one, but for a
    machine that is to go before the node may come again.
    """

    name: str
    is_up: bool
    at: float
    """When the scheduler asked, in seconds since the epoch."""
    cause: str = ""
    """The scheduler's own word for it."""
    problem: str = ""
    """Why it cannot be met whatever is done; empty when it can."""


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
    requests: tuple[NodeRequest, ...] = ()
    """Nodes that the scheduler itself wants up or down, oldest first; empty where demand is calculated."""
    powered: tuple[str, ...] | None = ()
    """Node arrays whose machines come and go by `requests` alone; None: all of them."""
    takes_reasons: int = 0
    """How many reasons `explain_jobs` may be given in one cycle; 0: the site wants none, or there is no place."""
    site_nodes_count: bool = True
    """Whether what is free on nodes of the site itself is room for the waiting jobs. False where a job waits only after
    every node that is there has refused it (Kubernetes): whatever the reason, they would refuse it again."""
    problems: tuple[Problem, ...] = ()
    """Records that were skipped, each with where it stood."""
    complete: bool = True
    """False when part of the answer is missing: then nothing may be deleted."""


class SchedulerPort(Protocol):
    """A scheduler as `reconcile` sees it. Every method may raise SchedulerError; none blocks beyond its timeout.

    What may be assumed of every method: it may be repeated, because a run can be killed between the scheduler's deed
    and the ledger's note of it; it acts on some of the names even when it raises for others; and what it did is seen
    in a later `read`, not necessarily in the next.
    """

    def read(self) -> SchedulerState:
        """Jobs and nodes in one look, nodes before jobs. A bad record is left out and reported, never raised."""
        ...

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Make these nodes known, before or after their machines boot. Known ones are left alone.

        It is repeated in every cycle for machines on their way that the scheduler does not show, so that a scheduler
        that failed, forgot or was restored gets them again. Raises after the last node when some were refused.
        """
        ...

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        """Keep new work off these nodes. Returns the names that are closed now; the others must not be deleted.

        Closed means that the scheduler was seen afterwards to start nothing there and to run nothing there. A node
        that it does not know is never returned.
        """
        ...

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Undo `close_nodes`, and nothing that somebody else did. Raises when one of them stays closed."""
        ...

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Forget nodes whose machines are gone, and let their jobs wait again. Unknown ones are ignored."""
        ...

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """These requests are met, or in the ledger, or were refused for good: do not tell them again.

        Called after the ledger has them on the disk (at least once: a request may be told again all the same).
        """
        ...

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:
        """Write a short reason to waiting jobs (name as in `read` → sentence, empty: take ours away).

        Returns the jobs it was written to: none where the site has not asked for it or the scheduler has no place.
        A job that is not there any more is no error. It never changes what the scheduler does with a job.
        """
        ...


@runtime_checkable
class Versioned(Protocol):
    """A driver that can say which scheduler it talks to."""

    def version(self) -> str:
        """The scheduler's own name of its version, on one line; empty when it does not say.

        Raises SchedulerError when it cannot be asked.
        """
        ...


def version_of(scheduler: object) -> str:
    """Which scheduler a driver talks to; empty where it cannot say. Raises SchedulerError."""
    return scheduler.version() if isinstance(scheduler, Versioned) else ""
