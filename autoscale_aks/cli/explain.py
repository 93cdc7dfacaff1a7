"""`azaks explain`: why a job is where it is, or why it waits, and why not on another VM size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.padding import Padding
from rich.text import Text

from autoscale_aks.cli.options import format_option, read_question, source_options
from autoscale_aks.cli.output import console, print_json, table
from autoscale_aks.collector import paused_collector
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.planning.inspect import Inspector
from autoscale_aks.planning.planner import plan
from autoscale_aks.reports.explain import did_you_mean, render_inspection, render_landing, render_verdict, why_not
from autoscale_aks.reports.sentences import render_message, render_next
from autoscale_aks.schedulers.slurm.arrays import holds_task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from autoscale_aks.model.job import Job
    from autoscale_aks.planning.inspect import JobInspection, PartInspection
    from autoscale_aks.reports.explain import WhyNot

MOST_RECORDS = 20
"""Records of one name that are explained; more than that are alike."""


@click.command("explain")
@source_options
@click.argument("job", required=False)
@click.option("--job-id", "-j", "job_id", hidden=True, help="As cyclecloud-scalelib's analyze asks for it.")
@click.option("--why-not", "vm_size", metavar="VM_SIZE", help="Say why it does not go on this VM size (or bucket).")
@format_option
def command(
    config_path: Path | None, scenario: str | None, job: str | None, job_id: str | None, vm_size: str | None, form: str
) -> None:
    """Explain one job: the reason with the next action, then every bucket's verdict.

    A bucket either would fit (slots a node, new nodes still allowed, the limit that binds) or names the first
    criterion that fails there; the nearest misses come first. An array is asked for by its job id, or by one of its
    tasks (`14_7`). A job that is not in the queue is an error with exit status 2.

    \b
    Example: azaks explain -c autoscale.json 1042 --why-not Standard_HB120rs_v3
    """
    name = job or job_id
    if name is None or (job and job_id):
        raise click.UsageError("Give the job's id, once: azaks explain JOB.")
    question = read_question(config_path, scenario)
    indices = _find(question.snapshot.jobs, name)
    with paused_collector():
        decided = plan(question.snapshot, question.policy, question.kinds)
    inspector = Inspector(snapshot=question.snapshot, policy=question.policy, decided=decided, kinds=question.kinds)
    found = [inspector.inspect(index) for index in indices]
    answers = [None if vm_size is None else why_not(one, vm_size) for one in found]
    if form == "json":
        print_json({"jobs": [render_inspection(one, answer) for one, answer in zip(found, answers, strict=True)]})
        return
    out = console()
    for note in question.notes:
        out.print(f"note: {note}", style="yellow", markup=False)
    for one, answer in zip(found, answers, strict=True):
        _print_job(one, answer, out)


def _find(jobs: Sequence[Job], name: str) -> list[int]:
    """Records of a name, else of the array that has it as its id, else those that hold it as a task (`14_7`).

    Raises InputError with the nearest name.
    """
    exact = [index for index, job in enumerate(jobs) if job.name == name]
    found = exact or [index for index, job in enumerate(jobs) if job.name.startswith(f"{name}_[")]
    found = found or [index for index, job in enumerate(jobs) if holds_task(job.name, name)]
    if not found:
        hint = did_you_mean(name, [job.name for job in jobs])
        raise InputError([Problem("JOB", f'there is no job "{name}" among {len(jobs):,} records{hint}')])
    return found[:MOST_RECORDS]


def _print_job(found: JobInspection, answers: Sequence[WhyNot] | None, out: Console) -> None:
    outcome = found.outcome
    out.print(Text(f"{found.job.name}: {outcome.reason.code.value}", style="bold"))
    _indented(render_message(outcome.reason), out)
    if render_next(outcome.reason):
        _indented(f"next: {render_next(outcome.reason)}", out)
    asked = f"{outcome.slots:,} of {outcome.requested:,} placed"
    _indented(": ".join([asked, *filter(None, ["; ".join(render_landing(one) for one in found.landings)])]), out)
    for answer in answers or ():
        chunk = "" if answer.chunk is None else f"chunk {answer.chunk}: "
        where = f" {answer.bucket}" if answer.bucket else ""
        _indented(f"why not{where}? {chunk}{answer.code.value}: {answer.message}", out)
    for part in found.parts:
        out.print()
        _print_part(part, out)


def _print_part(part: PartInspection, out: Console) -> None:
    name = "Buckets" if part.chunk is None else f"Buckets for chunk {part.chunk}"
    if not part.verdicts:
        out.print("There is no bucket.")
        return
    closest = part.closest
    rows = [
        (
            "" if verdict.rank is None else str(verdict.rank),
            verdict.bucket.id,
            render_verdict(verdict) + (" (the closest miss)" if verdict is closest else ""),
        )
        for verdict in part.verdicts
    ]
    out.print(table(f"{name} ({part.rule})", ("rank", "bucket", "verdict"), rows, right=(0,)))


def _indented(text: str, out: Console) -> None:
    out.print(Padding(Text(text), (0, 0, 0, 2), expand=False))
