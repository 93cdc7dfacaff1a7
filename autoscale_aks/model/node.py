"""Machines in any stage, as the planner sees them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.units import Value


class Stage(enum.Enum):
    """Where a machine is in its life."""

    PLANNED = "planned"
    IN_FLIGHT = "in-flight"
    EXISTING = "existing"
    DRAINING = "draining"


FAILED_STATES: Final = frozenset({"failed", "error", "canceled", "cancelled", "unavailable"})
CLOSED_STATES: Final = frozenset(
    {"closed", "draining", "drained", "offline", "down", "deleting", "terminated", "terminating", "off",
     "deallocated", "stopped", "unknown"}
)  # fmt: skip
READY_STATES: Final = frozenset({"ready", "started", "idle", "mixed", "allocated", "busy", "free"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that exists, is in flight, or (unmanaged) belongs to the site and not to the cloud."""

    name: str
    nodearray: str | None = None
    vm_size: str | None = None
    hostname: str | None = None
    state: str = "Ready"
    target_state: str = "Started"
    stage: Stage = Stage.EXISTING
    placement_group: str | None = None
    zone: str | None = None
    keep_alive: bool = False
    resources: Mapping[str, Value] = field(default_factory=frozendict)
    """What the scheduler reports of the node: overrides everything else (D2)."""
    available: Mapping[str, Value] = field(default_factory=frozendict)
    """What is left of it; a resource missing here is wholly left."""
    job_ids: tuple[str, ...] = ()
    create_time: float | None = None
    last_match_time: float | None = None
    idle_since: float | None = None
    """When it was first seen without work, from the ledger; None: not idle, or not known."""
    boot_deadline: float | None = None
    """When a machine that has not booted is given up; None: `create_time` and the policy's boot timeout."""
    lost_since: float | None = None
    """Since when a machine that was ready has not been; None: it is, or never was."""
    surplus_since: float | None = None
    """Since when a machine accepted for a gang has no work because the gang's other part was refused."""
    is_late: bool = False
    """It was believed refused or gone and came all the same: welcome if it is wanted, else to leave."""
    private_ip: str | None = None
    instance_id: str | None = None

    @property
    def is_failed(self) -> bool:
        """Failed machines offer nothing and are to be removed (A8)."""
        return self.state.lower() in FAILED_STATES

    @property
    def is_ready(self) -> bool:
        """Ready to run work now."""
        return self.stage is Stage.EXISTING and self.state.lower() in READY_STATES

    def offers(self, now: float | None, boot_timeout_s: float | None) -> bool:
        """Whether its free capacity counts: not failed, closed, draining or past its boot timeout (A8)."""
        if self.is_failed or self.stage is Stage.DRAINING or self.target_state.lower() != "started":
            return False
        if self.is_ready:
            return True
        if self.state.lower() in CLOSED_STATES:
            return False
        if now is not None and self.boot_deadline is not None:
            return now <= self.boot_deadline
        if now is None or boot_timeout_s is None or self.create_time is None:
            return True
        return now - self.create_time <= boot_timeout_s
