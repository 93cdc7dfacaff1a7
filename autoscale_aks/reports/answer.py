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
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.errors import Problem
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import NodeClaim, Plan
    from autoscale_aks.model.reason import Reason


_NOTHING: Final[Mapping[str, Value]] = frozendict()


def render_answer(plan: Plan, *, placements: bool = True) -> dict[str, Any]:
    """The whole answer; without placements the per-job nodes and the node lists are left out."""
    known = (*plan.nodes, *plan.unmanaged_nodes)
    names = [*(node.name for node in known), *(claim.name for claim in plan.claims)] if placements else []
    jobs_on = _jobs_on_nodes(plan) if placements else {}
    answer: dict[str, Any] = {"ok": True, "jobs": _jobs(plan, names if placements else None), "buckets": _buckets(plan)}
    if placements:
        left = _Left(plan.left)
        answer["new_nodes"] = [
            _new_node(claim, left.on(number), jobs_on.get(number, []))
            for number, claim in enumerate(plan.claims, start=len(known))
        ]
        answer["existing_nodes"] = [
            _existing_node(node, left.on(number, node.available), jobs_on.get(number))
            for number, node in enumerate(known)
        ]
        answer["matched"] = [names[number] for number in sorted(jobs_on)]
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


def _jobs(plan: Plan, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """The jobs; with the `names` of all nodes, numbered as in `Placement`, also where each is."""
    nodes = {} if names is None else _nodes_of_jobs(plan, names)
    reasons: dict[int, dict[str, Any]] = {}
    statuses = {status: status.value for status in JobStatus}  # reading `value` is slow, a hundred thousand times
    rendered: list[dict[str, Any]] = []
    for index, (job, outcome) in enumerate(zip(plan.jobs, plan.outcomes, strict=True)):
        reason = reasons.get(id(outcome.reason))
        if reason is None:
            reason = reasons[id(outcome.reason)] = render_reason(outcome.reason)
        entry: dict[str, Any] = {
            "name": job.name,
            "status": statuses[outcome.status],
            "requested": outcome.requested,
            "slots": outcome.slots,
        }
        if names is not None:
            entry["nodes"] = _merged(nodes.get(index, []))
        entry["reason"] = reason
        rendered.append(entry)
    return rendered


def _nodes_of_jobs(plan: Plan, names: Sequence[str]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    first_new = len(plan.nodes) + len(plan.unmanaged_nodes)
    for placement in plan.placements:
        entries = found.get(placement.job)
        if entries is None:
            entries = found[placement.job] = []
        first, slots = placement.first_node, placement.slots_each
        for number in range(first, first + placement.nodes):
            entries.append({"name": names[number], "slots": slots, "new": number >= first_new})
    return found


def _merged(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a node: a job that came back to a node has all its slots there added up."""
    if len(entries) < 2:
        return entries
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
            names = found.get(number)
            if names is None:
                found[number] = [name]
            elif name != names[-1] and name not in names:
                names.append(name)
    return found


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


class _Left:
    """What is left on the plan's nodes, as JSON. Equal amounts are one object, rendered once: many nodes share few."""

    __slots__ = ("_by_amounts", "_by_identity", "_left")

    def __init__(self, left: Iterable[Mapping[str, Value]]) -> None:
        self._left = tuple(left)
        self._by_identity: dict[int, dict[str, Any]] = {}
        self._by_amounts: dict[tuple[object, ...], dict[str, Any]] = {}

    def on(self, number: int, otherwise: Mapping[str, Value] = _NOTHING) -> dict[str, Any]:
        """What is left on a node; `otherwise` where the plan says nothing (machines of a minimum are for no job).

        Mappings given here live as long as the plan does, so that their identity names them.
        """
        left = (self._left[number] if number < len(self._left) else None) or otherwise
        found = self._by_identity.get(id(left))
        if found is None:
            values = tuple(left.values())
            key = (*left, *values, *map(type, values))  # the types too, for 1 and true are equal
            found = self._by_amounts.get(key)
            if found is None:
                found = self._by_amounts[key] = {name: render_value(value) for name, value in left.items()}
            self._by_identity[id(left)] = found
        return found


def _new_node(claim: NodeClaim, available: dict[str, Any], job_ids: list[str]) -> dict[str, Any]:
    bucket = claim.bucket
    return {
        "name": claim.name,
        "nodearray": bucket.array.name,
        "vm_size": bucket.vm_size,
        "placement_group": bucket.placement_group,
        "job_ids": job_ids,
        "available": available,
    }


def _existing_node(node: Node, available: dict[str, Any], placed: list[str] | None) -> dict[str, Any]:
    """One node there is; `placed` are the jobs that the plan puts on it, None where it puts none."""
    return {
        "name": node.name,
        "hostname": node.hostname,
        "nodearray": node.nodearray,
        "vm_size": node.vm_size,
        "placement_group": node.placement_group,
        "state": node.state,
        "matched": placed is not None,
        "job_ids": [*node.job_ids, *(placed or ())],
        "available": available,
    }
