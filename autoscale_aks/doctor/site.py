"""What the checks may look at; each part is opened when a check first wants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.cloud.port import CloudPort
    from autoscale_aks.config import Config
    from autoscale_aks.ledger.store import Ledger
    from autoscale_aks.model.launch import PoolView
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.service import ServiceView
    from autoscale_aks.reconcile import Observation, World
    from autoscale_aks.schedulers.port import SchedulerPort, SchedulerState


class ServicePort(Protocol):
    """The questions only `doctor` asks the cloud. Each raises AuthError, ThrottledError or another CloudError."""

    def examine(self, pool: str | None) -> ServiceView:
        """The cluster, the versions and the caller's rights; `pool` is one that exists, to try machines on."""
        ...

    def list_pool_views(self) -> tuple[PoolView, ...]:
        """Every agent pool of the cluster."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a cycle would see now, and the world it was seen through, with every bucket complete."""

    world: World
    seen: Observation
    policy: Policy


@dataclass(frozen=True, kw_only=True)
class Site:
    """One installation. The openers may raise any AutoscaleError: that is what a check then reports."""

    config: Config
    now: float
    """Seconds since the epoch."""
    open_scheduler: Callable[[], SchedulerPort] = field(repr=False)
    open_ledger: Callable[[], Ledger] = field(repr=False)
    """For reading; changes nothing on disk."""
    open_cloud: Callable[[], tuple[CloudPort, ServicePort]] = field(repr=False)
    open_look: Callable[[], Look] = field(repr=False)

    @cached_property
    def scheduler(self) -> SchedulerPort:
        """The scheduler's driver; nothing is asked yet."""
        return self.open_scheduler()

    @cached_property
    def queue(self) -> SchedulerState:
        """One look at the queue."""
        return self.scheduler.read()

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger as it is now."""
        return self.open_ledger()

    @cached_property
    def _clouds(self) -> tuple[CloudPort, ServicePort]:
        return self.open_cloud()

    @cached_property
    def look(self) -> Look:
        """One whole look, as a cycle makes it: every source is asked once more."""
        return self.open_look()

    @property
    def cloud(self) -> CloudPort:
        """The cloud's port."""
        return self._clouds[0]

    @cached_property
    def pools(self) -> tuple[PoolView, ...]:
        """Every agent pool of the cluster."""
        return self._clouds[1].list_pool_views()

    @cached_property
    def service(self) -> ServiceView:
        """The service's answers about itself."""
        usable = [pool.name for pool in self.pools if pool.takes_machines]
        ours = [name for name in usable if name in self.config.agent_pools]
        return self._clouds[1].examine(next(iter((*ours, *usable)), None))
