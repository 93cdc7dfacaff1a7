"""An emulator, clients of it that are processes of their own, and the books: asked, answered, there.

Emulated time stands still but for the clients' sleeps, which move it; no test here waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from autoscale_aks.cloud.aks.auth import StaticTokenSource
from autoscale_aks.cloud.aks.client import AksClient, ClientSettings
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.endpoints import AksEndpoints
from autoscale_aks.cloud.aks.transport import HttpTransport
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings, ThrottleSettings
from autoscale_aks.emulator.store import State
from autoscale_aks.model.launch import (
    OWNER_TAG,
    ChunkOutcome,
    LaunchOutcome,
    LaunchRequest,
    LaunchState,
    MachineSpec,
    MachineTemplate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import ExitStack

    from autoscale_aks.access.tokens import TokenSource
    from autoscale_aks.cloud.aks.client import Remembered
    from autoscale_aks.cloud.aks.transport import Request, Response, SendFailure, Transport
    from autoscale_aks.emulator.journal import Entry
    from autoscale_aks.emulator.store import Machine, Pool

POOL = "np1"
SIZE = "Standard_D4s_v5"
PUTS = ("machine.put", "machine.batch_put")
LONG_S = 600.0
"""After this long everything that was begun has ended."""


def template_of(owner: str = "site-a", **more: Any) -> MachineTemplate:
    """What all machines of an owner share."""
    mark = {OWNER_TAG: owner}
    return MachineTemplate(pool=POOL, **{"vm_size": SIZE, "tags": mark, "node_labels": mark, **more})


def chunks(workers: int, per_worker: int, template: MachineTemplate | None = None) -> list[LaunchRequest]:
    """One wave: `m-0-0`, `m-0-1`, … of `chunk_0`, and so on."""
    return [
        LaunchRequest(
            chunk_id=f"chunk_{worker}",
            template=template or template_of(),
            machines=tuple(
                MachineSpec(name=f"m-{worker}-{index}", zone=str(index % 3 + 1)) for index in range(per_worker)
            ),
        )
        for worker in range(workers)
    ]


def names_of(requests: Iterable[LaunchRequest]) -> list[str]:
    return [machine.name for request in requests for machine in request.machines]


class Rig:
    """One emulated cluster and everybody who talks to it."""

    def __init__(self, stack: ExitStack, switches: Mapping[str, Any]) -> None:
        given = {
            "clusters": (ClusterSpec(pools=(POOL,)),),
            "speed": 0.0,
            "throttle": ThrottleSettings(arm=False),
            **switches,
        }
        self._stack = stack
        self.server = stack.enter_context(EmulatorServer(EmulatorSettings(**given)))
        self.effects = Effects(now=self.server.clock.now, sleep=self._sleep, random=lambda: 0.0)

    def _sleep(self, seconds: float) -> None:
        self.server.clock.advance(seconds)

    def client(
        self,
        settings: ClientSettings | None = None,
        *,
        tokens: TokenSource | None = None,
        transport: Transport | None = None,
        remembered: Remembered | None = None,
    ) -> AksClient:
        """A client that shares nothing with any other: a process of its own."""
        cluster = self.server.settings.clusters[0]
        endpoints = AksEndpoints(
            arm_url=self.server.base_url,
            scope="emulator/.default",
            subscription=cluster.subscription,
            resource_group=cluster.resource_group,
            cluster=cluster.name,
            kubernetes_url=self.server.base_url,
        )
        fixed = StaticTokenSource("emulated", endpoint=self.server.base_url)
        made = AksClient(
            endpoints,
            tokens or fixed,
            kubernetes_tokens=fixed,
            transport=transport,
            settings=settings,
            remembered=remembered,
            effects=self.effects,
        )
        return self._stack.enter_context(made)

    @property
    def pool(self) -> Pool:
        return self.server.state.pools()[0]

    def fault(self, **rule: Any) -> int:
        return self.server.state.faults.add(FaultRule(**rule))

    def mend(self) -> None:
        """Drop all faults."""
        self.server.state.faults.remove()

    def advance(self, seconds: float = LONG_S) -> None:
        self.server.clock.advance(seconds)

    def requests(self, *operations: str) -> list[Entry]:
        return [entry for entry in self.server.journal.entries() if entry.operation in operations]

    def statuses(self, *operations: str) -> Counter[int | None]:
        return Counter(entry.status for entry in self.requests(*operations))

    def wait_until_quiet(self) -> None:
        """Until every request that has arrived is done with, also one whose client has long hung up."""
        deadline = time.monotonic() + 20
        while any(entry.duration_ms is None for entry in self.server.journal.entries()):
            assert time.monotonic() < deadline, "the emulator is still at work"
            time.sleep(0.01)
        self.server.catch_up()

    def machines(self) -> dict[str, Machine]:
        """What is in the emulator's store, being deleted or not."""
        self.wait_until_quiet()
        return {machine.name: machine for machine in self.pool.listed()}

    def alive(self) -> set[str]:
        return {name for name, machine in self.machines().items() if machine.state is not State.DELETING}

    def owners(self) -> dict[str, str]:
        """Machine → whose tag it carries."""
        return {name: (machine.tags or {}).get(OWNER_TAG, "") for name, machine in self.machines().items()}

    def doubled(self) -> dict[str, str]:
        """Names that were created more than once, or changed by a second PUT."""
        again = {name: f"created {count} times" for name, count in self.pool.generations.items() if count > 1}
        changed = {machine.name: "changed" for machine in self.machines().values() if machine.revision}
        return {**again, **changed}


def states(outcomes: Iterable[ChunkOutcome]) -> dict[str, LaunchState]:
    return {each.name: each.state for outcome in outcomes for each in outcome.outcomes}


def by_state(outcomes: Iterable[ChunkOutcome], state: LaunchState) -> set[str]:
    return {name for name, found in states(outcomes).items() if found is state}


def refusals(outcomes: Iterable[ChunkOutcome]) -> dict[str, LaunchOutcome]:
    return {each.name: each for chunk in outcomes for each in chunk.outcomes if each.state is not LaunchState.ACCEPTED}


def check_books(rig: Rig, requests: Sequence[LaunchRequest], outcomes: Sequence[ChunkOutcome]) -> None:
    """Nothing lost, nothing doubled: what was asked, what was answered and what is there agree.

    Every name has one answer; what was accepted is there; what was rejected is not; whatever is there was asked for,
    made once and not changed since.
    """
    asked = names_of(requests)
    answered = [each.name for chunk in outcomes for each in chunk.outcomes]
    assert answered == asked
    there = rig.alive()
    assert by_state(outcomes, LaunchState.ACCEPTED) - there == set(), "lost"
    assert by_state(outcomes, LaunchState.REJECTED) & there == set(), "refused, and there all the same"
    assert there <= set(asked)
    assert rig.doubled() == {}


def settle(rig: Rig, requests: Sequence[LaunchRequest], outcomes: Sequence[ChunkOutcome]) -> None:
    """The books agree now, and when the trouble is over the next run makes exactly what is still missing."""
    check_books(rig, requests, outcomes)
    rig.mend()
    rig.advance()
    before = rig.alive()
    puts = len(rig.requests(*PUTS))
    again = rig.client().create_machines(requests)
    check_books(rig, requests, again)
    assert rig.alive() == set(names_of(requests)) == by_state(again, LaunchState.ACCEPTED)
    sent = {name for entry in rig.requests(*PUTS)[puts:] for name in entry.names}
    assert sent & before == set(), "what is there is not asked for again"


class Interrupted:
    """A transport that lets something happen right before, or right after, the first request that matches."""

    def __init__(
        self,
        matches: Callable[[Request], bool],
        happen: Callable[[], object],
        *,
        after: bool = False,
    ) -> None:
        self._inner = HttpTransport(connections=8)
        self._matches = matches
        self._happen = happen
        self._after = after
        self._lock = threading.Lock()
        self.happened = False

    def send(self, request: Request) -> Response | SendFailure:
        with self._lock:
            now = not self.happened and self._matches(request)
            self.happened = self.happened or now
        if now and not self._after:
            self._happen()
        result = self._inner.send(request)
        if now and self._after:
            self._happen()
        return result

    def close(self) -> None:
        self._inner.close()


def is_put(request: Request) -> bool:
    return request.method == "PUT" and "/machines/" in request.url


def is_delete(request: Request) -> bool:
    return request.method == "POST"
