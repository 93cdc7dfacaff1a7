"""`azaks config show|init|schema|import`: what a configuration says, a first one, its schema, and one from scalelib."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from autoscale_aks.cli.main import DONE, IN_PART
from autoscale_aks.cli.options import config_option
from autoscale_aks.cli.rows import Column, Listing, print_rows, row_options
from autoscale_aks.errors import ConfigError, InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.cli.rows import RowChoice
    from autoscale_aks.config.starting import Start

SHOW: Final = Listing(
    verb="config show",
    title="Configuration",
    nothing="There is no value.",
    columns=(
        Column(name="key", meaning="The value's path."),
        Column(name="value", meaning="As JSON; paths of files are resolved."),
        Column(name="source", meaning="The line of the file, or default."),
    ),
)
IMPORT: Final = Listing(
    verb="config import",
    title="Differences",
    nothing="There is no difference.",
    columns=(
        Column(name="key", meaning="Their key, or the one of ours that they cannot say."),
        Column(name="verdict", meaning="taken, renamed, meaningless here, not supported, or to be added."),
        Column(name="note", meaning="Why, and what to do."),
    ),
)
NEW_FILE: Final = Path("autoscale.json")


@click.group("config")
def command() -> None:
    """Show, start, describe or import a configuration.

    \b
    Example: azaks config init --subscription … --resource-group … --cluster …
    """


@command.command("show")
@config_option
@row_options(SHOW)
def show(config_path: Path, choice: RowChoice) -> None:
    """Show every value with the line it stands on, and every default in force.

    Nothing secret is ever shown: a file with a secret in it is refused.

    \b
    Example: azaks config show -c autoscale.json --filter source=default
    """
    from autoscale_aks.config.showing import show_config  # noqa: PLC0415

    rows = [
        {"key": one.path, "value": _said(one.value, choice), "source": one.source} for one in show_config(config_path)
    ]
    print_rows(SHOW, rows, choice)


def _said(value: Any, choice: RowChoice) -> Any:
    """JSON stays JSON; people get it as they would write it."""
    import json  # noqa: PLC0415

    return value if choice.form == "json" else json.dumps(value, ensure_ascii=False)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the configuration: every key with its meaning, unit, default and range.

    An editor that is shown it completes and checks keys while you type.

    \b
    Example: azaks config schema > autoscale.schema.json
    """
    from autoscale_aks.config import schema_text  # noqa: PLC0415

    click.echo(schema_text(), nl=False)


def start_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a first configuration has to be told."""
    from autoscale_aks.config.starting import STARTED  # noqa: PLC0415

    for option in reversed(
        (
            click.option("--subscription", metavar="ID", help="Azure subscription of the cluster."),
            click.option("--resource-group", metavar="NAME", help="Its resource group."),
            click.option("--cluster", metavar="NAME", help="Its name."),
            click.option("--location", metavar="REGION", help="Its region, such as southcentralus."),
            click.option("--owner", default="az1", show_default=True, help="Our mark on machines."),
            click.option("--scheduler", type=click.Choice(STARTED), default="slurm", show_default=True),
            click.option("--emulator", metavar="URL", help="Use an emulator (azaks emulate) instead of Azure."),
            click.option("-o", "--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
                         default=NEW_FILE, show_default=True, help="Where to write it; - is standard output."),
            click.option("--force", is_flag=True, help="Overwrite a file that is there."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@command.command("init")
@start_options
@click.option("--nodearray", default="htc", show_default=True, help="Name of the first node array.")
@click.option("--vm-size", default="Standard_D4s_v5", show_default=True, help="Its VM size.")
@click.option("--vcpus", "vcpu_count", type=click.IntRange(min=1), help="vCPUs of it; looked up where not given.")
@click.option("--memory-gb", type=click.FloatRange(min=0, min_open=True),
              help="Memory of it in GiB; looked up where not given.")  # fmt: skip
def init(output: Path, force: bool, **told: Any) -> None:
    """Write a first configuration: commented, complete and checked. Asks on a terminal for what is not given.

    A file that is there is never overwritten without --force.

    \b
    Example: azaks config init --emulator http://127.0.0.1:8085 -o try.json
    """
    from autoscale_aks.config.starting import start_document, written  # noqa: PLC0415

    _check_free(output, force=force)
    _write(written(start_document(_asked(told))), output, force=force)
    if str(output) != "-":
        click.echo(f"wrote {output}; next: azaks validate -c {output}, then azaks demand -c {output}", err=True)


@command.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@start_options
@click.option("--bucket", "buckets", multiple=True, metavar="ARRAY=SIZE:VCPUS:GIB",
              help="First bucket of a node array; may be given again.")  # fmt: skip
@row_options(IMPORT)
def import_(file: Path, output: Path, force: bool, buckets: tuple[str, ...], choice: RowChoice, **told: Any) -> int:
    """Read a cyclecloud-scalelib autoscale.json, write ours, and say what became of every key.

    Node arrays, VM sizes and quota stand in CycleCloud, not in that file: node arrays without --bucket get an
    example and are not enabled. Cluster settings that are not given get stand-ins.

    \b
    Exit status: 0 nothing is lost; 1 something that means something is.
    Example: azaks config import /opt/cycle/pbspro/autoscale.json -o new.json
    """
    from autoscale_aks.config.importing import import_scalelib  # noqa: PLC0415
    from autoscale_aks.config.reading import read_document, read_file  # noqa: PLC0415
    from autoscale_aks.config.starting import start_document, written  # noqa: PLC0415

    _check_free(output, force=force)
    theirs, findings = read_document(read_file(file), str(file))
    if findings or not isinstance(theirs, dict):
        raise ConfigError([Problem(str(file), finding.message) for finding in findings] or [
            Problem(str(file), "is no JSON object; this is not a scalelib autoscale.json")])  # fmt: skip
    made = import_scalelib(theirs, start_document(_stood_in(told)), dict(map(_bucket, buckets)))
    given = {f"aks.{key}" for key in told if told[key] is not None}
    _write(written(_plain(made.document)), output, force=force)
    rows = [
        {"key": one.path, "verdict": one.verdict.value, "note": one.note}
        for one in made.differences
        if one.path not in given
    ]
    if str(output) != "-":
        print_rows(IMPORT, rows, choice)
    return DONE if made.is_lossless else IN_PART


def _bucket(text: str) -> tuple[str, dict[str, Any]]:
    name, _, facts = text.partition("=")
    parts = facts.split(":")
    try:
        size, vcpus, memory = parts[0], int(parts[1]), float(parts[2])
    except (IndexError, ValueError):
        fault = f'expected ARRAY=SIZE:VCPUS:GIB, as htc=Standard_D4s_v5:4:16, found "{text}"'
        raise InputError([Problem("--bucket", fault)]) from None
    return name, {"vm_size": size, "vcpu_count": vcpus, "memory_gb": int(memory) if memory.is_integer() else memory}


def _asked(told: dict[str, Any]) -> Start:
    """What was given, else what is answered on a terminal. Raises InputError naming what is missing elsewhere."""
    from autoscale_aks.config.starting import Start  # noqa: PLC0415

    if told["emulator"] is not None:
        return _stood_in(told)
    missing = [key for key in ("subscription", "resource_group", "cluster", "location") if told[key] is None]
    if missing and not sys.stdin.isatty():
        raise InputError(
            [Problem(f"--{key.replace('_', '-')}", "is missing, and there is nobody to ask") for key in missing]
        )
    answers = {key: click.prompt(key.replace("_", " ").capitalize(), err=True) for key in missing}
    return Start(**{**told, **answers})


def _stood_in(told: dict[str, Any]) -> Start:
    """What was given, with stand-ins for the rest; with an emulator those of the cluster that it has."""
    from autoscale_aks.config.starting import NOWHERE, Start  # noqa: PLC0415
    from autoscale_aks.emulator.settings import ClusterSpec  # noqa: PLC0415

    names: dict[str, Any] = {
        "subscription": NOWHERE,
        "resource_group": "rg",
        "cluster": "aks",
        "location": "southcentralus",
    }
    if told["emulator"] is not None:
        spec = ClusterSpec()
        names = {
            "subscription": spec.subscription,
            "resource_group": spec.resource_group,
            "cluster": spec.name,
            "location": spec.location,
        }
    known: dict[str, Any] = {key: names.get(key) if value is None else value for key, value in told.items()}
    return Start(**known)


def _check_free(output: Path, *, force: bool) -> None:
    if str(output) != "-" and output.exists() and not force:
        raise InputError([Problem("--output", f"{output} is there already; name another file or say --force")])


def _write(text: str, output: Path, *, force: bool) -> None:
    """Write what has been checked. Raises ConfigError when it is no valid configuration, InputError when it cannot."""
    from autoscale_aks.config import parse_config  # noqa: PLC0415

    parse_config(text, str(output.absolute()))
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(output, flags, 0o640), "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise InputError([Problem("--output", f"{output} cannot be written: {error.strerror}")]) from error


def _plain(value: Any) -> Any:
    """JSON with decimals as numbers."""
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value if value is None or isinstance(value, bool | int | str) else float(value)
