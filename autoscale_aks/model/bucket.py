"""Node arrays, what they offer, and buckets (matching.md §1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from autoscale_aks.units import Size, Value

DEFAULT_GROUP_SIZE = 100
"""`max_placement_group_size` when nothing is said (scenario.md, defaults)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """One VM size that a node array offers: an entry of its `buckets` in a scenario."""

    vm_size: str
    vcpu_count: int
    memory: Size
    pcpu_count: int
    quota_vcpus: int
    """vCPUs that count against quota: the parent's for constrained-core sizes (L2)."""
    vm_family: str
    gpu_count: int = 0
    gpu_model: str | None = None
    cores_per_socket: int | None = None
    infiniband: bool = False
    arch: str | None = None
    zone: str | None = None
    price: Fraction | None = None
    """Per hour, in the price list's currency; None is unknown, never free."""
    max_count: int | None = None
    available_count: int | None = None
    """New nodes the source says are to be had now; binds beside `max_count`."""
    restriction: str | None = None
    """Why the subscription may make no new node of it (user ask T17e); None: it may."""
    placement_groups: tuple[str, ...] = ()
    max_placement_group_size: int = DEFAULT_GROUP_SIZE
    last_capacity_failure: float | None = None
    """Seconds since the last capacity failure; None: none known."""
    vm_capabilities: Mapping[str, Value] = field(default_factory=frozendict)
    observed: Mapping[str, Value] = field(default_factory=frozendict)
    """Resources that its machines turned out to have less of than promised, with what they have (user ask T03c)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeArray:
    """A named family of nodes with common settings; on AKS one agent pool (or one a placement group)."""

    name: str
    agent_pool: str
    location: str
    spot: bool = False
    priority: int = 1
    enabled: bool = True
    max_count: int | None = None
    max_core_count: int | None = None
    budget_per_hour: Fraction | None = None
    """What its nodes together may cost an hour (user ask T27d)."""
    max_creates_per_cycle: int | None = None
    """Most new machines in one cycle, beside the policy's cap over all arrays (user ask T03d)."""
    min_nodes: int = 0
    """Machines there are at least, with or without work (user ask T21a)."""
    new_placement_groups: bool = False
    resources: Mapping[str, Value] = field(default_factory=frozendict)
    software_configuration: Mapping[str, Any] = field(default_factory=frozendict)
    offerings: tuple[Offering, ...] = ()


@dataclass(frozen=True, slots=True)
class Bucket:
    """One launchable choice: node array × VM size × location and zone × regular/spot × placement group."""

    array: NodeArray
    offering: Offering
    placement_group: str | None = None

    @property
    def key(self) -> tuple[str, str, str | None, str | None]:
        """What tells buckets of one configuration apart."""
        return (self.array.name, self.offering.vm_size, self.offering.zone, self.placement_group)

    @property
    def id(self) -> str:
        """The key as text, `htc/Standard_D4s_v5:1/pg0` with zone and group where it has them."""
        zone = f":{self.offering.zone}" if self.offering.zone else ""
        group = f"/{self.placement_group}" if self.placement_group else ""
        return f"{self.array.name}/{self.offering.vm_size}{zone}{group}"

    @property
    def vm_size(self) -> str:
        """The VM size's name."""
        return self.offering.vm_size


def expand_buckets(array: NodeArray) -> tuple[Bucket, ...]:
    """Every bucket of an array in configuration order: each size ungrouped first, then its groups (A5)."""
    return tuple(
        Bucket(array, offering, group) for offering in array.offerings for group in (None, *offering.placement_groups)
    )
