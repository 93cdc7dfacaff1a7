"""A plan as the JSON answer of scenario.md (Out)."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import PRICE_STEPS
from autoscale_aks.reports.cost import render_cost
from autoscale_aks.reports.sentences import render_message, render_miss, render_next, render_time
from autoscale_aks.units import Size, Value, exact, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.errors import Problem
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.reason import Reason


_NOTHING: Final[Mapping[str, Value]] = frozendict()


def render_answer(plan: Plan, *, placements: bool = True) -> dict[str, Any]:
    """The whole answer; without placements the per-job nodes and the node lists are left out."""
    jobs_on = _jobs_on_nodes(plan) if placements else {}
    answer: dict[str, Any] = {"ok": True, "jobs": _jobs(plan, with_nodes=placements), "buckets": _buckets(plan)}
    if placements:
        known = (*plan.nodes, *plan.unmanaged_nodes)
        rendered: dict[int, dict[str, Any]] = {}
        answer["new_nodes"] = [_new_node(plan, number, jobs_on, rendered) for number in range(len(plan.claims))]
        answer["existing_nodes"] = [_existing_node(plan, number, node, jobs_on) for number, node in enumerate(known)]
        answer["matched"] = [_name(plan, number) for number in sorted(jobs_on)]
        answer["unmatched"] = [
            node.name for number, node in enumerate(known) if number not in jobs_on and not node.is_failed
        ]
        answer["failed"] = [node.name for node in known if node.is_failed]
    answer["shared_resources"] = {name: render_value(value) for name, value in plan.shared_left.items()}
    answer["waves"] = [
        {
            "nodearray": wave.bucket.array.name,
            "vm_size": wave.bucket.vm_size,
            "placement_group": wave.bucket.placement_group,
            "workers": wave.workers,
            "per_worker": wave.per_worker,
            "chunks": [list(batch.names) for batch in wave.batches],
        }
        for wave in plan.waves
    ]
    answer["puts"] = plan.puts
    price = plan.price_per_hour
    answer["price_per_hour"] = None if price is None else render_value(exact(price))
    if plan.certificate is not None:
        answer["cost"] = render_cost(plan.certificate, plan)
    answer["releases"] = [
        {"name": release.node.name, "cause": release.cause.value, "idle_s": release.idle_s} for release in plan.releases
    ]
    if plan.problems:
        answer["errors"] = render_problems(plan.problems)
    invalid = [
        {"path": outcome.reason.path, "message": outcome.reason.detail}
        for outcome in plan.outcomes
        if outcome.status is JobStatus.INVALID
    ]
    if invalid:
        answer["errors"] = answer.get("errors", []) + invalid
    return answer


def render_problems(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Problems as `{"path", "message"}` objects."""
    return [{"path": problem.path, "message": problem.message} for problem in problems]


def render_value(value: Value) -> Any:
    """A value as JSON: sizes in our own language, decimals rounded to what a float holds."""
    if isinstance(value, Size):
        return _size_text(value)
    if isinstance(value, Fraction):
        return float(value)
    return value


@lru_cache(maxsize=4096)
def _size_text(size: Size) -> str:
    """A size in our own language; the same few stand on thousands of nodes."""
    return size_text(size) if size.bytes == 0 or Fraction(size.bytes).denominator == 1 else f"size::{size}"


def render_reason(reason: Reason) -> dict[str, Any]:
    """One reason with its sentence, the next action, and the nearest misses."""
    rendered: dict[str, Any] = {
        "code": reason.code.value,
        "message": render_message(reason),
        "next": render_next(reason),
        "buckets": [
            {
                "bucket": miss.bucket,
                "criterion": miss.criterion,
                "wanted": render_value(miss.wanted),
                "offered": render_value(miss.offered),
                "message": render_miss(miss),
            }
            for miss in reason.misses
        ],
    }
    if reason.binding is not None:
        binding = reason.binding
        rendered["limit"] = {
            "kind": binding.kind.value,
            "name": binding.name,
            "left": binding.left / PRICE_STEPS if binding.kind.is_budget else binding.left,
            "missing": binding.missing / PRICE_STEPS if binding.kind.is_budget else binding.missing,
        }  # fmt: skip
    if reason.until is not None:
        rendered["until"] = render_time(reason.until)
    if reason.taken_by:
        rendered["taken_by"] = list(reason.taken_by)
    return rendered


def _jobs(plan: Plan, *, with_nodes: bool) -> list[dict[str, Any]]:
    nodes: dict[int, list[dict[str, Any]]] = {}
    first_new = len(plan.nodes) + len(plan.unmanaged_nodes)
    for placement in plan.placements if with_nodes else ():
        entries = nodes.setdefault(placement.job, [])
        for number in range(placement.first_node, placement.first_node + placement.nodes):
            entries.append({"name": _name(plan, number), "slots": placement.slots_each, "new": number >= first_new})
    reasons: dict[int, dict[str, Any]] = {}
    rendered: list[dict[str, Any]] = []
    for index, (job, outcome) in enumerate(zip(plan.jobs, plan.outcomes, strict=True)):
        reason = reasons.setdefault(id(outcome.reason), {})
        if not reason:
            reason.update(render_reason(outcome.reason))
        entry: dict[str, Any] = {
            "name": job.name,
            "status": outcome.status.value,
            "requested": outcome.requested,
            "slots": outcome.slots,
        }
        if with_nodes:
            entry["nodes"] = _merged(nodes.get(index, []))
        entry["reason"] = reason
        rendered.append(entry)
    return rendered


def _merged(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a node: a job that came back to a node has all its slots there added up."""
    by_name: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry["name"] in by_name:
            by_name[entry["name"]]["slots"] += entry["slots"]
        else:
            by_name[entry["name"]] = entry
    return list(by_name.values())


def _jobs_on_nodes(plan: Plan) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for placement in plan.placements:
        name = plan.jobs[placement.job].name
        for number in range(placement.first_node, placement.first_node + placement.nodes):
            names = found.setdefault(number, [])
            if name not in names[-1:] and name not in names:
                names.append(name)
    return found


def _name(plan: Plan, number: int) -> str:
    if number < len(plan.nodes):
        return plan.nodes[number].name
    number -= len(plan.nodes)
    if number < len(plan.unmanaged_nodes):
        return plan.unmanaged_nodes[number].name
    return plan.claims[number - len(plan.unmanaged_nodes)].name


def _buckets(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "nodearray": outcome.bucket.array.name,
            "vm_size": outcome.bucket.vm_size,
            "placement_group": outcome.bucket.placement_group,
            "location": outcome.bucket.array.location,
            "zone": outcome.bucket.offering.zone,
            "available_before": outcome.available_before,
            "available_after": outcome.available_after,
            "new_nodes": outcome.new_nodes,
            "binding_limit": None
            if outcome.binding is None
            else f"{outcome.binding.kind.value} {outcome.binding.name}",
        }
        for outcome in plan.buckets
    ]


def _new_node(
    plan: Plan, number: int, jobs_on: Mapping[int, list[str]], rendered: dict[int, dict[str, Any]]
) -> dict[str, Any]:
    """One machine of the plan. What is left of equal ones is one mapping, rendered once (`rendered`)."""
    claim = plan.claims[number]
    index = len(plan.nodes) + len(plan.unmanaged_nodes) + number
    left = plan.left[index] if index < len(plan.left) else _NOTHING  # machines of a minimum are for no job
    available = rendered.get(id(left))
    if available is None:
        available = rendered[id(left)] = {name: render_value(value) for name, value in left.items()}
    return {
        "name": claim.name,
        "nodearray": claim.bucket.array.name,
        "vm_size": claim.bucket.vm_size,
        "placement_group": claim.bucket.placement_group,
        "job_ids": jobs_on.get(index, []),
        "available": available,
    }


def _existing_node(plan: Plan, number: int, node: Node, jobs_on: Mapping[int, list[str]]) -> dict[str, Any]:
    left = plan.left[number] or node.available
    return {
        "name": node.name,
        "hostname": node.hostname,
        "nodearray": node.nodearray,
        "vm_size": node.vm_size,
        "placement_group": node.placement_group,
        "state": node.state,
        "matched": number in jobs_on,
        "job_ids": [*node.job_ids, *jobs_on.get(number, [])],
        "available": {name: render_value(value) for name, value in left.items()},
    }
