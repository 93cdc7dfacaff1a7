"""`azaks history`: the life of one machine or job, from the ledger alone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from autoscale_aks.cli.options import config_option, format_option
from autoscale_aks.cli.output import console, print_json, table
from autoscale_aks.clock import SystemClock
from autoscale_aks.config import load_config
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.reconcile.waiting import job_key
from autoscale_aks.reports.explain import did_you_mean
from autoscale_aks.reports.history import history_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from autoscale_aks.ledger.history import Happening
    from autoscale_aks.reports.history import HistoryRow


@click.command("history")
@config_option
@click.argument("name", metavar="NODE|JOB")
@format_option
def command(config_path: Path, name: str, form: str) -> None:
    """Tell the life of a machine or of a job, with the plan in which each thing happened.

    Reads the ledger and nothing else, also while a cycle runs. A machine is known by its own name or by its node's,
    a job by its id; an array by the id before its brackets. Times are local in the table and UTC in JSON. How long it
    is kept: ledger.history_days.

    \b
    Example: azaks history -c autoscale.json az1-htc-17
    """
    config = load_config(config_path)
    with Ledger.open(config.ledger.path, now=SystemClock().now(), read_only=True) as ledger:
        kind, known, found = _life(ledger, name)
    rows = history_rows([(one.at, one.event, one.detail, one.plan_id) for one in found])
    if form == "json":
        print_json({"kind": kind, "name": known, "history": [row.to_json() for row in rows]})
    else:
        _print_rows(f"{kind.capitalize()} {known}", rows)


def _life(ledger: Ledger, name: str) -> tuple[str, str, Sequence[Happening]]:
    """What it is, the name it is kept by, and what happened. Raises InputError with names that are close."""
    machine = ledger.machine_called(name)
    if machine is not None:
        return "machine", machine, ledger.life(machine)
    job = job_key(name)
    found = ledger.job_life(job)
    if not found and "_" in job:  # a task of an array
        job = job.rpartition("_")[0]
        found = ledger.job_life(job)
    if found:
        return "job", job, found
    names = ledger.remembered_names()
    hint = did_you_mean(name, names) or "; a name is known once a cycle has seen it, for ledger.history_days"
    raise InputError([Problem("NODE|JOB", f'the ledger knows no machine and no job "{name}"{hint}')])


def _print_rows(title: str, rows: Sequence[HistoryRow]) -> None:
    shown = [(_local(row.at), _passed(row.after_s), row.words, row.detail, row.plan) for row in rows]
    console().print(table(title, ("time", "after", "what", "", "plan"), shown, right=(1,)))


def _local(at: float) -> str:
    """A moment in the zone of this host."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d\u00a0%H:%M:%S")


def _passed(seconds: float) -> str:
    """A span in two units at most: `12s`, `3m 20s`, `4h 1m`, `2d 3h`."""
    whole = round(seconds)
    for size, unit, smaller, below in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // smaller}{below}"
    return f"{whole}s" if whole else ""
