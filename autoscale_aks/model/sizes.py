"""Facts about VM sizes, what the subscription may use of them, and what they cost, each with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Generic, TypeVar

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeFacts:
    """What one source says of a VM size. None is "does not say", never zero or false (aks-machine-api.md §9.1)."""

    name: str
    family: str | None = None
    """The quota family as Azure writes it."""
    arch: str | None = None
    """`amd64` or `arm64`."""
    vcpus: int | None = None
    """What counts against quota: the parent's for constrained-core sizes (matching.md L2)."""
    vcpus_available: int | None = None
    """What a job can use."""
    vcpus_per_core: int | None = None
    sockets: int | None = None
    numa_nodes: int | None = None
    memory_gib: Fraction | None = None
    gpus: int | None = None
    gpu_model: str | None = None
    gpu_share: Fraction | None = None
    """The part of one GPU that a fractional size has."""
    rdma: bool | None = None
    rdma_gbps: int | None = None
    local_disk_mib: int | None = None
    nvme_disk_mib: int | None = None
    ephemeral_os_disk: bool | None = None
    premium_io: bool | None = None
    accelerated_networking: bool | None = None
    spot_capable: bool | None = None
    max_data_disks: int | None = None
    zones: tuple[str, ...] | None = None
    """Zones of the location that may be asked for, restricted ones left out."""
    retired: bool | None = None


FACT_NAMES: tuple[str, ...] = tuple(one.name for one in fields(SizeFacts) if one.name != "name")
"""The fields of `SizeFacts` that a source may say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSize:
    """A size as the resource-SKU API lists it for one location, with what the subscription may not have of it."""

    facts: SizeFacts
    restriction: str | None = None
    """Why the whole size cannot be used here (`NotAvailableForSubscription`, `QuotaId`); None: it can."""
    barred_zones: Mapping[str, str] = field(default_factory=frozendict)
    """Zone → why the size cannot be used in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSize:
    """Everything that is known of a size in one location, and whose word each fact is (user ask T17a)."""

    facts: SizeFacts
    sources: Mapping[str, str] = field(default_factory=frozendict)
    """Fact → `resource SKU API`, `packaged`, …"""
    restriction: str | None = None
    barred_zones: Mapping[str, str] = field(default_factory=frozendict)
    is_listed: bool | None = None
    """Whether the location's live list has it; None: there is no such list."""
    is_packaged: bool = False

    @property
    def is_known(self) -> bool:
        """Whether machines of it can be planned: cores and memory are known."""
        return self.facts.vcpus is not None and self.facts.memory_gib is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One counter of `usages`: vCPUs in use by the whole subscription, and how many there may be (§9.2)."""

    name: str
    """As Azure writes it; compare with `family_key`."""
    current: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePrices:
    """Prices of one size in one location, USD an hour; None: not listed."""

    regular: Fraction | None = None
    spot: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetView:
    """Addresses of one subnet; Azure's five reserved ones a prefix are taken off `usable`."""

    id: str
    usable: int
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """What an agent pool says that limits its machines."""

    name: str
    takes_machines: bool
    count: int | None = None
    """Nodes of a scale-set pool; pools in Machines mode do not say."""
    subnet_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[T]):
    """What one source said, when, and why it is no fresher."""

    value: T | None
    source: str = ""
    """`resource SKU API`, `usages API`, …; empty when there is no value."""
    taken_at: float | None = None
    """Seconds since the epoch."""
    is_stale: bool = False
    """Older than it should be, because the source could not be asked."""
    detail: str = ""
    """Why there is no fresh answer; empty when there is one."""

    def age_s(self, now: float) -> float | None:
        """Seconds since it was true; None when there is nothing."""
        return None if self.taken_at is None else max(0.0, now - self.taken_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRule:
    """How one source is asked. Seconds."""

    live: bool = True
    """Whether it is asked at all."""
    max_age_s: float = 3600.0
    """An answer that is not older is not asked for again."""
    deadline_s: float = 30.0
    """How long one question may take in all, pages and retries included."""
    refresh_s: float = math.inf
    """How long it is waited for at most where an older answer is at hand: the cycle goes on with that one."""
    first_s: float = math.inf
    """How long a cycle waits for it at most where there is none; the question itself goes on until its deadline."""
    retry_s: float = 300.0
    """After a failure it is not asked again for so long."""
