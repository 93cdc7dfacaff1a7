"""Running cycles: one writer at a time, once or at an interval, stopping only between requests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from autoscale_aks.ledger.lock import WriterLock
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from autoscale_aks.clock import Clock
    from autoscale_aks.reconcile import CycleReport, Progress, World


@contextmanager
def writing_ledger(path: Path, owner: str, pid: int, clock: Clock) -> Iterator[Ledger]:
    """The ledger, opened for writing under the writer's lock.

    Raises LockHeldError at once when another run holds it (user ask T33a), LedgerError when it cannot be used.
    """
    with (
        WriterLock(path, owner=owner, now=clock.now(), pid=pid),
        Ledger.open(path, now=clock.now()) as ledger,
    ):
        yield ledger


def run_until(
    world: World,
    done: Callable[[CycleReport], bool],
    *,
    interval_s: float,
    cycles: int,
    progress: Progress | None = None,
) -> list[CycleReport]:
    """Cycles at an interval until `done` says so, at most `cycles` of them."""
    reports: list[CycleReport] = []
    while len(reports) < cycles:
        if reports:
            world.clock.sleep(interval_s)
        reports.append(run_cycle(world, progress))
        if done(reports[-1]):
            break
    return reports
