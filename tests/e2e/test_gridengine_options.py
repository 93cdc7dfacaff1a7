"""Options of qsub against a real Grid Engine: planned, given exactly the planned hosts, and started on all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from gridengine_rig import PACKAGES, GridEngineRig, is_installed, may_make_machines
from new_nodes import new_nodes

from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.model.job import Job

pytestmark = [
    pytest.mark.gridengine,
    pytest.mark.slow,
    pytest.mark.soak,
    pytest.mark.skipif(not is_installed(), reason=f"NO REAL GRID ENGINE HERE: apt-get install {PACKAGES} iproute2"),
    pytest.mark.skipif(not may_make_machines(), reason="NO REAL GRID ENGINE HERE: network namespaces need root"),
]

ROWS: Final = {
    "fill": ("-pe fill 6", 2, 1, "$fill_up: six slots on hosts of four"),
    "range": ("-pe fill 2-6", 1, 1, "the least of the range is two, which one host has"),
    "round": ("-pe round 4", 1, 1, "$round_robin: one after the other, and there is one"),
    "smp": ("-pe smp 3", 1, 1, "$pe_slots: all on one host"),
    "pairs": ("-pe pairs 4", 2, 1, "two on each host"),
    "hard": ("-t 1-2 -l mem_free=9G", 2, 2, "two of 9 GB do not share 15"),
    "soft": ("-soft -l arch=sparc -hard", 1, 1, "what is only wished for needs no host that has it"),
    "some": ("-t 1-6 -tc 2", 1, 2, "two tasks at once"),
    "alone": ("-t 1-2 -l exclusive=true", 2, 2, "each alone on its host"),
    "reserved": ("-R y -pe fill 5", 2, 1, "a reservation changes when, not where"),
}
"""Name → options of qsub, hosts, tasks that run on them at once, and why."""
WAITING: Final = {"-h": "Hold", "-hold_jid FIRST": "Dependency", "-a 203001010000": "BeginTime"}
RULES: Final = [
    {"select": {}, "name": "slots", "value": "node.vcpu_count"},
    {"select": {}, "name": "mem_free", "value": "node.memory", "subtract": "memory::1g"},
    {"select": {}, "name": "slot_type", "value": "node.nodearray"},
]


def planned(jobs: Sequence[Job]) -> list[str]:
    """Names of the hosts for these jobs, of 4 slots and 16 GB each."""
    size = {"vm_size": "Standard_D4s_v5", "vcpu_count": 4, "memory_gb": 16, "max_count": 4}
    arrays = [{"name": name, "buckets": [size]} for name in ROWS]
    snapshot, policy = decode_scenario({"nodearrays": arrays, "default_resources": RULES, "jobs": []})
    return [claim.name for claim in plan(replace(snapshot, jobs=tuple(jobs)), policy).claims]


def running(rig: GridEngineRig, jobs: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Row → hosts that have slots of its job, and its tasks that run."""
    names = {job: name for name, job in jobs.items()}
    hosts: dict[str, set[str]] = {name: set() for name in jobs}
    tasks: dict[str, set[str]] = {name: set() for name in jobs}
    for line in rig.output("qstat", "-u", "*", "-s", "r", "-g", "t").splitlines():
        words = line.split()
        if words and words[0] in names and "@" in line:
            name = names[words[0]]
            hosts[name].add(next(word for word in words if "@" in word).partition("@")[2])
            tasks[name].add(words[-1] if ROWS[name][2] > 1 else "")
    return {name: (len(hosts[name]), len(tasks[name])) for name in jobs}


def test_jobs_start_on_exactly_the_hosts_that_were_planned() -> None:
    with GridEngineRig() as rig:
        rig.define_complex(
            "mem_free mf MEMORY <= YES YES 0 0",
            "exclusive excl BOOL EXCL YES YES 0 1000",
            "slot_type slot_type RESTRING == YES NO NONE 0",
        )
        for name in ROWS:
            rig.define_group(f"@{name}")
        for name, rule in (("fill", "$fill_up"), ("round", "$round_robin"), ("smp", "$pe_slots"), ("pairs", "2")):
            rig.define_environment(name, rule)
        rig.define_queue("all.q", " ".join(f"@{name}" for name in ROWS), slots=8, pe_list="fill round smp pairs")
        host: dict[str, Any] = {"slots": 4}
        settings = {
            "type": "gridengine",
            **{name: rig.wrapper(name) for name in ("qstat", "qhost", "qconf", "qmod")},
            "hostgroups": {f"@{name}": [name] for name in ROWS},
            "join": {f"{name}-*": {**host, "hostgroups": [f"@{name}"], "complex_values":
                     {"mem_free": "15G", "exclusive": True, "slot_type": name}} for name in ROWS},
        }  # fmt: skip
        scheduler = build_scheduler(settings, environment=rig.env)
        job = ("-b", "y", "-l")
        jobs = {name: rig.submit(*job, f"slot_type={name}", *options.split(), "sleep", "300")
                for name, (options, *_) in ROWS.items()}  # fmt: skip
        first = jobs["fill"]
        waits = {rig.submit(*job, "slot_type=fill", *options.replace("FIRST", first).split(), "sleep", "300"): why
                 for options, why in WAITING.items()}  # fmt: skip
        rig.wait_until(lambda: reasons(scheduler.read().jobs, waits) == waits, "the waiting jobs say why")
        names = planned(scheduler.read().jobs)
        made = Counter(name.rpartition("-")[0] for name in names)
        assert made == {name: machines for name, (_, machines, *_) in ROWS.items()}
        rig.announce(*names)
        scheduler.add_nodes(new_nodes(names))
        for name in names:
            rig.boot(name)
        wanted = {name: (machines, tasks) for name, (_, machines, tasks, _) in ROWS.items()}
        rig.wait_until(lambda: running(rig, jobs) == wanted, f"all run: {wanted}")


def reasons(jobs: Sequence[Job], wanted: dict[str, str]) -> dict[str, str]:
    return {job.name: job.not_runnable_reason.partition(":")[0] for job in jobs if job.name in wanted}
