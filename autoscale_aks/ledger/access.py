"""How parts of the ledger reach its file: reading, and one transaction a change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from contextlib import AbstractContextManager

    from autoscale_aks.ledger.records import Row


class Access(ABC):
    """What the open ledger gives to its parts."""

    __slots__ = ()

    @abstractmethod
    def _read(self, query: str, *values: object) -> list[Row]:
        """The rows of a query. Raises LedgerError with a next step."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """One transaction: all of it on the disk, or none of it."""
