"""The scheduler's nodes that are not ours: capacity that is there already, and comes first (matching.md P1, A3).

They are never closed, removed or counted against a limit; only what is free on them counts, while they are ready. Where
the scheduler has tried them all before it lets a job wait, as Kubernetes does, they do not count at all: a pod that one
of them refuses for a reason that no constraint says would wait beside it for ever.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.model.node import Node
from autoscale_aks.model.node_names import nodearray_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.config import Config
    from autoscale_aks.model.job import Job
    from autoscale_aks.reconcile.joining import Joiner
    from autoscale_aks.schedulers.port import SchedulerNode
    from autoscale_aks.units import Value

NODEARRAY = "nodearray"


def site_nodes(config: Config, joined: Joiner) -> tuple[Node, ...]:
    """Ready nodes that no machine of ours stands behind, as the planner's on-premise nodes."""
    if not joined.queue.state.site_nodes_count:
        return ()
    arrays = [array.name for array in config.arrays]
    known = {*joined.scheduler_names.values(), *joined.cloud.nodes}
    found = [
        node
        for node in joined.queue.state.nodes or ()
        if node.state == "Ready"
        and node.name not in known
        and node.machine not in joined.records
        and nodearray_of(node.machine or node.name, config.aks.owner, arrays) is None
    ]
    wishes = _wishes(joined.queue.state.jobs) if any(len(node.nodearrays) > 1 for node in found) else {}
    return tuple(
        Node(
            name=node.name,
            hostname=node.name,
            resources=frozendict({**_home(node, arrays, wishes), **node.resources}),
            available=node.available,
            job_ids=node.job_ids,
        )
        for node in found
    )


def _home(node: SchedulerNode, arrays: Iterable[str], wishes: Mapping[str, int]) -> dict[str, Value]:
    """The node array whose jobs it takes. A node has one; of several it is that which most waiting work asks for."""
    mine = [name for name in node.nodearrays if name in arrays] or list(node.nodearrays)
    if not mine:
        return {}
    return {NODEARRAY: max(mine, key=lambda name: wishes.get(name, 0))}


def _wishes(jobs: Iterable[Job]) -> Counter[str]:
    """Node array → slots that may run and name it."""
    found: Counter[str] = Counter()
    for job in jobs:
        if not job.runnable:
            continue
        asked = (job.shape.constraints, *(chunk.constraints for chunk in job.shape.chunks))
        for constraint in chain.from_iterable(asked):
            names = constraint.get(NODEARRAY, ())
            for name in (names,) if isinstance(names, str) else names:
                found[name] += job.requested
    return found
