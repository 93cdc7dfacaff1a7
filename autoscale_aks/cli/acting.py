"""What the acting verbs share: which machines are meant, showing before doing, the lock, and telling what became of it.

A verb looks without a lock, shows what it would do and asks; then it takes the lock, looks again and acts on what is
still so. What it tells is one row a machine: `name`, `outcome`, `detail`.
"""

from __future__ import annotations

import getpass
import json
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from autoscale_aks.cli.direct import is_agreed
from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.main import DONE, IN_PART
from autoscale_aks.cli.options import config_option, quiet_option
from autoscale_aks.cli.rows import Column, Listing, print_notes, print_rows, row_options
from autoscale_aks.cli.wiring import reading_world, writing_world
from autoscale_aks.clock import SystemClock
from autoscale_aks.cloud.gate import Gate
from autoscale_aks.errors import InputError, LedgerError, LockHeldError, Problem
from autoscale_aks.ledger.schema import MIGRATIONS
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.loop import Signals
from autoscale_aks.planning.scenario import parse_json
from autoscale_aks.reconcile.acts import choose
from autoscale_aks.reconcile.observe import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.config import Config
    from autoscale_aks.model.node import Node
    from autoscale_aks.reconcile import Observation, World
    from autoscale_aks.reconcile.acts import Choice

GOOD: Final = frozenset({"created", "deleted", "leaving already", "drained", "protected", "unprotected", "joined",
                         "removed", "forgotten", "waits for its jobs", "would be done", "taken back"})  # fmt: skip
"""Outcomes that are what was asked for; any other makes the exit status 1."""


@dataclass(frozen=True, slots=True)
class ActRow:
    """What became of one name."""

    name: str
    outcome: str
    detail: str = ""


LISTING: Final = Listing(
    verb="acts",
    title="",
    nothing="No machine is meant; nothing was done.",
    columns=(
        Column(name="name", meaning="The machine, the node or the bucket."),
        Column(name="outcome", meaning="What became of it."),
        Column(name="detail", title="", meaning="Why, until when, or what it costs."),
    ),
)
"""What the acting verbs tell."""


def machine_options(command: Callable[..., Any], instead: tuple[str, Listing] | None = None) -> Callable[..., Any]:
    """`[MACHINE]…` and `--filter`, `-c`, `--format`, `--columns`, `-q`; `instead` as in `row_options`."""
    names = click.argument("names", nargs=-1, metavar="[MACHINE]...")
    chosen = click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="CONSTRAINT",
        help="Machines on which this holds: JSON in the constraint language, or NAME=VALUE; several must all hold.",
    )
    return config_option(names(chosen(row_options(LISTING, filters=False, instead=instead)(quiet_option(command)))))


dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done, and stop.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
force_option = click.option("--force", is_flag=True, help="Also machines with work on them, which is then lost.")


def parse_filters(texts: Iterable[str]) -> tuple[Mapping[str, object], ...]:
    """`{"node.vm_size": "Standard_F4"}` or `node.vm_size=Standard_F4`. Raises InputError with what is wrong."""
    found: list[Mapping[str, object]] = []
    for text in texts:
        if text.lstrip().startswith("{"):
            found.append(parse_json(text, "--filter"))
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            message = f'"{text}" is neither JSON, {{"node.vm_size": "…"}}, nor NAME=VALUE, node.vm_size=…'
            raise InputError([Problem("--filter", message)])
        found.append({name.strip(): _scalar(value.strip())})
    return tuple(found)


def _scalar(text: str) -> object:
    """The value of `NAME=VALUE`: a JSON number, true, false or null, else the text itself."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(found, str | list | dict) else parse_json(text)


def require_choice(names: Sequence[str], filters: Sequence[str]) -> None:
    """Raise InputError when nothing says which machines are meant: all of them never are by silence."""
    if not names and not filters:
        raise InputError([Problem("MACHINE", "which? Name machines, or give --filter")])


def look(config: Config, names: Sequence[str], filters: Sequence[str]) -> tuple[Observation, Choice]:
    """One look without any lock, and the machines that are meant in it."""
    with reading_world(config) as world:
        seen = observe(world)
        return seen, choose(seen.snapshot, names, parse_filters(filters), world.kinds)


@contextmanager
def acting_world(config: Config) -> Iterator[World]:
    """The right to write, for one act; a signal lets the request under way end. Raises LockHeldError."""
    clock = SystemClock()
    gate = Gate(clock.now)
    with Signals(gate.close, stop=[signal.SIGTERM], reload=[]):
        try:
            with writing_world(config, clock, gate) as world:
                gate.begin(config.loop.cycle_deadline_s)
                yield world
        except LockHeldError as error:
            raise LockHeldError(f"{error}; nothing was done. See docs/acting.md for what works beside it") from error


@contextmanager
def noting_ledger(path: Path, now: float) -> Iterator[Ledger]:
    """The ledger, to write single rows that a running loop reads afresh; it needs no lock.

    Raises LedgerError for a file that is not there, is damaged or must be migrated first: that is the loop's to do.
    """
    with Ledger.open(path, now=now, read_only=True) as before:
        version = before.file_version
    if version != len(MIGRATIONS):
        old = f"has version {version} and this program writes {len(MIGRATIONS)}"
        state = "is not there yet" if version is None else old
        raise LedgerError(f"ledger {path} {state}; run azaks autoscale once, which makes it or brings it up to date")
    with Ledger.open(path, now=now) as ledger:
        yield ledger


def who() -> str:
    """Who acts, for the ledger: user and host."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user need not have a name
        return socket.gethostname()


def begin(config: Config) -> None:
    """Set logging up."""
    configure_logging(config.logging)


def agreed(question: str, *, yes: bool) -> bool:
    """Ask, as `is_agreed`."""
    return is_agreed(question, yes=yes)


def unknown_rows(choice: Choice) -> list[ActRow]:
    """The names that mean no machine."""
    return [ActRow(name, "unknown", why) for name, why in choice.unknown.items()]


def would(nodes: Iterable[Node], detail: Callable[[Node], str] = lambda _: "") -> list[ActRow]:
    """Rows of what a dry run would do."""
    return [ActRow(node.name, "would be done", detail(node)) for node in nodes]


def finish(
    verb: str, rows: Sequence[ActRow], notices: Sequence[str], *, layout: RowChoice, quiet: bool, **more: Any
) -> int:
    """Tell what became of each name; the exit status: 1 when any was not done."""
    told = list(notices)
    shown = [row for row in rows if not (quiet and layout.is_for_people) or row.outcome not in GOOD]
    if shown or not rows or not layout.is_for_people:
        print_rows(
            LISTING,
            [{"name": row.name, "outcome": row.outcome, "detail": row.detail} for row in shown],
            layout,
            within=lambda found: {"verb": verb, **more, "rows": found, "notices": told},
        )
    if layout.form != "json":
        print_notes(told, layout)
    return DONE if all(row.outcome in GOOD for row in rows) else IN_PART
