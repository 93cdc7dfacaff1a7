"""How long what refused is left alone, and which families come last (aks-machine-api.md §5.3, user ask T08)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from autoscale_aks.model.launch import FaultKind, Scope
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.model.snapshot import BackOff
from autoscale_aks.planning.limit_tree import family_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.launch import LaunchOutcome, Mark
    from autoscale_aks.model.policy import BackOffTimes, SpotEvictions

SCARCE: Final = frozenset({FaultKind.CAPACITY, FaultKind.QUOTA})
"""Kinds that speak of the size and not of how the machine boots."""


def back_off_for(record: MachineRecord, refusal: LaunchOutcome, times: BackOffTimes, now: float) -> BackOff | None:
    """What is left alone after a machine was refused now; None for refusals that say nothing of the next attempt.

    Where the service's words name what is unavailable (`Mark`, §5.3), that is left alone in every node array, else the
    machine's bucket. How long: as the site's `policy.back_off` says; where it is silent, as long as the mark lasts;
    without a mark, the default of `BackOffTimes` for that kind of refusal.
    """
    mark, name = None if is_regional(refusal) else refusal.mark, _time_of(record, refusal.kind)
    if mark is not None and (name is None or name not in times.stated):
        return _left_alone(record, mark, now + mark.lifetime_s)
    if name is None:
        return None
    lasts_s: float = getattr(times, name)
    return _left_alone(record, mark, now + lasts_s)


def larger_back_offs(
    arrays: Iterable[NodeArray], record: MachineRecord, refusal: LaunchOutcome, first: BackOff
) -> tuple[BackOff, ...]:
    """Sizes of the refused one's family with as many vCPUs or more: as long, and where, it is left alone (§5.3).

    A family that has no room for a size has none for a larger one; smaller ones are still tried. Only for refusals
    whose words name what is scarce.
    """
    mark = refusal.mark
    if mark is None or mark.scope in {Scope.ALL_SPOT, Scope.REGION} or refusal.kind not in SCARCE:
        return ()
    known = [array for array in arrays if first.nodearray in {None, array.name}]
    pairs = [(array, one) for array in known for one in array.offerings]
    refused = next(
        ((array, one) for array, one in pairs if (array.name, one.vm_size) == (record.nodearray, record.vm_size)), None
    )
    if refused is None:
        return ()
    sizes = (
        one.vm_size
        for array, one in pairs
        if family_mark(array, one) == family_mark(*refused)
        and one.vcpu_count >= refused[1].vcpu_count
        and one.vm_size != record.vm_size
    )
    return tuple(replace(first, vm_size=size) for size in dict.fromkeys(sizes))


def region_holds(arrays: Iterable[NodeArray], full: Collection[str]) -> tuple[BackOff, ...]:
    """No other size helps in a region whose cores are used up, for as long as this cycle lasts (§5.3, row 8).

    Spot machines are counted apart (§9.2).
    """
    return tuple(
        BackOff(code=ReasonCode.CAPACITY_BACKOFF.value, nodearray=array.name, spot=False)
        for array in arrays
        if array.location in full and not array.spot
    )


def spot_holds(arrays: Iterable[NodeArray], evictions: Mapping[str, int], rule: SpotEvictions) -> Mapping[BackOff, str]:
    """Node arrays of spot machines that are left alone after so many evictions, each with the reason (T19b)."""
    return {
        BackOff(code=ReasonCode.CAPACITY_BACKOFF.value, nodearray=array.name, spot=True): (
            f"{evictions[array.name]} spot machines were evicted within {rule.window_s:g} seconds"
        )
        for array in arrays
        if array.spot and rule.count is not None and evictions.get(array.name, 0) >= rule.count
    }


def is_regional(refusal: LaunchOutcome) -> bool:
    """Whether the region's cores are used up."""
    return refusal.mark is not None and refusal.mark.scope is Scope.REGION


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
