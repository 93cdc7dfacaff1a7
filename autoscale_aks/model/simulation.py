"""What a simulated run of a workload came to (user ask T26b). Times are seconds since the run began."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

Steps = tuple[tuple[float, int], ...]
"""A number that changes now and then: from each moment on it is so much, until the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStory:
    """One job's way through the queue."""

    name: str
    arrived_s: float
    started_s: float | None = None
    """None: it never started."""
    ended_s: float | None = None
    nodes: int = 0
    restarts: int = 0
    """How often its machines were taken away, so that it began anew."""

    @property
    def waited_s(self) -> float | None:
        """From its arrival to its last start; None when it never started."""
        return None if self.started_s is None else self.started_s - self.arrived_s


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStory:
    """One machine's life, as it is billed: from its creation until it is gone."""

    name: str
    nodearray: str
    vm_size: str
    made_s: float
    gone_s: float
    busy_s: float
    """With at least one job."""
    cores: int
    price: Fraction | None
    """An hour; None is unknown, never free."""

    @property
    def hours(self) -> float:
        """Machine-hours."""
        return (self.gone_s - self.made_s) / 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The whole run."""

    jobs: tuple[JobStory, ...]
    machines: tuple[MachineStory, ...]
    cycles: int
    ended_s: float
    failed_cycles: int = 0
    """Cycles that ended with an error of scheduler, cloud or ledger."""
    peak_cores: Mapping[str, int] = field(default_factory=frozendict)
    """VM family → most vCPUs at once: what quota it takes."""

    @property
    def unfinished(self) -> tuple[JobStory, ...]:
        """Jobs that had not ended when the run did."""
        return tuple(job for job in self.jobs if job.ended_s is None)

    def waited(self, share: float) -> float | None:
        """The waiting time that this share of the jobs that started did not exceed; None when none started."""
        waits = sorted(job.waited_s for job in self.jobs if job.waited_s is not None)
        return waits[max(math.ceil(share * len(waits)) - 1, 0)] if waits else None

    @property
    def count(self) -> Steps:
        """Machines over time."""
        moves = sorted(
            [(one.made_s, 1) for one in self.machines] + [(one.gone_s, -1) for one in self.machines],
            key=lambda move: move[0],
        )
        steps: dict[float, int] = {0.0: 0}
        now = 0
        for at, change in moves:
            now += change
            steps[at] = now
        return tuple(steps.items())

    @property
    def peak(self) -> int:
        """Most machines at once."""
        return max((count for _, count in self.count), default=0)

    @property
    def machine_hours(self) -> float:
        """Of all machines."""
        return sum(one.hours for one in self.machines)

    @property
    def busy_hours(self) -> float:
        """Machine-hours with at least one job."""
        return sum(one.busy_s for one in self.machines) / 3600.0

    @property
    def waste(self) -> float:
        """The share of machine-hours without any job: booting, idle, leaving."""
        return 0.0 if not self.machine_hours else 1.0 - self.busy_hours / self.machine_hours

    @property
    def cost(self) -> float | None:
        """What the machines would have cost; None when a price is unknown."""
        if any(one.price is None for one in self.machines):
            return None
        return sum(float(one.price or 0) * one.hours for one in self.machines)
