"""`azaks doctor`: everything a cycle depends on, looked at once, with the mend beside each trouble."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import click
from rich.table import Table
from rich.text import Text

from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.main import DONE, IN_PART
from autoscale_aks.cli.options import config_option, format_option
from autoscale_aks.cli.output import console, print_json
from autoscale_aks.cli.wiring import doctors_site
from autoscale_aks.config import load_config
from autoscale_aks.doctor import examine
from autoscale_aks.reports.doctor import Health, count_by_health, render_findings

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from autoscale_aks.reports.doctor import Finding

_STYLES: Final = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "bold red", Health.SKIPPED: "dim"}


@click.command("doctor")
@config_option
@format_option
def command(config_path: Path, form: str) -> int:
    """Check configuration, scheduler, ledger, cluster, rights and clock; each line ok, warn or fail, with the fix.

    Nothing is changed anywhere: the cloud sees only GETs. Exit status 0 when nothing fails, 1 otherwise.

    \b
    Example: azaks doctor -c autoscale.json
    """
    config = load_config(config_path)
    configure_logging(config.logging)
    out = console()
    findings: list[Finding] = []
    with ExitStack() as stack:
        for finding in examine(doctors_site(config, stack)):
            findings.append(finding)
            if form != "json":
                _print(finding, out)
    counts = count_by_health(findings)
    if form == "json":
        print_json(render_findings(findings))
    else:
        out.print(Text(", ".join(f"{number} {health.value}" for health, number in counts.items())))
    return IN_PART if counts[Health.FAIL] else DONE


def _print(finding: Finding, out: Console) -> None:
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_column(width=7)
    line.add_column(overflow="fold")
    line.add_row(Text(finding.health.value, style=_STYLES[finding.health]), Text(f"{finding.check}: {finding.says}"))
    if finding.fix:
        line.add_row("", Text(f"fix: {finding.fix}", style="dim"))
    out.print(line)
