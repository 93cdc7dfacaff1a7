"""What a node array's machines will show in Kubernetes, told to the planner and to the kubernetes scheduler.

Done only where the scheduler is the cluster itself: its pods speak of labels and taints, and a machine that does not
exist yet has those its node array's template gives it (aks-machine-api.md §7.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.model.node_labels import (
    POOL_LABELS,
    SPOT_LABEL,
    SPOT_TAINT,
    Taint,
    label_resources,
    parse_taint,
    taint_resource,
    taint_resources,
)

if TYPE_CHECKING:
    from autoscale_aks.config.values import Config, NodeArrayConfig

KUBERNETES: Final = "kubernetes"
DEFAULT_PODS: Final = 250
"""Pods a machine takes where `max_pods` is not given (§2.3: the service's default)."""


def with_node_facts(config: Config) -> Config:
    """The configuration with labels, taints and pod counts of future machines. Unchanged for other schedulers.

    What the file says itself (`resources` of a node array, settings of the scheduler) is never overridden.
    """
    if config.scheduler.type != KUBERNETES:
        return config
    arrays = {name: _with_resources(array) for name, array in config.nodearrays.items()}
    taints = {taint_resource(taint): taint for array in arrays.values() for taint in _taints(array)}
    # Tainted arrays are for few pods, and would spread the others over zones they cannot use.
    open_arrays = [array for array in arrays.values() if not _taints(array)] or list(arrays.values())
    zones = dict.fromkeys(
        f"{array.array.location}-{offering.zone}" if offering.zone else "0"
        for array in open_arrays
        for offering in array.array.offerings
    )
    settings = {
        "known_taints": [f"{key}={value}:{effect}" for key, value, effect in taints.values()],
        "known_zones": list(zones),
        "pools": _pools(config),
        **config.scheduler.settings,
    }
    return replace(
        config,
        nodearrays=frozendict(arrays),
        scheduler=replace(config.scheduler, settings=frozendict(settings)),
    )


def _with_resources(found: NodeArrayConfig) -> NodeArrayConfig:
    labels = {
        **found.node_labels,
        **dict.fromkeys(POOL_LABELS, found.array.agent_pool),
        "kubernetes.io/os": "linux",
        "kubernetes.azure.com/mode": "user",
        "kubernetes.azure.com/os-sku": found.os_sku or "Ubuntu",
    }
    if found.array.spot:
        labels[SPOT_LABEL] = "spot"
    resources = {
        **label_resources(labels),
        **taint_resources(_taints(found)),
        "pods": DEFAULT_PODS if found.max_pods is None else found.max_pods,
        **found.array.resources,
    }
    return replace(found, array=replace(found.array, resources=frozendict(resources)))


def _taints(found: NodeArrayConfig) -> list[Taint]:
    taints = [taint for text in found.node_taints if (taint := parse_taint(text)) is not None]
    return [*taints, SPOT_TAINT] if found.array.spot else taints


def _pools(config: Config) -> dict[str, list[str]]:
    pools: dict[str, list[str]] = {}
    for name, array in config.nodearrays.items():
        pools.setdefault(array.array.agent_pool, []).append(name)
    return pools
