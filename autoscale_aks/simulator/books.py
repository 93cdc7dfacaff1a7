"""Who was there and who ran, moment by moment; the run's result is what the books say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.model.simulation import JobStory, MachineStory, Simulation
from autoscale_aks.planning.limit_tree import family_key
from autoscale_aks.reconcile.names import NODEARRAY_TAG

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from autoscale_aks.config import Config
    from autoscale_aks.emulator.store import Machine
    from autoscale_aks.model.bucket import Offering
    from autoscale_aks.simulator.workload import Workload


@dataclass(slots=True)
class _Life:
    machine: Machine
    seen_s: float
    busy_s: float = 0.0


@dataclass(slots=True)
class Books:
    """Machines and jobs of a run. Moments are seconds since the epoch; `began` is the run's first."""

    config: Config
    workload: Workload
    began: float
    cycles: int = 0
    failed_cycles: int = 0
    _lives: dict[str, _Life] = field(default_factory=dict)
    _gone: list[MachineStory] = field(default_factory=list)
    _started: dict[str, tuple[float, int]] = field(default_factory=dict)
    _ended: dict[str, float] = field(default_factory=dict)
    _restarts: dict[str, int] = field(default_factory=dict)
    _peak: dict[str, int] = field(default_factory=dict)
    _busy: Collection[str] = ()
    _at: float | None = None

    def look(self, now: float, machines: Iterable[Machine], busy: Collection[str]) -> None:
        """Who is there now. Between two looks what was busy stays so, and what is gone was there until this one."""
        there = {machine.name: machine for machine in machines}
        passed_s = 0.0 if self._at is None else now - self._at
        for name in self._busy:
            if name in self._lives:
                self._lives[name].busy_s += passed_s
        for name, machine in there.items():
            self._lives.setdefault(name, _Life(machine, now))
        for name in self._lives.keys() - there.keys():
            self._end(name, now)
        cores: dict[str, int] = {}
        for life in self._lives.values():
            offering = self._offering(life.machine)
            family = family_key(offering.vm_family) if offering else life.machine.size.name
            cores[family] = cores.get(family, 0) + (offering.quota_vcpus if offering else 0)
        for family, number in cores.items():
            self._peak[family] = max(self._peak.get(family, 0), number)
        self._busy, self._at = frozenset(busy), now

    @property
    def is_empty(self) -> bool:
        """Whether no machine was there at the last look."""
        return not self._lives

    def start(self, job: str, now: float, nodes: int) -> None:
        """A job begins to run."""
        self._started[job] = (now, nodes)

    def lose(self, job: str) -> None:
        """Its machine was taken away."""
        self._restarts[job] = self._restarts.get(job, 0) + 1
        self._started.pop(job, None)

    def end(self, job: str, now: float) -> None:
        """It is done."""
        self._ended[job] = now

    def close(self, now: float) -> Simulation:
        """What it all came to."""
        for name in [*self._lives]:
            self._end(name, now)
        return Simulation(
            jobs=tuple(self._story(one.job.name, one.at_s) for one in self.workload.jobs),
            machines=tuple(sorted(self._gone, key=lambda one: (one.made_s, one.name))),
            cycles=self.cycles,
            failed_cycles=self.failed_cycles,
            ended_s=now - self.began,
            peak_cores=frozendict(sorted(self._peak.items())),
        )

    def _story(self, name: str, arrived_s: float) -> JobStory:
        started, nodes = self._started.get(name, (None, 0))
        ended = self._ended.get(name)
        return JobStory(
            name=name,
            arrived_s=arrived_s,
            started_s=None if started is None else started - self.began,
            ended_s=None if ended is None else ended - self.began,
            nodes=nodes,
            restarts=self._restarts.get(name, 0),
        )

    def _end(self, name: str, now: float) -> None:
        life = self._lives.pop(name)
        offering = self._offering(life.machine)
        self._gone.append(
            MachineStory(
                name=name,
                nodearray=(life.machine.tags or {}).get(NODEARRAY_TAG, ""),
                vm_size=life.machine.size.name,
                made_s=min(life.machine.created_at, life.seen_s) - self.began,
                gone_s=now - self.began,
                busy_s=life.busy_s,
                cores=offering.vcpu_count if offering else 0,
                price=offering.price if offering else None,
            )
        )

    def _offering(self, machine: Machine) -> Offering | None:
        array = (machine.tags or {}).get(NODEARRAY_TAG)
        found = self.config.nodearrays.get(array or "")
        offerings = found.array.offerings if found is not None else ()
        return next((one for one in offerings if one.vm_size.lower() == machine.size.name.lower()), None)
