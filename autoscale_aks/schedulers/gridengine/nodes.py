"""`qhost -xml -F -q -j` → the scheduler's nodes, in our words.

What a host says of a consumable is what is left of it, so a node that works is shown with what is left as all it has.
Only resources that waiting jobs ask for are taken over: loads change with every look, and nodes that differ in them
alone are alike.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.model.node_names import machine_of_host
from autoscale_aks.schedulers.gridengine.needs import SLOTS
from autoscale_aks.schedulers.gridengine.values import parse_flag, parse_memory, parse_number
from autoscale_aks.schedulers.port import SchedulerNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.schedulers.gridengine.objects import Complex
    from autoscale_aks.units import Number, Value

_HOST: Final = re.compile(r"<host name='([^']*)'>")
_LINE: Final = re.compile(
    r"<(hostvalue|resourcevalue|queuevalue|jobvalue)((?: [a-z]+='[^']*')*)>([^<]*)</|<job name='([^']*)'>"
)
_ATTRIBUTE: Final = re.compile(r" ([a-z]+)='([^']*)'")
GLOBAL: Final = "global"
_UNHEARD: Final = "u"
_CLOSED: Final = frozenset("dDsSCEo")


@dataclass(slots=True)
class QueueInstance:
    """A queue on a host."""

    slots: int = 0
    used: int = 0
    state: str = ""


@dataclass(slots=True)
class HostRecord:
    """One host of qhost."""

    name: str
    arch: str = ""
    load: str = ""
    resources: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name → where its value comes from (`hc` a host's consumable, `gc` a global one …), and the value."""
    queues: dict[str, QueueInstance] = field(default_factory=dict)
    job_ids: dict[str, None] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Slots in use."""
        return sum(queue.used for queue in self.queues.values())

    @property
    def is_busy(self) -> bool:
        """Whether work is on it."""
        return bool(self.job_ids) or self.used > 0

    @property
    def is_disabled(self) -> bool:
        """Whether all its queues are closed by hand."""
        return bool(self.queues) and all("d" in queue.state for queue in self.queues.values())

    @property
    def state(self) -> str:
        """`Ready`, `Closed`, `Down` or `Booting`.

        A host whose execd never spoke (no architecture yet) is booting; one that is lost later is down. A host in
        no queue takes no work: it is still on its way in.
        """
        if self.arch in {"", "-"}:
            return "Closed" if self.is_disabled else "Booting"
        open_queues = [queue for queue in self.queues.values() if not set(queue.state) & _CLOSED]
        if self.queues and not open_queues:
            return "Closed"
        if self.load == "-" or (self.queues and all(_UNHEARD in queue.state for queue in self.queues.values())):
            return "Down"
        return "Ready" if self.queues else "Booting"


def parse_hosts(text: str, problems: list[Problem]) -> dict[str, HostRecord]:
    """Every host by name, `global` included. Raises SchedulerError when this is no answer of qhost."""
    if "<qhost" not in text:
        raise SchedulerError(f"qhost: printed no XML; it begins {text.strip()[:60]!r}")
    hosts: dict[str, HostRecord] = {}
    marks = list(_HOST.finditer(text))
    for number, mark in enumerate(marks):
        end = marks[number + 1].start() if number + 1 < len(marks) else len(text)
        name = html.unescape(mark[1])
        host = hosts.setdefault(name, HostRecord(name))
        try:
            _read_host(host, text[mark.end() : end])
        except ValueError as error:
            problems.append(Problem(f"qhost {name[:60]}", f"left out: {error}"))
            del hosts[name]
    return hosts


def _read_host(host: HostRecord, body: str) -> None:
    job, task = "", ""
    for kind, written, value, opened in _LINE.findall(body):
        text = html.unescape(value)
        attributes = dict(_ATTRIBUTE.findall(written))
        name = attributes.get("name", "")
        if opened:
            _add_job(host, job, task)
            job, task = opened, ""
        elif kind == "hostvalue":
            host.arch = text if name == "arch_string" else host.arch
            host.load = text if name == "load_avg" else host.load
        elif kind == "resourcevalue":
            host.resources[name] = (attributes.get("dominance", ""), text)
        elif kind == "queuevalue":
            _read_queue(host.queues.setdefault(attributes.get("qname", ""), QueueInstance()), name, text)
        elif name == "taskid":
            task = text
    _add_job(host, job, task)


def _add_job(host: HostRecord, job: str, task: str) -> None:
    if job:
        host.job_ids[f"{job}.{task}" if task else job] = None


def _read_queue(queue: QueueInstance, name: str, text: str) -> None:
    if name == "slots":
        queue.slots = int(parse_number(text, "slots"))
    elif name == "slots_used":
        queue.used = int(parse_number(text, "slots_used"))
    elif name == "state_string":
        queue.state = text


def read_nodes(
    hosts: Iterable[HostRecord],
    wanted: frozenset[str],
    complexes: Mapping[str, Complex],
    problems: list[Problem],
    lost: list[Problem],
) -> tuple[SchedulerNode, ...]:
    """Hosts as nodes, with their slots and the resources that are `wanted`.

    One without readable slots is left out and `lost`; another value that cannot be read is a problem and no more.
    """
    nodes: list[SchedulerNode] = []
    for host in hosts:
        if host.name == GLOBAL:
            continue
        try:
            resources, available = _slots_of(host, complexes)
        except ValueError as error:
            lost.append(Problem(f"qhost {host.name[:60]}", f"left out: {error}"))
            continue
        for name, (kind, text) in host.resources.items():
            known = complexes.get(name)
            if name in wanted and kind[:1] != "g" and known is not None and name != SLOTS and not known.is_exclusive:
                try:
                    resources[name] = _value(known, text)
                except ValueError as error:
                    problems.append(Problem(f"qhost {host.name[:60]}", f"not looked at: {error}"))
        jobs = tuple(host.job_ids) or (("(a job of this host)",) if host.is_busy else ())
        nodes.append(
            SchedulerNode(
                name=host.name,
                state=host.state,
                machine=machine_of_host(host.name),
                resources=frozendict(resources),
                available=frozendict(available),
                job_ids=jobs,
            )
        )
    return tuple(nodes)


def _slots_of(host: HostRecord, complexes: Mapping[str, Complex]) -> tuple[dict[str, Value], dict[str, Value]]:
    """Slots: the host's own number where it has one (what is left of it is said), else its largest queue's.

    None is left where a job has the host alone: its exclusive complex is then at 0 or below.
    """
    if not host.queues:
        return {}, {}
    most = max(queue.slots for queue in host.queues.values())
    left = max(max(0, queue.slots - queue.used) for queue in host.queues.values())
    kind, text = host.resources.get(SLOTS, ("", ""))
    if kind == "hc":
        left = max(0, int(parse_number(text, SLOTS)))
        most = left + host.used
    if any(_is_given_away(name, *value, complexes) for name, value in host.resources.items()):
        left = 0
    return {SLOTS: most}, {SLOTS: min(left, most)}


def _is_given_away(name: str, kind: str, text: str, complexes: Mapping[str, Complex]) -> bool:
    known = complexes.get(name)
    return kind == "hc" and known is not None and known.is_exclusive and parse_number(text, name) <= 0


def _value(known: Complex, text: str) -> Value:
    if known.type == "MEMORY":
        return parse_memory(text, known.name)
    if known.type in {"INT", "DOUBLE"}:
        return parse_number(text, known.name)
    return parse_flag(text) if known.type == "BOOL" else text


def global_amounts(hosts: Mapping[str, HostRecord], complexes: Mapping[str, Complex]) -> dict[str, Number]:
    """What is left of the consumables of the global host."""
    found: dict[str, Number] = {}
    host = hosts.get(GLOBAL)
    for name, (kind, text) in host.resources.items() if host is not None else ():
        known = complexes.get(name)
        if kind == "gc" and known is not None and known.is_amount:
            size = parse_memory(text, name).bytes if known.type == "MEMORY" else parse_number(text, name)
            found[name] = size
    return found
