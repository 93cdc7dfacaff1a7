"""`azaks sizes`: what is known of VM sizes, and whose word each fact is."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from frozendict import frozendict

from autoscale_aks.cli.options import format_option
from autoscale_aks.cli.output import console, print_json, table
from autoscale_aks.cli.rows import Column, Listing, print_notes, print_rows, row_options
from autoscale_aks.cli.wiring import reading_world
from autoscale_aks.cloud.azure.catalog import has_prices, know_prices, know_size
from autoscale_aks.cloud.azure.packaged import packaged_sizes
from autoscale_aks.config import load_config
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.model.sizes import Reading
from autoscale_aks.reconcile.catalogue import Lookup, PricedSize, listing_notes
from autoscale_aks.reconcile.observed import KEPT_S, shown_sizes
from autoscale_aks.reports.sizes import FactRow, list_row, observed_rows, propose_default_resources, size_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.config import Config
    from autoscale_aks.ledger.observations import ObservedSize
    from autoscale_aks.reconcile.world import World

_config = click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file; without it only the packaged table speaks.",
)
_location = click.option(
    "--location",
    callback=lambda _context, _option, name: name and name.replace(" ", "").casefold(),
    help='The region, as eastus2 or "East US 2"; by default the configuration\'s.',
)


LISTING: Final = Listing(
    verb="sizes",
    title="VM sizes",
    nothing="No size is known that matches.",
    columns=(
        Column(name="size", meaning="Its name."),
        Column(name="family", meaning="The family whose quota it counts in.", is_default=False),
        Column(name="cores", meaning="vCPUs that a machine shows.", is_number=True),
        Column(name="physical", title="phys.", meaning="Physical cores.", is_number=True),
        Column(name="memory_gib", title="GiB", meaning="Memory in GiB.", is_number=True),
        Column(name="gpus", title="GPUs", meaning="How many GPUs.", is_number=True),
        Column(name="gpu_model", title="model", meaning="Which GPU."),
        Column(name="arch", meaning="x64 or Arm64.", is_default=False),
        Column(name="rdma", meaning="Whether it has InfiniBand.", is_default=False),
        Column(name="zones", meaning="Where it is sold.", is_default=False),
        Column(name="price_per_hour", title="$/h", meaning="Price an hour.", is_number=True),
        Column(name="spot_per_hour", title="spot $/h", meaning="Spot price an hour.", is_number=True, is_default=False),
        Column(name="source", meaning="Whose word its cores are."),
        Column(name="restriction", meaning="Why the subscription may not use it.", is_default=False),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Catalogue:
    """Everything one question is answered from."""

    location: str
    names: tuple[str, ...]
    size: Callable[[str], PricedSize]
    config: Config | None = None
    observed: tuple[ObservedSize, ...] = ()
    notices: tuple[str, ...] = ()
    proxies: Mapping[str, str | None] = frozendict()


@click.group("sizes")
def command() -> None:
    """Show VM sizes: cores, memory, GPUs, disks, prices, and the source of every fact.

    Precedence: what the configuration states, the packaged table where it knows more GPUs, the resource SKU API
    (as kept in the cache), the packaged table.

    \b
    Example: azaks sizes list -c autoscale.json --match A100
    """


@command.command("show")
@click.argument("size")
@_config
@_location
@format_option
def show(size: str, config_path: Path | None, location: str | None, form: str) -> None:
    """One size, fact by fact.

    \b
    Example: azaks sizes show Standard_HB120-16rs_v3 -c autoscale.json
    """
    with _opened(config_path, location) as catalogue:
        found = catalogue.size(size)
        known = found.known
        if not known.sources:
            close = difflib.get_close_matches(size.casefold(), [name.casefold() for name in catalogue.names], n=1)
            names = {name.casefold(): name for name in catalogue.names}
            hint = f'; did you mean "{names[close[0]]}"?' if close else ""
            raise InputError([Problem("SIZE", f'nothing is known of "{size}" in {catalogue.location}{hint}')])
        shown = shown_sizes(one for one in catalogue.observed if one.vm_size.casefold() == size.casefold())
        rows = [*size_rows(known, found.prices, found.price_sources), *_stated(catalogue.config, size)]
        rows += observed_rows(shown)
        proposed = propose_default_resources(shown)
        notices = (*catalogue.notices, *_notes_on(found, catalogue))
    if form == "json":
        facts = {row.fact: {"value": row.value, "source": row.source} for row in rows}
        print_json({"size": known.facts.name, "location": catalogue.location, "facts": facts,
                    "default_resources": list(proposed), "notices": list(notices)})  # fmt: skip
        return
    out = console()
    cells = [(row.fact, row.value, row.source) for row in rows]
    out.print(table(f"{known.facts.name} in {catalogue.location}", ("fact", "value", "source"), cells))
    for notice in notices:
        out.print(f"note: {notice}", style="yellow", markup=False)


def _notes_on(found: PricedSize, catalogue: _Catalogue) -> Iterator[str]:
    """Which list does not have the size, and why there is no price."""
    yield from listing_notes(found.known, found.known.facts.name, catalogue.location)
    if found.prices.regular is None and not has_prices(catalogue.location, catalogue.proxies):
        nothing = f"no price of {catalogue.location} is in the packaged table, and no location stands in for it"
        yield f"{nothing}: see catalogue.proxied_locations and prices.overrides"


@command.command("list")
@_config
@_location
@click.option("--match", default="", help="Only sizes with this text in name, family or GPU model.")
@row_options(LISTING)
def list_(config_path: Path | None, location: str | None, match: str, choice: RowChoice) -> None:
    """All sizes of a location, one a line.

    \b
    Example: azaks sizes list -c autoscale.json --match A100
    """
    with _opened(config_path, location) as catalogue:
        found = [catalogue.size(name) for name in catalogue.names]
        rows = [list_row(one.known, one.prices) for one in found if not one.known.facts.retired]
        notices = catalogue.notices
    wanted = match.casefold()
    rows = [row for row in rows if any(wanted in str(row[key]).casefold() for key in ("size", "family", "gpu_model"))]
    defaults = None if catalogue.config is None else catalogue.config.default_columns
    print_rows(
        replace(LISTING, title=f"VM sizes in {catalogue.location}"),
        rows,
        choice,
        defaults,
        within=lambda shown: {"location": catalogue.location, "sizes": shown, "notices": list(notices)},
    )
    if choice.form != "json":
        print_notes(notices, choice)


@contextmanager
def _opened(config_path: Path | None, location: str | None) -> Iterator[_Catalogue]:
    if config_path is None:
        yield _packaged(location or "southcentralus")
        return
    config = load_config(config_path)
    with reading_world(config) as world:
        yield _live(world, config, location or _home(config))


def _home(config: Config) -> str:
    return config.aks.location or config.arrays[0].location


def _packaged(location: str) -> _Catalogue:
    def size(name: str) -> PricedSize:
        nothing: Reading[Any] = Reading(value=None)
        prices, sources = know_prices(name, location, nothing, {}, {})
        return PricedSize(known=know_size(name, nothing), prices=prices, price_sources=sources)

    return _Catalogue(location=location, names=tuple(one.name for one in packaged_sizes().values()), size=size)


def _live(world: World, config: Config, location: str) -> _Catalogue:
    lookup = Lookup(world)
    live, now = lookup.sizes(location).value, world.clock.now()
    lookup.prices(location)
    names = [one.facts.name for one in live.values()] if live else [one.name for one in packaged_sizes().values()]
    return _Catalogue(
        location=location,
        names=tuple(sorted(names)),
        size=lambda name: lookup.size(location, name),
        config=config,
        observed=world.ledger.observed_sizes(now - KEPT_S),
        notices=tuple(lookup.notices(now)),
        proxies=config.references.catalogue.proxied_locations,
    )


def _stated(config: Config | None, size: str) -> Iterator[FactRow]:
    """What the configuration states of a size, bucket by bucket: it wins over all else.

    Buckets of one node array are told apart by their zones where they state different things.
    """
    for name, nodearray in config.nodearrays.items() if config is not None else ():
        said: dict[str, dict[str, str]] = {}
        zones = set()
        for offering, stated in zip(nodearray.array.offerings, nodearray.stated, strict=True):
            if offering.vm_size.casefold() != size.casefold():
                continue
            zones.add(offering.zone)
            for key in sorted(stated - {"vm_size", "zone", "placement_groups", "max_placement_group_size"}):
                value = offering.memory if key == "memory_gb" else getattr(offering, key, None)
                shown = f"{float(value):g}" if isinstance(value, Fraction) else str(value)
                said.setdefault(key, {})[offering.zone or "no zone"] = shown
        for key, by_zone in said.items():
            if len(set(by_zone.values())) == 1 and len(by_zone) == len(zones):
                yield FactRow(f"{key} of {name}", next(iter(by_zone.values())), "autoscale.json")
                continue
            for zone, shown in by_zone.items():
                yield FactRow(f"{key} of {name}:{zone}", shown, "autoscale.json")
