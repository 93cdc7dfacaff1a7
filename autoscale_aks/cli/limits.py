"""`azaks limits`: every limit, what is used of it, and what to ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from autoscale_aks.cli.options import config_option
from autoscale_aks.cli.rows import Column, Listing, print_notes, print_rows, row_options
from autoscale_aks.cli.terminal import write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.cli.rows import RowChoice


def _amount(value: float) -> str:
    """Counts as they are, prices with two places."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _source(name: str) -> str:
    """Short, so that the names of families keep their lines whole on 80 columns."""
    return "config" if name == "configuration" else name


LISTING: Final = Listing(
    verb="limits",
    title="Limits",
    nothing="No limit is known.",
    columns=(
        Column(name="kind", meaning="What it counts."),
        Column(name="limit", title="of", meaning="The family, region, node array, pool or bucket it stands over."),
        Column(name="limit_value", title="limit", meaning="How much there may be.", is_number=True, show=_amount),
        Column(name="used", meaning="By everybody, machines of ours in flight included.", is_number=True,
               show=_amount),
        Column(name="in_flight", meaning="By machines of ours that are on their way.", is_number=True, show=_amount),
        Column(name="left", meaning="What is left.", is_number=True, show=_amount),
        Column(name="unit", title="", meaning="cores, nodes, addresses, or a price an hour."),
        Column(name="source", meaning="Who says so.", show=_source),
        Column(name="age_s", title="age", meaning="Seconds since it was true; none: it does not age.", is_number=True,
               is_default=False),
    ),
)  # fmt: skip
MISSING: Final = Listing(
    verb="limits --missing",
    title="To ask for",
    nothing="Nothing waits for a limit of Azure's.",
    columns=(
        Column(name="kind", meaning="What it counts."),
        Column(name="limit", meaning="The family, the region or the subnet."),
        Column(name="location", meaning="The region."),
        Column(name="limit_value", title="now", meaning="What it is.", is_number=True),
        Column(name="needed", meaning="With which the queue is served.", is_number=True),
        Column(name="increase", meaning="The difference.", is_number=True, show=lambda more: f"+{more:,}"),
        Column(name="unit", meaning="cores or addresses.", is_default=False),
        Column(name="request", meaning="As one sentence for whoever grants it.", is_default=False),
    ),
)


@click.command("limits")
@config_option
@click.option("--missing", is_flag=True, help="Only the increases that the waiting queue needs, exactly.")
@row_options(LISTING, instead=("missing", MISSING))
def command(config_path: Path, missing: bool, choice: RowChoice) -> None:
    """Show what stands over the buckets: Azure's quota, node counts, subnet addresses, budgets and the site's caps.

    Used counts everybody, and machines of ours from the moment they are asked for. With --missing: what to ask Azure
    for so that no job waits for a limit of Azure's; the site's own caps stay.

    \b
    Example: azaks limits -c autoscale.json --missing
    """
    from autoscale_aks.cli.wiring import reading_world  # noqa: PLC0415  --help needs none of these
    from autoscale_aks.config import load_usable  # noqa: PLC0415
    from autoscale_aks.reconcile.cycle import effective_policy  # noqa: PLC0415
    from autoscale_aks.reconcile.observe import observe  # noqa: PLC0415
    from autoscale_aks.reports.limit_rows import list_limits, missing_limits  # noqa: PLC0415

    config = load_usable(config_path)
    with reading_world(config) as world:
        seen = observe(world)
        policy = effective_policy(world, seen.requested)
        kinds = world.kinds
    notices = [*seen.notices, *map(str, seen.snapshot.problems)]
    if missing:
        increases = missing_limits(seen.snapshot, policy, kinds)
        wanted = [one.as_dict() for one in increases]
        print_rows(MISSING, wanted, choice, within=lambda rows: {"missing": rows, "notices": notices})
        if choice.is_for_people and increases:
            write_lines([""])
            print_notes([one.request for one in increases], choice, "next")
    else:
        found = [one.as_dict() for one in list_limits(seen.snapshot, policy)]
        print_rows(LISTING, found, choice, config.default_columns,
                   within=lambda rows: {"limits": rows, "notices": notices})  # fmt: skip
    if choice.form != "json":
        print_notes(notices, choice)
