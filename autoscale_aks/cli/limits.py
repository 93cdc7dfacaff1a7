"""`azaks limits`: every limit, what is used of it, and what to ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.options import config_option, format_option
from autoscale_aks.cli.output import console, print_json, table
from autoscale_aks.cli.wiring import reading_world
from autoscale_aks.config import load_config
from autoscale_aks.reconcile.cycle import effective_policy
from autoscale_aks.reconcile.observe import observe
from autoscale_aks.reports.limit_rows import list_limits, missing_limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from autoscale_aks.reports.limit_rows import Increase, LimitRow


@click.command("limits")
@config_option
@click.option("--missing", is_flag=True, help="Only the increases that the waiting queue needs, exactly.")
@format_option
def command(config_path: Path, missing: bool, form: str) -> None:
    """Show what stands over the buckets: Azure's quota, node counts, subnet addresses, budgets and the site's caps.

    Used counts everybody, and machines of ours from the moment they are asked for. With --missing: what to ask Azure
    for so that no job waits for a limit of Azure's; the site's own caps stay.

    \b
    Example: azaks limits -c autoscale.json --missing
    """
    with reading_world(load_config(config_path)) as world:
        seen = observe(world)
        policy = effective_policy(world, seen.requested)
        kinds = world.kinds
    notices = list(seen.notices)
    if missing:
        increases = missing_limits(seen.snapshot, policy, kinds)
        document: dict[str, Any] = {"missing": [one.as_dict() for one in increases], "notices": notices}
    else:
        rows = list_limits(seen.snapshot, policy)
        document = {"limits": [one.as_dict() for one in rows], "notices": notices}
    if form == "json":
        print_json(document)
        return
    out = console()
    if missing:
        _print_missing(increases, out)
    else:
        _print_limits(rows, out)
    for notice in notices:
        out.print(f"note: {notice}", style="yellow", markup=False)


def _print_limits(rows: Sequence[LimitRow], out: Console) -> None:
    if not rows:
        out.print("No limit is known.")
        return
    shown = [
        (
            row.kind if row.limit in {"cluster", "policy"} else f"{row.kind} {row.limit}",
            f"{row.limit_value:,g}" if row.unit == "an hour" else f"{row.limit_value:,}",
            _amount(row.used, row.unit),
            _amount(row.in_flight, row.unit),
            _amount(row.left, row.unit),
            row.unit,
            row.source + ("" if row.age_s is None else f"\n{row.age_s:.0f} s old"),
        )
        for row in rows
    ]
    out.print(table("Limits", ("limit", "of", "used", "in flight", "left", "", "source"), shown, right=(1, 2, 3, 4)))


def _amount(amount: float, unit: str) -> str:
    return f"{amount:,.2f}" if unit == "an hour" else f"{amount:,}"


def _print_missing(increases: Sequence[Increase], out: Console) -> None:
    if not increases:
        out.print("Nothing waits for a limit of Azure's; the site's own limits are taken as they are.")
        return
    rows = [
        (one.kind.value, one.limit, one.location, f"{one.limit_value:,}", f"{one.needed:,}", f"+{one.increase:,}")
        for one in increases
    ]
    out.print(table("To ask for", ("kind", "limit", "location", "now", "needed", "increase"), rows, right=(3, 4, 5)))
    out.print()
    for one in increases:
        out.print(f"next: {one.request}", markup=False)
