"""A Grid Engine that answers from texts, and jobs as qstat prints them."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.gridengine.driver import GridEngineScheduler
from autoscale_aks.schedulers.gridengine.settings import read_settings
from autoscale_aks.schedulers.process import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.schedulers.port import SchedulerState

CAPTURES = Path(__file__).resolve().parents[2] / "fixtures" / "gridengine"
BUSY = CAPTURES / "10-pending-running"
COMPLEXES = """\
#name shortcut type relop requestable consumable default urgency
slots s INT <= YES YES 1 1000
mem_free mf MEMORY <= YES YES 0 0
mem_total mt MEMORY <= YES NO 0 0
gpu gpu INT <= YES JOB 0 0
scratch scratch INT <= YES HOST 0 0
num_proc p INT == YES NO 0 0
load_avg la DOUBLE >= YES NO 0 0
h_rt h_rt TIME <= YES NO 0:0:0 0
h_vmem h_vmem MEMORY <= YES NO 0 0
exclusive excl BOOL EXCL YES YES 0 1000
ib ib BOOL == YES NO 0 0
arch a STRING == YES NO NONE 0
slot_type st RESTRING == YES NO NONE 0
hostname h HOST == YES NO NONE 0
qname q STRING == YES NO NONE 0
matlab matlab INT <= YES YES 0 0
"""
QUEUES = """\
qname                 all.q
hostlist              @cluster
seq_no                0
qtype                 BATCH INTERACTIVE
pe_list               smp mpi rr four,[@big=mpi-ib]
h_rt                  24:00:00,[@big=100:00:00]
h_vmem                INFINITY

qname                 long.q
hostlist              @big \\
                      oldhost
seq_no                5
qtype                 BATCH
pe_list               NONE
h_rt                  INFINITY
"""
GROUPS = {"@cluster": "@htc @hpc", "@htc": "n1 n2", "@hpc": "NONE", "@big": "NONE"}
RULES = {"smp": "$pe_slots", "mpi": "$fill_up", "mpi-ib": "$fill_up", "rr": "$round_robin", "four": "4"}


def job(number: int, *, state: str = "qw", slots: int | str = 1, **more: Any) -> str:
    """A `<job_list>`; `pe` is name and range, `requests` and `queues` are hard, `tasks` an array's."""
    lines = [
        f"<JB_job_number>{number}</JB_job_number>",
        f"<JAT_prio>{more.get('priority', '0.50000')}</JAT_prio>",
        f"<JB_name>{html.escape(more.get('name', 'x'))}</JB_name>",
        f"<JB_owner>{more.get('owner', 'alice')}</JB_owner>",
        f"<state>{state}</state>",
        f"<queue_name>{more.get('at', '')}</queue_name>",
        f"<slots>{slots}</slots>",
    ]
    if "tasks" in more:
        lines.append(f"<tasks>{more['tasks']}</tasks>")
    if "pe" in more:
        lines.append(f'<requested_pe name="{more["pe"][0]}">{more["pe"][1]}</requested_pe>')
    for name, value in more.get("requests", {}).items():
        lines.append(f'<hard_request name="{name}" resource_contribution="0.000000">{value}</hard_request>')
    lines.extend(f"<hard_req_queue>{queue}</hard_req_queue>" for queue in more.get("queues", ()))
    lines.extend(more.get("lines", ()))
    body = "".join(f"      {line}\n" for line in lines)
    return f'    <job_list state="pending">\n{body}    </job_list>\n'


def listing(*jobs: str) -> str:
    return f"<?xml version='1.0'?>\n<job_info>\n  <job_info>\n{''.join(jobs)}  </job_info>\n</job_info>\n"


def host(name: str, *, queues: Mapping[str, str] | None = None, jobs: Sequence[str] = (), **more: Any) -> str:
    """A `<host>`; queues as `slots/used/state`, resources as `dominance:value`."""
    arch, load = more.get("arch", "lx-amd64"), more.get("load", "0.10")
    lines = [f"<hostvalue name='arch_string'>{arch}</hostvalue>", f"<hostvalue name='load_avg'>{load}</hostvalue>"]
    for resource, value in more.get("resources", {}).items():
        kind, _, text = value.partition(":")
        lines.append(f"<resourcevalue name='{resource}' dominance='{kind}'>{text}</resourcevalue>")
    for queue, text in (queues or {}).items():
        slots, used, state = text.split("/")
        pairs = (("slots_used", used), ("slots", slots), ("state_string", state))
        inner = "".join(f"<queuevalue qname='{queue}' name='{key}'>{value}</queuevalue>\n" for key, value in pairs)
        lines.append(f"<queue name='{queue}'>\n{inner}</queue>")
    lines.extend(
        f"<job name='{number}'>\n<jobvalue jobid='{number}' name='job_state'>r</jobvalue>\n</job>" for number in jobs
    )
    return f" <host name='{name}'>\n" + "\n".join(lines) + "\n </host>\n"


def qhost(*hosts: str) -> str:
    return f"<?xml version='1.0'?>\n<qhost>\n{''.join(hosts)}</qhost>\n"


def details(concurrency: Mapping[int, int] | None = None, messages: Mapping[int, Sequence[str]] | None = None) -> str:
    """`qstat -xml -j`: array limits and reasons."""
    arrays = "".join(
        f"<JB_job_number>{number}</JB_job_number>\n<JB_ja_task_concurrency>{limit}</JB_ja_task_concurrency>\n"
        for number, limit in (concurrency or {}).items()
    )
    said = "".join(
        f"<element><MES_job_number_list><ulong_sublist><ULNG_value>{number}</ULNG_value></ulong_sublist>"
        f"</MES_job_number_list>\n<MES_message_number>1</MES_message_number>\n"
        f"<MES_message>{html.escape(words)}</MES_message></element>\n"
        for number, many in (messages or {}).items()
        for words in many
    )
    return f"<detailed_job_info>{arrays}<SME_message_list>{said}</SME_message_list></detailed_job_info>"


@dataclass(slots=True)
class FakeGridEngine:
    """Texts for queries; `calls` are the commands in order."""

    jobs: str = listing()
    hosts: str = qhost()
    details: str = ""
    future: str = listing()
    quotas: str = ""
    global_values: str = "NONE"
    maxujobs: int = 0
    queues: str = QUEUES
    refuse: dict[str, str] = field(default_factory=dict)
    """Words of a command line → what the command says when it fails."""
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        self.calls.append(tuple(args))
        line = " ".join(args)
        for words, said in self.refuse.items():
            if words in line:
                raise SchedulerError(f"{line}: exit code 1: {said}")
        return Answer(self._answer(args))

    def changes(self) -> list[str]:
        return [
            " ".join(call) for call in self.calls if call[0] == "qmod" or call[1][:2] in {"-a", "-A", "-d", "-m", "-p"}
        ]

    def _answer(self, args: Sequence[str]) -> str:
        if args[0] == "qhost":
            return self.hosts
        if args[0] == "qstat":
            return self.details if "-j" in args else self.future if "ha" in args else self.jobs
        answers = {
            "-sc": COMPLEXES, "-sq": self.queues, "-spl": "\n".join(RULES), "-shgrpl": "\n".join(GROUPS),
            "-srqs": self.quotas, "-ssconf": f"algorithm default\nmaxujobs {self.maxujobs}\n",
            "-se": f"hostname global\ncomplex_values {self.global_values}\n",
        }  # fmt: skip
        if args[1] == "-sp":
            return f"pe_name {args[2]}\nallocation_rule {RULES[args[2]]}\n"
        if args[1] == "-shgrp":
            return f"group_name {args[2]}\nhostlist {GROUPS[args[2]]}\n"
        return answers.get(args[1], "")


SERVED = {"@htc": ["htc"], "@hpc": ["hpc"], "@big": ["big"]}


def scheduler(cluster: Any, **settings: Any) -> GridEngineScheduler:
    return GridEngineScheduler(read_settings({"type": "gridengine", "hostgroups": SERVED, **settings}), cluster)


def read(*jobs: str, settings: Mapping[str, Any] | None = None, **cluster: Any) -> SchedulerState:
    return scheduler(FakeGridEngine(jobs=listing(*jobs), **cluster), **(settings or {})).read()


def constraints(state: SchedulerState, number: int = 0) -> list[Any]:
    return json.loads(json.dumps(state.jobs[number].shape.constraints, default=dict))
