"""The configuration as frozen values. Everything is checked before one of these is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from frozendict import frozendict

from autoscale_aks.config.references import ReferenceConfig
from autoscale_aks.model.launch import CallDeadlines, MachineTemplate
from autoscale_aks.model.limits import Limits, SharedResource
from autoscale_aks.model.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from autoscale_aks.config.calendars import Window
    from autoscale_aks.errors import Problem
    from autoscale_aks.model.bucket import NodeArray

Cloud: TypeAlias = Literal["public", "usgov", "china", "custom"]
BatchHeader: TypeAlias = Literal["all", "additional", "off"]
CredentialKind: TypeAlias = Literal["workload_identity", "managed_identity", "azure_cli", "emulator"]
GroupScope: TypeAlias = Literal["label", "pool", "zone"]
LogLevel: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AksConfig:
    """The cluster and how it is reached. Addresses are resolved: the cloud's own stand where none was given."""

    subscription: str
    resource_group: str
    cluster: str
    owner: str
    """Ownership mark: a prefix of machine names and the value of the owner tag and label."""
    arm_url: str
    """Without a slash at its end."""
    token_scope: str
    location: str | None = None
    cloud: Cloud = "public"
    authority_url: str | None = None
    """None: the host's environment says where tokens come from."""
    kubernetes_url: str | None = None
    """Without a slash at its end."""
    kubernetes_ca_file: Path | None = None
    kubernetes_config_file: Path | None = None
    kubernetes_context: str | None = None
    kubernetes_in_cluster: bool = False
    pool_api_version: str = "2024-06-02-preview"
    machine_api_version: str = "2025-06-02-preview"
    batch_header: BatchHeader = "all"
    header_budget_bytes: int = 12288
    workers: int = 100
    deadlines: CallDeadlines = CallDeadlines()
    credential: tuple[CredentialKind, ...] = ("workload_identity", "managed_identity")
    identity_client_id: str | None = None

    @property
    def reads_nodes(self) -> bool:
        """Whether the cluster's nodes are asked for, in one of the three ways."""
        return self.kubernetes_in_cluster or bool(self.kubernetes_url or self.kubernetes_config_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """Which scheduler, and the settings of its own: JSON as it was written, with numbers as int or float."""

    type: str
    settings: Mapping[str, Any] = field(default_factory=frozendict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerConfig:
    """The ledger's file."""

    path: Path
    history_days: float = 30.0
    """Days for which it is kept what happened to machines and jobs; 0: nothing is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseConfig:
    """A lease in the cluster's Kubernetes, for head nodes that share no disk (user ask T33b)."""

    name: str
    namespace: str = "kube-system"
    duration_s: float = 60.0
    """How long after its last renewal another run may take it over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How cycles follow each other, and who may run them. Times are in seconds."""

    cycle_deadline_s: float = 900.0
    """A cycle that is older sends no further request."""
    wake_socket: Path | None = None
    """A datagram socket on which every message asks for a cycle soon; None: only the interval counts."""
    wake_delay_s: float = 1.0
    """How long more messages are waited for before they make one cycle together."""
    lease: LeaseConfig | None = None


COLLAPSE_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    """Where log lines go: `config_file` when it is given, else lines of `level` and above."""

    level: LogLevel = "WARNING"
    format: Literal["text", "json"] = "text"
    config_file: Path | None = None
    collapse_s: float = COLLAPSE_S
    """A line that repeats itself is written once in so many seconds, with how often; 0: each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """Where metrics go (user ask T28a); nowhere by default."""

    textfile: Path | None = None
    """A file for node_exporter's textfile collector, replaced after every cycle."""
    listen: tuple[str, int] | None = None
    """Host and port of `/metrics` and `/healthz` while `azaks run` runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """Room that is kept free on a node array: for `count` jobs of one shape (user ask T21a)."""

    count: int
    constraints: Mapping[str, Any]
    """JSON as it was written, with exact numbers, such as `{"ncpus": 44}`."""
    windows: tuple[Window, ...] = ()
    """When it is kept; none: always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeArrayConfig:
    """One node array: what the planner sees of it, and what its machines are given."""

    array: NodeArray
    placement_group_scope: GroupScope = "label"
    """What a placement group is on AKS, beside a label and a tag."""
    stated: tuple[frozenset[str], ...] = ()
    """For each offering of the array, the keys of its bucket that the file states: they win over the catalogue."""
    node_labels: Mapping[str, str] = field(default_factory=frozendict)
    """With the ownership mark (batching.md B7)."""
    node_taints: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=frozendict)
    """With the ownership mark."""
    os_sku: str | None = None
    os_disk_size_gb: int | None = None
    os_disk_type: str | None = None
    orchestrator_version: str | None = None
    max_pods: int | None = None
    gpu_driver: str | None = None
    gpu_instance_profile: str | None = None
    node_image_version: str | None = None
    ssh_access: str | None = None
    vnet_subnet_id: str | None = None
    spot_max_price: float | None = None
    headroom: tuple[Headroom, ...] = ()

    def template_for(self, vm_size: str) -> MachineTemplate:
        """What machines of one size of this array share. Raises ValueError for a size it does not offer."""
        offered = [offering.vm_size for offering in self.array.offerings]
        if vm_size not in offered:
            raise ValueError(f"node array {self.array.name} does not offer {vm_size!r}, only {', '.join(offered)}")
        return MachineTemplate(
            pool=self.array.agent_pool,
            vm_size=vm_size,
            spot=self.array.spot,
            node_labels=self.node_labels,
            node_taints=self.node_taints,
            tags=self.tags,
            os_sku=self.os_sku,
            os_disk_size_gb=self.os_disk_size_gb,
            os_disk_type=self.os_disk_type,
            orchestrator_version=self.orchestrator_version,
            max_pods=self.max_pods,
            gpu_driver=self.gpu_driver,
            gpu_instance_profile=self.gpu_instance_profile,
            node_image_version=self.node_image_version,
            ssh_access=self.ssh_access,
            vnet_subnet_id=self.vnet_subnet_id,
            spot_max_price=self.spot_max_price,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What a file's mistakes took out of it, so that the rest can be used (user ask T29c)."""

    problems: tuple[Problem, ...] = ()
    """The mistakes, each with its path and line."""
    nodearrays: frozenset[str] = frozenset()
    """Node arrays that make no new machine, because something of theirs is wrong."""
    of_buckets: frozenset[str] = frozenset()
    """Node arrays that lack a bucket, because something of it is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of `autoscale.json`."""

    source: str
    """The file it was read from, for messages."""
    aks: AksConfig
    scheduler: SchedulerConfig
    ledger: LedgerConfig
    nodearrays: Mapping[str, NodeArrayConfig]
    """By name, in the order of the file."""
    default_resources: tuple[Mapping[str, Any], ...] = ()
    """JSON as it was written, with exact numbers; `matching` reads it."""
    disable_default_resources: bool = False
    policy: Policy = Policy()
    limits: Limits = Limits()
    shared_resources: Mapping[str, SharedResource] = field(default_factory=frozendict)
    logging: LoggingConfig = LoggingConfig()
    loop: LoopConfig = LoopConfig()
    default_columns: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    """Verb → the columns that its table shows where none were asked for."""
    left_out: LeftOut = LeftOut()
    metrics: MetricsConfig = MetricsConfig()
    references: ReferenceConfig = ReferenceConfig()

    @property
    def arrays(self) -> tuple[NodeArray, ...]:
        """The node arrays as a snapshot holds them, in the order of the file."""
        return tuple(nodearray.array for nodearray in self.nodearrays.values())

    @property
    def agent_pools(self) -> tuple[str, ...]:
        """Every agent pool the node arrays use, each once."""
        return tuple(dict.fromkeys(array.agent_pool for array in self.arrays))
