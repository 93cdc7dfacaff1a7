"""A checked document to frozen values. Nothing here can fail on a document without findings."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frozendict import frozendict

from autoscale_aks.config.addresses import CLOUDS
from autoscale_aks.config.calendars import build_window
from autoscale_aks.config.group_zones import groups_in_zone
from autoscale_aks.config.node_facts import with_node_facts
from autoscale_aks.config.nodearray_checks import pool_of, zones_of
from autoscale_aks.config.references import build_references
from autoscale_aks.config.values import (
    COLLAPSE_S,
    AksConfig,
    Config,
    Headroom,
    LeaseConfig,
    LedgerConfig,
    LoggingConfig,
    LoopConfig,
    MetricsConfig,
    NodeArrayConfig,
    SchedulerConfig,
)
from autoscale_aks.model.bucket import DEFAULT_GROUP_SIZE, NodeArray, Offering
from autoscale_aks.model.launch import OWNER_TAG, CallDeadlines
from autoscale_aks.model.limits import CoreQuota, Limits, SharedResource
from autoscale_aks.model.policy import (
    OPTIMIZE_SECONDS,
    BackOffTimes,
    BootCircuit,
    BootStages,
    MassDelete,
    Objective,
    PlacementOrder,
    Policy,
    SpotEvictions,
    Timeout,
    work_of,
)
from autoscale_aks.units import Size, exact, parse_value

if TYPE_CHECKING:
    from collections.abc import Mapping

_GIB = 1024**3
_AKS_PLAIN = (
    "subscription", "resource_group", "cluster", "owner", "location", "cloud", "pool_api_version",
    "machine_api_version", "batch_header", "identity_client_id", "kubernetes_context", "kubernetes_in_cluster",
)  # fmt: skip
_MACHINE_PLAIN = (
    "os_sku", "os_disk_type", "orchestrator_version", "gpu_driver", "gpu_instance_profile", "node_image_version",
    "ssh_access", "vnet_subnet_id",
)  # fmt: skip


def build_config(document: Mapping[str, Any], source: str) -> Config:
    """The configuration of a document. Relative paths start at the directory of `source`."""
    base = Path(source).parent
    aks = _build_aks(document["aks"], base)
    scheduler = document["scheduler"]
    logging = document.get("logging", {})
    config = Config(
        source=source,
        aks=aks,
        scheduler=SchedulerConfig(
            type=scheduler["type"],
            settings=frozendict({key: _plain(value) for key, value in scheduler.items() if key != "type"}),
        ),
        ledger=LedgerConfig(
            path=base / document["ledger"]["path"],
            **{key: float(document["ledger"][key]) for key in ("history_days",) if key in document["ledger"]},
        ),
        nodearrays=frozendict(
            {name: _build_nodearray(name, array, aks) for name, array in document["nodearrays"].items()}
        ),
        default_resources=tuple(document.get("default_resources", [])),
        disable_default_resources=document.get("disable_default_resources", False),
        policy=_build_policy(document),
        limits=_build_limits(document.get("limits", {})),
        shared_resources=frozendict(
            {name: _build_shared(resource) for name, resource in document.get("shared_resources", {}).items()}
        ),
        logging=LoggingConfig(
            level=logging.get("level", "WARNING"),
            format=logging.get("format", "text"),
            config_file=base / logging["config_file"] if "config_file" in logging else None,
            collapse_s=float(logging.get("collapse_s", COLLAPSE_S)),
        ),
        metrics=_build_metrics(document.get("metrics", {}), base),
        loop=_build_loop(document.get("loop", {}), base, aks.owner),
        default_columns=frozendict(
            {verb: tuple(columns) for verb, columns in document.get("default_columns", {}).items()}
        ),
        references=build_references(document, base),
    )
    return with_node_facts(config)


def _build_aks(aks: Mapping[str, Any], base: Path) -> AksConfig:
    cloud = CLOUDS.get(aks.get("cloud", "public"))
    arm_url = _url(aks, "arm_url", cloud.arm_url if cloud else None) or ""
    chosen = {key: aks[key] for key in _AKS_PLAIN if key in aks}
    chosen |= {key: int(aks[key]) for key in ("header_budget_bytes", "workers") if key in aks}
    if "deadlines" in aks:
        chosen["deadlines"] = CallDeadlines(**{f"{key}_s": float(value) for key, value in aks["deadlines"].items()})
    if "credential" in aks:
        chosen["credential"] = tuple(aks["credential"])
    chosen |= {key: base / aks[key] for key in ("kubernetes_ca_file", "kubernetes_config_file") if key in aks}
    return AksConfig(
        **chosen,
        arm_url=arm_url,
        token_scope=aks.get("token_scope", cloud.token_scope if cloud else f"{arm_url}/.default"),
        authority_url=_url(aks, "authority_url", cloud.authority_url if cloud else None),
        kubernetes_url=_url(aks, "kubernetes_url", None),
    )


def _url(aks: Mapping[str, Any], key: str, default: str | None) -> str | None:
    return str(aks[key]).rstrip("/") if key in aks else default


def _build_nodearray(name: str, array: Mapping[str, Any], aks: AksConfig) -> NodeArrayConfig:
    mark = {OWNER_TAG: aks.owner}
    return NodeArrayConfig(
        array=NodeArray(
            name=name,
            agent_pool=pool_of(name, array),
            location=array.get("location", aks.location),
            spot=array.get("spot", False),
            priority=int(array.get("priority", 1)),
            enabled=array.get("enabled", True),
            max_count=_count(array, "max_count"),
            max_core_count=_count(array, "max_core_count"),
            budget_per_hour=_budget(array),
            max_creates_per_cycle=_count(array, "max_creates_per_cycle"),
            min_nodes=int(array.get("min_nodes", 0)),
            new_placement_groups=array.get("new_placement_groups", False),
            resources=_values(array.get("resources", {})),
            software_configuration=frozendict(_plain(array.get("software_configuration", {}))),
            offerings=tuple(
                _build_offering(name, array, bucket, zone)
                for bucket in array["buckets"]
                for zone in zones_of(array, bucket)
            ),
        ),
        placement_group_scope=array.get("placement_group_scope", "label"),
        stated=tuple(
            frozenset(key for key, value in bucket.items() if value is not None)
            for bucket in array["buckets"]
            for _ in zones_of(array, bucket)
        ),
        node_labels=frozendict({**array.get("node_labels", {}), **mark}),
        node_taints=tuple(array.get("node_taints", [])),
        tags=frozendict({**array.get("tags", {}), **mark}),
        os_disk_size_gb=_count(array, "os_disk_size_gb"),
        max_pods=_count(array, "max_pods"),
        spot_max_price=float(array["spot_max_price"]) if "spot_max_price" in array else None,
        headroom=tuple(
            Headroom(
                count=int(entry.get("count", 1)),
                constraints=frozendict(entry["constraints"]),
                windows=tuple(build_window(window) for window in entry.get("when", [])),
            )
            for entry in array.get("headroom", [])
        ),
        **{key: array.get(key) for key in _MACHINE_PLAIN},
    )


def _build_offering(name: str, array: Mapping[str, Any], bucket: Mapping[str, Any], zone: str | None) -> Offering:
    """An offering with what the file states; what it does not is put in by the catalogue (reconcile.catalogue)."""
    vcpu_count = int(bucket.get("vcpu_count", 1))
    group_size = bucket.get("max_placement_group_size", array.get("max_placement_group_size", DEFAULT_GROUP_SIZE))
    price = bucket.get("price")
    return Offering(
        vm_size=bucket["vm_size"],
        vcpu_count=vcpu_count,
        memory=Size(exact(Fraction(exact(bucket.get("memory_gb", 0))) * _GIB)),
        pcpu_count=int(bucket.get("pcpu_count", vcpu_count)),
        quota_vcpus=int(bucket.get("quota_vcpus", vcpu_count)),
        vm_family=bucket.get("vm_family", bucket["vm_size"]),
        gpu_count=int(bucket.get("gpu_count", 0)),
        gpu_model=bucket.get("gpu_model"),
        cores_per_socket=_count(bucket, "cores_per_socket"),
        infiniband=bucket.get("infiniband", False),
        arch=bucket.get("arch"),
        zone=zone,
        price=None if price is None else Fraction(exact(price)),
        max_count=_count(bucket, "max_count"),
        placement_groups=groups_in_zone(name, array, bucket, zone),
        max_placement_group_size=int(group_size),
        vm_capabilities=_values(bucket.get("vm_capabilities", {})),
    )


def _build_policy(document: Mapping[str, Any]) -> Policy:
    policy = document.get("policy", {})
    default = Policy()
    return Policy(
        placement_order=PlacementOrder(policy.get("placement_order", default.placement_order.value)),
        objective=Objective(policy.get("objective", default.objective.value)),
        optimize_work=_optimize_work(policy),
        idle_timeout=_timeout(document.get("idle_timeout", policy.get("idle_timeout")), default.idle_timeout),
        boot_timeout=_timeout(document.get("boot_timeout", policy.get("boot_timeout")), default.boot_timeout),
        machines_per_put=int(policy.get("machines_per_put", default.machines_per_put)),
        max_creates_per_cycle=_count(policy, "max_creates_per_cycle"),
        max_deletes_per_cycle=_count(policy, "max_deletes_per_cycle"),
        min_lifetime=_timeout(policy.get("min_lifetime"), default.min_lifetime),
        gang_timeout=float(policy.get("gang_timeout", default.gang_timeout)),
        mass_delete=_build_mass_delete(policy.get("mass_delete", {})),
        back_off=_build_back_off(policy.get("back_off", {})),
        boot_circuit=_build_circuit(policy.get("boot_circuit", {})),
        spot_evictions=_build_evictions(policy.get("spot_evictions", {})),
        boot_stages=_build_stages(policy.get("boot_stages", {})),
    )


def _optimize_work(policy: Mapping[str, Any]) -> int | None:
    seconds = policy.get("optimize_seconds", OPTIMIZE_SECONDS)
    return None if seconds is None or policy.get("objective") != Objective.COST.value else work_of(seconds)


def _build_mass_delete(raw: Mapping[str, Any]) -> MassDelete:
    default = MassDelete()
    return MassDelete(
        share=float(raw.get("share", default.share)),
        count=_count(raw, "count") if "count" in raw else default.count,
    )


def _build_back_off(raw: Mapping[str, Any]) -> BackOffTimes:
    times = {f"{name}_s": float(seconds) for name, seconds in raw.items()}
    return BackOffTimes(**times, stated=frozenset(times))


def _build_circuit(raw: Mapping[str, Any]) -> BootCircuit:
    default = BootCircuit()
    return BootCircuit(
        failures=int(raw.get("failures", default.failures)), retry_s=float(raw.get("retry", default.retry_s))
    )


def _build_stages(raw: Mapping[str, Any]) -> BootStages:
    never = Timeout(default_s=math.inf)
    return BootStages(**{name: _timeout(value, never) for name, value in raw.items()})


def _build_evictions(raw: Mapping[str, Any]) -> SpotEvictions:
    default = SpotEvictions()
    return SpotEvictions(count=_count(raw, "count"), window_s=float(raw.get("window", default.window_s)))


def _build_metrics(metrics: Mapping[str, Any], base: Path) -> MetricsConfig:
    host, _, port = metrics.get("listen", "").rpartition(":")
    return MetricsConfig(
        textfile=base / metrics["textfile"] if "textfile" in metrics else None,
        listen=(host.strip("[]") or "127.0.0.1", int(port)) if port else None,
    )


def _build_loop(loop: Mapping[str, Any], base: Path, owner: str) -> LoopConfig:
    seconds = {key: float(loop[key]) for key in ("cycle_deadline_s", "wake_delay_s") if key in loop}
    return LoopConfig(
        **seconds,
        wake_socket=base / loop["wake_socket"] if "wake_socket" in loop else None,
        lease=_build_lease(loop["lease"], owner) if "lease" in loop else None,
    )


def _build_lease(lease: Mapping[str, Any], owner: str) -> LeaseConfig:
    chosen = {key: lease[key] for key in ("name", "namespace") if key in lease}
    if "duration_s" in lease:
        chosen["duration_s"] = float(lease["duration_s"])
    return LeaseConfig(**{"name": f"azaks-{owner}", **chosen})


def _timeout(raw: Any, default: Timeout) -> Timeout:
    if raw is None:
        return default
    if not isinstance(raw, dict):
        return Timeout(default_s=float(raw))
    return Timeout(
        default_s=float(raw.get("default", default.default_s)),
        by_nodearray=frozendict({name: float(value) for name, value in raw.items() if name != "default"}),
    )


def _build_limits(limits: Mapping[str, Any]) -> Limits:
    return Limits(
        cluster_max_cores=_count(limits, "cluster_max_cores"),
        cluster_max_nodes=_count(limits, "cluster_max_nodes"),
        budget_per_hour=_budget(limits),
        regions=_quotas(limits.get("regions", {})),
        spot_regions=_quotas(limits.get("spot_regions", {})),
        families=frozendict({region: _quotas(raw) for region, raw in limits.get("families", {}).items()}),
    )


def _quotas(raw: Mapping[str, Any]) -> Mapping[str, CoreQuota]:
    return frozendict(
        {
            name: CoreQuota(int(quota["quota_cores"]), int(quota.get("used_elsewhere_cores", 0)))
            for name, quota in raw.items()
        }
    )


def _build_shared(resource: Mapping[str, Any]) -> SharedResource:
    initial = parse_value(resource.get("initial"))
    current = parse_value(resource["current"]) if "current" in resource else initial
    return SharedResource(initial=initial, current=current, value=parse_value(resource.get("value")))


def _values(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return frozendict({name: parse_value(value) for name, value in raw.items()})


def _count(raw: Mapping[str, Any], key: str) -> int | None:
    value = raw.get(key)
    return None if value is None else int(value)


def _budget(raw: Mapping[str, Any]) -> Fraction | None:
    value = raw.get("budget_per_hour")
    return None if value is None else Fraction(exact(value))


def _plain(value: Any) -> Any:
    """JSON with numbers as int or float, for settings that are no amounts."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, list) else value
