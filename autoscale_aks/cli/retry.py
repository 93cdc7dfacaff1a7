"""`azaks retry-failed`: ask again at once for what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.acting import (
    LISTING,
    ActRow,
    acting_world,
    agreed,
    begin,
    dry_run_option,
    finish,
    noting_ledger,
    who,
    yes_option,
)
from autoscale_aks.cli.delete import release_rows
from autoscale_aks.cli.options import config_option, quiet_option
from autoscale_aks.cli.output import console, counted
from autoscale_aks.cli.rows import row_options
from autoscale_aks.clock import SystemClock
from autoscale_aks.config import load_config
from autoscale_aks.errors import InputError, LockHeldError, Problem
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.bucket import expand_buckets
from autoscale_aks.reconcile.acts import Retry, acting, forget_failures, leave, plan_leaving
from autoscale_aks.reconcile.back_offs import family_mark
from autoscale_aks.reports.explain import did_you_mean
from autoscale_aks.reports.sentences import render_time

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.config import Config
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.snapshot import BackOff


@click.command("retry-failed")
@config_option
@click.option("--bucket", "names", multiple=True, metavar="BUCKET", help="htc, htc/SIZE or htc/SIZE:ZONE; repeatable.")
@click.option("--all", "everything", is_flag=True, help="Every bucket.")
@dry_run_option
@yes_option
@row_options(LISTING, filters=False)
@quiet_option
def command(config_path: Path, names: tuple[str, ...], **options: Any) -> int:
    """Forget what keeps buckets from being asked for: back-offs, boot circuits, weak marks on VM families, sizes that
    had less than promised.

    Failed machines of these buckets that are still there are deleted, so that the next cycle makes new ones; beside a
    running loop that is left to the loop. Throttling by the service is not forgotten: it is not ours to lift.

    \b
    Exit status: 0 done, or nothing stood in the way;
    1 a failed machine could not be deleted.
    Example: azaks retry-failed -c autoscale.json --bucket htc/Standard_D4s_v5
    """
    if bool(names) == options["everything"]:
        raise InputError([Problem("--bucket", "which? Name buckets, or give --all")])
    config = load_config(config_path)
    begin(config)
    now = SystemClock().now()
    buckets = None if options["everything"] else _buckets(config, names)
    families = [family_mark(bucket.array, bucket.offering) for bucket in buckets or ()]
    with Ledger.open(config.ledger.path, now=now, read_only=True) as ledger:
        retry = Retry.of(ledger, buckets, families, now)
        reasons = ledger.back_off_reasons(now)
    rows = _rows(retry, {one: reasons.get(one, "") for one in retry.back_offs}, options["dry_run"])
    layout, quiet = options["choice"], options["quiet"]
    if options["dry_run"]:
        return finish("retry-failed", rows, (), layout=layout, quiet=quiet)
    if not agreed(f"Forget {counted(len(rows), 'mark')} and delete failed machines?", yes=options["yes"]):
        console(stderr=True).print("Nothing was forgotten.")
        return 0
    if not retry.is_empty:
        with noting_ledger(config.ledger.path, now) as ledger:
            forget_failures(ledger, retry)
    machines, notices = _delete_failed(config, buckets)
    return finish("retry-failed", [*rows, *machines], notices, layout=layout, quiet=quiet)


def _buckets(config: Config, names: tuple[str, ...]) -> list[Bucket]:
    """The buckets of these names. Raises InputError with every name that means none."""
    known = [bucket for array in config.arrays for bucket in expand_buckets(array) if bucket.placement_group is None]
    found: list[Bucket] = []
    problems: list[Problem] = []
    for name in names:
        mine = [one for one in known if name in {one.array.name, f"{one.array.name}/{one.vm_size}", one.id}]
        found.extend(mine)
        if not mine:
            hint = did_you_mean(name, [one.id for one in known])
            problems.append(Problem("--bucket", f'there is no bucket "{name}"{hint}'))
    if problems:
        raise InputError(problems)
    return found


def _rows(retry: Retry, reasons: dict[BackOff, str], dry: bool) -> list[ActRow]:
    word = "would be done" if dry else "forgotten"
    back_offs = [
        ActRow(_place(one), word, f"{one.code} until {render_time(one.until) or 'further notice'}: {why}")
        for one, why in reasons.items()
    ]
    circuits = [
        ActRow(f"{one.nodearray}/{one.vm_size}", word, f"boot circuit, {one.failures} failures: {one.last_error}")
        for one in retry.circuits
    ]
    families = [ActRow(family, word, "came last among equals") for family in retry.families]
    small = [ActRow(f"{array}/{size}", word, "machines had less than promised") for array, size in retry.small]
    return [*back_offs, *circuits, *families, *small]


def _place(one: BackOff) -> str:
    zone = f":{one.zone}" if one.zone else ""
    return f"{one.nodearray or 'any array'}/{one.vm_size or 'any size'}{zone}"


def _delete_failed(config: Config, buckets: list[Bucket] | None) -> tuple[list[ActRow], tuple[str, ...]]:
    sizes = None if buckets is None else {(one.array.name, one.vm_size) for one in buckets}
    try:
        with acting_world(config) as world, acting(world, "retry-failed") as act:
            failed = [
                node
                for node in act.seen.snapshot.nodes
                if node.is_failed and (sizes is None or (node.nodearray, node.vm_size) in sizes)
            ]
            leaving = plan_leaving(act.seen, failed, force=False)
            act.summary |= {"by": who(), "names": len(leaving.nodes)}
            done = leave(world, act, leaving, {}, f"azaks retry-failed by {who()}")
    except LockHeldError:
        return [], ("a loop runs: it deletes failed machines in its next cycle",)
    rows = [ActRow(name, "kept", why) for name, why in leaving.refused.items()]
    return [*rows, *release_rows(done)], act.notices
