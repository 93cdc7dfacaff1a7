"""How long what refused is left alone, and which families come last (aks-machine-api.md §5.3, user ask T08)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autoscale_aks.model.launch import FaultKind, Scope
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.model.snapshot import BackOff
from autoscale_aks.planning.limit_tree import family_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.launch import LaunchOutcome, Mark
    from autoscale_aks.model.policy import BackOffTimes


def back_off_for(record: MachineRecord, refusal: LaunchOutcome, times: BackOffTimes, now: float) -> BackOff | None:
    """What is left alone after a machine was refused now; None for refusals that say nothing of the next attempt.

    Where the service's words name what is unavailable (`Mark`, §5.3), that is left alone in every node array, else the
    machine's bucket. How long: as the site's `policy.back_off` says; where it is silent, as long as the mark lasts;
    without a mark, the default of `BackOffTimes` for that kind of refusal.
    """
    mark, name = refusal.mark, _time_of(record, refusal.kind)
    if mark is not None and (name is None or name not in times.stated):
        return _left_alone(record, mark, now + mark.lifetime_s)
    if name is None:
        return None
    lasts_s: float = getattr(times, name)
    return _left_alone(record, mark, now + lasts_s)


def _left_alone(record: MachineRecord, mark: Mark | None, until: float) -> BackOff:
    bucket = BackOff(
        code=ReasonCode.CAPACITY_BACKOFF.value,
        until=until,
        nodearray=record.nodearray,
        vm_size=record.vm_size,
        zone=record.zone,
        spot=record.spot,
    )
    if mark is None:
        return bucket
    if mark.scope is Scope.ALL_SPOT:
        return replace(bucket, nodearray=None, vm_size=None, zone=None, spot=True)
    if mark.scope is Scope.SIZE:
        return replace(bucket, nodearray=None, zone=None, spot=mark.spot)
    # An attempt without a zone says nothing of zones, and no zone in a back-off means any: it stays with its array.
    return replace(bucket, nodearray=None if record.zone else record.nodearray, spot=mark.spot)


def _time_of(record: MachineRecord, kind: FaultKind | None) -> str | None:
    """The field of `BackOffTimes` that a refusal falls under."""
    if kind is FaultKind.CAPACITY:
        if record.spot:
            return "spot_s"
        return "region_s" if record.zone is None else "zone_s"
    if kind is FaultKind.QUOTA:
        return "quota_s"
    return "validation_s" if kind is FaultKind.VALIDATION else None


def family_of(arrays: Iterable[NodeArray], record: MachineRecord) -> str | None:
    """The mark of a machine's VM family in its region; None when the configuration no longer has its size."""
    for array in arrays:
        if array.name == record.nodearray:
            for offering in array.offerings:
                if offering.vm_size == record.vm_size:
                    return family_mark(array, offering)
    return None


def family_mark(array: NodeArray, offering: Offering) -> str:
    """What a weak mark on an offering's VM family is called."""
    return f"{family_key(offering.vm_family)} in {array.location}"


def demote(arrays: Iterable[NodeArray], marked: Collection[str]) -> tuple[NodeArray, ...]:
    """The node arrays with marked families last: among sizes of an array, and among arrays that have nothing else.

    A weak mark changes the order of the configuration only, which decides among equals (matching.md P2): it never
    overrides a job's preference, a price or a priority.
    """
    if not marked:
        return tuple(arrays)
    found = [
        replace(array, offerings=tuple(sorted(array.offerings, key=lambda one: family_mark(array, one) in marked)))
        for array in arrays
    ]
    return tuple(sorted(found, key=lambda array: all(family_mark(array, one) in marked for one in array.offerings)))
