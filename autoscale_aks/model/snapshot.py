"""Everything one planning decision may look at, seen at one instant (contract scenario.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frozendict import frozendict

from autoscale_aks.model.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.errors import Problem
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.model.job import Job
    from autoscale_aks.model.limits import SharedResource
    from autoscale_aks.model.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSeries:
    """How new machines of a node array are named: `prefix` and the lowest free number from `start` on.

    In a scenario `taken` holds the numbers in use. Live, names never come back: `start` is the ledger's next
    number and the prefix carries the ownership mark.
    """

    prefix: str
    start: int = 1
    taken: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """A bucket that must not be asked for now; None in a field means "any"."""

    code: str
    """`CAPACITY_BACKOFF` or `BOOT_CIRCUIT_OPEN`."""
    until: float | None = None
    nodearray: str | None = None
    vm_size: str | None = None
    zone: str | None = None
    spot: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Why the cloud cannot be asked now, or not for some buckets."""

    auth: str | None = None
    throttled_until: float | None = None
    back_offs: tuple[BackOff, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place the snapshot was read from: its age in seconds and whether the answer was complete."""

    name: str
    complete: bool = True
    age_s: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The input of a plan. Two equal snapshots give the same plan, byte for byte (P5)."""

    name: str = ""
    now: float | None = None
    """Seconds since the epoch; None: rules about age do not apply."""
    default_resources: tuple[Mapping[str, Any], ...] = ()
    disable_default_resources: bool = False
    limits: Limits = Limits()
    nodearrays: tuple[NodeArray, ...] = ()
    nodes: tuple[Node, ...] = ()
    unmanaged_nodes: tuple[Node, ...] = ()
    shared_resources: Mapping[str, SharedResource] = field(default_factory=frozendict)
    jobs: tuple[Job, ...] = ()
    naming: Mapping[str, NameSeries] = field(default_factory=frozendict)
    blocked: Blocked = Blocked()
    sources: tuple[Source, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Records that were left out (a bad node, a bad bucket); reported beside the answer."""
