"""A client that knows nothing but HTTP, and a factory of emulators whose time stands still."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import requests

from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings, ThrottleSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MACHINE_VERSION = "2025-06-02-preview"
SMALL = "Standard_D2s_v5"


class Caller:
    """One emulator and a plain HTTP session to it; paths are those of §1.1."""

    def __init__(self, server: EmulatorServer, session: requests.Session) -> None:
        self.server = server
        self.session = session
        self.spec = server.settings.clusters[0]
        self.cluster = server.base_url + self.spec.id
        self.pool = f"{self.cluster}/agentPools/pool1"

    def call(self, method: str, url: str, **options: Any) -> requests.Response:
        params = {"api-version": MACHINE_VERSION, **options.pop("params", {})}
        headers = {"Authorization": "Bearer token", **options.pop("headers", {})}
        if not url.startswith("http"):
            url = self.server.base_url + url
        return self.session.request(method, url, params=params, headers=headers, timeout=10, **options)

    def put(self, name: str, *, pool: str | None = None, headers: dict[str, str] | None = None, **body: Any):
        url = f"{pool or self.pool}/machines/{name}"
        return self.call("PUT", url, json=machine_body(**body), headers=headers or {})

    def batch(self, name: str, entries: list[dict[str, Any]], *, more: dict[str, Any] | None = None, **body: Any):
        header = json.dumps({"batchMachines": entries, **(more or {})}, separators=(",", ":"))
        return self.put(name, headers={"BatchPutMachine": header}, **body)

    def get(self, name: str) -> requests.Response:
        return self.call("GET", f"{self.pool}/machines/{name}")

    def properties(self, name: str) -> dict[str, Any]:
        return self.get(name).json()["properties"]

    def state(self, name: str) -> str:
        return self.properties(name)["provisioningState"]

    def names(self) -> list[str]:
        return [machine["name"] for machine in self.walk()]

    def walk(self) -> Iterator[dict[str, Any]]:
        answer = self.call("GET", f"{self.pool}/machines").json()
        yield from answer["value"]
        while "nextLink" in answer:
            answer = self.session.get(answer["nextLink"], headers={"Authorization": "Bearer token"}, timeout=10).json()
            yield from answer["value"]

    def delete(self, *names: str) -> requests.Response:
        return self.call("POST", f"{self.pool}/deleteMachines", json={"machineNames": list(names)})

    def nodes(self, **params: str) -> list[dict[str, Any]]:
        return self.call("GET", "/api/v1/nodes", params=params).json()["items"]

    def fault(self, **rule: Any) -> dict[str, Any]:
        answer = self.session.post(f"{self.server.base_url}/_emulator/faults", json=rule, timeout=10)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def advance(self, seconds: float) -> None:
        answer = self.session.post(f"{self.server.base_url}/_emulator/clock", json={"advance": seconds}, timeout=10)
        assert answer.status_code == 200, answer.text

    def journal(self, **params: Any) -> dict[str, Any]:
        return self.session.get(f"{self.server.base_url}/_emulator/requests", params=params, timeout=10).json()

    def usage(self, name: str) -> int:
        url = f"/subscriptions/{self.spec.subscription}/providers/Microsoft.Compute/locations/eastus2/usages"
        rows = self.call("GET", url, params={"api-version": "2024-07-01"}).json()["value"]
        return {row["name"]["value"]: row["currentValue"] for row in rows}[name]


def machine_body(
    *, size: str | None = SMALL, zones: list[str] | None = None, tags: dict[str, str] | None = None, **properties: Any
) -> dict[str, Any]:
    body: dict[str, Any] = {"properties": {"hardware": {"vmSize": size}, **properties}}
    if zones is not None:
        body["zones"] = zones
    if tags is not None:
        body["properties"]["tags"] = tags
    return body


@pytest.fixture
def emulate() -> Iterator[Callable[..., Caller]]:
    """Start an emulator with these settings: time stands still, one pool `pool1`, no throttling."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Caller:
            given = {
                "speed": 0.0,
                "clusters": (ClusterSpec(pools=("pool1",)),),
                "throttle": ThrottleSettings(arm=False),
                **settings,
            }
            server = stack.enter_context(EmulatorServer(EmulatorSettings(**given)))
            return Caller(server, stack.enter_context(requests.Session()))

        yield start


@pytest.fixture
def aks(emulate: Callable[..., Caller]) -> Caller:
    """An emulator with the defaults of `emulate`."""
    return emulate()
