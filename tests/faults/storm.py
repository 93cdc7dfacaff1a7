"""Bad weather by a seed: everything that can go wrong at once, and what must hold all the same.

Each step, jobs come and go, time passes, the program's clock is set forward or back, faults of the service begin and
end, the scheduler fails, jobs land while the program looks away, a second run tries to write, a run is killed or the
ledger is lost. The cycles are the real ones, on an emulator over HTTP.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from unit.reconcile.fakes import OTHER_SIZE, FakeScheduler, bucket

from autoscale_aks.errors import AutoscaleError, LockHeldError
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from unit.reconcile.fakes import Site

    from autoscale_aks.emulator.server import EmulatorServer
    from autoscale_aks.reconcile import CycleReport
    from autoscale_aks.schedulers.port import SchedulerNode

ARRAYS: Final[dict[str, Any]] = {
    "htc": {"buckets": [bucket(), bucket(OTHER_SIZE)], "max_count": 9},
    "cheap": {"buckets": [bucket(), bucket(OTHER_SIZE)], "spot": True, "max_count": 5, "priority": 2},
}
LIMITS: Final = {"cluster_max_nodes": 12, "cluster_max_cores": 44}
MOST: Final = {"htc": 9, "cheap": 5}
MOST_IN_ALL: Final = 11
"""44 cores in machines of four."""

REQUESTS: Final = ("machine.list", "machine.batch_put", "machine.put", "machine.delete", "pool.get", "node.list")
MACHINE_FAULTS: Final = (
    {"kind": "client_error"},
    {"kind": "internal_error"},
    {"kind": "provisioning_failure", "code": "SkuNotAvailable"},
    {"kind": "provisioning_failure", "code": "AllocationFailed"},
    {"kind": "provisioning_failure", "code": "FamilyQuota"},
    {"kind": "stuck_creating"},
    {"kind": "node_never_registers"},
    {"kind": "node_never_ready"},
    {"kind": "node_lost", "after_s": 100.0},
    {"kind": "evict", "after_s": 50.0},
    {"kind": "vm_deleted", "after_s": 200.0},
    {"kind": "size_not_supported", "sizes": (OTHER_SIZE,)},
)
REQUEST_FAULTS: Final = (
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "error_before", "status": 500},
    {"kind": "error_after", "status": 502},
    {"kind": "error_before", "status": 403, "code": "AuthorizationFailed"},
    {"kind": "throttle", "after_s": 30.0},
    {"kind": "throttle", "after_s": 600.0},
)
DEATHS: Final = (
    "ledger.record_intents",
    "ledger.record_outcomes",
    "ledger.record_seen",
    "ledger.end_cycle",
    "cloud.ensure_pool",
    "cloud.create_machines",
    "cloud.delete_machines",
    "scheduler.read",
    "scheduler.add_nodes",
    "scheduler.close_nodes",
    "scheduler.reopen_nodes",
    "scheduler.remove_nodes",
)


class KilledError(BaseException):
    """The process ends here."""


@dataclass(slots=True)
class MovedTime:
    """The emulator's clock as the program sees it on a host whose own clock is wrong by an offset."""

    emulator: EmulatorServer
    offset_s: float = 0.0

    def now(self) -> float:
        return self.emulator.clock.now() + self.offset_s

    def sleep(self, seconds: float) -> None:
        self.emulator.clock.advance(max(seconds, 0.0))


class StormScheduler(FakeScheduler):
    """Says which nodes it closed for us, and forgets what it is told to."""

    def _nodes(self) -> list[SchedulerNode]:
        return [replace(node, closed_by_us=node.name in self.closed) for node in super()._nodes()]

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        self.before_read(0)
        return super().close_nodes(names, reason)

    def remove_nodes(self, names: Sequence[str]) -> None:
        super().remove_nodes(names)
        self.closed.difference_update(names)


@dataclass
class Storm:
    """A site in bad weather. `step` is one cycle with what comes before it; `calm` waits for the end."""

    site: Site
    seed: int
    dice: random.Random = field(init=False)
    time: MovedTime = field(init=False)
    known: set[str] = field(default_factory=set)
    """Every name any ledger of the site ever had."""
    outcomes: dict[str, int] = field(default_factory=dict)
    last: int = 0
    jobs: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.time = MovedTime(self.site.emulator)
        self.site.clock = self.time  # type: ignore[assignment]
        self.site.scheduler = StormScheduler(self.site.machines)
        self.site.scheduler.before_read = self.land

    @property
    def scheduler(self) -> FakeScheduler:
        return self.site.scheduler

    # What happens

    def step(self) -> None:
        self.work()
        self.weather()
        self.count(self.cycle())
        self.check()

    def work(self) -> None:
        """Jobs end, are cancelled, arrive; time passes and jobs start."""
        dice, scheduler = self.dice, self.scheduler
        for jobs in list(scheduler.running.values()):
            if dice.random() < 0.25:
                scheduler.finish(*jobs)
        for job in list(scheduler.jobs):
            if dice.random() < 0.05:
                scheduler.finish(job)
        for _ in range(dice.choice([0, 0, 0, 1, 2, 5])):
            self.jobs += 1
            scheduler.submit(f"job-{self.jobs}")
        self.site.advance(dice.choice([0.0, 5.0, 15.0, 60.0, 60.0, 200.0, 700.0]))
        self.forget_lost()
        scheduler.start_all()

    def forget_lost(self) -> None:
        """Jobs die with their machines, as in any scheduler that notices."""
        alive = {machine.name for machine in self.site.machines() if not _is_dead(machine)}
        for machine in [name for name in self.scheduler.running if name not in alive]:
            self.scheduler.finish(*self.scheduler.running[machine])

    def weather(self) -> None:
        dice, scheduler = self.dice, self.scheduler
        if dice.random() < 0.12:
            self.time.offset_s += dice.choice([-3600.0, -600.0, -120.0, -30.0, 30.0, 120.0, 600.0, 3600.0])
        if dice.random() < 0.4:
            self.site.mend()
            for _ in range(dice.choice([0, 1, 1, 2, 3])):
                self.fault()
        scheduler.failing.clear()
        if dice.random() < 0.15:
            scheduler.failing[dice.choice(["read", "add", "close", "reopen", "remove"])] = "the scheduler is away"
        scheduler.complete = dice.random() > 0.05
        if dice.random() < 0.02:
            self.lose_ledger()

    def fault(self) -> None:
        dice = self.dice
        rule: dict[str, Any] = {"probability": dice.choice([0.1, 0.5, 1.0]), "count": dice.choice([1, 3, 20])}
        if dice.random() < 0.5:
            rule |= dice.choice(MACHINE_FAULTS)
        else:
            rule |= {**dice.choice(REQUEST_FAULTS), "operations": (dice.choice(REQUESTS),)}
        number = self.site.fault(**rule)
        self.site.emulator._service.apply_fault_now(number, self.site.emulator.clock.now())

    def lose_ledger(self) -> None:
        self.remember()
        path = self.site.ledger_path
        if not path.exists():
            return
        self.count("ledger lost")
        if self.dice.random() < 0.5:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: self.dice.randrange(200, 5000)])

    def land(self, _: int) -> None:
        """While the program looks away jobs start, and another run tries to write."""
        if self.dice.random() < 0.4:
            self.forget_lost()
            for _ in range(self.dice.choice([0, 1, 2])):
                self.jobs += 1
                self.scheduler.submit(f"job-{self.jobs}")
            self.scheduler.start_all()
        if self.dice.random() < 0.2:
            try:
                with self.site.world():
                    raise AssertionError("two runs write at once")
            except LockHeldError:
                self.outcomes["kept out"] = self.outcomes.get("kept out", 0) + 1

    def cycle(self) -> str:
        """One run; how it ended."""
        deadly = self.dice.random() < 0.12
        try:
            with self.site.world() as world, _dying(world, self.dice if deadly else None):
                report = run_cycle(world)
        except KilledError:
            return "killed"
        except AutoscaleError as error:
            return type(error).__name__
        finally:
            self.remember()
        return _kind(report)

    # What must hold

    def check(self) -> None:
        """Limits are kept, no machine is deleted under its job, every create is in the ledger."""
        where = f"seed {self.seed}, job {self.jobs}, {self.outcomes}"
        machines = self.site.machines()
        for array, most in MOST.items():
            count = sum(machine.name.startswith(f"site-{array}-") for machine in machines)
            assert count <= most, f"{where}: {count} machines of {array}"
        assert len(machines) <= MOST_IN_ALL, f"{where}: {len(machines)} machines in all"
        entries = self.site.requests(since=self.last)
        self.last = max([self.last, *(entry.number for entry in entries)])
        made = {
            name for entry in entries if entry.operation in ("machine.put", "machine.batch_put") for name in entry.names
        }
        assert made <= self.known, f"{where}: made, and in no ledger: {made - self.known}"
        dead = {machine.name for machine in machines if _is_broken(machine)}
        let_go = {name for entry in entries if entry.operation == "machine.delete" for name in entry.names}
        under_work = let_go & set(self.scheduler.running) - dead
        assert not under_work, f"{where}: deleted under a job: {under_work}"

    def remember(self) -> None:
        try:
            self.known |= set(self.site.records(gone=True))
        except AutoscaleError:  # a ledger this storm has garbled; the next run sets it aside
            self.outcomes["garbled"] = self.outcomes.get("garbled", 0) + 1

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def calm(self, cycles: int = 60) -> None:
        """The weather clears up and the work ends: after some cycles nothing is left.

        They are long enough for a boot timeout on a clock that was set back by hours.
        """
        self.site.mend()
        self.scheduler.failing.clear()
        self.scheduler.complete = True
        self.scheduler.before_read = lambda _: None
        self.scheduler.finish()
        for _ in range(cycles):
            self.site.advance(600.0)
            with self.site.world() as world:
                run_cycle(world)
            self.check()
            if not self.site.machines():
                return
        left = {machine.name: machine.state.value for machine in self.site.machines()}
        raise AssertionError(f"seed {self.seed}: {left} are left; closed: {self.scheduler.closed}; {self.outcomes}")


def _is_dead(machine: Any) -> bool:
    """Whether no job can run on it any more."""
    return machine.vm_state == "Deleted" or machine.state.value in ("Failed", "Deleting")


def _is_broken(machine: Any) -> bool:
    """Whether the service itself has lost it: there is no VM to run a job on."""
    return machine.vm_state == "Deleted" or machine.state.value == "Failed"


def _kind(report: CycleReport) -> str:
    return "cloud down" if report.is_cloud_down else "clean" if report.is_clean else "in part"


@contextmanager
def _dying(world: Any, dice: random.Random | None) -> Iterator[None]:
    """A world one of whose calls never returns; before its work, or right after it."""
    if dice is None:
        yield
        return
    part, method = dice.choice(DEATHS).split(".")
    target, after, spared = getattr(world, part), dice.random() < 0.5, dice.choice([0, 0, 1, 2])
    kind = target if part == "scheduler" else type(target)
    real: Callable[..., Any] = getattr(kind, method)
    left = [spared]

    def die(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            return real(*arguments, **options)
        if after:
            real(*arguments, **options)
        raise KilledError

    setattr(kind, method, die)
    try:
        yield
    finally:
        if part == "scheduler":
            delattr(kind, method)
        else:
            setattr(kind, method, real)


def storm_site(make_site: Callable[..., Site], seed: int) -> Storm:
    """A site that the storm of this seed will come over."""
    switches: dict[str, Any] = {"seed": seed, "page_size": 4}
    site = make_site(switches, nodearrays=ARRAYS, limits=LIMITS, policy={"machines_per_put": 4})
    site.document["aks"]["workers"] = 2
    return Storm(site, seed)
