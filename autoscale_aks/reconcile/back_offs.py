"""How long a bucket that refused for capacity or quota is left alone (aks-machine-api.md §5.3, user ask T08b)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.launch import FaultKind
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.model.snapshot import BackOff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.launch import Machine

BACK_OFF_S: Final[Mapping[FaultKind, float]] = frozendict({FaultKind.CAPACITY: 3600.0, FaultKind.QUOTA: 600.0})
"""Seconds by kind of refusal; other kinds say nothing of the next attempt."""


def back_off_for(
    kind: FaultKind | None, now: float, *, nodearray: str, vm_size: str, zone: str | None, spot: bool
) -> BackOff | None:
    """The back-off of a bucket that refused now; None for kinds that ask for none."""
    lasts_s = BACK_OFF_S.get(kind) if kind is not None else None
    if lasts_s is None:
        return None
    return BackOff(
        code=ReasonCode.CAPACITY_BACKOFF.value,
        until=now + lasts_s,
        nodearray=nodearray,
        vm_size=vm_size,
        zone=zone,
        spot=spot,
    )


def back_offs_of_failed(
    machines: Iterable[Machine], records: Mapping[str, MachineRecord], now: float
) -> Mapping[BackOff, str]:
    """Accepted machines whose creation failed later refuse their bucket as well: each back-off with its reason."""
    found: dict[BackOff, str] = {}
    for machine in machines:
        if not machine.is_failed:
            continue
        record = records[machine.name]
        back_off = back_off_for(
            machine.error_kind,
            now,
            nodearray=record.nodearray,
            vm_size=record.vm_size,
            zone=record.zone,
            spot=record.spot,
        )
        if back_off is not None:
            found.setdefault(back_off, f"{machine.error_code}: {machine.error_message}")
    return frozendict(found)
