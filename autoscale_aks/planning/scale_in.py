"""Which machines are to leave (user asks T13, T14, T15, T20, T21). Deleting them safely is `reconcile`'s work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.model.node import Stage
from autoscale_aks.model.plan import Release, ReleaseCause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.node import Node
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

_SPARABLE: Final = frozenset({ReleaseCause.IDLE, ReleaseCause.LATE, ReleaseCause.SURPLUS})
"""Releases of machines that could work: they stay where the node array would have fewer than its minimum."""


def plan_releases(snapshot: Snapshot, policy: Policy, matched: set[int]) -> tuple[Release, ...]:
    """Machines that are of no use or have had no work for long enough, most certain first.

    `matched` holds the numbers of nodes that this plan wants. Nothing is released when any source is incomplete or
    the time is unknown; protected nodes and nodes with a job never are, whatever the cause (user ask T20a).
    """
    if snapshot.now is None or any(not source.complete for source in snapshot.sources):
        return ()
    found: list[Release] = []
    for number, node in enumerate(snapshot.nodes):
        release = _release_of(node, snapshot.now, policy, is_wanted=number in matched)
        if release is not None:
            found.append(release)
    minimum = {array.name: array.min_nodes for array in snapshot.nodearrays if array.min_nodes}
    if minimum:
        found = _above_minimum(found, snapshot, minimum)
    found.sort(key=lambda release: list(ReleaseCause).index(release.cause), reverse=True)
    return tuple(found if policy.max_deletes_per_cycle is None else found[: policy.max_deletes_per_cycle])


def _release_of(node: Node, now: float, policy: Policy, *, is_wanted: bool) -> Release | None:
    if node.keep_alive or node.job_ids or node.stage is Stage.DRAINING:
        return None
    if node.is_failed:
        return Release(node, ReleaseCause.FAILED)
    boot_timeout_s = policy.boot_timeout.of(node.nodearray)
    if node.stage is Stage.IN_FLIGHT and _is_overdue(node, now, boot_timeout_s):
        return Release(node, ReleaseCause.BOOT_TIMEOUT)
    if node.stage is Stage.EXISTING and node.lost_since is not None:
        return Release(node, ReleaseCause.LOST) if now - node.lost_since > boot_timeout_s else None
    if is_wanted:
        return None
    if node.surplus_since is not None and now - node.surplus_since >= policy.gang_timeout:
        return Release(node, ReleaseCause.SURPLUS)
    if node.stage is Stage.IN_FLIGHT:
        return Release(node, ReleaseCause.LATE) if node.is_late else None
    return _idle_release(node, now, policy)


def _is_overdue(node: Node, now: float, boot_timeout_s: float) -> bool:
    """Whether it had its time to boot; work assigned to it changes nothing (user ask T12b)."""
    if node.boot_deadline is not None:
        return now > node.boot_deadline
    return node.create_time is not None and now - node.create_time > boot_timeout_s


def _idle_release(node: Node, now: float, policy: Policy) -> Release | None:
    since = node.idle_since if node.idle_since is not None else node.last_match_time
    if since is None or not node.is_ready:
        return None
    if node.create_time is not None and now - node.create_time < policy.min_lifetime.of(node.nodearray):
        return None
    idle_s = now - since
    return Release(node, ReleaseCause.IDLE, idle_s) if idle_s >= policy.idle_timeout.of(node.nodearray) else None


def _above_minimum(found: list[Release], snapshot: Snapshot, minimum: Mapping[str, int]) -> list[Release]:
    """Without the releases that would leave a node array fewer machines than its minimum; the longest idle go."""
    certain = [release for release in found if release.cause not in _SPARABLE]
    spared = {release.node.name for release in certain}
    left: dict[str, int] = {}
    for node in snapshot.nodes:
        if node.nodearray is not None and is_counted(node) and node.name not in spared:
            left[node.nodearray] = left.get(node.nodearray, 0) + 1
    kept = list(certain)
    for release in sorted(found, key=lambda release: release.idle_s or 0.0, reverse=True):
        array = release.node.nodearray
        if release.cause not in _SPARABLE:
            continue
        if array is not None and left.get(array, 0) <= minimum.get(array, 0):
            continue
        if array is not None:
            left[array] -= 1
        kept.append(release)
    return kept


def is_counted(node: Node) -> bool:
    """Whether a machine counts for its node array's minimum: it works, boots, or is closed by somebody else."""
    return node.stage is not Stage.DRAINING and not node.is_failed and node.lost_since is None
