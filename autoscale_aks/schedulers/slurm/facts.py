"""What is to be known of the cluster beside jobs and nodes: partitions, licences, whether memory is shared out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.limits import SharedResource
from autoscale_aks.schedulers.slurm.cores import Allocation
from autoscale_aks.schedulers.slurm.values import parse_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PAIR = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z0-9_/]*)=")
_PROGRAM = re.compile(
    r"^((?:Resume|Suspend|ResumeFail)Program|(?:Prolog|Epilog)Slurmctld)\S*\s*=\s*(/\S+)", re.MULTILINE
)
_NOW = re.compile(r"^Configuration data as of ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8})\s*$", re.MULTILINE)
_UNLIMITED = frozenset({"", "UNLIMITED", "N/A"})
_SELECT = re.compile(r"^\s*SelectTypeParameters\s*=\s*(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """What a partition says of its jobs' chances and order."""

    name: str
    total_nodes: int = 0
    priority_tier: int = 1
    max_nodes: int | None = None
    """Most nodes one job may have; None: no limit."""
    grows: bool = False
    """Whether nodes can be added at run time: it is made of node sets, or has no nodes yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """`partitions` and `memory_is_managed` are None where Slurm was not asked or did not say."""

    partitions: Mapping[str, Partition] | None = None
    licenses: Mapping[str, SharedResource] = field(default_factory=frozendict)
    memory_is_managed: bool | None = None
    allocation: Allocation = field(default_factory=Allocation)
    threads: Mapping[str, int] = field(default_factory=frozendict)
    """Partition → CPUs a core of its nodes; those that have no nodes yet have `new_threads`."""
    new_threads: int = 1
    now: str = ""
    """Slurm's time, as it prints times; empty: not known."""
    excluded: Mapping[str, str] = field(default_factory=frozendict)
    """Job id → the hosts that it will not have (`-x`)."""

    def threads_of(self, partitions: tuple[str, ...]) -> int:
        """CPUs that a job in these partitions takes at least, all of one core; where they differ, the least."""
        if not self.allocation.by_core:
            return 1
        return min((self.threads.get(name, self.new_threads) for name in partitions), default=1)

    def max_nodes_of(self, partitions: tuple[str, ...]) -> int | None:
        """Most nodes that one of these partitions gives to a job; None: one of them has no limit, or is not known."""
        known = self.partitions or {}
        limits = [known[name].max_nodes if name in known else None for name in partitions]
        return None if None in limits else max((limit for limit in limits if limit is not None), default=None)

    def nodes_of(self, partitions: tuple[str, ...]) -> int | None:
        """Nodes of the largest of these partitions; None when one of them is not known."""
        if self.partitions is None or not all(name in self.partitions for name in partitions):
            return None
        return max((self.partitions[name].total_nodes for name in partitions), default=None)

    def grow(self, partitions: tuple[str, ...]) -> bool:
        """Whether one of these partitions can get more nodes, or is not known."""
        known = self.partitions
        return known is None or any(name not in known or known[name].grows for name in partitions)

    def tier_of(self, partitions: tuple[str, ...]) -> int:
        """Slurm looks at partitions of a higher tier first, whatever the jobs' priorities."""
        known = self.partitions or {}
        return max((known[name].priority_tier for name in partitions if name in known), default=1)


def parse_pairs(line: str) -> dict[str, str]:
    """`Name=value` pairs of one line of `scontrol -o`; values may hold blanks. The first of a name counts.

    Free text (a reason, a comment) stands at the end of a line, so that what looks like a pair in it changes nothing.
    """
    marks = list(_PAIR.finditer(line))
    ends = [*(mark.start() for mark in marks[1:]), len(line)]
    pairs: dict[str, str] = {}
    for mark, end in zip(marks, ends, strict=False):
        pairs.setdefault(mark[1], line[mark.end() : end].strip())
    return pairs


def parse_partitions(text: str, problems: list[Problem]) -> Mapping[str, Partition] | None:
    """`scontrol -o show partitions`; None when it is empty."""
    found: dict[str, Partition] = {}
    for number, pairs in _lines(text):
        name = pairs.get("PartitionName", "")
        try:
            if name:
                total = parse_count(pairs.get("TotalNodes", ""), "TotalNodes")
                tier = parse_count(pairs.get("PriorityTier", ""), "PriorityTier", blank=1)
                most = pairs.get("MaxNodes", "UNLIMITED")
                found[name] = Partition(
                    name=name,
                    total_nodes=total,
                    priority_tier=tier,
                    max_nodes=None if most in _UNLIMITED else parse_count(most, "MaxNodes"),
                    grows="NodeSets" in pairs or not total,
                )
        except ValueError as error:
            problems.append(Problem(f"partitions line {number}", f"{name[:40]}: {error}"))
    return frozendict(found) if found else None


def parse_licenses(text: str, problems: list[Problem]) -> Mapping[str, SharedResource]:
    """`scontrol -o show licenses` → stocks. What running jobs hold and reservations keep is not left (C5)."""
    found: dict[str, SharedResource] = {}
    for number, pairs in _lines(text):
        name = pairs.get("LicenseName", "")
        if not name:
            continue
        try:
            total, used, free, reserved = (
                parse_count(pairs.get(key, ""), key) for key in ("Total", "Used", "Free", "Reserved")
            )
        except ValueError as error:
            problems.append(Problem(f"licenses line {number}", f"{name[:40]}: {error}"))
            continue
        left = max(0, min(free, total - used - reserved))
        found[name] = SharedResource(initial=total, current=left)
    return frozendict(found)


def parse_excluded(text: str) -> Mapping[str, str]:
    """`squeue --format='%A %x'` → job id and the hosts that it will not have, for jobs that exclude some."""
    pairs = (line.partition(" ") for line in text.split("\n") if not line.endswith(" "))
    return frozendict({job: hosts.strip() for job, _, hosts in pairs if hosts.strip()})


def parse_memory_is_managed(text: str) -> bool | None:
    """`scontrol show config`: whether jobs' memory is shared out, or only looked at. None: it does not say."""
    match = _SELECT.search(text)
    return None if match is None else "MEMORY" in match[1].upper()


def parse_now(text: str) -> str:
    """`scontrol show config`: when it was printed, such as `2026-11-22T10:00:00`; empty: it does not say."""
    match = _NOW.search(text)
    return "" if match is None else match[1]


def parse_hooks(text: str) -> tuple[str, ...]:
    """`scontrol show config`: the programs of ours that slurmctld calls, as `ResumeProgram=/opt/azaks/…`."""
    return tuple(f"{name}={program}" for name, program in _PROGRAM.findall(text) if "azaks" in program)


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if "=" in line:
            yield number, parse_pairs(line)
