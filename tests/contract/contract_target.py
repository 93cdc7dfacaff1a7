"""Where the contract tests send their requests: the emulator, or a real cluster named by the environment."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import requests
from contract.exchange_stories import fill

from autoscale_aks.cloud.aks.auth import AzureTokenSource, StaticTokenSource, azure_credentials
from autoscale_aks.cloud.aks.endpoints import MACHINE_API_VERSION, POOL_API_VERSION, AksEndpoints, find_cloud
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings_file import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.access.tokens import TokenSource

PREFIX: Final = "AZAKS_CONTRACT_"
REQUIRED: Final = ("SUBSCRIPTION", "RESOURCE_GROUP", "CLUSTER", "POOL", "LOCATION", "VM_SIZE")
OPTIONAL: Final = ("CLOUD",)
OUR_POOLS: Final = "azakst"
"""What the name of every pool begins with that these tests may change."""
PATIENCE_S: Final = 900.0
"""How long a real service may take for what the emulator does in no time."""


@dataclass(frozen=True, kw_only=True)
class RealCluster:
    """A cluster somebody lends to these tests."""

    subscription: str
    resource_group: str
    cluster: str
    pool: str
    location: str
    vm_size: str
    cloud: str = "public"


def read_environment(environment: Mapping[str, str]) -> RealCluster | None:
    """The real cluster, or None when no variable names one.

    Raises ValueError when only some variables are set, when one is unknown, or when the pool is not one of ours:
    a run that was meant for a real cluster never falls back to the emulator without a word.
    """
    given = {name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX)}
    if not given:
        return None
    if unknown := sorted(set(given) - {*REQUIRED, *OPTIONAL}):
        raise ValueError(f"unknown: {', '.join(PREFIX + name for name in unknown)}")
    if missing := [PREFIX + name for name in REQUIRED if not given.get(name)]:
        raise ValueError(f"a real cluster needs {', '.join(missing)} too")
    check_ours(given["POOL"])
    return RealCluster(**{name.lower(): value for name, value in given.items() if value})


def pause() -> None:
    """Between two looks at a real service."""
    time.sleep(10)


def check_ours(pool: str) -> None:
    """Raise ValueError for a pool these tests must not touch."""
    if not pool.startswith(OUR_POOLS):
        raise ValueError(f"pool {pool!r} is not ours: the name must begin with {OUR_POOLS!r}")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A service to send requests to. `emulator` is None for a real one."""

    variables: dict[str, str]
    endpoints: AksEndpoints
    tokens: TokenSource
    emulator: EmulatorServer | None = None

    @property
    def pool(self) -> str:
        return self.variables["pool_name"]

    def wait(self, seconds: float) -> None:
        """Let time pass. A real service is waited for by asking again."""
        if self.emulator is not None:
            self.emulator.clock.advance(seconds)

    def send(self, request: dict[str, Any]) -> requests.Response:
        """Send what a file records, or a URL that an earlier answer gave."""
        filled = fill(request, self.variables)
        path = filled["path"]
        if filled["method"] != "GET":
            check_path(path, self.emulator)
        url = path if path.startswith("http") else self.endpoints.arm_url + path
        headers = {"Authorization": f"Bearer {self.tokens.token()}", **filled.get("headers", {})}
        if filled.get("no_token"):
            del headers["Authorization"]
        return requests.request(
            filled["method"],
            url,
            params=filled.get("query"),
            headers=headers,
            json=filled.get("body"),
            timeout=60,
            allow_redirects=False,
        )


def check_path(path: str, emulator: EmulatorServer | None) -> None:
    """Raise ValueError for a change of anything but a pool of ours; an emulator may be changed as one likes."""
    if emulator is None:
        check_ours(path.partition("/agentPools/")[2].partition("/")[0])


def variables_of(subscription: str, group: str, cluster: str, **more: str) -> dict[str, str]:
    """What `{…}` stands for in the files."""
    base = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerService"
    found = {"sub": subscription, "rg": group, "cl": cluster, "cluster": f"{base}/managedClusters/{cluster}", **more}
    found["pool"] = f"{found['cluster']}/agentPools/{found['pool_name']}"
    found["id"] = found["pool"].replace("/resourceGroups/", "/resourcegroups/")
    return found


@contextmanager
def emulated(settings: dict[str, Any], faults: tuple[dict[str, Any], ...], *, new_pool: bool) -> Iterator[Target]:
    """An emulator of its own, whose time only `wait` moves."""
    cluster = {"pools": [] if new_pool else ["np1"], **settings.get("cluster", {})}
    given = {"speed": 0, "start_time": 1_790_000_000, **settings, "clusters": [cluster]}
    given.pop("cluster", None)
    with EmulatorServer(read_settings(given)) as server:
        spec = server.settings.clusters[0]
        for rule in faults:
            server.state.faults.add(FaultRule.from_mapping(rule))
        variables = variables_of(
            spec.subscription,
            spec.resource_group,
            spec.name,
            arm=server.base_url,
            pool_name="np1",
            location=spec.location,
            size="Standard_D4s_v5",
            m="m",
        )
        yield Target(
            variables=variables,
            endpoints=_endpoints(server.base_url, "emulator/.default", variables, kubernetes=server.base_url),
            tokens=StaticTokenSource("emulated", endpoint=server.base_url),
            emulator=server,
        )


@contextmanager
def real(where: RealCluster, *, new_pool: bool) -> Iterator[Target]:
    """A real cluster; machines have names of this run, and go with it, as does a pool it made."""
    cloud = find_cloud(where.cloud)
    run = uuid.uuid4().hex[:6]
    pool = f"{OUR_POOLS}{run[:5]}" if new_pool else where.pool
    check_ours(pool)
    variables = variables_of(
        where.subscription,
        where.resource_group,
        where.cluster,
        arm=cloud.arm_url,
        pool_name=pool,
        location=where.location,
        size=where.vm_size,
        m=f"c{run}-",
    )
    target = Target(
        variables=variables,
        endpoints=_endpoints(cloud.arm_url, cloud.scope, variables, kubernetes=None),
        tokens=AzureTokenSource(cloud.scope, azure_credentials(authority=cloud.authority)),
    )
    try:
        if not new_pool:
            _make_pool(target)
        yield target
    finally:
        _clean(target, new_pool=new_pool)


def _endpoints(arm_url: str, scope: str, variables: dict[str, str], *, kubernetes: str | None) -> AksEndpoints:
    return AksEndpoints(
        arm_url=arm_url,
        scope=scope,
        subscription=variables["sub"],
        resource_group=variables["rg"],
        cluster=variables["cl"],
        kubernetes_url=kubernetes,
    )


def _make_pool(target: Target) -> None:
    query = {"api-version": POOL_API_VERSION}
    body = {"properties": {"mode": "Machines"}}
    target.send({"method": "PUT", "path": "{pool}", "query": query, "body": body}).raise_for_status()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        answer = target.send({"method": "GET", "path": "{pool}", "query": query})
        if answer.ok and answer.json()["properties"]["provisioningState"] == "Succeeded":
            return
        pause()
    raise TimeoutError(f"pool {target.pool} is not there after {PATIENCE_S:g} s")


def _clean(target: Target, *, new_pool: bool) -> None:
    if new_pool:
        target.send({"method": "DELETE", "path": "{pool}", "query": {"api-version": POOL_API_VERSION}})
        return
    link, names = "{pool}/machines?api-version=" + MACHINE_API_VERSION, []
    while link:
        page = target.send({"method": "GET", "path": link}).json()
        names += [item["name"] for item in page.get("value", ()) if item["name"].startswith(target.variables["m"])]
        link = page.get("nextLink", "")
    for start in range(0, len(names), 50):
        body = {"machineNames": names[start : start + 50]}
        query = {"api-version": MACHINE_API_VERSION}
        target.send({"method": "POST", "path": "{pool}/deleteMachines", "query": query, "body": body})
