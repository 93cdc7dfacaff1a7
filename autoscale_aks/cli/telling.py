"""A scheduler that tells what it is asked for, one line a call, so that a cycle can be followed in the log (T28b)."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, final

from autoscale_aks.collector import paused_collector
from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.port import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from autoscale_aks.clock import Clock
    from autoscale_aks.schedulers.port import NewNode, NodeRequest, SchedulerPort, SchedulerState

log: Final = logging.getLogger("autoscale_aks.scheduler")
_SHOWN: Final = 5


@final
class TellingScheduler:
    """The scheduler behind it, with a line at DEBUG for reads and at INFO for changes; failures at WARNING.

    One that `only_looks` is for a person, whom the verb itself then tells why a read failed: that line is of INFO.
    """

    def __init__(self, scheduler: SchedulerPort, clock: Clock, *, only_looks: bool = False) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._failed_at = logging.INFO if only_looks else logging.WARNING

    def __getattr__(self, name: str) -> Any:
        """What a scheduler can do beside the port."""
        return getattr(self._scheduler, name)

    def read(self) -> SchedulerState:
        """Jobs and nodes in one look."""
        begun = self._clock.now()
        with self._told("read", ()), paused_collector():  # a large queue is a hundred thousand objects that stay
            state = self._scheduler.read()
        log.debug(
            "read in %.3f s: %d job records, %s nodes%s",
            self._clock.now() - begun,
            len(state.jobs),
            "no" if state.nodes is None else len(state.nodes),
            "" if state.complete else ", not complete",
        )
        return state

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Make nodes known."""
        with self._told("add", [node.name for node in nodes]):
            self._scheduler.add_nodes(nodes)

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        """Keep new work off these nodes."""
        with self._told("close", names):
            return self._scheduler.close_nodes(names, reason)

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Undo `close_nodes`."""
        with self._told("reopen", names):
            self._scheduler.reopen_nodes(names)

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Forget nodes."""
        with self._told("remove", names):
            self._scheduler.remove_nodes(names)

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """Take note that these requests are met or void."""
        with self._told("settle", [request.name for request in requests]):
            self._scheduler.settle_requests(requests)

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:
        """Write why jobs wait."""
        with self._told("explain", ()):
            return self._scheduler.explain_jobs(reasons)

    def version(self) -> str:
        """Its version; empty where it cannot say. Stated here, for a check against a protocol sees no `__getattr__`."""
        return version_of(self._scheduler)

    @contextmanager
    def _told(self, what: str, names: Sequence[str]) -> Iterator[None]:
        shown = ", ".join(map(str, names[:_SHOWN])) + (" …" if len(names) > _SHOWN else "")
        try:
            yield
        except SchedulerError as error:
            log.log(self._failed_at, "%s failed: %s", what, error)
            raise
        if names:
            log.info("%s %d nodes: %s", what, len(names), shown)
