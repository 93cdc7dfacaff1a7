"""`azaks protect` and `azaks unprotect`: keep machines from every delete (user ask T20)."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from autoscale_aks.cli.acting import (
    ActRow,
    begin,
    dry_run_option,
    finish,
    look,
    machine_options,
    noting_ledger,
    require_choice,
    unknown_rows,
    who,
)
from autoscale_aks.cli.rows import Column, Listing, print_rows
from autoscale_aks.clock import SystemClock
from autoscale_aks.config import load_config
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.reports.sentences import render_time

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.config import Config

_SPAN: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])\Z")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


LISTING: Final = Listing(
    verb="protect",
    title="Protected",
    nothing="No machine is protected.",
    columns=(
        Column(name="name", title="machine", meaning="The machine."),
        Column(name="owner", meaning="Whose protection it is."),
        Column(name="until", meaning="When it ends, in UTC; none: never.", absent="for ever"),
        Column(name="reason", meaning="Why."),
        Column(name="since", meaning="When it was given, in UTC.", is_default=False),
    ),
)


@click.command("protect")
@partial(machine_options, instead=("listing", LISTING))
@click.option("--reason", default="", help="Why, for whoever looks later; needed unless --list.")
@click.option("--for", "span", metavar="SPAN", help="How long: 90m, 8h, 3d. Without --for and --until: for ever.")
@click.option("--until", metavar="TIME", help="Until then: 2026-12-24T18:00Z; without a zone it is local.")
@click.option("--owner", default=None, help="Whose protection it is.  [default: user@host]")
@click.option("--list", "listing", is_flag=True, help="List the protections that are in force.")
@dry_run_option
def command(config_path: Path, names: tuple[str, ...], filters: tuple[str, ...], **options: Any) -> int:
    """Protect machines: nothing deletes them, by hand or not, until the time is over or it is taken back.

    They take work as before. Works beside a running loop. The last word on a machine counts.

    \b
    Exit status: 0 all protected; 1 some names mean no machine.
    Example: azaks protect -c autoscale.json az1-gpu-3 --reason why --for 8h
    """
    config = load_config(config_path)
    begin(config)
    if options["listing"]:
        return _list(config, options["choice"])
    require_choice(names, filters)
    now = SystemClock().now()
    until = _until(options["span"], options["until"], now)
    if not options["reason"].strip():
        raise InputError([Problem("--reason", "is needed: somebody will ask why the machine stays")])
    meant, rows = _meant(config, names, filters, now)
    said = "for ever" if until is None else f"until {render_time(until)}"
    if options["dry_run"]:
        rows += [ActRow(name, "would be done", said) for name in meant]
    elif meant:
        owner = options["owner"] or who()
        with noting_ledger(config.ledger.path, now) as ledger:
            for name in meant:
                ledger.protect(name, owner=owner, reason=options["reason"], until=until, now=now)
        rows += [ActRow(name, "protected", said) for name in meant]
    return finish("protect", rows, (), layout=options["choice"], quiet=options["quiet"])


@click.command("unprotect")
@machine_options
@dry_run_option
def unprotect(config_path: Path, names: tuple[str, ...], filters: tuple[str, ...], **options: Any) -> int:
    """Take protections back. A name may also be one of a machine that is gone.

    \b
    Exit status: 0 all taken back; 1 some were not protected.
    Example: azaks unprotect -c autoscale.json az1-gpu-3
    """
    require_choice(names, filters)
    config = load_config(config_path)
    begin(config)
    now = SystemClock().now()
    meant = list(dict.fromkeys(names))
    if filters:
        meant = [node.name for node in look(config, names, filters)[1].nodes]
    with Ledger.open(config.ledger.path, now=now, read_only=True) as ledger:
        protected = ledger.protections(now)
        meant = [name if name in protected else ledger.machine_called(name) or name for name in meant]
    rows = [ActRow(name, "kept", "is not protected") for name in meant if name not in protected]
    found = [name for name in meant if name in protected]
    if options["dry_run"]:
        rows += [ActRow(name, "would be done", protected[name].reason) for name in found]
    elif found:
        with noting_ledger(config.ledger.path, now) as ledger:
            rows += [ActRow(name, "unprotected", protected[name].reason) for name in found if ledger.unprotect(name)]
    return finish("unprotect", rows, (), layout=options["choice"], quiet=options["quiet"])


def _meant(
    config: Config, names: tuple[str, ...], filters: tuple[str, ...], now: float
) -> tuple[list[str], list[ActRow]]:
    """The machines, from the ledger alone where it knows all names: a scheduler that is away is no hindrance."""
    with Ledger.open(config.ledger.path, now=now, read_only=True) as ledger:
        known = {name: ledger.machine_called(name) for name in names}
    if not filters and all(known.values()):
        return [name for name in dict.fromkeys(known.values()) if name is not None], []
    _, choice = look(config, names, filters)
    return [node.name for node in choice.nodes], unknown_rows(choice)


def _list(config: Config, choice: RowChoice) -> int:
    now = SystemClock().now()
    with Ledger.open(config.ledger.path, now=now, read_only=True) as ledger:
        found = ledger.protections(now)
    rows = [
        {"name": one.name, "owner": one.owner, "reason": one.reason, "until": render_time(one.until) or None,
         "since": render_time(one.added_at)}
        for one in found.values()
    ]  # fmt: skip
    print_rows(LISTING, rows, choice, config.default_columns)
    return 0


def _until(span: str | None, until: str | None, now: float) -> float | None:
    """When the protection ends; None: never. Raises InputError."""
    if span is not None and until is not None:
        raise InputError([Problem("--until", "stands beside --for; give one of them")])
    if span is not None:
        found = _SPAN.match(span.strip())
        if found is None:
            raise InputError([Problem("--for", f'"{span}" is no span; write a number and s, m, h or d, as in 8h')])
        return now + float(found[1]) * _UNITS[found[2]]
    if until is None:
        return None
    try:
        moment = datetime.fromisoformat(until.strip().replace("Z", "+00:00"))
    except ValueError:
        raise InputError([Problem("--until", f'"{until}" is no time; write it as 2026-12-24T18:00Z')]) from None
    at = moment.astimezone(timezone.utc).timestamp()
    if at <= now:
        raise InputError([Problem("--until", f"{render_time(at)} is over already")])
    return at
