"""An emulator in a process of its own and a site on it: what the wire is measured with.

The client is the program's own, with the settings a configuration gives it; the ledger is a real file, the plan is made
by the real planner; only the scheduler is a list of jobs. The emulator runs as `azaks emulate` does, so that it shares
no interpreter lock with the client.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.cli.wiring import header_limits, smallest_batch
from autoscale_aks.clock import SystemClock
from autoscale_aks.cloud.aks.auth import StaticTokenSource
from autoscale_aks.cloud.aks.budget import ARM_READS, ARM_WRITES, Rate
from autoscale_aks.cloud.aks.client import AksClient, ClientSettings
from autoscale_aks.cloud.aks.endpoints import AksEndpoints
from autoscale_aks.config import parse_config
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.reconcile import World
from autoscale_aks.schedulers.port import SchedulerState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from autoscale_aks.config import Config
    from autoscale_aks.schedulers.port import NewNode, NodeRequest

SUBSCRIPTION: Final = "00000000-0000-4000-8000-000000000001"
GROUP: Final = "rg-emulated"
CLUSTER: Final = "aks-emulated"
LOCATION: Final = "eastus2"
POOL: Final = "htc"
NO_LIMIT: Final = Rate(1e9, 1e9)
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator: its address and its process."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Processor seconds it has used, in user and kernel mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def control(self, path: str, method: str = "GET", body: object = None) -> Any:
        """One request to `/_emulator/…`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_emulator/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def counts(self) -> dict[str, int]:
        """Requests by operation since the last `forget`."""
        found: dict[str, int] = self.control("requests?since=999999999")["counts"]["by_operation"]
        return found

    def forget(self) -> None:
        """Forget the requests so far."""
        self.control("requests", "DELETE")


@contextmanager
def emulator(**switches: Any) -> Iterator[Emulator]:
    """`azaks emulate` with these switches, in a process of its own."""
    settings = {
        "clusters": [{"pools": [POOL]}],
        "quota": {"enforced": False},
        "nodes_per_cluster": 1_000_000,
        "timing": {"machine_delete": 0, "pool_create": 0},
        **switches,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.json"
        path.write_text(json.dumps(settings), "utf-8")
        command = [
            sys.executable,
            "-c",
            "from autoscale_aks.cli.main import main; main()",
            "emulate",
            "--settings",
            str(path),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                yield Emulator(line.split()[-1], process.pid)
            finally:
                process.terminate()


@dataclass(slots=True)
class Queue:
    """A scheduler that is a list of jobs and does whatever it is told."""

    jobs: tuple[Job, ...] = ()

    def read(self) -> SchedulerState:
        """The jobs; no nodes are reported."""
        return SchedulerState(jobs=self.jobs, nodes=None, running=frozendict(), complete=True)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Nothing to tell."""

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """None are ever made."""

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:  # noqa: ARG002
        """There is nowhere to write it."""
        return ()

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:  # noqa: ARG002
        """All of them."""
        return tuple(names)

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Nothing to tell."""

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Nothing to tell."""


@dataclass(slots=True)
class Site:
    """One autoscaler on one emulated cluster."""

    world: World
    client: AksClient
    queue: Queue = field(default_factory=Queue)

    def ask_for(self, machines: int) -> None:
        """Let the queue hold as many jobs as there shall be machines, each filling one."""
        shape = JobShape(constraints=({"ncpus": 4},), iterations=machines)
        self.queue.jobs = (Job(name="bench", shape=shape),)

    def clear(self, names: Sequence[str]) -> None:
        """Delete machines and let the ledger know that they are gone."""
        self.client.delete_machines(POOL, names)
        self.world.ledger.record_seen(dict.fromkeys(names, MachineState.GONE), self.world.clock.now())


def config_of(url: str, folder: Path, *, workers: int | None = None, **aks: Any) -> Config:
    """One node array of four cores a machine, zoned nowhere, with the marks every machine carries."""
    document = {
        "aks": {
            "subscription": SUBSCRIPTION, "resource_group": GROUP, "cluster": CLUSTER, "location": LOCATION,
            "cloud": "custom", "arm_url": url, "owner": "bench", "credential": ["emulator"],
            **({} if workers is None else {"workers": workers}), **aks,
        },
        "scheduler": {"type": "command", "jobs_file": "jobs.json"},
        "ledger": {"path": "ledger.sqlite"},
        "default_resources": [{"select": {}, "name": "ncpus", "value": "node.vcpu_count"}],
        "nodearrays": {POOL: {"buckets": [{"vm_size": "Standard_D4s_v5", "vcpu_count": 4, "memory_gb": 16}]}},
    }  # fmt: skip
    return parse_config(json.dumps(document), str(folder / "autoscale.json"))


def client_of(config: Config, *, limited: bool) -> AksClient:
    """The client of a configuration, as `cli.wiring` makes it but for the rates."""
    aks = config.aks
    endpoints = AksEndpoints(
        arm_url=aks.arm_url, scope=aks.token_scope, subscription=aks.subscription,
        resource_group=aks.resource_group, cluster=aks.cluster,
    )  # fmt: skip
    settings = ClientSettings(
        workers=aks.workers, header=header_limits(config), reads=ARM_READS if limited else NO_LIMIT,
        writes=ARM_WRITES if limited else NO_LIMIT,
    )  # fmt: skip
    return AksClient(endpoints, StaticTokenSource("emulator", endpoint=aks.arm_url), settings=settings)


@contextmanager
def site(url: str, *, limited: bool = False, **aks: Any) -> Iterator[Site]:
    """A site with a ledger of its own. `limited`: the client keeps to the rates that ARM publishes."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = config_of(url, folder, **aks)
        clock = SystemClock()
        ledger = stack.enter_context(Ledger.open(config.ledger.path, now=clock.now()))
        client = stack.enter_context(client_of(config, limited=limited))
        queue = Queue()
        world = World(
            config=config, scheduler=queue, cloud=client, ledger=ledger, clock=clock,
            machines_per_put=smallest_batch(config), reads_cluster_nodes=False, kinds=frozendict(),
            new_plan_id=lambda: "bench",
        )  # fmt: skip
        yield Site(world, client, queue)
