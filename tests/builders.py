"""Small scenarios in few words, and the whole way from a scenario to its answer."""

from __future__ import annotations

import json
from typing import Any

from autoscale_aks.errors import ScenarioError
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario, parse_json
from autoscale_aks.reports.answer import render_answer, render_problems

Json = dict[str, Any]

STANDARD = [
    {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
    {"select": {}, "name": "mem", "value": "node.memory"},
    {"select": {}, "name": "ngpus", "value": "node.gpu_count"},
]
"""The `default_resources` most cases of the contract use."""


def f4(**extra: Any) -> Json:
    """A bucket of 4 vCPUs and 8 GB, at most 10 nodes."""
    return {"vm_size": "Standard_F4", "vcpu_count": 4, "memory_gb": 8, "max_count": 10, **extra}


def f2(**extra: Any) -> Json:
    """A bucket of 2 vCPUs and 4 GB, at most 10 nodes."""
    return {"vm_size": "Standard_F2", "vcpu_count": 2, "memory_gb": 4, "max_count": 10, **extra}


def array(name: str = "htc", *buckets: Json, **extra: Any) -> Json:
    """A node array; with one F4 bucket when none is given."""
    return {"name": name, "buckets": list(buckets) or [f4()], **extra}


def node(name: str = "htc-1", **extra: Any) -> Json:
    """An existing, ready, empty F4 of the array `htc`."""
    return {"name": name, "nodearray": "htc", "vm_size": "Standard_F4", "hostname": f"ip-{name}", **extra}


def job(name: str = "a", *constraints: Any, **extra: Any) -> Json:
    """A job; it asks for one CPU when no constraint is given."""
    return {"name": name, "constraints": list(constraints) or [{"ncpus": 1}], **extra}


def licence(amount: Any = 1, *names: str, once: bool = False) -> Json:
    """A constraint on shared licences."""
    return {"shared-consumable": {"resources": list(names) or ["lic"], "amount": amount, "decrement_once": once}}


def scenario(
    *jobs: Json, arrays: list[Json] | None = None, nodes: tuple[Json, ...] | list[Json] = (), **extra: Any
) -> Json:
    """A scenario with the standard default resources; one array of F4 when none is given."""
    found = {
        "default_resources": STANDARD,
        "nodearrays": [array()] if arrays is None else arrays,
        "existing_nodes": list(nodes),
        "jobs": list(jobs),
    }
    return {**found, **extra}


def solve_text(text: str) -> Json:
    """The answer to a scenario's text: what the program prints, read back from its JSON."""
    try:
        snapshot, policy = decode_scenario(parse_json(text))
        answer = render_answer(plan(snapshot, policy))
    except ScenarioError as error:
        answer = {"ok": False, "errors": render_problems(error.problems)}
    return json.loads(json.dumps(answer, allow_nan=False))


def solve(raw: Json) -> Json:
    """The answer to a scenario."""
    return solve_text(json.dumps(raw))


def outcome(answer: Json, name: str) -> Json:
    """The answer's entry of one job."""
    return next(entry for entry in answer["jobs"] if entry["name"] == name)


def places(answer: Json, name: str) -> dict[str, int]:
    """Node → slots of one job."""
    return {entry["name"]: entry["slots"] for entry in outcome(answer, name)["nodes"]}


def code(answer: Json, name: str) -> str:
    """A job's reason code."""
    return outcome(answer, name)["reason"]["code"]


def sizes_of(answer: Json, name: str) -> list[str]:
    """VM sizes (or array/size where arrays differ) of the nodes a job is on, in its order."""
    known = {entry["name"]: entry for entry in [*answer["new_nodes"], *answer["existing_nodes"]]}
    return [known[entry["name"]]["vm_size"] for entry in outcome(answer, name)["nodes"]]


def left_on(answer: Json, name: str) -> Json:
    """What is left on a node."""
    every = [*answer["new_nodes"], *answer["existing_nodes"]]
    return next(entry["available"] for entry in every if entry["name"] == name)
