"""`azaks history`: the life of one machine or job, from the ledger alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from autoscale_aks.cli.options import config_option
from autoscale_aks.cli.rows import Column, Listing, print_rows, row_options
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

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.ledger.history import Happening


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


LISTING: Final = Listing(
    verb="history",
    title="History",
    nothing="Nothing is remembered of it.",
    columns=(
        Column(name="at", title="UTC", meaning="When, in UTC.", is_default=False),
        Column(name="at_s", title="time", meaning="When, in seconds since the epoch; local in a table.",
               show=_local),
        Column(name="after_s", title="after", meaning="Seconds since the row before.", is_number=True, show=_passed),
        Column(name="event", meaning="What happened, as a word that stays.", is_default=False),
        Column(name="what", meaning="What happened, as people say it."),
        Column(name="detail", title="", meaning="More of it."),
        Column(name="plan", meaning="The plan in which it happened."),
    ),
)  # fmt: skip


@click.command("history")
@config_option
@click.argument("name", metavar="NODE|JOB")
@row_options(LISTING)
def command(config_path: Path, name: str, choice: RowChoice) -> None:
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
    print_rows(
        replace(LISTING, title=f"{kind.capitalize()} {known}"),
        [{**row.to_json(), "what": row.words} for row in rows],
        choice,
        config.default_columns,
        within=lambda shown: {"kind": kind, "name": known, "history": shown},
    )


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
