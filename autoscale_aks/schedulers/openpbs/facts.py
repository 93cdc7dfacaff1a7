"""What is to be known of a PBS complex beside jobs and nodes: queues, the server, resource types, `sched_config`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.schedulers.openpbs.listing import read_objects
from autoscale_aks.schedulers.openpbs.values import KINDS, Kind, parse_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.errors import Problem
    from autoscale_aks.units import Value

_SERVER_DYN_RES: Final = re.compile(r"^\s*server_dyn_res\s*:\s*[\"']?\s*([A-Za-z]\w*)\s*!\s*(.*?)[\"']?\s*$")
_RESOURCES: Final = re.compile(r"^\s*resources\s*:\s*[\"']?(.*?)[\"']?\s*$")
_OPTION: Final = re.compile(r"^\s*([a-z_]+)\s*:\s*(.*?)\s*$")
_LISTED: Final = re.compile(r"^(?:Resource|create resource)\s+(\S+)\s*$")
_ATTRIBUTE: Final = re.compile(r"^\s*(?:set resource (\S+) )?(type|flag)\s*=\s*(\S+)\s*$")
_SCHED_PRIV: Final = re.compile(r"^\s*(?:set sched \S+ )?sched_priv\s*=\s*(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource's type and where it is counted. `flags` are PBS's letters: h host level, n and f consumed there,
    q consumed at queue and server."""

    kind: Kind
    flags: str = ""

    @property
    def is_amount(self) -> bool:
        """Whether jobs use it up on nodes."""
        return self.kind in {Kind.NUMBER, Kind.SIZE} and ("n" in self.flags or "f" in self.flags)

    @property
    def is_of_hosts(self) -> bool:
        """Whether chunks ask for it, so that the job's total is only a sum."""
        return "h" in self.flags


_BUILT_IN: Final[Mapping[str, ResourceType]] = {
    **dict.fromkeys(("ncpus", "ngpus", "naccelerators", "mpiprocs", "ompthreads"), ResourceType(Kind.NUMBER, "nhq")),
    **dict.fromkeys(
        ("mem", "vmem", "pmem", "pvmem", "hbmem", "accelerator_memory", "disk", "file"), ResourceType(Kind.SIZE, "nhq")
    ),
    **dict.fromkeys(("arch", "host", "vnode", "aoe", "eoe", "accelerator_model"), ResourceType(Kind.TEXT, "h")),
    "accelerator": ResourceType(Kind.BOOLEAN, "h"),
}
_UNKNOWN: Final = ResourceType(Kind.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedConfig:
    """What of sched_config matters for demand and order."""

    resources: frozenset[str] | None = None
    """The resources the scheduler looks at; None: not known, all of them."""
    by_queue: bool = True
    sort_keys: tuple[tuple[str, bool], ...] = ()
    """Attribute and whether the highest comes first."""
    dynamic: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    """Server dynamic resources and the programs that tell how much is left."""
    fair_share: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PbsFacts:
    """Queues and server as they print themselves, resource types, the scheduler's own settings."""

    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=frozendict)
    server: Mapping[str, Any] = field(default_factory=frozendict)
    types: Mapping[str, ResourceType] = field(default_factory=frozendict)
    sched: SchedConfig = field(default_factory=SchedConfig)
    dynamic: Mapping[str, Value] = field(default_factory=frozendict)
    """What is left of server dynamic resources, where somebody asked."""

    def type_of(self, name: str) -> ResourceType:
        """A resource's type; of one that nobody defined, what its values look like."""
        return self.types.get(name) or _BUILT_IN.get(name, _UNKNOWN)

    def is_scheduled(self, name: str) -> bool:
        """Whether the scheduler looks at it: booleans, host and vnode always, others by the `resources` line."""
        known = self.sched.resources
        if known is None or name in known or name in {"host", "vnode"}:
            return True
        return self.type_of(name).kind is Kind.BOOLEAN

    def value(self, name: str, text: str) -> Value:
        """A resource's value. Raises ValueError."""
        return parse_value(text, self.type_of(name).kind, name)


def parse_queues(text: str, problems: list[Problem]) -> Mapping[str, Mapping[str, Any]]:
    """`qstat -Qf -F json`."""
    return frozendict(read_objects(text, "Queue", "qstat -Qf", problems))


def parse_server(text: str, problems: list[Problem]) -> Mapping[str, Any]:
    """`qstat -Bf -F json`: the one server it is."""
    servers = read_objects(text, "Server", "qstat -Bf", problems)
    return next(iter(servers.values()), frozendict())


def parse_hooks(text: str) -> tuple[str, ...]:
    """`qmgr -c 'list hook'`: the hooks of ours that are switched on, with their events."""
    found = []
    for block in re.split(r"^Hook ", text, flags=re.MULTILINE)[1:]:
        name = block.split("\n", 1)[0].strip()
        facts = dict(re.findall(r"^\s+(\w+) = (.*)$", block, re.MULTILINE))
        if "azaks" in name and facts.get("enabled", "true").lower() == "true":
            found.append(f"{name} ({facts.get('event', 'no event')})")
    return tuple(found)


def parse_types(text: str) -> Mapping[str, ResourceType]:
    """`qmgr -c 'list resource'` (or `print resource`)."""
    found: dict[str, dict[str, str]] = {}
    name = ""
    for line in text.split("\n"):
        listed = _LISTED.match(line)
        attribute = _ATTRIBUTE.match(line)
        if listed is not None:
            name = listed[1]
            found.setdefault(name, {})
        elif attribute is not None and (attribute[1] or name):
            found.setdefault(attribute[1] or name, {})[attribute[2]] = attribute[3]
    return frozendict(
        {
            resource: ResourceType(KINDS.get(parts.get("type", ""), Kind.UNKNOWN), parts.get("flag", ""))
            for resource, parts in found.items()
        }
    )


def parse_sched_priv(text: str) -> str | None:
    """`qmgr -c 'list sched'` → the directory of the first scheduler's files."""
    match = _SCHED_PRIV.search(text)
    return None if match is None else match[1]


def parse_sched_config(text: str) -> SchedConfig:
    """PBS's `sched_config`: the lines that matter here; others are its own affair."""
    resources: frozenset[str] | None = None
    dynamic: dict[str, tuple[str, ...]] = {}
    keys: list[tuple[str, bool]] = []
    flags = {"by_queue": True, "fair_share": False}
    for line in text.split("\n"):
        named, program = _RESOURCES.match(line), _SERVER_DYN_RES.match(line)
        if named is not None:
            resources = frozenset(word for word in re.split(r"[\s,]+", named[1]) if word)
        elif program is not None:
            dynamic[program[1]] = _words(program[2])
        elif (option := _OPTION.match(line)) is not None:
            words = option[2].replace('"', " ").replace("'", " ").split()
            if option[1] == "job_sort_key" and len(words) > 1:
                keys.append((words[0].lower(), words[1].upper() == "HIGH"))
            elif option[1] in flags and words:
                flags[option[1]] = words[0].lower() == "true"
    return SchedConfig(
        resources=resources,
        by_queue=flags["by_queue"],
        sort_keys=tuple(keys),
        dynamic=frozendict(dynamic),
        fair_share=flags["fair_share"],
    )


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ()
