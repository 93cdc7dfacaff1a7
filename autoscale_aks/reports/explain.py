"""Why a job is where it is, or waits; why not another VM size: sentences and JSON over what `inspect` found. Pure."""

from __future__ import annotations

import difflib
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.planning.inspect import MANY
from autoscale_aks.reports.answer import render_reason, render_value
from autoscale_aks.reports.sentences import amount_of, render_message, render_miss, render_time
from autoscale_aks.units import Value, exact, format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoscale_aks.model.plan import BucketOutcome
    from autoscale_aks.model.reason import Miss
    from autoscale_aks.planning.inspect import BucketVerdict, JobInspection, Landing, PartInspection, Preference


class WhyNotCode(enum.Enum):
    """Why a bucket is not where a job goes: the first that applies."""

    NOT_OFFERED = "NOT_OFFERED"
    CHOSEN = "CHOSEN"
    CRITERION = "CRITERION"
    JOB = "JOB"
    BACK_OFF = "BACK_OFF"
    LIMIT = "LIMIT"
    EXISTING_FIRST = "EXISTING_FIRST"
    GROUP = "GROUP"
    PREFERENCE = "PREFERENCE"
    PRICE = "PRICE"
    PRIORITY = "PRIORITY"
    ORDER = "ORDER"
    FEWER_NEW_NODES = "FEWER_NEW_NODES"


_DECIDERS: Final = (
    WhyNotCode.GROUP, WhyNotCode.PREFERENCE, WhyNotCode.PRICE, WhyNotCode.PRIORITY, WhyNotCode.ORDER,
)  # fmt: skip
_OF_THE_JOB: Final = frozenset(
    {ReasonCode.NOT_RUNNABLE, ReasonCode.AUTH, ReasonCode.API_THROTTLED, ReasonCode.SHARED_RESOURCE,
     ReasonCode.PLACEMENT_GROUP_TOO_SMALL}
)  # fmt: skip
"""Reasons that stand for every bucket alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyNot:
    """Why one bucket (None: no bucket has that size) is not where a job, or one chunk of it, goes."""

    code: WhyNotCode
    message: str
    bucket: str | None = None
    chunk: int | None = None
    instead: str | None = None
    """The bucket that was chosen."""


def why_not(found: JobInspection, vm_size: str) -> tuple[WhyNot, ...]:
    """The answer for every bucket of a VM size (or the one bucket of that id), in the order of the verdicts."""
    wanted = vm_size.casefold()
    answers = [
        _why_not(found, part, verdict)
        for part in found.parts
        for verdict in part.verdicts
        if wanted in {verdict.bucket.vm_size.casefold(), verdict.bucket.id.casefold()}
    ]
    if answers:
        return tuple(answers)
    if not found.parts:
        return (WhyNot(code=WhyNotCode.JOB, message=render_message(found.outcome.reason)),)
    offered = list(dict.fromkeys(verdict.bucket.vm_size for part in found.parts for verdict in part.verdicts))
    message = f'no bucket offers "{vm_size}"{did_you_mean(vm_size, offered)}'
    return (WhyNot(code=WhyNotCode.NOT_OFFERED, message=message),)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean "x"?`, or nothing where no known word is near."""
    folded = {name.casefold(): name for name in reversed(known)}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1) if len(word) <= 200 else []
    return f'; did you mean "{folded[close[0]]}"?' if close else ""


def _why_not(found: JobInspection, part: PartInspection, verdict: BucketVerdict) -> WhyNot:
    code, message, chosen = _answer(found, part, verdict)
    return WhyNot(
        code=code,
        message=message,
        bucket=verdict.bucket.id,
        chunk=part.chunk,
        instead=None if chosen is None else chosen.bucket.id,
    )


def _answer(
    found: JobInspection, part: PartInspection, verdict: BucketVerdict
) -> tuple[WhyNotCode, str, BucketVerdict | None]:
    key, after = verdict.bucket.key, verdict.outcome.available_after
    here = [landing for landing in found.landings if landing.bucket is not None and landing.bucket.key == key]
    if here:
        return WhyNotCode.CHOSEN, f"it is chosen: {'; '.join(render_landing(one) for one in here)}", None
    if verdict.miss is not None:
        return WhyNotCode.CRITERION, _miss(verdict.miss), None
    if found.outcome.reason.code in _OF_THE_JOB:
        return WhyNotCode.JOB, render_message(found.outcome.reason), None
    if verdict.back_off is not None:
        until = verdict.back_off.until
        return WhyNotCode.BACK_OFF, f"in back-off{f' until {render_time(until)}' if until else ''}", None
    if after == 0:
        return WhyNotCode.LIMIT, f"no new node is allowed: {render_binding(verdict.outcome)}", None
    chosen = [one for one in part.verdicts if _has_new(found, one)]
    if not chosen:
        return (*_nothing_new(found, part, verdict), None)
    best = min(chosen, key=lambda one: one.rank or 0)
    if (best.rank or 0) > (verdict.rank or 0):
        message = f"{best.bucket.id} can take the whole gang with fewer new nodes"
        return WhyNotCode.FEWER_NEW_NODES, message, best
    return (*_decided_by(best, verdict), best)


def _has_new(found: JobInspection, verdict: BucketVerdict) -> bool:
    key = verdict.bucket.key
    return any(one.is_new and one.bucket is not None and one.bucket.key == key for one in found.landings)


def _nothing_new(found: JobInspection, part: PartInspection, verdict: BucketVerdict) -> tuple[WhyNotCode, str]:
    """The job opened no node at all: it fits on existing ones, or it could not be placed whole."""
    if found.outcome.status is JobStatus.SUCCESS:
        where = "; ".join(render_landing(one) for one in found.landings)
        return WhyNotCode.EXISTING_FIRST, f"nodes that exist are used first: {where}" if where else "nothing to do"
    nodes, before = -(-part.slots // max(verdict.slots_per_node, 1)), verdict.outcome.available_before
    if before is not None and nodes > before:
        needs = f"the job needs {nodes:,} new nodes there and {before:,} are allowed"
        return WhyNotCode.LIMIT, f"{needs}: {render_binding(verdict.outcome)}"
    return WhyNotCode.JOB, render_message(found.outcome.reason)


def _decided_by(best: BucketVerdict, verdict: BucketVerdict) -> tuple[WhyNotCode, str]:
    """The first place of P3 and P2 in which the chosen bucket is better."""
    mine, theirs = verdict.preference, best.preference
    if mine is None or theirs is None:
        raise ValueError("both buckets must be candidates")
    place = next(index for index, (a, b) in enumerate(zip(theirs.key, mine.key, strict=True)) if a != b)
    name = best.bucket.id
    return _DECIDERS[place], (
        f"{name} is outside placement groups, of which the job does not speak",
        f"the job prefers {name}: preference score {theirs.score} against {mine.score}",
        f"{name} is cheaper: {_price(theirs)} an hour for a slot against {_price(mine)}",
        f"{name} has the higher priority: {theirs.priority} against {mine.priority}",
        f"{name} stands earlier in the configuration",
    )[place]


def _price(preference: Preference) -> str:
    price = preference.price_per_slot
    return "an unknown price" if price is None else format_value(exact(price))


def render_landing(landing: Landing) -> str:
    """`6 slots on htc-1, htc-2 (new, htc/Standard_F4)`."""
    names = ", ".join(landing.names[:3]) + (f" … {landing.names[-1]}" if len(landing.names) > 3 else "")
    count = f"{len(landing.names):,} nodes " if len(landing.names) > 1 else ""
    bucket = landing.bucket.id if landing.bucket else "in no bucket"
    plural = "" if landing.slots == 1 else "s"
    return f"{landing.slots:,} slot{plural} on {count}{names} ({'new' if landing.is_new else 'existing'}, {bucket})"


def render_binding(outcome: BucketOutcome) -> str:
    """`family quota standardFSv2Family in westus2 (0 left)`; empty where no limit binds."""
    binding = outcome.binding
    if binding is None or outcome.available_after is None:
        return ""
    name = "" if binding.name in {"cluster", "policy"} else f" {binding.name}"
    left = amount_of(binding.kind, binding.left) if binding.kind.is_budget else f"{binding.left:,} {binding.kind.unit}"
    return f"{binding.kind.value}{name} ({left} left)"


def render_verdict(verdict: BucketVerdict) -> str:
    """`would fit: 4 slots a node, 6 more nodes allowed, binding limit …`, or the first failing criterion."""
    if verdict.miss is not None:
        return _miss(verdict.miss)
    slots, after = verdict.slots_per_node, verdict.outcome.available_after
    each = "any number of slots" if slots >= MANY else f"{slots:,} slot{'' if slots == 1 else 's'}"
    more = "any number of" if after is None else f"{after:,}"
    parts = [f"would fit: {each} a node", f"{more} more node{'' if after == 1 else 's'} allowed"]
    bound = render_binding(verdict.outcome)
    if bound:
        parts.append(f"binding limit {bound}")
    if verdict.back_off is not None:
        parts.append(f"in back-off{f' until {render_time(verdict.back_off.until)}' if verdict.back_off.until else ''}")
    if verdict.is_new_group:
        parts.append("a new placement group")
    return ", ".join(parts)


def _miss(miss: Miss) -> str:
    if miss.note == "too little":
        return f"asks {miss.criterion} {format_value(miss.wanted)}, offers {format_value(miss.offered)}"
    if miss.note in {"", "not an amount"}:
        return f"asks {miss.criterion} {_text(miss.wanted)}, is {_text(miss.offered)}"
    return render_miss(miss).removesuffix(f" ({miss.bucket})")


def _text(value: Value) -> str:
    return "not defined" if value is None else format_value(value)


def render_inspection(found: JobInspection, answers: Sequence[WhyNot] | None = None) -> dict[str, Any]:
    """One job's explanation as JSON; `answers` are those of `why_not`, where it was asked."""
    outcome = found.outcome
    rendered: dict[str, Any] = {
        "name": found.job.name,
        "status": outcome.status.value,
        "requested": outcome.requested,
        "slots": outcome.slots,
        "reason": render_reason(outcome.reason),
        "placed": [
            {
                "bucket": None if one.bucket is None else one.bucket.id,
                "new": one.is_new,
                "nodes": list(one.names),
                "slots": one.slots,
            }
            for one in found.landings
        ],
        "parts": [_part(part) for part in found.parts],
    }
    if answers is not None:
        rendered["why_not"] = [
            {"bucket": one.bucket, "chunk": one.chunk, "code": one.code.value, "message": one.message,
             "instead": one.instead}
            for one in answers
        ]  # fmt: skip
    return rendered


def _part(part: PartInspection) -> dict[str, Any]:
    closest = part.closest
    return {
        "chunk": part.chunk,
        "slots": part.slots,
        "rule": part.rule,
        "closest": None if closest is None else closest.bucket.id,
        "buckets": [_verdict(verdict) for verdict in part.verdicts],
    }


def _verdict(verdict: BucketVerdict) -> dict[str, Any]:
    miss, preference = verdict.miss, verdict.preference
    rendered: dict[str, Any] = {
        "bucket": verdict.bucket.id,
        "nodearray": verdict.bucket.array.name,
        "vm_size": verdict.bucket.vm_size,
        "placement_group": verdict.bucket.placement_group,
        "fits": miss is None,
        "message": render_verdict(verdict),
        "new_nodes_allowed": verdict.outcome.available_after,
        "binding_limit": render_binding(verdict.outcome) or None,
        "retry_at": render_time(verdict.back_off.until) if verdict.back_off and verdict.back_off.until else None,
    }
    if miss is not None:
        wanted, offered = render_value(miss.wanted), render_value(miss.offered)
        return {**rendered, "criterion": miss.criterion, "wanted": wanted, "offered": offered}
    rendered["slots_per_node"] = None if verdict.slots_per_node >= MANY else verdict.slots_per_node
    rendered["rank"] = verdict.rank
    if preference is not None:
        rendered["preference"] = {"score": preference.score, "priority": preference.priority}
    return rendered
