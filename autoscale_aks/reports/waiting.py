"""Waiting jobs by reason, each with the next action; figures of a limit are exact over the whole queue (T01a, T09f)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.reports.figures import WaitRow
from autoscale_aks.reports.lifting import limit_key
from autoscale_aks.reports.limits import limit_title
from autoscale_aks.reports.sentences import next_for_binding, render_message, render_next

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.reason import Reason
    from autoscale_aks.reports.lifting import LimitKey
    from autoscale_aks.reports.limits import LimitRow

_EXAMPLES = 3


@dataclass(slots=True)
class _Group:
    reason: Reason
    members: list[int]
    missing: int = 0
    takers: dict[str, None] = field(default_factory=dict)


def group_waits(plan: Plan, limits: Sequence[LimitRow]) -> tuple[WaitRow, ...]:
    """A row a reason, in the order of the codes. Jobs that wait for one limit are one row, whatever each lacks."""
    known = {limit_key(row.kind, row.name): row for row in limits}
    raises = list_raises(limits)
    groups = _groups(plan)
    order = {code: number for number, code in enumerate(ReasonCode)}
    rows: list[tuple[int, WaitRow]] = []
    for key, group in groups.items():
        reason = _summed(group, known)
        outcomes = [plan.outcomes[index] for index in group.members]
        row = WaitRow(
            code=reason.code.value,
            jobs=len(group.members),
            slots=sum(outcome.requested - outcome.slots for outcome in outcomes),
            message=render_message(reason),
            next_action=_next(reason, raises),
            examples=tuple(plan.jobs[index].name for index in group.members[:_EXAMPLES]),
            key=key,
            members=tuple(group.members),
        )
        rows.append((order[reason.code], row))
    return tuple(row for _, row in sorted(rows, key=lambda pair: (pair[0], -pair[1].slots, pair[1].key)))


def _groups(plan: Plan) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    keys: dict[int, str] = {}
    for index, outcome in enumerate(plan.outcomes):
        if outcome.status is JobStatus.SUCCESS or plan.jobs[index].is_headroom:
            continue
        reason = outcome.reason
        key = keys.get(id(reason))
        if key is None:
            key = keys[id(reason)] = _key(reason)
        group = groups.get(key)
        if group is None:
            group = groups[key] = _Group(reason, [])
        group.members.append(index)
        group.takers.update(dict.fromkeys(reason.taken_by))
        if reason.binding is not None:
            group.missing = max(group.missing, reason.binding.missing)
    return groups


def _key(reason: Reason) -> str:
    if reason.binding is not None:
        return f"{reason.code.value} {limit_title(reason.binding.kind, reason.binding.name)}"
    if reason.code is ReasonCode.LOST_TO_PRIORITY:
        return str(reason.code.value)
    return f"{reason.code.value} {render_message(reason)}"


def _summed(group: _Group, known: Mapping[LimitKey, LimitRow]) -> Reason:
    """The group's reason with the limit's own figures: what is left after the plan and what all that waits lacks."""
    binding = group.reason.binding
    if binding is None:
        return replace(group.reason, taken_by=tuple(group.takers)[:_EXAMPLES]) if group.takers else group.reason
    row = known.get(limit_key(binding.kind, binding.name))
    if row is not None and row.missing:
        return replace(group.reason, binding=replace(binding, left=row.left, missing=row.missing))
    return replace(group.reason, binding=replace(binding, missing=group.missing))


def _next(reason: Reason, raises: Sequence[str]) -> str:
    if reason.code is ReasonCode.LOST_TO_PRIORITY and raises:
        return f"wait, or {' and '.join(raises[:_EXAMPLES])}"
    return render_next(reason)


def list_raises(limits: Iterable[LimitRow]) -> tuple[str, ...]:
    """What must be raised, and by how much exactly, for all that waits for limits; quotas first, the most first."""
    short = sorted(
        (row for row in limits if row.missing), key=lambda row: (not row.kind.is_quota, row.unit, -row.missing)
    )
    return tuple(next_for_binding(row.binding) for row in short)


def list_actions(waits: Iterable[WaitRow], limits: Iterable[LimitRow]) -> tuple[str, ...]:
    """What to do so that more is served, each thing once: raises, then other next steps, the most slots first."""
    raises = list_raises(limits)
    said = ReasonCode.LOST_TO_PRIORITY.value if raises else ""
    others: dict[str, list[WaitRow]] = {}
    for row in sorted(waits, key=lambda row: -row.slots):
        if row.next_action and row.code != said and row.next_action not in raises:
            others.setdefault(row.next_action, []).append(row)
    return (*raises, *(f"{action} ({_who(rows)})" for action, rows in others.items()))


def _who(rows: Sequence[WaitRow]) -> str:
    names = [name for row in rows for name in row.examples]
    jobs = sum(row.jobs for row in rows)
    return f"{', '.join(names[:_EXAMPLES])}{' …' if jobs > min(len(names), _EXAMPLES) else ''}"
