"""How long a machine may take to boot: requested → provisioned → registered → ready (user ask T12a)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from autoscale_aks.ledger.records import MachineRecord


NO_CLOCKS: Final = (math.inf, math.inf, math.inf)
"""Of `BootStages`: no stage has a clock of its own."""


def boot_deadline(record: MachineRecord, timeout_s: float, stages_s: tuple[float, float, float] = NO_CLOCKS) -> float:
    """When a machine that is not ready is given up, in seconds since the epoch.

    `timeout_s` after it was asked for; half of that later, once, for one that reached a further stage in the second
    half of its time: it is visibly advancing. Nothing else moves the deadline. A stage with a clock of its own
    (`stages_s`: to be provisioned since the request, to be registered since then, to be ready since then) may end it
    before.
    """
    regular = record.asked_at + timeout_s
    half = record.asked_at + timeout_s / 2
    reached = (record.provisioned_at, record.registered_at)
    is_advancing = any(moment is not None and half < moment <= regular for moment in reached)
    whole = regular + timeout_s / 2 if is_advancing else regular
    return min(whole, _stage_deadline(record, *stages_s))


def _stage_deadline(record: MachineRecord, provisioned_s: float, registered_s: float, ready_s: float) -> float:
    """When the clock of the stage that it is in ends; infinite for none."""
    if record.ready_at is not None:
        return math.inf
    if record.registered_at is not None:
        return record.registered_at + ready_s
    if record.provisioned_at is not None:
        return record.provisioned_at + registered_s
    return record.asked_at + provisioned_s


def stage_of(record: MachineRecord) -> str:
    """The last stage a machine is known to have reached."""
    if record.ready_at is not None:
        return "ready"
    if record.registered_at is not None:
        return "registered"
    return "requested" if record.provisioned_at is None else "provisioned"
