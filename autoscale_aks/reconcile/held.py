"""Machines that somebody keeps from their first work: a node that is cordoned or closed before it was ever ready.

Until its boot deadline such a machine is on its way, so that its work is not bought again and again for machines which
meet the same fate; then it is a boot that failed, and what held it is the reason (user asks T12, T20). A machine that
was taken in by its marks may have been in use before it was closed: it stays, and is told of. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.model.node import Stage
from autoscale_aks.reports.sentences import render_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.model.launch import ClusterNode
    from autoscale_aks.model.node import Node
    from autoscale_aks.schedulers.port import SchedulerNode

_SAID_OF: Final = {"Closed": "its node is closed in the scheduler", "Down": "its node is down in the scheduler"}
_SHOWN: Final = 3


def held_by(cluster: ClusterNode | None, scheduler: SchedulerNode | None) -> str:
    """What keeps work off a node that is there; empty when nothing does."""
    if cluster is not None and cluster.cordoned:
        return "its node is cordoned in Kubernetes"
    return "" if scheduler is None else _SAID_OF.get(scheduler.state, "")


def held_notices(nodes: Iterable[Node], held: Mapping[str, str]) -> tuple[str, ...]:
    """One sentence for each cause and fate, with the first machines it is about. `held`: machine → `held_by`."""
    coming: dict[str, list[Node]] = {}
    staying: dict[str, list[Node]] = {}
    for node in nodes:
        why = held.get(node.name)
        if why is not None and node.stage is Stage.IN_FLIGHT and not node.keep_alive:
            coming.setdefault(why, []).append(node)
        elif why is not None and node.state == "Closed" and not node.job_ids:
            staying.setdefault(why, []).append(node)
    return (*(_given_up(why, found) for why, found in coming.items()), *(_kept(why, f) for why, f in staying.items()))


def _given_up(why: str, nodes: Sequence[Node]) -> str:
    last = min((node.boot_deadline for node in nodes if node.boot_deadline is not None), default=None)
    when = "by its boot timeout" if last is None else f"from {render_time(last)} on"
    return f"never ready, {_names(nodes)}: {why}; given up {when} unless it is opened; azaks protect NAME keeps it"


def _kept(why: str, nodes: Sequence[Node]) -> str:
    return (
        f"{_names(nodes)}: {why}, and whether it ever was ready the ledger does not know; it stays and bills until it "
        "is opened or deleted by hand (azaks delete NAME)"
    )


def _names(nodes: Sequence[Node]) -> str:
    more = f" and {len(nodes) - _SHOWN:,} more" if len(nodes) > _SHOWN else ""
    return ", ".join(node.name for node in nodes[:_SHOWN]) + more
