"""The whole decision as a value: dry run prints it, `reconcile.apply` carries it out."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.errors import Problem
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.job import Job
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.reason import Binding, LimitKind, Reason
    from autoscale_aks.units import Value


class JobStatus(enum.Enum):
    """How far a job was placed."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What became of one job record. Equal outcomes are shared objects."""

    status: JobStatus
    requested: int
    slots: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Placement:
    """`slots_each` slots of one job on each of the nodes `first_node … first_node + nodes - 1`.

    Nodes are numbered: the snapshot's nodes, then its unmanaged nodes, then the plan's claims.
    """

    job: int
    first_node: int
    nodes: int
    slots_each: int


@dataclass(frozen=True, slots=True)
class NodeClaim:
    """A machine we want: a deterministic name in a bucket."""

    name: str
    bucket: Bucket


@dataclass(frozen=True, slots=True)
class LaunchBatch:
    """One chunk: machines that share one template; exactly one PUT (batching.md B1, B6)."""

    chunk_id: str
    bucket: Bucket
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wave:
    """`workers` equal chunks of `per_worker` machines of one bucket (batching.md B1)."""

    bucket: Bucket
    per_worker: int
    batches: tuple[LaunchBatch, ...]

    @property
    def workers(self) -> int:
        """Chunks in the wave."""
        return len(self.batches)


@dataclass(frozen=True, slots=True)
class BucketOutcome:
    """What a bucket could take before and after, and which limit binds it now."""

    bucket: Bucket
    available_before: int | None
    """New nodes the limits allowed at the start; None: nothing binds."""
    available_after: int | None
    new_nodes: int
    binding: Binding | None


class ReleaseCause(enum.Enum):
    """Why a machine is to leave."""

    IDLE = "idle"
    FAILED = "failed"
    BOOT_TIMEOUT = "boot timeout"
    LOST = "lost"
    """It was ready and has not been for longer than the boot timeout."""
    LATE = "late success"
    """It was believed refused or gone, came all the same, and nothing wants it."""
    SURPLUS = "surplus of a gang"
    BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Release:
    """A machine to be closed in the scheduler, checked again, and deleted."""

    node: Node
    cause: ReleaseCause
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class SlotPrice:
    """One dual value of a bound: what a slot of a class is worth on a new node."""

    job: int
    """A job of the class, by number."""
    slots: int
    """Slots that had to be bought room for."""
    price: Fraction
    buckets: tuple[Bucket, ...] | None = None
    """Where they may be, by the preference they kept (P2); None: wherever the job fits."""


@dataclass(frozen=True, slots=True)
class LimitPrice:
    """One dual value of a bound: what a unit of a limit is worth; 0 where it does not bind."""

    kind: LimitKind
    name: str
    left: int
    """What is left for the nodes that are bought."""
    price: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How far the claims' price can be from the least there is (issue: every plan carries its proof).

    `bound` is `kept` + Σ slots × price − Σ left × price of limits. It holds when no node of any bucket can hold more
    worth of slots (no more of any than are wanted) than the node and what it takes of limits cost, which can be checked
    bucket by bucket. Prices are per hour. For which problem it is a bound: docs/calculations.md, Cost.
    """

    cost: Fraction
    bound: Fraction
    kept: Fraction
    """Price of new nodes that stand as they were placed: gangs and whatever else no price can decide on."""
    slots: tuple[SlotPrice, ...] = ()
    limits: tuple[LimitPrice, ...] = ()
    rules: Mapping[str, Fraction | None] = field(default_factory=frozendict)
    """What each simple rule would pay for the same slots; None: limits leave some over."""
    method: str = "placed"
    """What made the plan: a rule's name, `columns`, or `placed`."""
    is_without_solver: bool = False
    """Whether nothing cheaper was sought because HiGHS, the extra `optimize`, is not installed."""

    @property
    def gap(self) -> Fraction:
        """How much dearer than the bound, as a share of it; 0 where nothing is bought."""
        return (self.cost - self.bound) / self.bound if self.bound else Fraction(int(self.cost > 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The complete decision for one snapshot."""

    jobs: Sequence[Job]
    outcomes: Sequence[JobOutcome]
    placements: Sequence[Placement]
    claims: Sequence[NodeClaim]
    waves: Sequence[Wave]
    releases: tuple[Release, ...] = ()
    withheld: tuple[Release, ...] = ()
    """Releases that the brake on mass deletes holds back until a second cycle agrees."""
    buckets: tuple[BucketOutcome, ...] = ()
    nodes: tuple[Node, ...] = ()
    unmanaged_nodes: tuple[Node, ...] = ()
    left: Sequence[Mapping[str, Value]] = ()
    """What is left on each node after the plan, numbered as in `Placement`."""
    shared_left: Mapping[str, Value] = field(default_factory=frozendict)
    problems: tuple[Problem, ...] = ()
    certificate: Certificate | None = None
    """With the objective `cost`, when every price is known."""

    @property
    def puts(self) -> int:
        """Requests the claims cost: one a chunk."""
        return sum(wave.workers for wave in self.waves)

    @property
    def price_per_hour(self) -> Fraction | None:
        """What the claims cost an hour; None when a price is unknown."""
        total = Fraction(0)
        for outcome in self.buckets:
            if outcome.new_nodes:
                if outcome.bucket.offering.price is None:
                    return None
                total += outcome.bucket.offering.price * outcome.new_nodes
        return total
