"""Try again what failed: forget back-offs, boot circuits and weak marks, of some buckets or of all (T08, T12c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.ledger.guards import Circuit
    from autoscale_aks.ledger.store import Ledger
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.snapshot import BackOff


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What stands in the way of some buckets, or of all."""

    back_offs: tuple[BackOff, ...]
    circuits: tuple[Circuit, ...]
    families: tuple[str, ...]
    small: tuple[tuple[str, str], ...] = ()
    """(node array, VM size) whose machines had less than promised, and are planned with less."""

    @classmethod
    def of(cls, ledger: Ledger, buckets: Sequence[Bucket] | None, families: Sequence[str], now: float) -> Retry:
        """What the ledger holds against these buckets and VM families; None: against any."""
        back_offs, circuits, marks = ledger.back_offs(now), ledger.circuits(), ledger.family_marks(now)
        small = dict.fromkeys((one.nodearray, one.vm_size) for one in ledger.small_sizes(0.0))
        if buckets is None:
            return cls(back_offs=back_offs, circuits=circuits, families=tuple(marks), small=tuple(small))
        named = {(bucket.array.name, bucket.vm_size) for bucket in buckets}
        return cls(
            back_offs=tuple(one for one in back_offs if any(_concerns(one, bucket) for bucket in buckets)),
            circuits=tuple(one for one in circuits if any(_concerns(one, bucket) for bucket in buckets)),
            families=tuple(family for family in marks if family in families),
            small=tuple(one for one in small if one in named),
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands in the way."""
        return not (self.back_offs or self.circuits or self.families or self.small)


def _concerns(one: BackOff | Circuit, bucket: Bucket) -> bool:
    """Whether a mark keeps the bucket away; None in a back-off is any. A bucket without a zone is in any."""
    return (
        one.nodearray in {None, bucket.array.name}
        and one.vm_size in {None, bucket.vm_size}
        and (one.zone is None or bucket.offering.zone in {None, one.zone})
        and one.spot in {None, bucket.array.spot}
    )


def forget_failures(ledger: Ledger, retry: Retry) -> int:
    """Drop them; how many there were. May be done beside a running loop, which reads them afresh."""
    return (
        ledger.drop_back_offs(retry.back_offs)
        + ledger.drop_circuits(retry.circuits)
        + ledger.drop_family_marks(retry.families)
        + sum(ledger.forget_small(nodearray, vm_size) for nodearray, vm_size in retry.small)
    )
