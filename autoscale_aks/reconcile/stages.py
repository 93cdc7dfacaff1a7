"""How long a machine may take to boot: requested → provisioned → registered → ready (user ask T12a)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autoscale_aks.ledger.records import MachineRecord


def boot_deadline(record: MachineRecord, timeout_s: float) -> float:
    """When a machine that is not ready is given up, in seconds since the epoch.

    `timeout_s` after it was asked for; half of that later, once, for one that reached a further stage in the second
    half of its time: it is visibly advancing. Nothing else moves the deadline.
    """
    regular = record.asked_at + timeout_s
    half = record.asked_at + timeout_s / 2
    reached = (record.provisioned_at, record.registered_at)
    is_advancing = any(moment is not None and half < moment <= regular for moment in reached)
    return regular + timeout_s / 2 if is_advancing else regular


def stage_of(record: MachineRecord) -> str:
    """The last stage a machine is known to have reached."""
    if record.ready_at is not None:
        return "ready"
    if record.registered_at is not None:
        return "registered"
    return "requested" if record.provisioned_at is None else "provisioned"
