"""From an observation to the decision: demand, headroom, minimums, and the brake on mass deletes. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.config.calendars import is_open
from autoscale_aks.model.job import Job, JobShape
from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.planning.minimum import with_minimum
from autoscale_aks.planning.planner import plan

if TYPE_CHECKING:
    from autoscale_aks.config import Config
    from autoscale_aks.matching.parse import Kinds
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.policy import Policy
    from autoscale_aks.model.snapshot import Snapshot

_SHORT: Final = frozenset({ReasonCode.QUOTA, ReasonCode.LIMIT, ReasonCode.LOST_TO_PRIORITY})
"""Reasons of jobs that wait for what others hold."""


def headroom_jobs(config: Config, now: float) -> tuple[Job, ...]:
    """The room that is kept free at this moment, as jobs; they stand in no scheduler (user ask T21)."""
    return tuple(
        Job(
            name=f"headroom of {name}" + (f" ({number})" if len(nodearray.headroom) > 1 else ""),
            shape=JobShape(constraints=(frozendict({**entry.constraints, "node.nodearray": name}),)),
            count=entry.count,
            priority=float("-inf"),
            path=f"nodearrays.{name}.headroom[{number - 1}]",
            is_headroom=True,
        )
        for name, nodearray in config.nodearrays.items()
        for number, entry in enumerate(nodearray.headroom, start=1)
        if is_open(entry.windows, now)
    )


def decide(snapshot: Snapshot, policy: Policy, kinds: Kinds, headroom: tuple[Job, ...]) -> Plan:
    """The plan for what waits, then for room to be kept, then for minimums.

    Headroom comes last: free capacity counts for it, and it takes nothing that a waiting job could have. Where a job
    waits for quota or for a limit, no room is kept at all, so that what headroom holds becomes idle and leaves.
    """
    with_room = replace(snapshot, jobs=(*snapshot.jobs, *headroom)) if headroom else snapshot
    decided = plan(with_room, policy, kinds)
    if headroom and _is_short(decided):
        decided = plan(snapshot, policy, kinds)
    return with_minimum(snapshot, policy, decided)


def _is_short(decided: Plan) -> bool:
    return any(
        outcome.status is not JobStatus.SUCCESS and outcome.reason.code in _SHORT
        for job, outcome in zip(decided.jobs, decided.outcomes, strict=True)
        if not job.is_headroom
    )


def brake(decided: Plan, policy: Policy, agreed: frozenset[str]) -> Plan:
    """The plan with releases withheld that are too many to believe and that no earlier cycle agrees with (T13d)."""
    if not policy.mass_delete.holds(len(decided.releases), len(decided.nodes)):
        return decided
    return replace(
        decided,
        releases=tuple(release for release in decided.releases if release.node.name in agreed),
        withheld=tuple(release for release in decided.releases if release.node.name not in agreed),
    )
