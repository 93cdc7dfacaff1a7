"""A case as a scenario (contract scenario.md), for other programs and for checkers that read JSON."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from autoscale_aks.units import Size

if TYPE_CHECKING:
    from autoscale_aks.model.bucket import NodeArray, Offering
    from autoscale_aks.model.job import Job
    from autoscale_aks.model.node import Node
    from benchmarks.generators import Case

Json = dict[str, Any]


def to_scenario(case: Case) -> Json:
    """The case as `azaks plan --scenario` takes it. New nodes are then named as scenarios name them."""
    snapshot, limits = case.snapshot, case.snapshot.limits
    regions = {"regions": limits.regions, "spot_regions": limits.spot_regions}
    return {
        "name": snapshot.name,
        "default_resources": plain(snapshot.default_resources),
        "policy": {
            "objective": case.policy.objective.value,
            "placement_order": case.policy.placement_order.value,
            **({"optimize_seconds": None} if case.policy.optimize_work is None else {}),
        },
        "limits": {
            **_given(cluster_max_cores=limits.cluster_max_cores, cluster_max_nodes=limits.cluster_max_nodes),
            **{key: {name: _quota(quota) for name, quota in found.items()} for key, found in regions.items()},
            "families": {
                region: {name: _quota(quota) for name, quota in found.items()}
                for region, found in limits.families.items()
            },
        },
        "nodearrays": [_array(array) for array in snapshot.nodearrays],
        "existing_nodes": [_node(node) for node in snapshot.nodes],
        "jobs": [_job(job) for job in snapshot.jobs],
    }


def plain(value: Any) -> Any:
    """JSON of a value of the model."""
    if isinstance(value, Size):
        return f"size::{value.bytes}b"
    if isinstance(value, Fraction | Decimal):
        return int(value) if value == int(value) else float(value)
    if hasattr(value, "items"):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def _given(**fields: Any) -> Json:
    return {name: plain(value) for name, value in fields.items() if value is not None}


def _quota(quota: Any) -> Json:
    return {"quota_cores": quota.quota_cores, "used_elsewhere_cores": quota.used_elsewhere_cores}


def _array(array: NodeArray) -> Json:
    return {
        "name": array.name, "agent_pool": array.agent_pool, "location": array.location, "spot": array.spot,
        "priority": array.priority, "enabled": array.enabled, "resources": plain(array.resources),
        **_given(max_count=array.max_count, max_core_count=array.max_core_count),
        "buckets": [_bucket(offering) for offering in array.offerings],
    }  # fmt: skip


def _bucket(offering: Offering) -> Json:
    return {
        "vm_size": offering.vm_size, "vm_family": offering.vm_family, "vcpu_count": offering.vcpu_count,
        "pcpu_count": offering.pcpu_count, "quota_vcpus": offering.quota_vcpus, "gpu_count": offering.gpu_count,
        "memory_gb": plain(Fraction(offering.memory.bytes, 1024**3)), "infiniband": offering.infiniband,
        "placement_groups": list(offering.placement_groups),
        "max_placement_group_size": offering.max_placement_group_size,
        **_given(zone=offering.zone, price=offering.price, max_count=offering.max_count,
                 available_count=offering.available_count),
    }  # fmt: skip


def _node(node: Node) -> Json:
    return {
        "name": node.name, "state": node.state, "available": plain(node.available), "job_ids": list(node.job_ids),
        **_given(nodearray=node.nodearray, vm_size=node.vm_size, hostname=node.hostname, zone=node.zone,
                 placement_group=node.placement_group),
    }  # fmt: skip


def _job(job: Job) -> Json:
    shape = job.shape
    return {
        "name": job.name, "count": job.count, "constraints": plain(shape.constraints),
        "iterations": shape.iterations, "node_count": shape.node_count, "colocated": shape.colocated,
        **_given(packing_strategy=shape.packing_strategy.value if shape.packing_strategy else None),
    }  # fmt: skip
