"""What may be used at most (matching.md L1), as numbers; the tree over them is built by the planner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.units import Value


@dataclass(frozen=True, slots=True)
class CoreQuota:
    """Cores the subscription may use, and cores used by others than the nodes of the snapshot."""

    quota_cores: int
    used_elsewhere_cores: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that stand above node arrays. What is absent does not bind (L4)."""

    cluster_max_cores: int | None = None
    cluster_max_nodes: int | None = None
    regions: Mapping[str, CoreQuota] = field(default_factory=frozendict)
    spot_regions: Mapping[str, CoreQuota] = field(default_factory=frozendict)
    families: Mapping[str, Mapping[str, CoreQuota]] = field(default_factory=frozendict)
    """Region, then VM family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedResource:
    """A licence pool (`current` left of `initial`) or a shared value; exact, shared by all buckets (C5)."""

    initial: Value = None
    current: Value = None
    value: Value = None
