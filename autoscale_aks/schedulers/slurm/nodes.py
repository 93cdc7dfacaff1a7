"""`scontrol -d -o show nodes` → the scheduler's nodes, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.node_names import machine_of_host
from autoscale_aks.schedulers.port import SchedulerNode
from autoscale_aks.schedulers.slurm.facts import parse_pairs
from autoscale_aks.schedulers.slurm.needs import gres_resource
from autoscale_aks.schedulers.slurm.records import is_blank
from autoscale_aks.schedulers.slurm.settings import GPU_TYPE, feature_resource
from autoscale_aks.schedulers.slurm.sizes import GPU
from autoscale_aks.schedulers.slurm.values import MEGABYTE, parse_count, parse_gres, parse_tres
from autoscale_aks.units import Size, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.schedulers.slurm.settings import SlurmSettings

_MARKS: Final = {"*": "NOT_RESPONDING", "~": "POWERED_DOWN", "#": "POWERING_UP", "%": "POWERING_DOWN", "$": "MAINT",
                 "@": "REBOOT_REQUESTED", "^": "REBOOT_ISSUED", "!": "POWER_DOWN", "-": "PLANNED"}  # fmt: skip
_BUSY: Final = frozenset({"ALLOCATED", "MIXED", "COMPLETING"})
_CLOSED: Final = frozenset(
    {"DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "MAINT", "RESERVED", "POWER_DOWN", "POWER_DRAIN", "BLOCKED"}
)
_DOWN: Final = frozenset(
    {"DOWN", "ERROR", "UNKNOWN", "INVALID", "INVALID_REG", "POWERING_DOWN", "NOT_RESPONDING", "REBOOT_ISSUED"}
)
_BOOTING: Final = frozenset({"POWERING_UP", "POWER_UP"})
_ABSENT: Final = frozenset({"POWERED_DOWN", "FUTURE"})
REASON: Final = "autoscale"
"""What the reasons of our drains begin with."""
GONE: Final = f"{REASON}: no machine"
UNNAMED_JOB: Final = "(a job of this node)"
"""Stands for work that the node reports and the queue no longer, or not yet, shows."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node of `scontrol show nodes`."""

    name: str
    flags: frozenset[str]
    pairs: Mapping[str, str]

    @property
    def is_busy(self) -> bool:
        """Whether work is on it, ending work included."""
        return bool(self.flags & _BUSY) or self.pairs.get("CPUAlloc", "0") not in {"0", ""}

    @property
    def is_absent(self) -> bool:
        """Whether no machine is behind it: a cloud node that is powered down and not given to any job."""
        return bool(self.flags & _ABSENT) and not self.is_busy

    @property
    def is_dynamic(self) -> bool:
        """Whether it was made at run time and not by the configuration."""
        return any(flag.startswith("DYNAMIC") for flag in self.flags)

    @property
    def is_closed(self) -> bool:
        """Whether Slurm starts nothing new there."""
        return bool(self.flags & (_CLOSED | _DOWN))

    @property
    def state(self) -> str:
        """`Ready`, `Closed`, `Down` or `Booting`.

        Only a node on its first way up is booting: one that does not respond, or that an administrator reboots, is
        down, so that its age is not taken for a boot that takes too long.
        """
        if self.flags & {"DOWN", "ERROR"}:
            return "Down"
        if self.flags & _CLOSED:
            return "Closed"
        if self.flags & _BOOTING or (self.flags & _ABSENT and self.is_busy):
            return "Booting"
        if self.flags & _DOWN:
            return "Down"
        return "Ready"


def parse_nodes(text: str, problems: list[Problem]) -> Iterator[NodeRecord]:
    """Every line that is a node; others are left out and reported."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("No nodes"):
            continue
        pairs = parse_pairs(line)
        name, state = pairs.get("NodeName", ""), pairs.get("State", "")
        if name and state and " " not in name:
            yield NodeRecord(name, parse_flags(state), pairs)
        else:
            problems.append(Problem(f"nodes line {number}", f"not a node, left out: begins {line[:40]!r}"))


def is_closed_by_us(record: NodeRecord) -> bool:
    """Whether we have drained it, rather than an administrator."""
    return "DRAIN" in record.flags and record.pairs.get("Reason", "").startswith(f"{REASON}:")


def parse_flags(state: str) -> frozenset[str]:
    """`IDLE+CLOUD+DRAIN`, `DOWN*`, `ALLOCATED#` → words."""
    words: set[str] = set()
    for part in state.upper().split("+"):
        word = part
        while word and word[-1] in _MARKS:
            words.add(_MARKS[word[-1]])
            word = word[:-1]
        if word:
            words.add(word)
    return frozenset(words)


def read_nodes(
    text: str, settings: SlurmSettings, running: Mapping[str, tuple[str, ...]], problems: list[Problem]
) -> tuple[SchedulerNode, ...]:
    """The nodes that exist. One whose numbers cannot be read is left out and reported."""
    found: list[SchedulerNode] = []
    for record in parse_nodes(text, problems):
        if record.is_absent:
            continue
        try:
            resources, available = _amounts(record, settings)
        except ValueError as error:
            problems.append(Problem(f"node {record.name[:60]}", f"left out: {error}"))
            continue
        job_ids = running.get(record.name, (UNNAMED_JOB,) if record.is_busy else ())
        found.append(
            SchedulerNode(
                name=record.name,
                state=record.state,
                machine=machine_of_host(record.name),
                resources=frozendict({**resources, **_marks(record)}),
                available=frozendict(available),
                job_ids=job_ids,
                closed_by_us=is_closed_by_us(record) and not record.pairs["Reason"].startswith(GONE),
                nodearrays=settings.nodearrays_of(_partitions(record.pairs.get("Partitions", ""))),
            )
        )
    return tuple(found)


@lru_cache(maxsize=1024)
def _partitions(text: str) -> tuple[str, ...]:
    return () if is_blank(text) else tuple(name for name in text.split(",") if name)


def _amounts(record: NodeRecord, settings: SlurmSettings) -> tuple[dict[str, Value], dict[str, Value]]:
    """What the node has for jobs, and what is left of it."""
    pairs = record.pairs
    cpus = parse_count(pairs.get("CPUEfctv", pairs.get("CPUTot", "")), "CPUTot")
    memory = parse_count(pairs.get("RealMemory", ""), "RealMemory")
    memory = max(0, memory - parse_count(pairs.get("MemSpecLimit", ""), "MemSpecLimit"))
    resources: dict[str, Value] = {
        settings.cpu_resource: cpus,
        settings.memory_resource: Size(memory * MEGABYTE),
    }
    available: dict[str, Value] = {
        settings.cpu_resource: max(0, cpus - parse_count(pairs.get("CPUAlloc", ""), "CPUAlloc")),
        settings.memory_resource: Size(max(0, memory - parse_count(pairs.get("AllocMem", ""), "AllocMem")) * MEGABYTE),
    }
    used = _gres_in_use(record)
    for name, total in _counted(pairs.get("Gres", ""), "Gres").items():
        resource = settings.gpu_resource if name == GPU else gres_resource(name)
        resources[resource] = total
        available[resource] = max(0, total - (total if used is None else used.get(name, 0)))
    return resources, available


def _gres_in_use(record: NodeRecord) -> dict[str, int] | None:
    """Generic resources in use; None when nothing says (then a busy node has none left)."""
    if "GresUsed" in record.pairs:
        return _counted(record.pairs["GresUsed"], "GresUsed")
    tres = parse_tres(record.pairs.get("AllocTRES", ""))
    named = {name.removeprefix("gres/"): value for name, value in tres.items() if name.startswith("gres/")}
    if named:
        return {name: parse_count(value, "AllocTRES") for name, value in named.items() if ":" not in name}
    return None if record.is_busy else {}


def _counted(text: str, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for gres in parse_gres(text, name):
        found[gres.name] = found.get(gres.name, 0) + gres.count
    return found


def _marks(record: NodeRecord) -> dict[str, Value]:
    """Features as true, and the GPU's type where the node has one type only."""
    features = record.pairs.get("ActiveFeatures", "")
    names = [] if is_blank(features) else [name for name in features.split(",") if name]
    found: dict[str, Value] = {feature_resource(name): True for name in names}
    types = {gres.type for gres in parse_gres(record.pairs.get("Gres", ""), "Gres") if gres.name == GPU and gres.type}
    if len(types) == 1:
        found[GPU_TYPE] = types.pop()
    return found
