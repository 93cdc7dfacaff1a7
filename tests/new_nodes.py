"""New nodes of which nothing but the name matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscale_aks.schedulers.port import NewNode

if TYPE_CHECKING:
    from collections.abc import Iterable


def new_nodes(names: Iterable[str], **facts: Any) -> tuple[NewNode, ...]:
    """One of each name, with the same facts."""
    return tuple(NewNode(name=name, **facts) for name in names)
