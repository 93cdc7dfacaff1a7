"""The waiting jobs as the page's script reads them: columns, small enough to be sent by mail. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.reports.words import printable

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reports.figures import DemandReport

MOST_BYTES: Final = 3_500_000
"""What the list may take of the page; jobs beyond it are left out, the last of the queue first, and that is said."""

_NUMBERS: Final = 12
"""Bytes a job beside its name, at most, as a rule."""


def list_jobs(report: DemandReport, plan: Plan) -> tuple[str, int]:
    """JSON that no element can be ended with, and how many jobs are listed."""
    rows = sorted((index, number) for number, row in enumerate(report.waits) for index in row.members)
    names: list[str] = []
    slots: list[int] = []
    queue: list[int] = []
    user: list[int] = []
    group: list[int] = []
    queues: dict[str, int] = {}
    users: dict[str, int] = {}
    room = MOST_BYTES
    for index, number in rows:
        job, outcome = plan.jobs[index], plan.outcomes[index]
        name = job.name if job.name.isascii() and job.name.isprintable() else printable(job.name)
        room -= len(name.encode()) + _NUMBERS
        if room < 0:
            break
        names.append(name)
        slots.append(outcome.requested - outcome.slots)
        queue.append(queues.setdefault(job.queue, len(queues)))
        user.append(users.setdefault(job.user, len(users)))
        group.append(number)
    data: dict[str, Any] = {
        "names": "\n".join(names),
        "slots": slots,
        "queue": queue,
        "user": user,
        "group": group,
        "queues": [printable(name) for name in queues],
        "users": [printable(name) for name in users],
        "reasons": [
            {"code": row.code, "jobs": row.jobs, "message": printable(row.message)[:500]} for row in report.waits
        ],
    }
    return _harmless(json.dumps(data, ensure_ascii=False, separators=(",", ":"))), len(names)


def _harmless(text: str) -> str:
    """JSON without the characters that HTML or JavaScript would read as more than text."""
    for character in "<>&\u2028\u2029":
        if character in text:
            text = text.replace(character, f"\\u{ord(character):04x}")
    return text
