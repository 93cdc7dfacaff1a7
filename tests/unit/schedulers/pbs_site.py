"""A PBS that keeps its nodes in a dictionary, and jobs as qstat prints them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.openpbs.facts import PbsFacts, parse_queues, parse_sched_config, parse_server, parse_types
from autoscale_aks.schedulers.openpbs.jobs import read_queue
from autoscale_aks.schedulers.openpbs.settings import read_settings
from autoscale_aks.schedulers.process import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.schedulers.openpbs.jobs import Queue

CAPTURES = Path(__file__).resolve().parents[2] / "fixtures" / "openpbs"
BUSY = CAPTURES / "10-pending-running"
TYPES = """Resource slot_type
    type = string
    flag = h
Resource ngpus
    type = long
    flag = hn
Resource memory_class
    type = size
    flag = h
Resource matlab
    type = long
    flag = q
"""


def job(select: str = "1:ncpus=1", place: str = "free", **attributes: Any) -> dict[str, Any]:
    """A queued job's attributes."""
    wanted = attributes.pop("resources", {})
    return {
        "Job_Name": "x", "job_state": "Q", "queue": "workq", "euser": "alice", "egroup": "staff", "project": "p1",
        "Hold_Types": "n", "Priority": 0, "queue_rank": 1, "schedselect": select,
        "Resource_List": {"select": select, "place": place, "ncpus": 1, **wanted}, **attributes,
    }  # fmt: skip


def listing(**jobs: dict[str, Any]) -> str:
    """`qstat -f -F json`, indented as PBS does; `j1` stands for `1.server`, `a2` for `2[].server`."""
    named = {f"{name[1:]}[].server" if name[0] == "a" else f"{name[1:]}.server": body for name, body in jobs.items()}
    return json.dumps({"timestamp": 1, "pbs_version": "23", "pbs_server": "s", "Jobs": named}, indent="\t")


def facts(
    *, queues: Mapping[str, Any] | None = None, server: Mapping[str, Any] | None = None, sched: str = ""
) -> PbsFacts:
    return PbsFacts(
        queues=parse_queues(json.dumps({"timestamp": 1, "Queue": queues or {"workq": {}}}, indent=1), []),
        server=parse_server(json.dumps({"timestamp": 1, "Server": {"s": server or {}}}, indent=1), []),
        types=parse_types(TYPES),
        sched=parse_sched_config(sched),
    )


def read(text: str, known: PbsFacts | None = None, **settings: Any) -> Queue:
    return read_queue(text, read_settings({"type": "openpbs", **settings}), known or facts())


def constraints(queue: Queue, name: str = "1.server") -> list[Any]:
    found = next(one for one in queue.jobs if one.name == name)
    return json.loads(json.dumps(found.shape.constraints, default=dict))


@dataclass(slots=True)
class FakePbs:
    """Answers pbsnodes, qstat and qmgr; `calls` are the commands in order."""

    nodes: dict[str, dict[str, Any]]
    jobs: str = '{"timestamp": 1}'
    land_on: str = ""
    """A job lands on this node just before it is closed."""
    unresolved: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    """Nodes that pbsnodes will not close."""
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        self.calls.append(tuple(args))
        if "-a" in args:
            return Answer(json.dumps({"timestamp": 1, "nodes": self.nodes}, indent="\t"))
        if "-f" in args:
            return Answer(self.jobs)
        if "-Qf" in args or "-Bf" in args:
            return Answer('{"timestamp": 1}')
        if args[0] == "pbsnodes":
            self._mark(args)
        elif args[-1].startswith(("create", "set", "delete")):
            self._manage(args[-1].split())
        return Answer("")

    def changes(self) -> list[tuple[str, ...]]:
        return [call for call in self.calls if "-o" in call or "-r" in call or call[-1][:4] in {"crea", "set ", "dele"}]

    def _mark(self, args: Sequence[str]) -> None:
        for name in args[4:]:
            if name in self.refuses:
                raise SchedulerError(f"pbsnodes: exit code 1: {name}: no")
            node = self.nodes[name]
            if name == self.land_on:
                node["jobs"] = ["9.server"]
            node["state"] = "offline" if args[3] == "-o" else "free"
            node["comment"] = args[2]

    def _manage(self, words: list[str]) -> None:
        verb, _, name, *rest = words
        if verb == "create":
            if name in self.unresolved:
                raise SchedulerError(f"qmgr: exit code 214: qmgr obj={name} svr=default: Unknown node")
            if name in self.nodes:
                raise SchedulerError(f"qmgr: exit code 218: qmgr obj={name}: Node name already exists | Error (15066)")
            self.nodes[name] = {"state": "state-unknown,down", "resources_available": {}, "resources_assigned": {}}
        elif verb == "delete":
            if self.nodes[name].get("jobs"):
                raise SchedulerError("qmgr: exit code 179: Cannot delete busy object | Error (15027)")
            del self.nodes[name]
        elif rest[0].startswith("resources_available."):
            self.nodes[name]["resources_available"][rest[0].partition(".")[2]] = rest[2]
        elif rest[1] == "-=":
            self.nodes[name]["state"] = "state-unknown,down"
        else:
            self.nodes[name]["state"] = "offline,state-unknown,down"


def node(**attributes: Any) -> dict[str, Any]:
    """A free node of four cores."""
    given = {"ncpus": 4, "mem": "16gb", "host": "n1", "vnode": "n1"}
    return {"state": "free", "pcpus": 2, "resources_available": given, "resources_assigned": {}, **attributes}
