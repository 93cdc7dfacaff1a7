"""Options of the verbs that show a demand report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.demand_output import FORMATS
from autoscale_aks.reports.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = click.Path(dir_okay=False, path_type=Path)


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--output`, `--table`, `--diff` and `--exit-code`."""
    for option in (
        click.option("--exit-code", is_flag=True, help="Exit with 3 when machines would start or stop, 0 when none."),
        click.option("--diff", "previous", type=_FILE, metavar="FILE",
                     help="Also say what changed since an earlier report (--format json)."),
        click.option("--table", "table_name", type=click.Choice(list(TABLES)),
                     help="The one table to print as csv (default: starts) or markdown (default: all)."),
        click.option("-o", "--output", type=_FILE, metavar="FILE", help="Write to a file."),
    ):  # fmt: skip
        command = option(command)
    return command


report_format = click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="For people (table, html, markdown) or for programs (json, csv).",
)
