"""How long what refused is left alone, and which families come last (aks-machine-api.md §5.3, user ask T08)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autoscale_aks.model.launch import FaultKind
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.model.snapshot import BackOff
from autoscale_aks.planning.limit_tree import family_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.policy import BackOffTimes


def back_off_for(record: MachineRecord, kind: FaultKind | None, times: BackOffTimes, now: float) -> BackOff | None:
    """The back-off of a bucket that refused a machine now; None for kinds that say nothing of the next attempt."""
    lasts_s = _lasts_s(record, kind, times)
    if lasts_s is None:
        return None
    return BackOff(
        code=ReasonCode.CAPACITY_BACKOFF.value,
        until=now + lasts_s,
        nodearray=record.nodearray,
        vm_size=record.vm_size,
        zone=record.zone,
        spot=record.spot,
    )


def _lasts_s(record: MachineRecord, kind: FaultKind | None, times: BackOffTimes) -> float | None:
    if kind is FaultKind.CAPACITY:
        if record.spot:
            return times.spot_s
        return times.region_s if record.zone is None else times.zone_s
    if kind is FaultKind.QUOTA:
        return times.quota_s
    return times.validation_s if kind is FaultKind.VALIDATION else None


def family_of(arrays: Iterable[NodeArray], record: MachineRecord) -> str | None:
    """The mark of a machine's VM family in its region; None when the configuration no longer has its size."""
    for array in arrays:
        if array.name == record.nodearray:
            for offering in array.offerings:
                if offering.vm_size == record.vm_size:
                    return _mark(array, offering)
    return None


def _mark(array: NodeArray, offering: Offering) -> str:
    return f"{family_key(offering.vm_family)} in {array.location}"


def demote(arrays: Iterable[NodeArray], marked: Collection[str]) -> tuple[NodeArray, ...]:
    """The node arrays with marked families last: among sizes of an array, and among arrays that have nothing else.

    A weak mark changes the order of the configuration only, which decides among equals (matching.md P2): it never
    overrides a job's preference, a price or a priority.
    """
    if not marked:
        return tuple(arrays)
    found = [
        replace(array, offerings=tuple(sorted(array.offerings, key=lambda one: _mark(array, one) in marked)))
        for array in arrays
    ]
    return tuple(sorted(found, key=lambda array: all(_mark(array, one) in marked for one in array.offerings)))
