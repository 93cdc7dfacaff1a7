"""`azaks jobs`: the queue as it is read, with the reason why each job waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from autoscale_aks.cli import shown
from autoscale_aks.cli.options import read_question, source_options
from autoscale_aks.cli.rows import Column, Listing, print_notes, print_rows, row_options

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.cli.rows import RowChoice

LISTING: Final = Listing(
    verb="jobs",
    title="Jobs",
    nothing="No job waits.",
    columns=(
        Column(name="name", title="job", meaning="The scheduler's job id; an array is one job."),
        Column(name="status", meaning="success, partial, failed or invalid.", is_default=False),
        Column(name="reason", meaning="The reason code (docs/calculations.md)."),
        Column(name="requested", title="asks", meaning="Slots (or nodes) asked for.", is_number=True),
        Column(name="placed", meaning="Slots that have a node, or will have one.", is_number=True),
        Column(name="tasks", meaning="Independent jobs of this shape in the record.", is_number=True, is_default=False),
        Column(name="node_count", meaning="Nodes, where the job counts nodes.", is_number=True, is_default=False),
        Column(name="colocated", meaning="Whether all must be in one placement group.", is_default=False),
        Column(name="runnable", meaning="Whether the scheduler would start it now.", is_default=False),
        Column(name="queue", meaning="Queue or partition."),
        Column(name="user", meaning="Whose it is.", is_default=False),
        Column(name="priority", meaning="The scheduler's priority.", is_number=True, is_default=False),
        Column(name="constraints", title="of a slot", meaning="What one slot asks of a node.", show=shown.constraints),
        Column(name="message", meaning="The reason in words.", is_default=False),
        Column(name="next", meaning="What to do about it.", is_default=False),
    ),
)


@click.command("jobs")
@source_options
@row_options(LISTING)
def command(config_path: Path | None, scenario: str | None, choice: RowChoice) -> None:
    """List waiting jobs with what they ask for and why they wait.

    The reasons are those of `azaks demand`; `azaks explain JOB` tells more of one. Running jobs are not listed.

    \b
    Example: azaks jobs --filter reason=QUOTA --columns name,message
    """
    from autoscale_aks.collector import paused_collector  # noqa: PLC0415  --help needs no planner
    from autoscale_aks.planning.planner import plan  # noqa: PLC0415
    from autoscale_aks.reports.jobs import job_rows  # noqa: PLC0415

    question = read_question(config_path, scenario)
    with paused_collector():
        decided = plan(question.snapshot, question.policy, question.kinds)
    print_rows(LISTING, job_rows(decided), choice, question.default_columns)
    print_notes(question.notes, choice)
