"""What one look at scheduler, cloud, cluster and ledger gave: values only, known to all that follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.ledger.guards import Circuit, Protection, SmallSize
    from autoscale_aks.ledger.observations import ObservedSize
    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.launch import LaunchOutcome
    from autoscale_aks.model.snapshot import BackOff, Snapshot, Source
    from autoscale_aks.schedulers.port import NodeRequest


SCHEDULER: Final = "scheduler"
"""The name of that source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """The scheduler's wishes, put beside what the ledger knows."""

    powered: frozenset[str] = frozenset()
    """Node arrays whose machines come and go by request alone."""
    wanted: Mapping[str, tuple[NodeRequest, ...]] = field(default_factory=frozendict)
    """Node array → what is to be made now, by number."""
    unwanted: Mapping[str, NodeRequest] = field(default_factory=frozendict)
    """Machines that are to go."""
    met: tuple[NodeRequest, ...] = ()
    """What needs nothing more."""
    notices: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Machines that are to be made now."""
        return tuple(request.name for requests in self.wanted.values() for request in requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A snapshot, and what `apply` needs of the sources it was made from."""

    snapshot: Snapshot
    records: Mapping[str, MachineRecord]
    """Every machine that is ours, by name."""
    unrecorded: tuple[MachineRecord, ...] = ()
    """Machines that carry our mark but were not in the ledger: to be adopted (user ask T33d)."""
    gone: tuple[str, ...] = ()
    closing: tuple[str, ...] = ()
    """Machines whose delete protocol an earlier cycle began."""
    back_offs: Mapping[BackOff, str] = field(default_factory=frozendict)
    """Buckets whose machines were found failed for capacity or quota, with the reason; in force at once."""
    failed: tuple[LaunchOutcome, ...] = ()
    """Machines whose creation failed after it was accepted, with the service's own words, or that did not boot."""
    ready: Mapping[str, str] = field(default_factory=frozendict)
    """Ready machines and their node names."""
    listed: frozenset[str] = frozenset()
    provisioned: frozenset[str] = frozenset()
    """Machines whose VM is made."""
    registered: frozenset[str] = frozenset()
    """Machines whose node the cluster or the scheduler knows."""
    lost: Mapping[str, float] = field(default_factory=frozendict)
    """Machines that were ready and are not, and since when."""
    scheduler_names: Mapping[str, str] = field(default_factory=frozendict)
    """Machine → the scheduler's name of its node."""
    closed_by_others: frozenset[str] = frozenset()
    """Machines whose nodes somebody else has closed, as far as ledger and driver can tell: never opened by us."""
    reports_nodes: bool = True
    """Whether the scheduler shows nodes at all."""
    protections: Mapping[str, Protection] = field(default_factory=frozendict)
    turned: tuple[Circuit, ...] = ()
    """Boot circuits that changed with this look; in force at once."""
    small: tuple[SmallSize, ...] = ()
    """Machines that were not known yet to have less than promised."""
    shown: tuple[ObservedSize, ...] = ()
    """What machines turned out to have, where it was not known yet (user ask T18a)."""
    doubted: Mapping[str, float] = field(default_factory=frozendict)
    """Lists that lost most of what they had, and since when."""
    listed_whole: frozenset[str] = frozenset()
    """Pools whose list was whole for the first time since the ledger was begun."""
    proposals: frozenset[str] = frozenset()
    """Machines that the cycle before wanted to release."""
    requested: Requested = field(default_factory=Requested)
    """What the scheduler itself wants up or down, by name."""
    takes_reasons: int = 0
    """How many reasons may be written to jobs in this cycle."""
    notices: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    """The agent pools that were looked at."""
    others: Mapping[str, int] = field(default_factory=frozendict)
    """Counter of Azure → what others than us use of it, for the next look."""
    references: tuple[Source, ...] = ()
    """What sizes, prices and quota were read from, and how old it is (user ask T27a)."""

    @property
    def failed_in_cloud(self) -> frozenset[str]:
        """Machines whose creation failed, or whose VM is gone."""
        return frozenset(node.name for node in self.snapshot.nodes if node.is_failed)

    @property
    def is_scheduler_whole(self) -> bool:
        """Whether the scheduler's answer was whole and believed: only then its silence about a node says something."""
        return all(source.complete for source in self.snapshot.sources if source.name == SCHEDULER)
