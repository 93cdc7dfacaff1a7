"""Which queues may take a job, and so which node arrays and hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from frozendict import frozendict

from autoscale_aks.schedulers.gridengine.values import parse_memory, parse_seconds
from autoscale_aks.units import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.schedulers.gridengine.needs import Needs
    from autoscale_aks.schedulers.gridengine.objects import Complex, QueueFacts
    from autoscale_aks.schedulers.gridengine.settings import GridEngineSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What is to be known of the cluster beside jobs and hosts. `queues` is None where nobody said."""

    queues: Mapping[str, QueueFacts] | None = None
    rules: Mapping[str, str] = field(default_factory=frozendict)
    """Parallel environment → allocation rule."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    complexes: Mapping[str, Complex] = field(default_factory=frozendict)

    def environments(self, pattern: str) -> tuple[str, ...]:
        """The parallel environments that a request names; it may be a pattern."""
        if pattern in self.rules:
            return (pattern,)
        return tuple(name for name in self.rules if fnmatchcase(name, pattern))

    def members(self, group: str) -> tuple[str, ...]:
        """A host group with all groups in it, itself first, the others as they are written."""
        found: dict[str, None] = {}
        waiting = [group]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = None
                waiting.extend(member for member in reversed(self.groups.get(name, ())) if member.startswith("@"))
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a job may run."""

    queues: tuple[str, ...] = ()
    nodearrays: tuple[str, ...] | None = None
    """None: any."""
    hosts: tuple[str, ...] = ()
    is_colocated: bool = False
    why_nowhere: str = ""

    def constraints(self) -> list[dict[str, Any]]:
        """As constraint objects."""
        found: list[dict[str, Any]] = []
        if self.nodearrays is not None:
            found.append({"nodearray": self.nodearrays})
        if self.hosts:
            found.append({"node.hostname": self.hosts})
        return found


def places_of(
    needs: Needs,
    asked: tuple[str, ...],
    environments: tuple[str, ...],
    settings: GridEngineSettings,
    facts: ClusterFacts,
) -> Places:
    """`asked` are hard queue requests, `environments` the parallel environments that the job accepts."""
    is_colocated = any(fnmatchcase(name, pattern) for name in environments for pattern in settings.colocated)
    hosts = needs.hosts or _hosts_asked(asked)
    if facts.queues is None:
        return Places(hosts=hosts, is_colocated=is_colocated)
    fitting = [
        queue
        for queue in sorted(facts.queues.values(), key=lambda queue: (queue.seq_no, queue.name))
        if _accepts(queue, needs, asked, environments)
    ]
    names = tuple(queue.name for queue in fitting)
    if not fitting:
        return Places(queues=names, hosts=hosts, why_nowhere="no queue may take it (-q, -pe or a limit of the queue)")
    if settings.serves_all:
        return Places(queues=names, hosts=hosts, is_colocated=is_colocated)
    arrays = tuple(dict.fromkeys(array for queue in fitting for array in _arrays(queue, asked, settings, facts)))
    why = "" if arrays else f"queue {', '.join(names)[:80]} is not served: scheduler.hostgroups gives it no node arrays"
    return Places(queues=names, nodearrays=arrays, hosts=hosts, is_colocated=is_colocated, why_nowhere=why)


def _accepts(queue: QueueFacts, needs: Needs, asked: tuple[str, ...], environments: tuple[str, ...]) -> bool:
    if asked and not any(fnmatchcase(queue.name, request.partition("@")[0] or "*") for request in asked):
        return False
    if needs.queue_names and not any(fnmatchcase(queue.name, name) for name in needs.queue_names):
        return False
    if environments and not queue.environments & set(environments):
        return False
    if not environments and not queue.is_batch:
        return False
    return all(_is_within(text, queue.limits.get(name)) for name, text in needs.limits.items())


def _is_within(asked: str, limit: str | None) -> bool:
    """Whether a request (`h_rt`, `h_vmem`) is not above the queue's limit; what cannot be read does not stop it."""
    if limit is None or limit.upper() == "INFINITY":
        return True
    try:
        return parse_seconds(asked) <= parse_seconds(limit)
    except ValueError:
        pass
    try:
        return (number_of(parse_memory(asked, "")) or 0) <= (number_of(parse_memory(limit, "")) or 0)
    except ValueError:
        return True


def _arrays(
    queue: QueueFacts, asked: tuple[str, ...], settings: GridEngineSettings, facts: ClusterFacts
) -> Iterator[str]:
    if queue.name in settings.queues:
        yield from settings.queues[queue.name]
        return
    groups = [member for word in queue.hostlist if word.startswith("@") for member in facts.members(word)]
    for group in groups:
        if _is_asked(group, asked, facts):
            yield from settings.hostgroups.get(group, ())


def _is_asked(group: str, asked: tuple[str, ...], facts: ClusterFacts) -> bool:
    """Whether requests such as `*@@htc` leave a host group in; requests without one leave all in."""
    named = [request.partition("@")[2] for request in asked]
    if not asked or not all(name.startswith("@") for name in named):
        return True
    return any(group in facts.members(name) or fnmatchcase(group, name) for name in named)


def _hosts_asked(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Hosts that the requests name, when every one of them names one: `all.q@gn2`."""
    hosts = [request.partition("@")[2] for request in asked]
    if not hosts or not all(host and not host.startswith("@") for host in hosts):
        return ()
    return tuple(dict.fromkeys(hosts))
