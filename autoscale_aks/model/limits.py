"""What may be used at most (matching.md L1), as numbers; the tree over them is built by the planner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from autoscale_aks.units import Value


@dataclass(frozen=True, slots=True)
class CoreQuota:
    """Cores the subscription may use, and cores used by others than the nodes of the snapshot."""

    quota_cores: int
    used_elsewhere_cores: int = 0
    source: str = ""
    """Who says so; empty: the site's own configuration."""
    age_s: float | None = None
    """Seconds since it was true; None: it does not age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that stand above node arrays. What is absent does not bind (L4)."""

    cluster_max_cores: int | None = None
    cluster_max_nodes: int | None = None
    regions: Mapping[str, CoreQuota] = field(default_factory=frozendict)
    spot_regions: Mapping[str, CoreQuota] = field(default_factory=frozendict)
    families: Mapping[str, Mapping[str, CoreQuota]] = field(default_factory=frozendict)
    """Region, then VM family."""
    pools: Mapping[str, int] = field(default_factory=frozendict)
    """Agent pool → most machines in it."""
    subnets: Mapping[str, CoreQuota] = field(default_factory=frozendict)
    """Agent pool → addresses of its subnet: how many there are, and how many others than our nodes hold."""
    subnet_names: Mapping[str, str] = field(default_factory=frozendict)
    """Agent pool → its subnet, by which pools share one."""
    addresses_per_node: int = 1
    budget_per_hour: Fraction | None = None
    """What all nodes together may cost an hour (user ask T27d)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedResource:
    """A licence pool (`current` left of `initial`) or a shared value; exact, shared by all buckets (C5)."""

    initial: Value = None
    current: Value = None
    value: Value = None
