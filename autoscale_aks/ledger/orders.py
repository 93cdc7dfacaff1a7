"""What people asked for by hand and the loop goes on with: machines to drain, back-offs to forget.

These are single rows that a running loop reads afresh in every cycle, so they may be written beside it: each is one
transaction, and none of them is something a cycle overwrites.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.ledger.access import Access
from autoscale_aks.ledger.records import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.ledger.guards import Circuit
    from autoscale_aks.model.snapshot import BackOff


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A machine that takes no new work, and leaves when what it has is done (user ask T20c)."""

    name: str
    owner: str
    reason: str
    added_at: float


class Orders(Access):
    """The ledger's part that people write."""

    __slots__ = ()

    def drain(self, names: Iterable[str], *, owner: str, reason: str, now: float) -> None:
        """Let machines finish their work and go; the last word counts."""
        query = "INSERT OR REPLACE INTO drains (name, owner, reason, added_at) VALUES (?, ?, ?, ?)"
        with self._writing() as connection:
            connection.executemany(query, [(name, storable(owner), storable(reason), now) for name in names])

    def undrain(self, names: Iterable[str]) -> frozenset[str]:
        """Take drains back; the names that were drained."""
        with self._writing() as connection:
            query = "DELETE FROM drains WHERE name = ?"
            return frozenset(name for name in names if connection.execute(query, (name,)).rowcount)

    def drains(self) -> Mapping[str, Drain]:
        """Those in force, by machine. A machine that is gone is drained no more."""
        rows = self._read("SELECT name, owner, reason, added_at FROM drains ORDER BY name")
        return frozendict(
            {name: Drain(name=name, owner=owner, reason=why, added_at=at) for name, owner, why, at in rows}
        )

    def drop_back_offs(self, back_offs: Iterable[BackOff]) -> int:
        """Ask again at once for these; how many were in force or in the file."""
        query, dropped = "DELETE FROM back_offs WHERE key = ?", 0
        with self._writing() as connection:
            for one in back_offs:
                key = json.dumps([one.code, one.nodearray, one.vm_size, one.zone, one.spot])
                dropped += connection.execute(query, (key,)).rowcount
        return dropped

    def drop_circuits(self, circuits: Iterable[Circuit]) -> int:
        """Forget how machines of these buckets joined; how many were known."""
        query, dropped = "DELETE FROM circuits WHERE key = ?", 0
        with self._writing() as connection:
            for one in circuits:
                dropped += connection.execute(query, (json.dumps(one.key),)).rowcount
        return dropped

    def drop_family_marks(self, families: Iterable[str]) -> int:
        """Let these VM families be as good as any again; how many were marked."""
        query, dropped = "DELETE FROM family_marks WHERE family = ?", 0
        with self._writing() as connection:
            for family in families:
                dropped += connection.execute(query, (family,)).rowcount
        return dropped
