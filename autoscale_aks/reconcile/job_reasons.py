"""Why a job waits, written where its user looks: only what changed, and only so many jobs a cycle.

The driver says how many it takes (`SchedulerState.takes_reasons`); a site has to ask for it, because it needs more
rights than reading, costs the scheduler a request a job, and takes a place that a site may use otherwise.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import SchedulerError
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.reports.sentences import render_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.model.plan import JobOutcome, Plan
    from autoscale_aks.reconcile.observation import Observation
    from autoscale_aks.reconcile.world import World

FLAG: Final = "job reasons"
"""The ledger's note of what was written to which job."""
MOST_JOBS: Final = 2000
"""Jobs whose reason is kept up to date: the first that wait, by the scheduler's own order."""
_LONGEST: Final = 160
_BOOTING: Final = "machines for it are on their way"
_OWN_WORDS: Final = frozenset({ReasonCode.SATISFIED, ReasonCode.NOT_RUNNABLE})
"""Of these the scheduler itself says, or soon shows, all there is to say."""


def explain_jobs(world: World, seen: Observation, decided: Plan) -> tuple[str, ...]:
    """Write what is new of waiting jobs, and take away what is not so any more. Notices."""
    if not seen.takes_reasons:
        return ()
    told = _read(world.ledger.flag(FLAG))
    now = dict(_reasons(decided))
    changed = {name: text for name, text in now.items() if told.get(name, "") != text}
    changed = dict(list(changed.items())[: seen.takes_reasons])
    kept = {name: text for name, text in told.items() if name in now}
    notices: tuple[str, ...] = ()
    try:
        written = world.scheduler.explain_jobs(changed) if changed else ()
    except SchedulerError as error:
        written = ()
        notices = (f"reasons could not be written to jobs: {error} (scheduler.job_reasons)",)
    kept.update({name: changed[name] for name in written if name in changed})
    kept = {name: text for name, text in kept.items() if text}
    if kept != told:
        world.ledger.set_flag(FLAG, json.dumps(kept) if kept else None)
    return notices


def _reasons(decided: Plan) -> Iterator[tuple[str, str]]:
    found = 0
    for job, outcome in zip(decided.jobs, decided.outcomes, strict=True):
        if found >= MOST_JOBS:
            return
        if not job.is_headroom and job.problem is None:
            found += 1
            yield job.name, _text(outcome)


def _text(outcome: JobOutcome) -> str:
    code = outcome.reason.code
    if code in _OWN_WORDS:
        return ""
    said = _BOOTING if code is ReasonCode.WAITING_FOR_BOOT else render_message(outcome.reason)
    return f"{code.value}: {said}"[:_LONGEST]


def _read(text: str | None) -> dict[str, str]:
    """What the ledger says was told; a note that cannot be read is as none."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(name): str(said) for name, said in found.items()} if isinstance(found, dict) else {}
