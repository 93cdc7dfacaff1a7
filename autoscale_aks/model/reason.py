"""Why a job waits, as data (matching.md §9). Sentences are rendered by `reports`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from autoscale_aks.units import Value


class ReasonCode(enum.Enum):
    """The closed list, in the order in which the first that applies is the primary reason."""

    INVALID = "INVALID"
    NOT_RUNNABLE = "NOT_RUNNABLE"
    SATISFIED = "SATISFIED"
    WAITING_FOR_BOOT = "WAITING_FOR_BOOT"
    AUTH = "AUTH"
    API_THROTTLED = "API_THROTTLED"
    TOO_BIG_FOR_ANY_NODE = "TOO_BIG_FOR_ANY_NODE"
    PLACEMENT_GROUP_TOO_SMALL = "PLACEMENT_GROUP_TOO_SMALL"
    NO_BUCKET_MATCH = "NO_BUCKET_MATCH"
    SHARED_RESOURCE = "SHARED_RESOURCE"
    CAPACITY_BACKOFF = "CAPACITY_BACKOFF"
    BOOT_CIRCUIT_OPEN = "BOOT_CIRCUIT_OPEN"
    LOST_TO_PRIORITY = "LOST_TO_PRIORITY"
    QUOTA = "QUOTA"
    LIMIT = "LIMIT"


PRICE_STEPS: Final = 10**9
"""Steps in one unit of the currency: budgets are counted in whole steps, a price rounded up and a budget down."""


class LimitKind(enum.Enum):
    """What a limit counts, and whose it is."""

    FAMILY_QUOTA = "family quota"
    REGION_QUOTA = "regional quota"
    SPOT_QUOTA = "regional spot quota"
    CLUSTER_CORES = "cluster cores"
    CLUSTER_NODES = "cluster nodes"
    ARRAY_NODES = "node array nodes"
    ARRAY_CORES = "node array cores"
    BUCKET_NODES = "bucket nodes"
    BUCKET_AVAILABLE = "bucket availability"
    GROUP_NODES = "placement group size"
    CYCLE_CREATES = "creates a cycle"
    ARRAY_CREATES = "node array creates a cycle"
    PLAN_SIZE = "machines a plan"
    POOL_NODES = "agent pool nodes"
    SUBNET_ADDRESSES = "subnet addresses"
    BUDGET = "budget"
    ARRAY_BUDGET = "node array budget"
    UNPRICED = "budget with an unknown price"
    RESTRICTED = "restriction"
    """Azure does not sell the bucket to this subscription (user ask T17e): no limit that could be raised."""

    @property
    def is_quota(self) -> bool:
        """Whether Azure sets it, so that the mend is a quota request."""
        return self in {LimitKind.FAMILY_QUOTA, LimitKind.REGION_QUOTA, LimitKind.SPOT_QUOTA}

    @property
    def counts_cores(self) -> bool:
        """Whether it counts cores rather than nodes."""
        return self.is_quota or self in {LimitKind.CLUSTER_CORES, LimitKind.ARRAY_CORES}

    @property
    def is_budget(self) -> bool:
        """Whether it counts a price an hour, in steps of 1 / PRICE_STEPS."""
        return self in {LimitKind.BUDGET, LimitKind.ARRAY_BUDGET}

    @property
    def unit(self) -> str:
        """What it counts, in words; empty for a price."""
        if self.is_budget:
            return ""
        if self is LimitKind.SUBNET_ADDRESSES:
            return "addresses"
        return "cores" if self.counts_cores else "nodes"


@dataclass(frozen=True, slots=True)
class Binding:
    """A limit that binds a bucket: what is left of it, and how much is missing for what was asked."""

    kind: LimitKind
    name: str
    left: int
    """In the kind's unit: nodes, cores, addresses, or steps of a price (`PRICE_STEPS`)."""
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Miss:
    """The first criterion that fails on a bucket: what was wanted and the nearest that is offered."""

    criterion: str
    wanted: Value
    offered: Value
    note: str = ""
    bucket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One primary reason with the data it was decided from."""

    code: ReasonCode
    detail: str = ""
    """What the input itself said (an error message, a hold's name); never a sentence of ours."""
    path: str = ""
    misses: tuple[Miss, ...] = ()
    binding: Binding | None = None
    until: float | None = None
    taken_by: tuple[str, ...] = ()
    """Names of jobs that took the room or hold the shared resource, earliest first, at most a few."""
