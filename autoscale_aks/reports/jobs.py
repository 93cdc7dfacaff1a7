"""Waiting jobs as rows: what each asks for, how much of it is placed, and why the rest waits. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscale_aks.reports.sentences import render_message, render_next

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.job import Job
    from autoscale_aks.model.plan import JobOutcome, Plan
    from autoscale_aks.model.reason import Reason

Row = dict[str, Any]


def job_rows(plan: Plan) -> list[Row]:
    """One row a record of the queue, in the order in which jobs are taken; headroom is no job."""
    sentences: dict[int, tuple[str, str]] = {}
    return [
        _row(job, outcome, sentences)
        for job, outcome in zip(plan.jobs, plan.outcomes, strict=True)
        if not job.is_headroom
    ]


def _row(job: Job, outcome: JobOutcome, sentences: dict[int, tuple[str, str]]) -> Row:
    message, following = _sentences(outcome.reason, sentences)
    return {
        "name": job.name,
        "status": outcome.status.value,
        "reason": outcome.reason.code.value,
        "requested": outcome.requested,
        "placed": outcome.slots,
        "tasks": job.count,
        "node_count": job.shape.node_count or None,
        "colocated": job.shape.colocated,
        "runnable": job.runnable,
        "queue": job.queue or None,
        "user": job.user or None,
        "priority": job.priority,
        "constraints": _constraints(job),
        "message": message,
        "next": following or None,
    }


def _sentences(reason: Reason, known: dict[int, tuple[str, str]]) -> tuple[str, str]:
    """Equal outcomes share their reason: each is put into words once."""
    found = known.get(id(reason))
    if found is None:
        found = known[id(reason)] = (render_message(reason), render_next(reason))
    return found


def _constraints(job: Job) -> tuple[Mapping[str, Any], ...]:
    """What one slot asks for; the chunks' parts one after the other where the job has chunks."""
    shape = job.shape
    return (*shape.constraints, *(one for chunk in shape.chunks for one in chunk.constraints))
