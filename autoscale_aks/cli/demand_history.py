"""What the ledger remembers of machines, as the demand report's timeline and boot times."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

from autoscale_aks.ledger.records import MachineState
from autoscale_aks.reports.timeline import Life, TimelinePoint, draw_timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.ledger.records import MachineRecord

DAY_S: Final = 86_400.0
"""How far back the timeline looks."""
_LATELY: Final = 20
"""Boots of one size that its usual boot time is taken from."""


def boot_seconds(records: Iterable[MachineRecord]) -> Mapping[tuple[str, str], float]:
    """By node array and VM size, the median seconds from the request until its latest machines were ready."""
    boots: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for record in records:
        if record.ready_at is not None and record.ready_at > record.asked_at:
            took = record.ready_at - record.asked_at
            boots.setdefault((record.nodearray, record.vm_size), []).append((record.ready_at, took))
    return {key: median(took for _, took in sorted(found)[-_LATELY:]) for key, found in boots.items()}


def timeline_of(records: Iterable[MachineRecord], since: float, now: float) -> tuple[TimelinePoint, ...]:
    """The machines of the ledger over time."""
    return draw_timeline([_life(record) for record in records], since, now)


def _life(record: MachineRecord) -> Life:
    is_gone = record.state is MachineState.GONE
    is_leaving = record.state in {MachineState.CLOSING, MachineState.DELETING}
    is_refused = record.state is MachineState.REJECTED or (
        is_gone and record.error_kind is not None and record.provisioned_at is None and record.ready_at is None
    )
    return Life(
        asked_at=record.asked_at,
        ready_at=record.ready_at,
        leaving_at=record.updated_at if is_leaving else None,
        gone_at=record.updated_at if is_gone or is_refused else None,
        refused=is_refused,
    )
