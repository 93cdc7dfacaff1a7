"""One act by hand, recorded as a cycle of its own, so that the ledger knows who did what under which plan id."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autoscale_aks.reconcile.observe import observe
from autoscale_aks.reconcile.recording import record_sightings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

BY_HAND = "by hand"
"""Status of such cycles in the ledger."""


@dataclass(slots=True)
class Act:
    """What an act sees, and what it leaves in the ledger's line about it."""

    plan_id: str
    seen: Observation
    summary: dict[str, object] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


@contextmanager
def acting(world: World, verb: str) -> Iterator[Act]:
    """Look at everything as a cycle does, and write down what was seen; the caller holds the writer's lock.

    Raises SchedulerError when the scheduler cannot be read, and LedgerError; nothing was done then. An act that is
    killed or fails is `interrupted` in the ledger, as a cycle would be.
    """
    plan_id = world.new_plan_id()
    world.ledger.begin_cycle(plan_id, world.clock.now())
    seen = observe(world)
    act = Act(plan_id=plan_id, seen=seen, notices=record_sightings(world, seen))
    yield act
    world.ledger.end_cycle(plan_id, world.clock.now(), BY_HAND, {"verb": verb, **act.summary})
