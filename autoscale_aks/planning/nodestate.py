"""What is left of a node and whose work is on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EMPTY: Final = -1
"""Tenant of a node without work."""
MIXED: Final = -2
"""Tenant of a node with work of several jobs, or of jobs that ran before this plan."""

OPEN, HELD, SEALED = 0, 1, 2
"""Who may add work: anybody; only the tenant (exclusive task); nobody (exclusive)."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is left of a node and who is on it."""

    free: tuple[int | None, ...]
    """By dimension, scaled."""
    tenant: int = EMPTY
    hold: int = OPEN
