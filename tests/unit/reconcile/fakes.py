"""A site in a box: a scheduler made of plain lists, an emulated cluster whose time only these tests move.

Every `cycle` and `demand` is a run of its own, as cron starts them: the ledger and the client are opened anew.
"""

from __future__ import annotations

import itertools
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autoscale_aks.cli import wiring
from autoscale_aks.cloud.aks.caller import MAX_ATTEMPTS
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.config import parse_config
from autoscale_aks.emulator.draws import Delay
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings, ThrottleSettings, Timing
from autoscale_aks.emulator.store import NodeStage
from autoscale_aks.errors import SchedulerError
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.launch import LaunchState
from autoscale_aks.reconcile import observe_and_plan, run_cycle
from autoscale_aks.schedulers.port import SchedulerNode, SchedulerState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pytest

    from autoscale_aks.emulator.faults import Target
    from autoscale_aks.emulator.journal import Entry
    from autoscale_aks.emulator.server import EmulatorServer
    from autoscale_aks.emulator.store import Machine
    from autoscale_aks.ledger.records import MachineRecord
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reconcile import CycleReport, Observation, World
    from autoscale_aks.schedulers.port import NewNode, NodeRequest

Json = dict[str, Any]

START = 1_800_000_000.0
IDLE_S, BOOT_S = 300.0, 1800.0
SIZE, OTHER_SIZE = "Standard_D4s_v5", "Standard_F4s_v2"
FAST = Timing(
    pool_create=Delay(1.0),
    machine_create=Delay(30.0),
    machine_fail=Delay(10.0),
    machine_delete=Delay(20.0),
    node_register=Delay(10.0),
    node_ready=Delay(10.0),
)
SKU_GONE_S = 23 * 3600.0
"""How long a size is left alone that the service no longer sells (aks-machine-api.md §5.3)."""
BOOTED_S = 60.0
"""After this long every machine is a ready node, and every deleted machine is gone."""


def bucket(vm_size: str = SIZE, **more: Any) -> Json:
    """Four cores and 16 GB, whatever the size's name."""
    return {"vm_size": vm_size, "vcpu_count": 4, "memory_gb": 16, **more}


def config_document(url: str, *, nodearrays: Json | None = None, **more: Any) -> Json:
    """A configuration of one node array `htc`, owned by `site`, on an emulator."""
    cluster = ClusterSpec()
    return {
        "aks": {
            "subscription": cluster.subscription,
            "resource_group": cluster.resource_group,
            "cluster": cluster.name,
            "location": cluster.location,
            "cloud": "custom",
            "arm_url": url,
            "kubernetes_url": url,
            "owner": "site",
            "credential": ["emulator"],
        },
        "scheduler": {"type": "command", "jobs_file": "jobs.json"},
        "ledger": {"path": "ledger.sqlite"},
        "default_resources": [{"select": {}, "name": "ncpus", "value": "node.vcpu_count"}],
        "nodearrays": {"htc": {"buckets": [bucket()]}} if nodearrays is None else nodearrays,
        "idle_timeout": IDLE_S,
        "boot_timeout": BOOT_S,
        **more,
    }


class FakeScheduler:
    """Knows the nodes of machines that have booted, and does as it is told. `calls` is what it was told."""

    def __init__(self, machines: Callable[[], Sequence[Machine]]) -> None:
        self._machines = machines
        self.jobs: dict[str, Job] = {}
        self.running: dict[str, list[str]] = {}
        """Machine → jobs."""
        self.closed: set[str] = set()
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.failing: dict[str, str] = {}
        """Method → message of the SchedulerError it raises."""
        self.wont_close: set[str] = set()
        self.complete = True
        self.tells_who_closed = False
        """Whether it says of a closed node that this program closed it."""
        self.reports_nodes = True
        self.joins: Callable[[str], bool] = lambda _: True
        """Whether the node of a machine has joined, once it is ready."""
        self.site_nodes: list[SchedulerNode] = []
        """Nodes that are no machines of ours."""
        self.site_nodes_count = True
        self.requests: list[NodeRequest] = []
        self.powered: tuple[str, ...] | None = ()
        self.takes_reasons = 0
        self.comments: dict[str, str] = {}
        """Job → the reason it was told."""
        self.told_of: dict[str, NewNode] = {}
        self.reads = 0
        self.before_read: Callable[[int], None] = lambda _: None
        """Called with the number of the read: where a job lands while the autoscaler is not looking."""

    def submit(self, name: str, *, cpus: int = 4, iterations: int = 1, **shape: Any) -> None:
        """One waiting job; with 4 CPUs it fills a machine."""
        made = JobShape(constraints=({"ncpus": cpus},), iterations=iterations, **shape)
        self.jobs[name] = Job(name=name, shape=made)

    def finish(self, *names: str) -> None:
        """Jobs end, or are cancelled."""
        for name in names or [*self.jobs]:
            self.jobs.pop(name, None)
        for machine in [*self.running]:
            left = [job for job in self.running[machine] if names and job not in names]
            self.running[machine] = left
            if not left:
                del self.running[machine]

    def start(self, job: str, machine: str) -> None:
        """A job leaves the queue for a machine."""
        self.jobs.pop(job, None)
        self.running.setdefault(machine, []).append(job)

    def start_all(self) -> int:
        """Every waiting one-node job takes a free node, as schedulers do; how many started."""
        free = [node.machine for node in self._nodes() if node.state == "Ready" and not node.job_ids]
        pairs = list(zip([*self.jobs], free, strict=False))
        for job, machine in pairs:
            self.start(job, machine or "")
        return len(pairs)

    def told(self, method: str) -> list[str]:
        """Names a method was called with, in order."""
        return [name for called, names in self.calls for name in names if called == method]

    def _nodes(self) -> list[SchedulerNode]:
        found = []
        for machine in self._machines():
            if machine.node is NodeStage.READY and self.joins(machine.name):
                jobs = tuple(self.running.get(machine.name, ()))
                found.append(
                    SchedulerNode(
                        name=machine.node_name,
                        machine=machine.name,
                        state="Closed" if machine.node_name in self.closed else "Ready",
                        closed_by_us=self.tells_who_closed and machine.node_name in self.closed,
                        available={"ncpus": 0} if jobs else {},
                        job_ids=jobs,
                    )
                )
        return found

    def _called(self, method: str, names: Sequence[str]) -> None:
        self.calls.append((method, tuple(names)))
        if method in self.failing:
            raise SchedulerError(self.failing[method])

    def read(self) -> SchedulerState:
        self.reads += 1
        self.before_read(self.reads)
        self._called("read", ())
        nodes = tuple(self._nodes()) if self.reports_nodes else None
        running = {machine: tuple(jobs) for machine, jobs in self.running.items()}
        return SchedulerState(
            jobs=tuple(self.jobs.values()),
            nodes=nodes if nodes is None else (*nodes, *self.site_nodes),
            running=running,
            complete=self.complete,
            requests=tuple(self.requests),
            powered=self.powered,
            takes_reasons=self.takes_reasons,
            site_nodes_count=self.site_nodes_count,
        )

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        self._called("add", [node.name for node in nodes])
        self.told_of.update({node.name: node for node in nodes})

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        self._called("settle", [request.name for request in requests])
        self.requests = [one for one in self.requests if one not in requests]

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:
        self._called("explain", tuple(reasons))
        self.comments.update(reasons)
        return tuple(reasons)

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        assert reason
        self._called("close", names)
        shut = tuple(name for name in names if name not in self.wont_close)
        self.closed.update(shut)
        return shut

    def reopen_nodes(self, names: Sequence[str]) -> None:
        self._called("reopen", names)
        self.closed.difference_update(names)

    def remove_nodes(self, names: Sequence[str]) -> None:
        self._called("remove", names)


@dataclass(slots=True)
class _Time:
    """The emulator's clock as the program's own."""

    emulator: EmulatorServer

    def now(self) -> float:
        return self.emulator.clock.now()

    def sleep(self, seconds: float) -> None:
        self.emulator.clock.advance(max(seconds, 0.0))


@dataclass(slots=True)
class Site:
    """One autoscaler's whole world."""

    directory: Path
    emulator: EmulatorServer
    document: Json
    clock: _Time = field(init=False)
    scheduler: FakeScheduler = field(init=False)

    def __post_init__(self) -> None:
        self.clock = _Time(self.emulator)
        self.scheduler = FakeScheduler(self.machines)

    @property
    def config(self) -> Any:
        return parse_config(json.dumps(self.document), str(self.directory / "autoscale.json"))

    @property
    def ledger_path(self) -> Path:
        return self.directory / "ledger.sqlite"

    @contextmanager
    def world(self) -> Iterator[World]:
        with wiring.writing_world(self.config, self.clock) as world:
            yield world

    def cycle(self, progress: Any = None) -> CycleReport:
        with self.world() as world:
            return run_cycle(world, progress)

    def cycles(self, count: int, every_s: float = 60.0) -> list[CycleReport]:
        reports = []
        for _ in range(count):
            reports.append(self.cycle())
            self.advance(every_s)
        return reports

    def demand(self) -> tuple[Observation, Plan]:
        with wiring.reading_world(self.config, self.clock) as world:
            return observe_and_plan(world)

    def advance(self, seconds: float) -> None:
        self.emulator.clock.advance(seconds)

    def boot(self) -> None:
        """Let every machine become a node that the scheduler has."""
        self.advance(BOOTED_S)

    def machines(self) -> list[Machine]:
        self.emulator.catch_up()
        return [machine for pool in self.emulator.state.pools() for machine in pool.listed()]

    def names(self) -> list[str]:
        return sorted(machine.name for machine in self.machines())

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.machines() if machine.name == name)

    def states(self) -> dict[str, str]:
        return {machine.name: machine.state.value for machine in self.machines()}

    def requests(self, *operations: str, since: int = 0) -> list[Entry]:
        entries = self.emulator.journal.entries(since=since)
        return [entry for entry in entries if not operations or entry.operation in operations]

    def puts(self, since: int = 0) -> list[Entry]:
        """PUTs that make machines, in the order of their arrival."""
        return self.requests("machine.put", "machine.batch_put", since=since)

    def created(self) -> list[str]:
        """Every name that was ever put, once for each time."""
        return [name for entry in self.puts() for name in entry.names]

    def deletes(self) -> list[str]:
        return [name for entry in self.requests("machine.delete") for name in entry.names]

    @property
    def last_request(self) -> int:
        entries = self.emulator.journal.entries()
        return entries[-1].number if entries else 0

    def fault(self, **rule: Any) -> int:
        return self.emulator.state.faults.add(FaultRule(**rule))

    def mend(self) -> None:
        """Drop all faults."""
        self.emulator.state.faults.remove()

    def break_second_pages(self) -> None:
        """The first page of every list of machines is answered, and the second never, however often it is asked."""
        book = self.emulator.state.faults
        plain, asked = book.hit, itertools.count()

        def hit(kinds: Iterable[str], target: Target) -> FaultRule | None:
            wanted = frozenset(kinds)
            if "error_before" in wanted and target.operation == "machine.list" and next(asked) % (1 + MAX_ATTEMPTS):
                return FaultRule(kind="error_before", status=500, code="InternalServerError")
            return plain(wanted, target)

        book.hit = hit  # type: ignore[method-assign]
        self.fault(kind="client_error", names=("nobody",))

    def ledger(self) -> Ledger:
        return Ledger.open(self.ledger_path, now=self.clock.now(), read_only=True)

    def records(self, *, gone: bool = False) -> dict[str, MachineRecord]:
        with self.ledger() as ledger:
            return {record.name: record for record in ledger.machines(include_gone=gone)}


def patch_wiring(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """The program's own wiring, but with this site's scheduler and time."""
    effects = Effects(now=site.clock.now, sleep=site.clock.sleep, random=lambda: 0.0)
    monkeypatch.setattr(wiring, "Effects", lambda: effects)
    monkeypatch.setattr(wiring, "build_scheduler", lambda *_, **__: site.scheduler)


def emulator_settings(**switches: Any) -> EmulatorSettings:
    """Time stands still, nothing is throttled, machines boot in a minute."""
    given: Mapping[str, Any] = {
        "speed": 0.0,
        "start_time": START,
        "timing": FAST,
        "throttle": ThrottleSettings(arm=False),
        **switches,
    }
    return EmulatorSettings(**given)


def claimed(plan: Plan) -> list[str]:
    return [claim.name for claim in plan.claims]


def accepted(report: CycleReport) -> list[str]:
    return report.names(LaunchState.ACCEPTED)


def chunk_names(plan: Plan) -> list[tuple[str, ...]]:
    return [batch.names for wave in plan.waves for batch in wave.batches]


def reasons(plan: Plan) -> set[str]:
    """Why the jobs that were not placed wait."""
    return {outcome.reason.code.value for outcome in plan.outcomes if outcome.slots < outcome.requested}
