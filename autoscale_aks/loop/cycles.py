"""Cycles one after another, with nothing between them but time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.reconcile import CycleReport, Progress, World


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
