"""The site's rules for one decision."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping


class PlacementOrder(enum.Enum):
    """Which nodes are tried first (matching.md A3)."""

    EXISTING_FIRST = "existing-first"
    BUCKET = "bucket"


class Objective(enum.Enum):
    """What orders buckets where a job's preference is silent (P2)."""

    ORDER = "order"
    COST = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """Seconds, for all node arrays or for some with a default."""

    default_s: float
    by_nodearray: Mapping[str, float] = field(default_factory=frozendict)

    def of(self, nodearray: str | None) -> float:
        """The timeout of one node array, in seconds."""
        if nodearray is None:
            return self.default_s
        return self.by_nodearray.get(nodearray, self.default_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How to decide. Every key is also a key of `policy` in autoscale.json and in a scenario."""

    placement_order: PlacementOrder = PlacementOrder.EXISTING_FIRST
    objective: Objective = Objective.ORDER
    idle_timeout: Timeout = Timeout(default_s=300.0)
    boot_timeout: Timeout = Timeout(default_s=1800.0)
    machines_per_put: int = 50
    """Most machines in one `BatchPutMachine` request (aks-machine-api.md §2.7); lower where headers are long (B5)."""
    max_creates_per_cycle: int | None = None
    max_deletes_per_cycle: int | None = None
