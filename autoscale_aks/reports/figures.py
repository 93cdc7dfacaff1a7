"""What the demand report says, as frozen values: prices an hour, times in seconds. Faces are rendered from these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoscale_aks.reports.costs import CostReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from autoscale_aks.reports.fleet import FleetRow
    from autoscale_aks.reports.limits import LimitRow


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRow:
    """New machines of one bucket."""

    bucket: str
    machines: int
    waves: str
    """`6×49 + 1×1`: workers × machines a PUT."""
    puts: int
    price_per_hour: Fraction | None
    more: int | None = None
    """New machines that limits would still allow after the plan; None: nothing binds."""
    binding: str = ""
    """The limit that allows the fewest (`node array nodes htc`); empty: none."""


@dataclass(frozen=True, slots=True)
class StopRow:
    """Machines that are to leave for one cause."""

    bucket: str
    machines: int
    cause: str
    idle_s: float | None
    """The longest idle time among them."""
    price_per_hour: Fraction | None = None
    """What they cost until they leave."""


@dataclass(frozen=True, slots=True)
class WaitRow:
    """Waiting jobs that share a reason."""

    code: str
    jobs: int
    slots: int
    message: str
    next_action: str
    examples: tuple[str, ...]
    key: str = ""
    """What tells this reason from others from one report to the next: the code and the limit or the sentence."""
    members: Sequence[int] = ()
    """Which of the plan's jobs."""


@dataclass(frozen=True, slots=True)
class RoomRow:
    """Room that is kept free for jobs to come; it stands in no scheduler."""

    name: str
    slots: int
    placed: int
    machines: int
    """New machines that are for this room alone."""
    price_per_hour: Fraction | None
    message: str
    """What stands in the way; empty when nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightRow:
    """Machines of one bucket that are asked for and not ready, or that are leaving."""

    bucket: str
    stage: str
    """`planned`, `in-flight` or `draining`; `lost` for one that was ready and is not."""
    state: str
    """The scheduler's or the cloud's word for most of them."""
    machines: int
    oldest_s: float | None
    """Seconds since the oldest was asked for; None: not known."""
    expected_s: float | None
    """Seconds until the last is ready, by how long machines of this bucket took lately; 0: overdue; None: not known."""
    given_up_s: float | None
    """Seconds until the first is given up; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRow:
    """Demand of one bucket against its limits, in machines."""

    bucket: str
    there: int
    """Machines that exist or are in flight and are not leaving."""
    new: int
    """Machines that would start."""
    beyond: int
    """Machines that what waits would take here if limits allowed it."""
    more: int | None
    """Machines that limits still allow after the plan; None: nothing binds."""
    binding: str
    """The limit that allows the fewest; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One place the report was read from."""

    name: str
    complete: bool
    age_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandReport:
    """What would start, what would stop, what waits and why, what is in flight, and what it costs."""

    jobs: int
    """Job records looked at; an array is one."""
    slots: int
    """Slots (or nodes, where a job counts nodes) asked for in all."""
    placed_slots: int
    starts: tuple[StartRow, ...]
    stops: tuple[StopRow, ...]
    waits: tuple[WaitRow, ...]
    ready_nodes: int
    in_flight_nodes: int
    puts: int
    machines: int
    price_per_hour: Fraction | None
    """Of the machines that would start; None when one of the prices is not known."""
    notes: tuple[str, ...] = ()
    room: tuple[RoomRow, ...] = ()
    flights: tuple[FlightRow, ...] = ()
    limits: tuple[LimitRow, ...] = ()
    """Empty when the report was made without a policy."""
    buckets: tuple[BucketRow, ...] = ()
    """Buckets that have, get or want machines."""
    actions: tuple[str, ...] = ()
    """What to do so that more of the queue is served, each thing once, the most slots first."""
    fleet: tuple[FleetRow, ...] = ()
    costs: CostReport = CostReport()
    """Prices of what would start, of every machine there is, of idle and protected ones, and of each job."""
    dearest: tuple[tuple[str, Fraction], ...] = ()
    """Jobs whose share of machines costs most, with it, an hour."""
    waiting_jobs: int = 0
    waiting_slots: int = 0
    at: float | None = None
    """When it was seen, in seconds since the epoch."""
    sources: tuple[SourceRow, ...] = ()
    cost_certificate: str = ""
    """How far the plan's price can be from the cheapest there is, in a sentence; empty: nobody proved it."""

    @property
    def would_change(self) -> bool:
        """Whether a cycle would start or stop machines now."""
        return bool(self.machines or self.stops)

    @property
    def idle_nodes(self) -> int:
        """Ready machines without work now, on which this plan places none either."""
        return self.costs.idle.machines

    @property
    def protected_nodes(self) -> int:
        """Machines that no delete path touches."""
        return self.costs.protected.machines

    @property
    def stopping(self) -> int:
        """Machines that would stop."""
        return sum(row.machines for row in self.stops)
