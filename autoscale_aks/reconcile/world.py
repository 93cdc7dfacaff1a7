"""The ports one cycle works with; everything that is not a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.clock import Clock
    from autoscale_aks.cloud.azure.port import ReferencePort
    from autoscale_aks.cloud.port import CloudPort
    from autoscale_aks.config import Config
    from autoscale_aks.ledger.store import Ledger
    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.reconcile.catalogue import Equipment
    from autoscale_aks.schedulers.port import SchedulerPort


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Who is asked and told. `machines_per_put` is what the wire's header budget allows (batching.md B5)."""

    config: Config
    scheduler: SchedulerPort
    cloud: CloudPort
    ledger: Ledger
    clock: Clock
    machines_per_put: int
    reads_cluster_nodes: bool
    """Whether the Kubernetes API can be asked for node readiness."""
    kinds: Kinds
    new_plan_id: Callable[[], str]
    reference: ReferencePort | None = None
    """Sizes, quota, prices, addresses; None: only the configuration speaks of them."""
    equipment: Equipment | None = None
    """What this cycle knows of sizes and prices, once they were looked up; `config` is complete then."""
    halted: Callable[[], str | None] = lambda: None
    """Why no further request may go out (a signal, a deadline); None while they may."""
