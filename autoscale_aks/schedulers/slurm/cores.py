"""How Slurm gives out CPUs: by whole cores where a core's threads are CPUs of their own, or by whole nodes.

`-n1` on a node of two threads a core takes two CPUs, `--hint=nomultithread` (`--threads-per-core=1`) two CPUs for each
one asked for, `--ntasks-per-core=1` a core for each task. What was seen of Slurm 22.05 stands beside each case in
`tests/e2e/slurm_option_rows.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.schedulers.slurm.records import is_blank
from autoscale_aks.schedulers.slurm.values import parse_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HAS_THREADS: Final = re.compile(r"\bThreadsPerCore=(?!1\b)[0-9]")
_NUMBERS: Final = re.compile(r"(?:^|\s)(CPUTot|CoresPerSocket|Sockets|ThreadsPerCore)=([0-9]{1,6})(?=\s|$)")
_PARTITIONS: Final = re.compile(r"\sPartitions=(\S+)")
_CREATED: Final = re.compile(r"threadspercore=([1-9][0-9]{0,2})\Z", re.IGNORECASE)
_TYPE: Final = re.compile(r"^\s*SelectType\s*=\s*select/(\S+)", re.MULTILINE)
_PARAMETERS: Final = re.compile(r"^\s*SelectTypeParameters\s*=\s*(\S+)", re.MULTILINE)
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Allocation:
    """What Slurm gives to a job at least: a CPU, a core (`by_core`) or a node (`by_node`)."""

    by_core: bool = True
    by_node: bool = False


@dataclass(frozen=True, slots=True)
class Cores:
    """What a core is to one job: `threads` CPUs, of which it may use `used`, for `most_tasks` tasks (0: any number)."""

    threads: int = 1
    used: int = 1
    most_tasks: int = 0

    def for_task(self, cpus: int) -> int:
        """CPUs that are gone from a node for a task that asks for `cpus`, as far as it shares no core."""
        if self.used < self.threads:
            return ceil(cpus / self.used) * self.threads
        if self.most_tasks == 1:
            return self.whole(cpus)
        return max(cpus, self.threads // self.most_tasks) if self.most_tasks else cpus

    def whole(self, cpus: int) -> int:
        """CPUs of as many cores as `cpus` need."""
        return ceil(cpus / self.threads) * self.threads

    def billed(self, cpus: int) -> int:
        """CPUs that `--mem-per-cpu` counts of those that are gone."""
        return cpus * self.used // self.threads

    def tasks_on_one(self, cpus: int) -> int:
        """How many tasks of `cpus` CPUs share a core exactly; 1 where they do not."""
        fits = not self.most_tasks and cpus < self.threads and not self.threads % cpus
        return self.threads // cpus if fits else 1


def cores_of(threads: int, sockets_cores_threads: str, tasks_per_core: str) -> Cores:
    """What the job says of cores (`SCT`, `NTPerCore`) on nodes of `threads` CPUs a core. Raises ValueError."""
    wanted = _third(sockets_cores_threads)
    most = parse_count(tasks_per_core, "NTPerCore")
    return Cores(threads, min(threads, wanted or threads), most if most < threads else 0)


def parse_sockets(sockets_cores_threads: str) -> int:
    """Sockets a node that the job asks for, the first number of `2:*:*`; 0: it does not say. Raises ValueError."""
    first = sockets_cores_threads.partition(":")[0].strip()
    return 0 if first == _ANY else parse_count(first, "SCT")


def parse_reserved(text: str, threads: int) -> int:
    """CPUs a node that `--core-spec` (`2`) or `--thread-spec` (`2 Threads`) keeps from the job. Raises ValueError."""
    number, _, unit = text.strip().partition(" ")
    count = parse_count(number, "CoreSpec")
    return count if unit else count * threads


def parse_allocation(config: str) -> Allocation:
    """`scontrol show config`; what it does not say is taken for `select/cons_tres` by cores."""
    kind, parameters = _TYPE.search(config), _PARAMETERS.search(config)
    if kind is not None and kind[1] == "linear":
        return Allocation(by_core=False, by_node=True)
    words = parameters[1].upper() if parameters else ""
    return Allocation(by_core="CR_CPU" not in words)


def parse_threads(nodes: str) -> Mapping[str, int]:
    """`scontrol show nodes` → CPUs a core of each partition's nodes (the least, where they differ); else 1."""
    if not _HAS_THREADS.search(nodes):
        return frozendict()
    found: dict[str, int] = {}
    for line in nodes.split("\n"):
        partitions = _PARTITIONS.search(line)
        if partitions is None:
            continue
        said = {name: int(number) for name, number in _NUMBERS.findall(line)}
        cores = max(1, said.get("Sockets", 1) * said.get("CoresPerSocket", 1))
        threads = max(1, min(said.get("ThreadsPerCore", 1), said.get("CPUTot", 0) // cores))
        for name in partitions[1].split(","):
            found[name] = min(threads, found.get(name, threads))
    return frozendict(found)


def created_threads(attributes: Iterable[Iterable[str]]) -> int:
    """CPUs a core of the nodes that `create_nodes` makes: what all its patterns say alike; else 1."""
    found = {next((int(match[1]) for one in some if (match := _CREATED.match(one))), 1) for some in attributes}
    return found.pop() if len(found) == 1 else 1


def _third(text: str) -> int:
    last = text.rpartition(":")[2].strip()
    return 0 if last == _ANY or is_blank(last) else parse_count(last, "SCT")
