"""`azaks record`: the decision of now as a file, for a bug report or a what-if (user ask T26a)."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from autoscale_aks.cli.demand_history import boot_seconds
from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.options import config_option, quiet_option
from autoscale_aks.cli.output import console, counted
from autoscale_aks.cli.replay import decide_record
from autoscale_aks.cli.wiring import reading_world
from autoscale_aks.config import load_config
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.reconcile.cycle import effective_policy
from autoscale_aks.reconcile.deciding import headroom_jobs
from autoscale_aks.reconcile.observe import observe
from autoscale_aks.reports.record import Record, digest_of, redacted, render_record


@click.command("record")
@config_option
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.option("--anonymous", is_flag=True, help="Rename jobs and queues too.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@quiet_option
def command(config_path: Path, file: Path, anonymous: bool, force: bool, quiet: bool) -> int:
    """Write everything that a decision is made from now into FILE (- is standard output).

    Reads as `demand` does and changes nothing. Users are renamed and machines lose their addresses and cloud ids;
    node, job and queue names stay unless --anonymous is given. `azaks replay FILE` makes the same decision of it.

    \b
    Example: azaks record -c autoscale.json bug.json
    """
    if str(file) != "-" and file.exists() and not force:
        raise InputError([Problem(str(file), "is there already; give another name, or --force")])
    config = load_config(config_path)
    configure_logging(config.logging)
    with reading_world(config) as world:
        seen = observe(world)
        record = Record(
            snapshot=seen.snapshot,
            policy=effective_policy(world, seen.requested),
            headroom=headroom_jobs(config, world.clock.now()),
            agreed=seen.proposals,
            notices=(*seen.notices, *seen.requested.notices),
            boot_s=boot_seconds(world.ledger.machines(include_gone=True)),
            references=seen.references,
        )
    record = redacted(record, anonymous=anonymous)
    decided = decide_record(record)
    record = replace(record, plan_digest=digest_of(decided))
    text = json.dumps(render_record(record), ensure_ascii=False, separators=(",", ":")) + "\n"
    if str(file) == "-":
        click.echo(text, nl=False)
        return 0
    _write(file, text)
    if not quiet:
        jobs, nodes = len(record.snapshot.jobs), len(record.snapshot.nodes)
        said = f"{counted(jobs, 'job record')}, {counted(nodes, 'machine')}; {len(decided.claims):,} would be made"
        console(stderr=True).print(f"{file}: {said}", markup=False)
    return 0


def _write(file: Path, text: str) -> None:
    """The whole file or none, for its owner only. Raises InputError where it cannot be written."""
    try:
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as stream:
            stream.write(text)
        Path(unfinished).replace(file)
    except OSError as error:
        raise InputError([Problem(str(file), f"cannot be written: {error.strerror or error}")]) from error
