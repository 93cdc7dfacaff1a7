"""Where the cluster is: base URLs, API versions and the clouds (aks-machine-api.md §1).

==========  ==========================================  =================================================
Cloud       ARM endpoint                                token scope (never derived from the endpoint)
==========  ==========================================  =================================================
public      https://management.azure.com                https://management.azure.com/.default
usgov       https://management.usgovcloudapi.net        https://management.core.usgovcloudapi.net/.default
china       https://management.chinacloudapi.cn         https://management.chinacloudapi.cn/.default
==========  ==========================================  =================================================

An air-gapped cloud or an emulator is one more `Cloud` value. Plain HTTP is refused outside this machine, because
every request carries a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from autoscale_aks.access.addresses import check_url
from autoscale_aks.access.connections import DIRECT, Route

POOL_API_VERSION: Final = "2024-06-02-preview"
MACHINE_API_VERSION: Final = "2025-06-02-preview"

_MACHINE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,32}[a-z0-9])?")
_POOL_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_CLUSTER_NAME = re.compile(r"[a-zA-Z0-9]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_RESOURCE_GROUP = re.compile(r"[-\w.()]{1,90}")
_SUBSCRIPTION = re.compile(r"[-_a-zA-Z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Cloud:
    """One Azure cloud. Endpoint and scope are settings of their own: in US Gov their hosts differ (§1.4)."""

    name: str
    arm_url: str
    scope: str
    authority: str


CLOUDS: Final[tuple[Cloud, ...]] = (
    Cloud(
        "public",
        "https://management.azure.com",
        "https://management.azure.com/.default",
        "login.microsoftonline.com",
    ),
    Cloud(
        "usgov",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net/.default",
        "login.microsoftonline.us",
    ),
    Cloud(
        "china",
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn/.default",
        "login.chinacloudapi.cn",
    ),
)


def find_cloud(name: str) -> Cloud:
    """The cloud of that name. Raises ValueError for an unknown one: guessing would send tokens astray."""
    for cloud in CLOUDS:
        if cloud.name == name:
            return cloud
    raise ValueError(f"unknown cloud {name!r}; known are {', '.join(cloud.name for cloud in CLOUDS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AksEndpoints:
    """One cluster, and how to reach its resource provider and its Kubernetes API.

    Raises ValueError for a URL that would send a token in clear, or a name that cannot stand in a path.
    """

    arm_url: str
    scope: str
    subscription: str
    resource_group: str
    cluster: str
    pool_api_version: str = POOL_API_VERSION
    machine_api_version: str = MACHINE_API_VERSION
    kubernetes_url: str | None = None
    kubernetes_route: Route = DIRECT
    """The Kubernetes API's certificate authority, our certificate there, and its proxy."""

    def __post_init__(self) -> None:
        check_url("arm_url", self.arm_url)
        if self.kubernetes_url is not None:
            check_url("kubernetes_url", self.kubernetes_url)
        for field, pattern in (
            ("subscription", _SUBSCRIPTION),
            ("resource_group", _RESOURCE_GROUP),
            ("cluster", _CLUSTER_NAME),
        ):
            if not pattern.fullmatch(getattr(self, field)):
                raise ValueError(f"{field} {getattr(self, field)!r} cannot be a part of an Azure resource id")

    def cluster_url(self) -> str:
        """The cluster: GET."""
        return _versioned(self._cluster_path(), self.pool_api_version)

    def pools_url(self) -> str:
        """The agent pools: GET, paged."""
        return _versioned(f"{self._cluster_path()}/agentPools", self.pool_api_version)

    def pool_url(self, pool: str) -> str:
        """An agent pool: GET, PUT, DELETE."""
        return _versioned(self._pool_path(pool), self.pool_api_version)

    def machines_url(self, pool: str, *, expand_vm_state: bool = False) -> str:
        """The machines of a pool: GET, paged. `$expand` makes the service fill `vmState` in (§1.1)."""
        expand = {"$expand": "properties.status.vmState"} if expand_vm_state else {}
        return _versioned(f"{self._pool_path(pool)}/machines", self.machine_api_version, expand)

    def machine_url(self, pool: str, name: str) -> str:
        """One machine: GET, PUT."""
        return _versioned(f"{self._pool_path(pool)}/machines/{quote(name, safe='')}", self.machine_api_version)

    def delete_url(self, pool: str) -> str:
        """POST `{"machineNames": […]}`; there is no DELETE on a machine."""
        return _versioned(f"{self._pool_path(pool)}/deleteMachines", self.machine_api_version)

    def _pool_path(self, pool: str) -> str:
        return f"{self._cluster_path()}/agentPools/{quote(pool, safe='')}"

    def _cluster_path(self) -> str:
        return (
            f"{self.arm_url.rstrip('/')}/subscriptions/{self.subscription}"
            f"/resourceGroups/{quote(self.resource_group, safe='')}"
            f"/providers/Microsoft.ContainerService/managedClusters/{self.cluster}"
        )


def check_machine_name(name: str) -> None:
    """Raise ValueError unless `name` is a machine name that survives as a Kubernetes node name (§2.6)."""
    if not _MACHINE_NAME.fullmatch(name):
        raise ValueError(f"machine name {name[:60]!r}: at most 34 characters a-z, 0-9 and -, a letter first, no - last")


def check_pool_name(pool: str) -> None:
    """Raise ValueError unless `pool` is an agent pool name (§2.1)."""
    if not _POOL_NAME.fullmatch(pool):
        raise ValueError(f"pool name {pool[:60]!r}: 1 to 12 characters a-z and 0-9, a letter first")


def _versioned(url: str, api_version: str, query: dict[str, str] | None = None) -> str:
    return f"{url}?{urlencode({'api-version': api_version, **(query or {})}, safe='$')}"
