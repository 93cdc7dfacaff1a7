"""Jobs as the scheduler printed them, and the shape many of them share."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.errors import Problem


class PackingStrategy(enum.Enum):
    """How slots spread over nodes (matching.md A0)."""

    PACK = "pack"
    SCATTER = "scatter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One part of a job of several chunks, all or none of which are placed (A6)."""

    constraints: tuple[Mapping[str, Any], ...] = ()
    iterations: int = 1
    node_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobShape:
    """What one job needs. Jobs that need the same share one shape object; it is compiled once.

    `constraints` is the JSON as written (contract matching.md §5), parsed when the plan is made, so that a
    malformed one makes its own jobs `INVALID` and nothing else.
    """

    constraints: tuple[Mapping[str, Any], ...] = ()
    iterations: int = 1
    node_count: int = 0
    colocated: bool = False
    packing_strategy: PackingStrategy | None = None
    chunks: tuple[Chunk, ...] = ()
    slots: int = field(init=False)
    """Slots (or nodes) one job asks for; the sum over its chunks when it has some."""

    def __post_init__(self) -> None:
        whole = self.node_count or self.iterations
        parts = sum(chunk.node_count or chunk.iterations for chunk in self.chunks)
        object.__setattr__(self, "slots", parts if self.chunks else whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One record of the queue: `count` independent jobs of one shape (an array is one record, never one a task)."""

    name: str
    shape: JobShape
    count: int = 1
    runnable: bool = True
    not_runnable_reason: str = ""
    priority: float = 0.0
    queue: str = ""
    user: str = ""
    executing_hostnames: tuple[str, ...] = ()
    path: str = ""
    """Where it stood in the input (`jobs[3]`), for error messages."""
    is_headroom: bool = False
    """It stands for room that is kept free; no scheduler has it (user ask T21)."""
    problem: Problem | None = field(default=None)
    """Set when this record cannot be read; it is then answered `INVALID` and the rest is planned."""

    @property
    def requested(self) -> int:
        """Slots asked for, or nodes where the shape counts nodes (scenario.md, Out)."""
        return self.count * self.shape.slots
