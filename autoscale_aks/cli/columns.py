"""`azaks columns`: what the verbs with rows can show, and how a site makes its own choice."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import click

from autoscale_aks.cli.rows import Column, Listing, print_rows, row_options

if TYPE_CHECKING:
    from autoscale_aks.cli.rows import RowChoice

WITH_ROWS: Final[dict[str, str]] = {
    "jobs": "autoscale_aks.cli.jobs",
    "nodes": "autoscale_aks.cli.nodes",
    "buckets": "autoscale_aks.cli.buckets",
    "limits": "autoscale_aks.cli.limits",
    "sizes": "autoscale_aks.cli.sizes",
    "history": "autoscale_aks.cli.history",
    "pool": "autoscale_aks.cli.pool",
    "machines": "autoscale_aks.cli.machines",
    "doctor": "autoscale_aks.cli.doctor",
    "simulate": "autoscale_aks.cli.simulate",
    "protect": "autoscale_aks.cli.protect",
}
"""Verb → module, whose `LISTING` it is. A verb that lists something has its line here. Of verbs that have parts, and of
`protect`, it is what their `list` shows; the acting verbs all tell rows of name, outcome and detail."""

LISTING: Final = Listing(
    verb="columns",
    title="Columns",
    nothing="There is no column.",
    columns=(
        Column(name="verb", meaning="The verb that lists it."),
        Column(name="column", meaning="Its name for --columns and --filter."),
        Column(name="default", meaning="Whether a table shows it by itself."),
        Column(name="meaning", meaning="What it says."),
    ),
)


def listings() -> dict[str, Listing]:
    """The listing of each verb that has rows."""
    return {verb: importlib.import_module(module).LISTING for verb, module in WITH_ROWS.items()}


@click.command("columns")
@click.argument("verb", type=click.Choice([*WITH_ROWS]), required=False)
@row_options(LISTING)
def command(verb: str | None, choice: RowChoice) -> None:
    """List the columns of the verbs that list something, and those that a table shows by itself.

    A site chooses its own with default_columns in autoscale.json: {"default_columns": {"nodes": ["name", "jobs"]}}.

    \b
    Example: azaks columns nodes
    """
    rows = [
        {"verb": name, "column": column.name, "default": column.is_default, "meaning": column.meaning}
        for name, listing in listings().items()
        if verb in {None, name}
        for column in listing.columns
    ]
    print_rows(LISTING, rows, choice)
