"""The site's rules for one decision."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction


class PlacementOrder(enum.Enum):
    """Which nodes are tried first (matching.md A3)."""

    EXISTING_FIRST = "existing-first"
    BUCKET = "bucket"


OPTIMIZE_SECONDS = 2
"""`policy.optimize_seconds` when nothing is said."""
WORK_PER_SECOND = 22_000_000
"""Units of an optimiser's work that one processor core does in a second, roughly (docs/designs/0007-cost.md).
Seconds of configuration are turned into units with it, so that a plan depends on its input alone (P5)."""


def work_of(seconds: float | Fraction) -> int:
    """Seconds of a processor core as units of an optimiser's work."""
    return int(seconds * WORK_PER_SECOND)


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
class MassDelete:
    """When a cycle's releases are too many to believe at once (user ask T13d); two agreeing cycles carry them out."""

    share: float = 0.5
    """Of all machines; above it, and above `FREE`, the brake holds."""
    count: int | None = 100
    """Machines; above it the brake holds whatever their share. None: only the share counts."""

    FREE: ClassVar[int] = 10
    """So few machines may always leave at once."""

    def holds(self, releases: int, machines: int) -> bool:
        """Whether so many releases among so many machines must be agreed to by a second cycle."""
        if releases <= self.FREE:
            return False
        return releases > self.share * machines or (self.count is not None and releases > self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOffTimes:
    """Seconds for which what refused is left alone, by class (user ask T08d)."""

    spot_s: float = 900.0
    """Capacity of spot machines."""
    zone_s: float = 1800.0
    """Capacity in one zone."""
    region_s: float = 3600.0
    """Capacity in the region."""
    quota_s: float = 600.0
    validation_s: float = 300.0
    """A request that the service finds wrong: a size it does not offer, a setting it refuses."""
    family_s: float = 3600.0
    """How long sizes of a refused size's family come last among equals."""
    stated: frozenset[str] = frozenset()
    """Fields that the site has written. They win over the lifetimes that the service's errors are known by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootCircuit:
    """When machines of one bucket and image are given up: `failures` in a row that did not join (user ask T12c)."""

    failures: int = 3
    retry_s: float = 1800.0
    """After this long one machine is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootStages:
    """Clocks of single boot stages, within `boot_timeout`, which is that of all (user ask T12a). None: no clock."""

    provisioned: Timeout | None = None
    """From the request until the VM is made."""
    registered: Timeout | None = None
    """From then until its node is known."""
    ready: Timeout | None = None
    """From then until the node takes work."""

    def of(self, nodearray: str | None) -> tuple[float, float, float]:
        """All three, in seconds, for one node array; infinite where there is no clock."""
        clocks = (self.provisioned, self.registered, self.ready)
        provisioned_s, registered_s, ready_s = (math.inf if one is None else one.of(nodearray) for one in clocks)
        return provisioned_s, registered_s, ready_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotEvictions:
    """When a node array of spot machines is left alone for others because its machines are taken away (T19b)."""

    count: int | None = None
    """So many evictions within the window; None: never."""
    window_s: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How to decide. Most keys are also keys of `policy` in autoscale.json and in a scenario."""

    placement_order: PlacementOrder = PlacementOrder.EXISTING_FIRST
    objective: Objective = Objective.ORDER
    optimize_work: int | None = None
    """With the objective `cost`: units of work (`WORK_PER_SECOND`) to look for a cheaper plan; 0: the best of the
    simple rules; None: the price of a slot orders buckets (P2), and nothing else is tried."""
    idle_timeout: Timeout = Timeout(default_s=300.0)
    boot_timeout: Timeout = Timeout(default_s=1800.0)
    machines_per_put: int = 50
    """Most machines in one `BatchPutMachine` request (aks-machine-api.md §2.7); lower where headers are long (B5)."""
    max_creates_per_cycle: int | None = None
    max_deletes_per_cycle: int | None = None
    min_lifetime: Timeout = Timeout(default_s=0.0)
    """Seconds a machine lives before idleness may end it (user ask T15c)."""
    gang_timeout: float = 600.0
    """Seconds for which machines are kept that were accepted for a gang whose rest was refused (user ask T04c)."""
    mass_delete: MassDelete = MassDelete()
    back_off: BackOffTimes = BackOffTimes()
    boot_circuit: BootCircuit = BootCircuit()
    spot_evictions: SpotEvictions = SpotEvictions()
    boot_stages: BootStages = BootStages()
