"""Machines on their way up or out: by stage, how old, and when they are expected. Pure: `now` is the snapshot's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from autoscale_aks.model.node import Stage
from autoscale_aks.reports.figures import FlightRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.node import Node
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

_UP = frozenset({Stage.PLANNED, Stage.IN_FLIGHT})


def list_flights(
    snapshot: Snapshot, policy: Policy | None, boot_s: Mapping[tuple[str, str], float]
) -> tuple[FlightRow, ...]:
    """A row a bucket and stage, what comes before what goes.

    `boot_s` says how long machines of a node array and size took lately from the request until they were ready.
    """
    grouped: dict[tuple[str, str], list[Node]] = {}
    for node in snapshot.nodes:
        if node.stage in _UP or node.stage is Stage.DRAINING:
            stage = "lost" if node.lost_since is not None and node.stage in _UP else node.stage.value
            grouped.setdefault((stage, f"{node.nodearray}/{node.vm_size}"), []).append(node)
    order = ["planned", "in-flight", "lost", "draining"]
    return tuple(
        FlightRow(
            bucket=bucket,
            stage=stage,
            state=Counter(node.state for node in members).most_common(1)[0][0],
            machines=len(members),
            oldest_s=_oldest(members, snapshot.now),
            expected_s=_expected(members, snapshot.now, boot_s) if stage in {"planned", "in-flight"} else None,
            given_up_s=_given_up(members, snapshot.now, policy) if stage != "draining" else None,
        )
        for (stage, bucket), members in sorted(grouped.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    )


def _oldest(members: Iterable[Node], now: float | None) -> float | None:
    born = [node.create_time for node in members if node.create_time is not None]
    return max(0.0, now - min(born)) if born and now is not None else None


def _expected(members: list[Node], now: float | None, boot_s: Mapping[tuple[str, str], float]) -> float | None:
    took = boot_s.get((members[0].nodearray or "", members[0].vm_size or ""))
    born = [node.create_time for node in members if node.create_time is not None]
    return None if took is None or now is None or not born else max(0.0, max(born) + took - now)


def _given_up(members: Iterable[Node], now: float | None, policy: Policy | None) -> float | None:
    if now is None:
        return None
    ends: list[float] = []
    for node in members:
        if node.boot_deadline is not None:
            ends.append(node.boot_deadline)
        elif policy is not None and node.create_time is not None:
            ends.append(node.create_time + policy.boot_timeout.of(node.nodearray))
    return max(0.0, min(ends) - now) if ends else None
