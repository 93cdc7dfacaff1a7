"""What refused is left alone for a while: the ledger's back-offs (user ask T08)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.ledger.access import Access
from autoscale_aks.ledger.records import storable
from autoscale_aks.model.snapshot import BackOff

if TYPE_CHECKING:
    from collections.abc import Mapping

_BACK_OFF: Final = """
    INSERT INTO back_offs (key, code, until, nodearray, vm_size, zone, spot, reason, added_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET until = excluded.until, reason = excluded.reason, added_at = excluded.added_at
    WHERE back_offs.until IS NOT NULL AND (excluded.until IS NULL OR excluded.until >= back_offs.until)
"""


class BackOffs(Access):
    """The ledger's part that knows where not to ask."""

    __slots__ = ()

    def back_offs(self, now: float) -> tuple[BackOff, ...]:
        """Those still in force, in a stable order."""
        return tuple(self.back_off_reasons(now))

    def back_off_reasons(self, now: float) -> Mapping[BackOff, str]:
        """Those still in force, each with its reason."""
        query = """SELECT code, until, nodearray, vm_size, zone, spot, reason FROM back_offs
                   WHERE until IS NULL OR until > ? ORDER BY key"""
        return frozendict(
            {
                BackOff(
                    code=code,
                    until=until,
                    nodearray=nodearray,
                    vm_size=vm_size,
                    zone=zone,
                    spot=None if spot is None else bool(spot),
                ): reason
                for code, until, nodearray, vm_size, zone, spot, reason in self._read(query, now)
            }
        )

    def add_back_off(self, back_off: BackOff, reason: str, now: float) -> None:
        """Do not ask there again until `back_off.until`; None is for ever, and the later of two moments wins."""
        what = (back_off.nodearray, back_off.vm_size, back_off.zone, back_off.spot)
        key = json.dumps([back_off.code, *what])
        with self._writing() as connection:
            connection.execute("DELETE FROM back_offs WHERE until <= ?", (now,))
            row = (key, back_off.code, back_off.until, *what, storable(reason), now)
            connection.execute(_BACK_OFF, row)

    def clear_back_offs(
        self, *, code: str | None = None, nodearray: str | None = None, vm_size: str | None = None
    ) -> int:
        """Ask again at once: drop the back-offs with these values (None: any value); how many."""
        query = """DELETE FROM back_offs WHERE (:code IS NULL OR code = :code)
                   AND (:nodearray IS NULL OR nodearray = :nodearray) AND (:vm_size IS NULL OR vm_size = :vm_size)"""
        with self._writing() as connection:
            return connection.execute(query, {"code": code, "nodearray": nodearray, "vm_size": vm_size}).rowcount
