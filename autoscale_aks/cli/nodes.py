"""`azaks nodes`: machines in any stage, as a cycle would see them now."""

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
    verb="nodes",
    title="Nodes",
    nothing="There is no node.",
    columns=(
        Column(name="name", title="node", meaning="The machine's name."),
        Column(name="stage", meaning="planned, in-flight, existing or draining."),
        Column(name="state", meaning="The node's own state."),
        Column(name="nodearray", meaning="Its node array.", is_default=False),
        Column(name="vm_size", meaning="Its VM size."),
        Column(name="zone", meaning="Availability zone.", is_default=False),
        Column(name="placement_group", meaning="Placement group.", is_default=False),
        Column(name="hostname", meaning="What the scheduler calls it.", is_default=False),
        Column(name="ready", meaning="Whether it can run work now.", is_default=False),
        Column(name="managed", meaning="False: only the scheduler has it, not the cloud.", is_default=False),
        Column(name="protected", meaning="Whether no delete path touches it.", is_default=False),
        Column(name="jobs", meaning="Jobs that run on it."),
        Column(name="idle_s", title="idle", meaning="Seconds without work.", is_number=True, show=shown.duration),
        Column(name="age_s", title="age", meaning="Seconds since it was asked for.", is_number=True,
               show=shown.duration),
        Column(name="cores", meaning="vCPUs of its VM size.", is_number=True, is_default=False),
        Column(name="price_per_hour", title="$/h", meaning="Price an hour.", is_number=True, is_default=False,
               show=shown.price),
        Column(name="resources", meaning="What the scheduler reports of it.", is_default=False, show=shown.amounts),
        Column(name="available", meaning="What is left of it.", is_default=False, show=shown.amounts),
    ),
)  # fmt: skip


@click.command("nodes")
@source_options
@row_options(LISTING)
def command(config_path: Path | None, scenario: str | None, choice: RowChoice) -> None:
    """List nodes with stage, state, work and age: asked for, joined, leaving, or the site's own.

    Scheduler, cloud and ledger are joined as a cycle would join them. What a source did not say is named below.

    \b
    Example: azaks nodes --filter stage=existing --filter idle_s=300
    """
    from autoscale_aks.reports.nodes import node_rows  # noqa: PLC0415

    question = read_question(config_path, scenario)
    print_rows(LISTING, node_rows(question.snapshot), choice, question.default_columns)
    print_notes(question.notes, choice)
