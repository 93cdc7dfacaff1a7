"""Nodes as rows: where each is in its life, what it runs, and what it costs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscale_aks.units import exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.bucket import Offering
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.snapshot import Snapshot

Row = dict[str, Any]


def node_rows(snapshot: Snapshot) -> list[Row]:
    """One row a node: those of the cloud, then those that only the scheduler has."""
    offerings: dict[tuple[str | None, str | None, str | None], Offering] = {
        (array.name, offering.vm_size, offering.zone): offering
        for array in snapshot.nodearrays
        for offering in array.offerings
    }
    return [
        *(_row(node, snapshot.now, offerings, is_managed=True) for node in snapshot.nodes),
        *(_row(node, snapshot.now, offerings, is_managed=False) for node in snapshot.unmanaged_nodes),
    ]


def _row(
    node: Node,
    now: float | None,
    offerings: Mapping[tuple[str | None, str | None, str | None], Offering],
    *,
    is_managed: bool,
) -> Row:
    offering = offerings.get((node.nodearray, node.vm_size, node.zone))
    price = None if offering is None else offering.price
    return {
        "name": node.name,
        "stage": node.stage.value,
        "state": node.state,
        "nodearray": node.nodearray,
        "vm_size": node.vm_size,
        "zone": node.zone,
        "placement_group": node.placement_group,
        "hostname": node.hostname,
        "ready": node.is_ready,
        "managed": is_managed,
        "protected": node.keep_alive,
        "jobs": node.job_ids,
        "idle_s": _since(now, node.idle_since),
        "age_s": _since(now, node.create_time),
        "cores": None if offering is None else offering.vcpu_count,
        "price_per_hour": None if price is None else exact(price),
        "resources": node.resources,
        "available": node.available,
    }


def _since(now: float | None, moment: float | None) -> int | None:
    """Whole seconds that have gone by."""
    return None if now is None or moment is None else max(0, round(now - moment))
