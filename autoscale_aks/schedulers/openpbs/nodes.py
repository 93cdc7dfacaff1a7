"""`pbsnodes -a -F json` → the scheduler's nodes, in our words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.model.node_names import machine_of_host
from autoscale_aks.schedulers.openpbs.listing import read_objects
from autoscale_aks.schedulers.port import SchedulerNode
from autoscale_aks.units import Size, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.schedulers.openpbs.facts import PbsFacts
    from autoscale_aks.schedulers.openpbs.settings import PbsSettings
    from autoscale_aks.units import Value

_DOWN: Final = frozenset({"down", "state-unknown", "unknown", "stale", "unresolvable", "sleep"})
_CLOSED: Final = frozenset({"offline", "maintenance", "resv-exclusive"})
_BOOTING: Final = frozenset({"provisioning", "wait-provisioning", "initializing"})
_WHOLE: Final = frozenset({"job-exclusive", "resv-exclusive"})
_NOT_RESOURCES: Final = frozenset({"vnode"})

MARK: Final = "autoscale"
"""What the comments of nodes begin with that this program closed."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node of pbsnodes."""

    name: str
    attributes: Mapping[str, Any]

    @property
    def flags(self) -> frozenset[str]:
        """Its state's words: `offline,job-busy`."""
        return frozenset(word.strip() for word in str(self.attributes.get("state", "")).lower().split(","))

    @property
    def is_offline(self) -> bool:
        """Whether somebody closed it."""
        return "offline" in self.flags

    @property
    def is_closed_by_us(self) -> bool:
        """Whether this program closed it: its comment begins with our mark."""
        return self.is_offline and str(self.attributes.get("comment", "")).startswith(f"{MARK}:")

    @property
    def job_ids(self) -> tuple[str, ...]:
        """The jobs on it, each once; some versions print a job for each of its cores (`11.server/3`)."""
        found = self.attributes.get("jobs") or ()
        items = found.split(",") if isinstance(found, str) else found if isinstance(found, list) else ()
        return tuple(dict.fromkeys(str(item).partition("/")[0].strip() for item in items if str(item).strip()))

    @property
    def is_busy(self) -> bool:
        """Whether work is on it."""
        return bool(self.job_ids) or bool(self.flags & {"job-busy", "job-exclusive"})

    @property
    def state(self) -> str:
        """`Ready`, `Closed`, `Down` or `Booting`.

        A node that was made and whose mom never spoke (no `pcpus` yet) is booting; one that is lost later is down.
        """
        flags = self.flags
        if "state-unknown" in flags and "pcpus" not in self.attributes and not self.is_busy:
            return "Booting" if not flags & _CLOSED else "Closed"
        if flags & _DOWN:
            return "Down"
        if flags & _CLOSED:
            return "Closed"
        return "Booting" if flags & _BOOTING else "Ready"


def parse_nodes(text: str, problems: list[Problem]) -> Iterator[NodeRecord]:
    """Every node; one without a state is left out and reported."""
    for name, attributes in read_objects(text, "nodes", "pbsnodes", problems).items():
        if isinstance(attributes.get("state"), str):
            yield NodeRecord(name, attributes)
        else:
            problems.append(Problem(f"pbsnodes {name[:60]}", "has no state that can be read, left out"))


def read_nodes(text: str, settings: PbsSettings, facts: PbsFacts, problems: list[Problem]) -> tuple[SchedulerNode, ...]:
    """The nodes with what they have and what is left. An amount that cannot be read leaves its node out."""
    found: list[SchedulerNode] = []
    for record in parse_nodes(text, problems):
        try:
            resources, available = _amounts(record, facts)
        except ValueError as error:
            problems.append(Problem(f"pbsnodes {record.name[:60]}", f"left out: {error}"))
            continue
        identity = resources.get(settings.identity_resource)
        found.append(
            SchedulerNode(
                name=record.name,
                state=record.state,
                machine=str(identity) if identity else machine_of_host(record.name),
                resources=frozendict(resources),
                available=frozendict(available),
                job_ids=record.job_ids or (("(a job of this node)",) if record.is_busy else ()),
                closed_by_us=record.is_closed_by_us,
            )
        )
    return tuple(found)


def _amounts(record: NodeRecord, facts: PbsFacts) -> tuple[dict[str, Value], dict[str, Value]]:
    """What the node has, and what is left of what jobs use up; nothing where a job has the node alone."""
    resources: dict[str, Value] = {}
    available: dict[str, Value] = {}
    assigned = _values(record.attributes.get("resources_assigned"), facts)
    for name, value in _values(record.attributes.get("resources_available"), facts).items():
        resources[name] = value
        total = number_of(value)
        if total is None:
            continue
        left = 0 if record.flags & _WHOLE else max(0, total - (number_of(assigned.get(name)) or 0))
        available[name] = Size(left) if isinstance(value, Size) else left
    return resources, available


def _values(raw: object, facts: PbsFacts) -> dict[str, Value]:
    items = raw.items() if isinstance(raw, dict) else ()
    found: dict[str, Value] = {}
    for name, value in items:
        if name not in _NOT_RESOURCES:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found[name] = facts.value(name, text)
    return found
