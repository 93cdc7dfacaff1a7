"""Every switch of the emulator in one frozen value.

Facts of the contract marked M or L (seen once, or inferred) are switches here; the default is the
better-supported reading, and the comment names the section.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from autoscale_aks.emulator.draws import Delay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.emulator.faults import FaultRule

VNET = "vnet-emulated"

Progress = Literal["at_once", "by_reads", "by_time"]
BatchMode = Literal["all", "primary-from-body", "unsupported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """One AKS cluster that exists from the start. `pools` are Machines pools it already has."""

    subscription: str = "00000000-0000-4000-8000-000000000001"
    resource_group: str = "rg-emulated"
    name: str = "aks-emulated"
    location: str = "eastus2"
    kubernetes_version: str = "1.32.6"
    pools: tuple[str, ...] = ()

    @property
    def node_resource_group(self) -> str:
        """Where the VMs live (§7.2)."""
        return f"MC_{self.resource_group}_{self.name}_{self.location}"

    @property
    def id(self) -> str:
        """Resource id with the lower-case `resourcegroups` segment of real answers (§1.1)."""
        return (
            f"/subscriptions/{self.subscription}/resourcegroups/{self.resource_group}"
            f"/providers/Microsoft.ContainerService/managedClusters/{self.name}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things take, in emulated seconds (§7.1; values without a recording are guesses, L)."""

    pool_create: Delay = Delay(0.8)
    pool_delete: Delay = Delay(30.0)
    machine_create: Delay = Delay(49.0, 5.0, least_s=20.0)
    machine_fail: Delay = Delay(20.0, 5.0, least_s=2.0)
    machine_update: Delay = Delay(240.0, 20.0, least_s=30.0)
    machine_delete: Delay = Delay(60.0, 10.0, least_s=10.0)
    node_register: Delay = Delay(20.0, 5.0, least_s=2.0)
    node_ready: Delay = Delay(15.0, 4.0, least_s=1.0)
    creation_stamp_s: float = 2.6


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """A token bucket: how many at once, how many come back each second."""

    burst: float
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSettings:
    """Token buckets of §6. ARM's are on with the documented numbers; the provider's are off (M/L)."""

    arm: bool = True
    arm_reads: BucketSpec = BucketSpec(250, 25)
    arm_writes: BucketSpec = BucketSpec(200, 10)
    arm_deletes: BucketSpec = BucketSpec(200, 10)
    arm_global_factor: float = 15.0
    post_counts_as: Literal["writes", "deletes"] = "writes"
    rp: bool = False
    rp_pool_put: BucketSpec = BucketSpec(20, 1 / 60)
    rp_cluster_get: BucketSpec = BucketSpec(60, 1)
    rp_operation_get: BucketSpec = BucketSpec(200, 2)
    rp_other: BucketSpec = BucketSpec(60, 1)
    batch: BucketSpec | None = None
    retry_after: bool = True
    remaining_headers: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSettings:
    """vCPU quota per region (§9.2). `limits` and `used_by_others` are keyed by `name.value` of usages.

    Spot uses `lowPriorityCores` only (M), or the region's `cores` as well.
    """

    enforced: bool = True
    family: int = 100_000
    regional: int = 100_000
    spot: int = 100_000
    limits: Mapping[str, int] = field(default_factory=dict)
    used_by_others: Mapping[str, int] = field(default_factory=dict)
    spot_counts_as_regional: bool = False
    lag_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorSettings:
    """All switches. Groups: the world, time, HTTP, single PUT, batch, lists, delete, errors."""

    clusters: tuple[ClusterSpec, ...] = (ClusterSpec(),)
    sizes: Mapping[str, Mapping[str, Any]] | None = None  # instead of the packaged table (§9.1)
    # size -> zones that are not for you, () = the whole size (§9.1)
    restrictions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quota: QuotaSettings = QuotaSettings()
    faults: tuple[FaultRule, ...] = ()
    seed: int = 0

    progress: Progress = "by_time"
    reads_per_step: int = 2  # by_reads: a resource moves on after being read this often
    speed: float = 1.0  # emulated seconds per wall second
    start_time: float | None = None  # epoch seconds; None = now
    timing: Timing = Timing()
    succeeded_early: bool = False  # §7.1 conflict: machines read Succeeded before the VM exists (M)
    pool_follows_machines: bool = False  # §7.1: pool reads Updating while machines are being made (L)

    latency_s: float = 0.0  # wall seconds added to every request
    latency_spread_s: float = 0.0
    header_cap_bytes: int = 65_536  # §4.5: request line and all headers
    header_cap_status: Literal[431, 400] = 431
    require_bearer: bool = True  # §10.1
    actions: tuple[str, ...] = ("*",)  # §1.3: what the caller may do; the rest is 403
    gateway_wrapped: bool = True  # §10.1: envelope of the errors for token and api-version (M/L)
    token_lifetime_s: float | None = None  # emulated seconds from the first sight of a bearer; None = for ever
    throttle: ThrottleSettings = ThrottleSettings()
    operation_url_bytes: int = 4_096  # §6.4: length of the signed part of operation URLs
    request_log_size: int = 20_000

    ga_machine_put: Literal["reject", "accept"] = "reject"  # §1.2: machine PUT is preview only
    strict_pool_body: bool = True  # §2.1: fields other than mode give 400
    strict_machine_body: bool = True  # §10.3: unknown fields give 400
    fields_by_version: bool = False  # §2.3 "since": fields newer than api-version count as unknown
    machine_name_cap: int = 34  # §2.6
    create_status: Literal[200, 201] = 200  # §3
    lean_put_answer: bool = True  # §3: no resourceId in PUT answers
    immutable_fields: Literal["seen", "all"] = "seen"  # §2.3: vmSize, priority, zones or every C mark
    immutable_code: Literal["OperationNotAllowed", "PropertyChangeNotAllowed"] = "OperationNotAllowed"
    precondition_code: Literal["ConditionNotMet", "PreconditionFailed"] = "ConditionNotMet"
    if_none_match: Literal["honoured", "ignored"] = "honoured"  # §3: `*` = create only (L)
    update_while_creating: Literal["accept", "conflict"] = "accept"
    node_suffix: str = "-vm"  # §7.2; older recordings: -vm1, -vm0
    spot_taint: bool = True  # §7.2: Spot nodes are tainted (L)
    node_number: Literal["cluster", "machine"] = "cluster"  # §12: are the 8 digits shared?

    batch_mode: BatchMode = "all"  # §4.3
    batch_max: int = 50  # §2.7
    batch_existing: Literal["error", "whole", "update"] = "error"  # §12

    page_size: int = 50  # §7.4
    trailing_empty_page: bool = True  # §7.4
    list_vm_state: Literal["always", "expand"] = "always"  # §1.1
    price_page_size: int = 100  # §9.3
    sku_page_size: int = 1_000  # §9.1: rows before a nextLink
    # subnet -> {"prefix": "10.0.0.0/24", "used_by_others": 3, "pools": ["htc"]}: addresses that machines take
    subnets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    delete_max: int | None = None  # §2.7: nothing published (L)
    delete_mixed: Literal["proceed", "reject"] = "proceed"  # §7.5
    delete_error_wrapped: bool = False  # §5.1: bare or wrapped
    bad_body_code: Literal["InvalidParameter", "BadRequest"] = "InvalidParameter"  # §5.1

    machines_per_pool: int | None = None  # §2.7: nothing published
    nodes_per_cluster: int = 5_000  # §2.7
    pools_per_cluster: int = 100  # §2.7
    more_headers: Mapping[str, str] = field(default_factory=dict)  # on every ARM answer


def subnet_id(spec: ClusterSpec, name: str) -> str:
    """The resource id of a subnet of the cluster's network."""
    return (
        f"/subscriptions/{spec.subscription}/resourceGroups/{spec.resource_group}"
        f"/providers/Microsoft.Network/virtualNetworks/{VNET}/subnets/{name}"
    )


def subnet_of_pool(settings: EmulatorSettings, spec: ClusterSpec, pool: str) -> str | None:
    """The subnet a pool was made in; None: it does not say."""
    return next((subnet_id(spec, name) for name, facts in settings.subnets.items() if pool in facts["pools"]), None)
