"""How far machines have come on their way up, and what went wrong with them: times and evidence of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.ledger.access import Access
from autoscale_aks.ledger.records import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.launch import LaunchOutcome

_MOMENTS: Final = ("provisioned_at", "registered_at", "lost_since", "surplus_since")


class Stages(Access):
    """Boot stages, losses and failures of machines the ledger knows. Unknown names are ignored."""

    __slots__ = ()

    def record_stages(self, provisioned: Iterable[str], registered: Iterable[str], now: float) -> None:
        """The VMs that are made and the nodes that are known now; the first time is kept (user ask T12a)."""
        with self._writing() as connection:
            for column, names in (("provisioned_at", provisioned), ("registered_at", registered)):
                query = f"UPDATE machines SET {column} = ? WHERE name = ? AND {column} IS NULL"  # noqa: S608
                connection.executemany(query, [(now, name) for name in names])

    def set_lost(self, lost: Mapping[str, float | None]) -> None:
        """Since when machines that were ready have not been; None: they are ready again."""
        self._set_moment("lost_since", lost)

    def set_surplus(self, surplus: Mapping[str, float | None]) -> None:
        """Since when machines stand without work because the rest of their gang was refused; None: they have some."""
        self._set_moment("surplus_since", surplus)

    def record_failures(self, failures: Iterable[LaunchOutcome]) -> frozenset[str]:
        """Keep why machines failed after they were accepted (user ask T12e); the names that had no evidence yet.

        A machine's first evidence stays, so that each failure counts once, however often it is seen.
        """
        query = """UPDATE machines SET error_kind = ?, error_code = ?, error_message = ?
                   WHERE name = ? AND error_kind IS NULL"""
        new: set[str] = set()
        with self._writing() as connection:
            for one in failures:
                kind = one.kind.value if one.kind else "unknown"
                values = (kind, storable(one.code), storable(one.message), one.name)
                if connection.execute(query, values).rowcount:
                    new.add(one.name)
        return frozenset(new)

    def evictions(self, code: str, since: float) -> Mapping[str, int]:
        """Spot machines of each node array whose VM was taken away since then, by the code of their failure."""
        query = """SELECT nodearray, count(*) FROM machines
                   WHERE spot AND error_code = ? AND ready_at IS NOT NULL AND updated_at > ? GROUP BY nodearray"""
        return frozendict({str(nodearray): int(count) for nodearray, count in self._read(query, code, since)})

    def _set_moment(self, column: str, moments: Mapping[str, float | None]) -> None:
        if column not in _MOMENTS:
            raise ValueError(f"{column} is no moment of a machine")
        query = f"UPDATE machines SET {column} = :at WHERE name = :name AND {column} IS NOT :at"  # noqa: S608
        with self._writing() as connection:
            connection.executemany(query, [{"name": name, "at": at} for name, at in moments.items()])
