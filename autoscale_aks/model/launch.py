"""What goes to the cloud and what comes back, per machine."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping

OWNER_TAG = "azaks-owner"
"""Tag and node label that mark a machine as ours; its value is the cluster's owner id (batching.md B7)."""


GROUP_TAG = "azaks-placement-group"
"""Tag and node label with a machine's placement group, where it has one."""


class FaultKind(enum.Enum):
    """The closed list of error kinds (aks-machine-api.md §5, user ask T10a)."""

    THROTTLE = "throttle"
    CAPACITY = "capacity"
    QUOTA = "quota"
    VALIDATION = "validation"
    CONFLICT = "conflict"
    AUTH = "auth"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


class Scope(enum.Enum):
    """What a failed attempt makes unavailable."""

    SIZE = "size"
    """The size in all zones and regionally."""
    ZONE = "zone"
    """The size in the attempted zone."""
    ATTEMPT = "attempt"
    """The size in what was attempted: that zone, or regionally."""
    ALL_SPOT = "all spot"
    """Every size, Spot only."""
    REGION = "region"
    """Every size of the region, for now: nothing is remembered of it (§5.3, row 8)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How long, in seconds, to keep away from what (aks-machine-api.md §5.3). `spot` None means both priorities."""

    scope: Scope
    spot: bool | None
    lifetime_s: float


class LaunchState(enum.Enum):
    """What is known of one asked-for machine after its request (batching.md B9)."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDeadlines:
    """Seconds a call of the cloud port may take in all, retries and pages included, when its caller names no end."""

    list_s: float = 120.0
    create_s: float = 300.0
    delete_s: float = 120.0
    pool_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineTemplate:
    """Everything machines of one batch share: the PUT's body (aks-machine-api.md §2.3, §4.3)."""

    pool: str
    vm_size: str
    spot: bool = False
    node_labels: Mapping[str, str] = field(default_factory=frozendict)
    node_taints: tuple[str, ...] = ()
    """Sent as `nodeInitializationTaints`."""
    tags: Mapping[str, str] = field(default_factory=frozendict)
    """Tags every machine carries; a machine's own are added to them."""
    os_sku: str | None = None
    os_disk_size_gb: int | None = None
    os_disk_type: str | None = None
    orchestrator_version: str | None = None
    max_pods: int | None = None
    gpu_driver: str | None = None
    """`Install` or `None`."""
    gpu_instance_profile: str | None = None
    """`MIG1g` … `MIG7g`: every GPU is cut into instances of this size."""
    node_image_version: str | None = None
    ssh_access: str | None = None
    vnet_subnet_id: str | None = None
    spot_max_price: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """One machine of a batch: what may differ inside it (§4.3: name, zones, tags)."""

    name: str
    zone: str | None = None
    tags: Mapping[str, str] = field(default_factory=frozendict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """One chunk as it is sent: exactly one PUT, at most 50 machines (B1, B2)."""

    chunk_id: str
    template: MachineTemplate
    machines: tuple[MachineSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOutcome:
    """What became of one claim. `code` and `message` are the service's own words, set when rejected."""

    name: str
    state: LaunchState
    kind: FaultKind | None = None
    code: str = ""
    message: str = ""
    mark: Mark | None = None
    """What the service's words make unavailable beside this machine; None: they name nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkOutcome:
    """One request's life: its machines' outcomes and its timing (B6, B11). Times are seconds since the epoch."""

    chunk_id: str
    pool: str
    outcomes: tuple[LaunchOutcome, ...]
    started_at: float
    ended_at: float
    attempts: int
    puts: int = 1
    """PUTs spent on it: 1, or more where the batch was not honoured and machines went out one by one (B10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine as LIST shows it (§2.2 – §2.5)."""

    name: str
    pool: str
    provisioning_state: str
    vm_size: str = ""
    zone: str | None = None
    spot: bool = False
    node_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=frozendict)
    vm_state: str | None = None
    created_at: float | None = None
    resource_id: str | None = None
    error_kind: FaultKind | None = None
    error_code: str = ""
    error_message: str = ""
    mark: Mark | None = None
    """What its error makes unavailable beside it."""

    @property
    def is_failed(self) -> bool:
        """Its creation failed, or its VM is gone (evicted or deleted by hand); it still holds its name (§2.5, §5.3)."""
        return self.provisioning_state in {"Failed", "Canceled"} or self.vm_state == "Deleted"

    @property
    def is_deleting(self) -> bool:
        """A delete is in progress."""
        return self.provisioning_state == "Deleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineListing:
    """All machines of one pool. `complete` is False when any page failed: then absence proves nothing."""

    pool: str
    machines: tuple[Machine, ...]
    complete: bool = True
    pages: int = 1
    detail: str = ""
    answered: bool = True
    """False when no answer came at all: the service cannot be reached."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """An agent pool as the service shows it (§2.1)."""

    mode: str
    provisioning_state: str
    name: str = ""
    power_state: str = ""

    @property
    def takes_machines(self) -> bool:
        """Whether it is in Machines mode."""
        return self.mode.lower() == "machines"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOutcome:
    """What became of one `deleteMachines` request; `accepted` names read `Deleting` from now on (§7.5)."""

    pool: str
    accepted: tuple[str, ...]
    refused: tuple[LaunchOutcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """One Kubernetes node (§7.2, §7.3)."""

    name: str
    pool: str
    ready: bool
    """By the ready rule of §7.3: conditions, not unschedulable, none of the ten built-in taints."""
    cordoned: bool = False
    """Not ready for no other cause than that somebody made it unschedulable."""
    labels: Mapping[str, str] = field(default_factory=frozendict)
    provider_id: str | None = None
    private_ip: str | None = None
