"""`azaks validate`: every mistake of a configuration, and with `--online` whether what it names is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART
from autoscale_aks.cli.options import config_option
from autoscale_aks.cli.rows import Column, Listing, print_rows, row_options
from autoscale_aks.errors import AutoscaleError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.config import Config

LISTING: Final = Listing(
    verb="validate",
    title="What there is to say",
    nothing="Everything is in order.",
    columns=(
        Column(name="severity", meaning="error: it cannot be used so; warning: it may not be meant so."),
        Column(name="path", title="where", meaning="Where in the configuration, with the line where it is known."),
        Column(name="message", meaning="What, and what to do next."),
    ),
)
Found = tuple[str, str, str]


@click.command("validate")
@config_option
@click.option("--scheduler", "ask_scheduler", is_flag=True, help="Also read the scheduler once; nothing is changed.")
@row_options(LISTING)
def command(config_path: Path, ask_scheduler: bool, choice: RowChoice) -> int:
    """Check a configuration: form, contradictions, default_resources, what can never apply. Asks nobody.

    With --scheduler its settings are tried by reading its queue once. azaks doctor looks at cloud, rights and quota.

    \b
    Exit status: 0 in order, or warnings only; 1 the scheduler could not be read;
    2 mistakes.
    Example: azaks validate -c autoscale.json --scheduler
    """
    from autoscale_aks.config import load_config  # noqa: PLC0415

    found: list[Found] = []
    config = None
    try:
        config = load_config(config_path)
    except InputError as error:
        found += [("error", problem.path, problem.message) for problem in error.problems]
    unreadable = False
    if config is not None:
        found += _rules(config)
        found += _sizes(config)
        found += _scheduler_settings(config)
        if ask_scheduler and not any(severity == "error" for severity, _, _ in found):
            said = list(_read_scheduler(config))
            unreadable = bool(said)
            found += said
    rows = [{"severity": severity, "path": path or "(top)", "message": message} for severity, path, message in found]
    print_rows(LISTING, rows, choice, None if config is None else config.default_columns)
    if unreadable:
        return IN_PART
    return BAD_INPUT if any(severity == "error" for severity, _, _ in found) else DONE


def _rules(config: Config) -> Iterator[Found]:
    """`default_resources`: what cannot be read, and what can never apply (user ask T29d)."""
    from autoscale_aks.cloud.azure.packaged import packaged_sizes  # noqa: PLC0415
    from autoscale_aks.model.snapshot import Snapshot  # noqa: PLC0415
    from autoscale_aks.reconcile.catalogue import known_offline  # noqa: PLC0415
    from autoscale_aks.reports.buckets import list_buckets  # noqa: PLC0415

    snapshot = Snapshot(
        nodearrays=known_offline(config).arrays,
        default_resources=config.default_resources,
        disable_default_resources=config.disable_default_resources,
        limits=config.limits,
        shared_resources=config.shared_resources,
    )
    try:
        listing = list_buckets(snapshot, config.policy)
    except InputError as error:
        yield from (("error", problem.path, problem.message) for problem in error.problems)
        return
    known = packaged_sizes()
    is_sure = all(one.vm_size.casefold() in known for array in config.arrays for one in array.offerings)
    doubt = "" if is_sure else "; sizes that are not in the packaged table may have what it asks (azaks doctor knows)"
    yield from (("warning", warning.path, f"{warning.message}{doubt}") for warning in listing.warnings)
    for row in listing.rows:
        if row.bucket.array.enabled and row.outcome.available_before == 0:
            said = "no machine of it can ever be made: a limit allows none"
            yield "warning", f"nodearrays.{row.bucket.array.name}", f"{row.bucket.id}: {said}"


def _sizes(config: Config) -> Iterator[Found]:
    """Names of sizes that the packaged table does not have, where it has one that is nearly the same."""
    import difflib  # noqa: PLC0415

    from autoscale_aks.cloud.azure.packaged import packaged_sizes  # noqa: PLC0415

    known = packaged_sizes()
    for name, array in config.nodearrays.items():
        for number, offering in enumerate(array.array.offerings):
            written = offering.vm_size.casefold()
            if written not in known:
                for close in difflib.get_close_matches(written, known, n=1, cutoff=0.9):
                    said = f'"{offering.vm_size}" is not in the packaged table; did you mean "{known[close].name}"?'
                    yield "warning", f"nodearrays.{name}.buckets[{number}].vm_size", said


def _scheduler_settings(config: Config) -> Iterator[Found]:
    from autoscale_aks.cli.wiring import scheduler_of  # noqa: PLC0415

    try:
        scheduler_of(config)
    except InputError as error:
        yield from (("error", problem.path, problem.message) for problem in error.problems)


def _read_scheduler(config: Config) -> Iterator[Found]:
    from autoscale_aks.cli.wiring import scheduler_of  # noqa: PLC0415

    try:
        state = scheduler_of(config).read()
    except AutoscaleError as error:
        yield "error", "scheduler", str(error)
        return
    yield from (("warning", f"scheduler: {problem.path}", problem.message) for problem in state.problems)
