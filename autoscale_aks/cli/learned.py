"""What runs learn of a cluster and leave to the next ones, in the ledger's flags (user ask T10b, batching.md B10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.cloud.aks.budget import Lane
from autoscale_aks.cloud.aks.client import Remembered

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.client import AksClient
    from autoscale_aks.config import AksConfig
    from autoscale_aks.ledger.store import Ledger

_BATCH_FLAG: Final = "batch_honoured"
_NOT_BEFORE_FLAG: Final = "not_before"


def learned_of(ledger: Ledger | None, aks: AksConfig) -> Remembered:
    """What is known of the cluster; without a ledger, only what the site says of the batch header."""
    honoured = ledger.flag(f"{_BATCH_FLAG}:{aks.cluster}") if ledger is not None else None
    moments = {lane.value: ledger.flag(f"{_NOT_BEFORE_FLAG}:{lane.value}") for lane in Lane} if ledger else {}
    return Remembered(
        batch_honoured=False if aks.batch_header == "off" else None if honoured is None else honoured == "yes",
        not_before=frozendict({lane: float(moment) for lane, moment in moments.items() if moment is not None}),
    )


def keep_learned(ledger: Ledger, client: AksClient, aks: AksConfig) -> None:
    """Write down what this run learned. A batch header that the site switched off was not tried."""
    learned = client.remembered
    if learned.batch_honoured is not None and aks.batch_header != "off":
        ledger.set_flag(f"{_BATCH_FLAG}:{aks.cluster}", "yes" if learned.batch_honoured else "no")
    ledger.set_not_before(max(learned.not_before.values(), default=None))
    for lane in Lane:
        moment = learned.not_before.get(lane.value)
        ledger.set_flag(f"{_NOT_BEFORE_FLAG}:{lane.value}", None if moment is None else repr(moment))
