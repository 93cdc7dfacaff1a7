"""Which machines are to leave (user asks T13, T14, T15, T20). Deleting them safely is `reconcile`'s work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale_aks.model.node import Stage
from autoscale_aks.model.plan import Release, ReleaseCause

if TYPE_CHECKING:
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot


def plan_releases(snapshot: Snapshot, policy: Policy, matched: set[int]) -> tuple[Release, ...]:
    """Failed, never-booted and idle machines, most certain first.

    `matched` holds the numbers of nodes that this plan wants. Nothing is released when any source is incomplete or
    the time is unknown; protected nodes and nodes with a job never are.
    """
    if snapshot.now is None or any(not source.complete for source in snapshot.sources):
        return ()
    found: list[Release] = []
    for number, node in enumerate(snapshot.nodes):
        release = _release_of(node, snapshot.now, policy, is_wanted=number in matched)
        if release is not None:
            found.append(release)
    found.sort(key=lambda release: list(ReleaseCause).index(release.cause), reverse=True)
    return tuple(found if policy.max_deletes_per_cycle is None else found[: policy.max_deletes_per_cycle])


def _release_of(node: Node, now: float, policy: Policy, *, is_wanted: bool) -> Release | None:
    if node.keep_alive or node.job_ids:
        return None
    if node.is_failed:
        return Release(node, ReleaseCause.FAILED)
    if node.stage is Stage.IN_FLIGHT:
        late = node.create_time is not None and now - node.create_time > policy.boot_timeout.of(node.nodearray)
        return Release(node, ReleaseCause.BOOT_TIMEOUT) if late else None
    since = node.idle_since if node.idle_since is not None else node.last_match_time
    if is_wanted or since is None or not node.is_ready:
        return None
    idle_s = now - since
    return Release(node, ReleaseCause.IDLE, idle_s) if idle_s >= policy.idle_timeout.of(node.nodearray) else None
