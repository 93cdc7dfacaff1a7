"""`azaks buckets`: what may be launched, what its nodes will have, and whose word that is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from autoscale_aks.cli import shown
from autoscale_aks.cli.options import read_question, source_options
from autoscale_aks.cli.rows import Column, Listing, RowChoice, print_notes, print_rows, row_options, selected
from autoscale_aks.cli.terminal import print_json
from autoscale_aks.units import format_value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from autoscale_aks.reports.buckets import BucketListing, BucketRow

_FACTS: Final = (
    Column(name="bucket", meaning="Node array, VM size, zone and placement group."),
    Column(name="nodearray", meaning="Its node array.", is_default=False),
    Column(name="vm_size", meaning="Its VM size.", is_default=False),
    Column(name="vm_family", meaning="The quota family.", is_default=False),
    Column(name="placement_group", meaning="Placement group.", is_default=False),
    Column(name="location", meaning="Region.", is_default=False),
    Column(name="zone", meaning="Availability zone.", is_default=False),
    Column(name="spot", meaning="Whether its machines are spot.", is_default=False),
    Column(name="enabled", meaning="Whether new machines may be made.", is_default=False),
    Column(name="priority", meaning="Higher ones are used first.", is_number=True, is_default=False),
    Column(name="vcpu_count", title="cores", meaning="vCPUs.", is_number=True),
    Column(name="pcpu_count", meaning="Physical cores.", is_number=True, is_default=False),
    Column(name="gpu_count", meaning="GPUs.", is_number=True, is_default=False),
    Column(name="memory", meaning="Memory the cloud promises.", is_number=True),
    Column(name="price_per_hour", title="$/h", meaning="Price an hour.", is_number=True, show=shown.price,
           absent="?"),
    Column(name="available", meaning="New machines that limits allow now; null: any number.", is_number=True,
           absent="any"),
    Column(name="binding_limit", title="binding limit", meaning="The limit that allows the fewest."),
    Column(name="retry_at", meaning="When a back-off ends.", is_default=False),
    Column(name="resources", meaning="What an empty node of it has; each with its value and source.",
           is_default=False),
)  # fmt: skip
_PEOPLE: Final = RowChoice(form="table", columns=None)
LISTING: Final = Listing(verb="buckets", title="Buckets", nothing="There is no bucket.", columns=_FACTS)


@click.command("buckets")
@source_options
@click.option("--resource", metavar="NAME", help="Only this resource: its value on each bucket and where it is from.")
@row_options(LISTING)
def command(config_path: Path | None, scenario: str | None, resource: str | None, choice: RowChoice) -> None:
    """List the buckets: size, price, what may be launched now and which limit binds, resources.

    Entries of default_resources that can never apply are warned of. Existing and in-flight machines are charged on
    the limits; waiting jobs are not.

    \b
    Example: azaks buckets -c autoscale.json --resource mem
    """
    from autoscale_aks.reports.buckets import check_resource, list_buckets, render_buckets  # noqa: PLC0415

    question = read_question(config_path, scenario)
    listing = list_buckets(question.snapshot, question.policy)
    if resource is not None:
        check_resource(listing, resource)
    for_people = choice.form in {"table", "markdown"}
    rows = selected([_row(row, for_people=for_people) for row in listing.rows], choice)
    kept = {row["bucket"] for row in rows}
    found = [row for row in listing.rows if row.bucket.id in kept]
    if choice.form == "json":
        print_json(_document(render_buckets(listing, resource), kept, choice))
        return
    if choice.form == "table" and resource is not None:
        _print_resource(listing, found, resource)
    else:
        print_rows(LISTING, rows, choice, question.default_columns)
        if choice.form == "table" and choice.columns is None and found:
            _print_own(found)
    print_notes([str(warning) for warning in listing.warnings], choice, "warning")
    print_notes(question.notes, choice)


def _row(row: BucketRow, *, for_people: bool) -> dict[str, Any]:
    """The facts of a bucket; for people, what keeps new nodes away beside limits stands with the limit."""
    from autoscale_aks.reports.buckets import facts_of  # noqa: PLC0415

    facts = facts_of(row)
    held = _states(row) if for_people else ()
    return {
        **facts,
        "binding_limit": "; ".join(filter(None, [facts["binding_limit"], *held])) or None,
        "resources": dict(sorted(row.resources.items())),
    }


def _states(row: BucketRow) -> list[str]:
    states = [] if row.bucket.array.enabled else ["not enabled"]
    return [*states, f"in back-off, retry at {row.retry_at}"] if row.retry_at else states


def _document(document: dict[str, Any], kept: set[str], choice: RowChoice) -> dict[str, Any]:
    """The buckets that pass the filter, with the columns asked for."""
    wanted = choice.columns
    found = [bucket for bucket in document["buckets"] if bucket["bucket"] in kept]
    if wanted is not None:
        found = [{name: bucket[name] for name in wanted} for bucket in found]
    return {**document, "buckets": found}


_OWN: Final = Listing(
    verb="buckets",
    title="Resources (built-in ones left out)",
    nothing="",
    columns=(Column(name="bucket", meaning=""), Column(name="resources", meaning="", show=shown.amounts)),
)


def _print_own(rows: Sequence[BucketRow]) -> None:
    own = [
        {
            "bucket": row.bucket.id,
            "resources": {
                name: value for name, value in sorted(row.resources.items()) if row.sources.get(name) != "built-in"
            },
        }
        for row in rows
    ]
    click.echo()
    print_rows(_OWN, own, _PEOPLE)


def _print_resource(listing: BucketListing, rows: Sequence[BucketRow], resource: str) -> None:
    columns = (
        Column(name="bucket", meaning=""),
        Column(name="value", meaning="", is_number=True),
        Column(name="from", meaning=""),
    )
    values = [
        {
            "bucket": row.bucket.id,
            "value": format_value(row.resources[resource]) if resource in row.resources else "not defined",
            "from": row.source_path(resource),
        }
        for row in rows
    ]
    print_rows(Listing(verb="", title=f"Resource {resource}", nothing="There is no bucket.", columns=columns),
               values, _PEOPLE)  # fmt: skip
    for source in dict.fromkeys(row.sources.get(resource) for row in rows):
        entry = listing.entry(source)
        if entry is not None:
            written = json.dumps(entry, default=lambda value: dict(value) if hasattr(value, "keys") else float(value))
            click.echo(f"{source}: {written}")
