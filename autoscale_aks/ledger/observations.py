"""What machines turned out to have, by VM size and image (user ask T18a)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoscale_aks.ledger.access import Access

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedSize:
    """One resource of one machine as its scheduler reports it, beside what it was planned with. Values as text."""

    vm_size: str
    image: str
    """What it boots from, as far as the configuration says (`reconcile.circuits.image_of`)."""
    resource: str
    machine: str
    promised: str
    found: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What observations are compared within."""
        return (self.vm_size, self.image, self.resource)


class Observations(Access):
    """The ledger's part that remembers what machines have."""

    __slots__ = ()

    def observed_sizes(self, newer_than: float) -> tuple[ObservedSize, ...]:
        """Everything that was seen, unless that is longer ago."""
        query = """SELECT vm_size, image, resource, machine, promised, found FROM observed_sizes
                   WHERE seen_at > ? ORDER BY vm_size, image, resource, machine"""
        return tuple(
            ObservedSize(
                vm_size=vm_size, image=image, resource=resource, machine=machine, promised=promised, found=found
            )
            for vm_size, image, resource, machine, promised, found in self._read(query, newer_than)
        )

    def record_observed(self, seen: Sequence[ObservedSize], now: float, forget_before: float) -> None:
        """Keep what was seen, and drop what was seen before `forget_before`; the last look at a machine counts."""
        query = """INSERT OR REPLACE INTO observed_sizes
                   (vm_size, image, resource, machine, promised, found, seen_at) VALUES (?, ?, ?, ?, ?, ?, ?)"""
        rows = [(one.vm_size, one.image, one.resource, one.machine, one.promised, one.found, now) for one in seen]
        with self._writing() as connection:
            connection.execute("DELETE FROM observed_sizes WHERE seen_at <= ?", (forget_before,))
            connection.executemany(query, rows)
