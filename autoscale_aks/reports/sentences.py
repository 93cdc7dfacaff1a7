"""Reasons as sentences with the next action; the only place where they are worded."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from autoscale_aks.model.reason import PRICE_STEPS, LimitKind, ReasonCode
from autoscale_aks.units import format_value

if TYPE_CHECKING:
    from autoscale_aks.model.reason import Binding, Miss, Reason


def render_message(reason: Reason) -> str:
    """What stands in the way, in one sentence."""
    code = reason.code
    if code in _PLAIN:
        return _PLAIN[code]
    if code is ReasonCode.INVALID:
        return f"{reason.path}: {reason.detail}" if reason.path else reason.detail
    if code is ReasonCode.NOT_RUNNABLE:
        return f"the scheduler would not start it: {reason.detail or 'no reason given'}"
    if code is ReasonCode.AUTH:
        return f"the cloud refuses our identity: {reason.detail}"
    if code is ReasonCode.LOST_TO_PRIORITY:
        takers = f": {', '.join(reason.taken_by)}" if reason.taken_by else ""
        return f"it would have fitted, but earlier jobs took the room{takers}"
    if code is ReasonCode.SHARED_RESOURCE:
        return _shared(reason)
    if reason.binding is not None:
        return _binding(reason.binding)
    if reason.misses:
        return render_miss(reason.misses[0])
    if reason.detail:
        return reason.detail
    until = f" until {render_time(reason.until)}" if reason.until else ""
    return f"{_HELD.get(code, code.value)}{until}"


def render_next(reason: Reason) -> str:
    """What to do about it; empty when nothing needs doing."""
    if reason.binding is not None:
        return next_for_binding(reason.binding)
    if reason.until is not None and reason.code in _NEXT:
        return f"{_NEXT[reason.code]} ({render_time(reason.until)})"
    return _NEXT.get(reason.code, "")


def render_miss(miss: Miss) -> str:
    """`asks mem 460g, Standard_E64 offers 448g`."""
    where = f" ({miss.bucket})" if miss.bucket else ""
    if miss.criterion in {"never", "not", "xor", "or", "enabled"}:
        return f"{miss.note}{where}"
    if miss.note == "not defined here":
        return f"asks {miss.criterion} {format_value(miss.wanted)}, which is not defined{where}"
    if miss.note == "too small":
        most = format_value(miss.offered)
        return f"needs {format_value(miss.wanted)} nodes in one placement group, at most {most}{where}"
    if miss.note == "too little":
        return f"asks {miss.criterion} {format_value(miss.wanted)}, largest offers {format_value(miss.offered)}{where}"
    if miss.offered is None:
        return f"asks {miss.criterion} {format_value(miss.wanted)}, which no new machine has{where}"
    return f"asks {miss.criterion} {format_value(miss.wanted)}, nearest offers {format_value(miss.offered)}{where}"


def render_time(moment: float | None) -> str:
    """RFC 3339 in UTC, whole seconds."""
    if moment is None:
        return ""
    try:
        return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{moment:.0f} seconds after 1970"


def _shared(reason: Reason) -> str:
    miss = reason.misses[0] if reason.misses else None
    left = "there is no such shared resource" if miss is None or miss.offered is None else (
        f"asks {format_value(miss.wanted)}, {format_value(miss.offered)} left"
    )  # fmt: skip
    holders = f"; taken by {', '.join(reason.taken_by)}" if reason.taken_by else ""
    return f"shared resource {reason.detail}: {left}{holders}"


def _binding(binding: Binding) -> str:
    name = "" if binding.name in {"cluster", "policy", "plan"} else f" {binding.name}"
    if binding.kind is LimitKind.UNPRICED:
        return f"a budget holds, and the price of {binding.name} is not known"
    if binding.kind is LimitKind.RESTRICTED:
        return f"RESTRICTED: the subscription may make no machine of {binding.name}"
    kind, lacks = binding.kind, binding.missing
    missing = amount_of(kind, lacks, at_least=True) if kind.is_budget else str(lacks)
    return f"{binding.kind.value}{name}: {amount_of(binding.kind, binding.left)} left, {missing} missing"


def amount_of(kind: LimitKind, amount: int, *, at_least: bool = False) -> str:
    """An amount of what a limit counts: `12 cores`, `3.07 an hour`.

    Money is rounded down to four places; up with `at_least`, so that whoever grants as much grants enough.
    """
    if not kind.is_budget:
        return f"{amount} {kind.unit}"
    shown = -(-amount // _SHOWN_STEPS) if at_least else amount // _SHOWN_STEPS
    return f"{shown / (PRICE_STEPS // _SHOWN_STEPS):,.4f}".rstrip("0").rstrip(".") + " an hour"


_SHOWN_STEPS: Final = PRICE_STEPS // 10_000


def next_for_binding(binding: Binding) -> str:
    """What to do about a limit that lacks something."""
    unit = "cores" if binding.kind.counts_cores else "nodes"
    if binding.kind is LimitKind.FAMILY_QUOTA:
        return f"raise {binding.name} by {binding.missing} cores"
    if binding.kind.is_quota:
        return f"raise the {binding.kind.value} of {binding.name} by {binding.missing} cores"
    if binding.kind is LimitKind.UNPRICED:
        return "state its price in the bucket or in prices.overrides, or take the budget out"
    if binding.kind.is_budget:
        place = "limits" if binding.kind is LimitKind.BUDGET else f"nodearrays.{binding.name}"
        return f"raise {place}.budget_per_hour by {amount_of(binding.kind, binding.missing, at_least=True)}"
    if binding.kind is LimitKind.SUBNET_ADDRESSES:
        return f"free {binding.missing} addresses of subnet {binding.name}, or use a larger subnet"
    if binding.kind is LimitKind.PLAN_SIZE:
        return "ask for less at once: no plan is larger"
    if binding.kind is LimitKind.CYCLE_CREATES:
        return "wait for the next cycle, or raise policy.max_creates_per_cycle"
    if binding.kind is LimitKind.ARRAY_CREATES:
        return f"wait for the next cycle, or raise nodearrays.{binding.name}.max_creates_per_cycle"
    if binding.kind is LimitKind.RESTRICTED:
        return "offer another size, zone or region, or ask Azure to lift the restriction"
    if binding.kind is LimitKind.BUCKET_AVAILABLE:
        return "wait, or offer another VM size"
    return f"raise {_SETTING[binding.kind]} of {binding.name} by {binding.missing} {unit}"


_HELD = {
    ReasonCode.API_THROTTLED: "the cloud API wants no requests",
    ReasonCode.CAPACITY_BACKOFF: "every bucket that could take it is left alone after a refusal",
    ReasonCode.BOOT_CIRCUIT_OPEN: "machines of every bucket that could take it did not join",
}
_SETTING = {
    LimitKind.CLUSTER_CORES: "limits.cluster_max_cores",
    LimitKind.CLUSTER_NODES: "limits.cluster_max_nodes",
    LimitKind.POOL_NODES: "quota.nodes_per_pool",
    LimitKind.ARRAY_NODES: "max_count",
    LimitKind.ARRAY_CORES: "max_core_count",
    LimitKind.BUCKET_NODES: "max_count",
    LimitKind.GROUP_NODES: "max_placement_group_size",
}
_PLAIN = {
    ReasonCode.SATISFIED: "all slots fit on nodes that are ready",
    ReasonCode.WAITING_FOR_BOOT: "all slots are placed; some nodes are still to boot",
}
_NEXT = {
    ReasonCode.INVALID: "correct the job's request",
    ReasonCode.NOT_RUNNABLE: "release or correct the job in the scheduler",
    ReasonCode.WAITING_FOR_BOOT: "wait for the nodes",
    ReasonCode.AUTH: "check the identity and its role assignments",
    ReasonCode.API_THROTTLED: "wait until the API answers again",
    ReasonCode.TOO_BIG_FOR_ANY_NODE: "ask for less, or offer a larger VM size",
    ReasonCode.PLACEMENT_GROUP_TOO_SMALL: "ask for fewer nodes, or raise max_placement_group_size",
    ReasonCode.NO_BUCKET_MATCH: "change the job's constraints, or add a bucket that satisfies them",
    ReasonCode.SHARED_RESOURCE: "wait until it is given back, or raise its total",
    ReasonCode.CAPACITY_BACKOFF: "wait until the bucket is tried again, or allow another VM size",
    ReasonCode.BOOT_CIRCUIT_OPEN: "look why machines of this bucket did not join, then reset its circuit",
    ReasonCode.LOST_TO_PRIORITY: "wait, or raise the limit that binds",
}
