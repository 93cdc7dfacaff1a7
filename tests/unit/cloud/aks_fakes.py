"""A clock, a token source and a tiny AKS behind the transport seam, for tests of the client."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from frozendict import frozendict

from autoscale_aks.cloud.aks.client import AksClient, ClientSettings, Remembered
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.endpoints import AksEndpoints
from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure
from autoscale_aks.model.launch import OWNER_TAG, LaunchRequest, MachineSpec, MachineTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

EPOCH = 1_750_000_000.0
MARK = frozendict({OWNER_TAG: "site-a"})
TEMPLATE = MachineTemplate(pool="pool1", vm_size="Standard_D4s_v5", tags=MARK, node_labels=MARK)
ENDPOINTS = AksEndpoints(
    arm_url="https://arm.example",
    scope="https://arm.example/.default",
    subscription="sub",
    resource_group="rg",
    cluster="cl",
    kubernetes_url="https://k8s.example",
)


class FakeClock:
    """Time that only sleeping moves; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.time = EPOCH
        self.slept: list[float] = []

    def now(self) -> float:
        with self._lock:
            return self.time

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.time += seconds

    def effects(self, jitter: float = 0.0) -> Effects:
        return Effects(now=self.now, sleep=self.sleep, random=lambda: jitter, new_id=lambda: "request-id")


class FakeTokens:
    """Hands out token-1, token-2, …; a new one after each refusal of the present one."""

    def __init__(self) -> None:
        self.asked = 0
        self.refused: list[str] = []

    def token(self) -> str:
        self.asked += 1
        return f"token-{len(self.refused) + 1}"

    def invalidate(self, refused: str) -> None:
        self.refused.append(refused)


class ScriptedTransport:
    """Answers from a list, then with the last of it for ever; or from a function."""

    def __init__(self, script: Sequence[Response | SendFailure] | Callable[[Request], Response | SendFailure]) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.requests: list[Request] = []

    def send(self, request: Request) -> Response | SendFailure:
        with self._lock:
            self.requests.append(request)
            if callable(self._script):
                return self._script(request)
            return self._script[min(len(self.requests), len(self._script)) - 1]

    def close(self) -> None:
        """Nothing is kept."""


def answer(status: int, body: object = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(
        status=status,
        headers=frozendict({name.replace("_", "-").lower(): value for name, value in headers.items()}),
        body=raw,
    )


def error(status: int, code: str, message: str = "", **fields: Any) -> Response:
    return answer(status, {"code": code, "message": message, **fields})


class FakeArm:
    """One pool `pool1` of machines. `on_put(names, request)` may answer instead; `lose` drops names on the way."""

    def __init__(self) -> None:
        self.machines: dict[str, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self.honours_batch = True
        self.on_put: Callable[[list[str], Request], Response | SendFailure | None] = lambda names, request: None
        self.on_list: Callable[[], Response | SendFailure | None] = lambda: None
        self.hidden: set[str] = set()
        self._lock = threading.RLock()

    def close(self) -> None:
        """Nothing is kept."""

    @property
    def puts(self) -> list[Request]:
        return [request for request in self.requests if request.method == "PUT"]

    @property
    def batch_puts(self) -> list[Request]:
        return [request for request in self.puts if "BatchPutMachine" in request.headers]

    @property
    def single_puts(self) -> list[str]:
        return [url_name(request) for request in self.puts if "BatchPutMachine" not in request.headers]

    @property
    def lists(self) -> int:
        return sum(request.method == "GET" for request in self.requests)

    def add(self, *names: str, tags: Mapping[str, str] = MARK, state: str = "Creating", **status: Any) -> None:
        for name in names:
            self.machines[name] = {
                "name": name,
                "properties": {
                    "hardware": {"vmSize": "Standard_D4s_v5"},
                    "provisioningState": state,
                    "tags": dict(tags),
                    "status": status,
                },
            }

    def send(self, request: Request) -> Response | SendFailure:
        with self._lock:
            self.requests.append(request)
            if request.method == "PUT":
                return self._put(request)
            listed = [machine for name, machine in self.machines.items() if name not in self.hidden]
            return self.on_list() or answer(200, {"value": listed})

    def _put(self, request: Request) -> Response | SendFailure:
        names = put_names(request)
        if (given := self.on_put(names, request)) is not None:
            return given
        if request.headers.get("If-None-Match") == "*" and names[0] in self.machines:
            return error(412, "ConditionNotMet", "it exists")
        self.add(*(names if self.honours_batch else names[:1]))
        return answer(200, self.machines[names[0]])


def url_name(request: Request) -> str:
    return urlsplit(request.url).path.rpartition("/")[2]


def put_names(request: Request) -> list[str]:
    """The machines of a PUT, the URL's first."""
    header = json.loads(request.headers.get("BatchPutMachine", "{}"))
    return list(
        dict.fromkeys([url_name(request), *(entry["machineName"] for entry in header.get("batchMachines", []))])
    )


def query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


def specs(*names: str) -> tuple[MachineSpec, ...]:
    return tuple(MachineSpec(name=name) for name in names)


def chunk(index: int, *names: str, template: MachineTemplate = TEMPLATE) -> LaunchRequest:
    return LaunchRequest(chunk_id=f"chunk_{index}", template=template, machines=specs(*names))


def wave(workers: int, per_worker: int) -> list[LaunchRequest]:
    return [
        chunk(worker, *(f"m-{worker * per_worker + index:04d}" for index in range(per_worker)))
        for worker in range(workers)
    ]


def client_of(
    transport: Any,
    clock: FakeClock | None = None,
    *,
    settings: ClientSettings | None = None,
    remembered: Remembered | None = None,
    jitter: float = 0.0,
    endpoints: AksEndpoints = ENDPOINTS,
) -> AksClient:
    return AksClient(
        endpoints,
        FakeTokens(),
        kubernetes_tokens=FakeTokens(),
        transport=transport,
        settings=settings,
        remembered=remembered,
        effects=(clock or FakeClock()).effects(jitter),
    )


def states(outcomes: Any) -> dict[str, str]:
    return {outcome.name: outcome.state.value for each in outcomes for outcome in each.outcomes}


def natural(name: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
