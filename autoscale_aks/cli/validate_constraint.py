"""`azaks validate-constraint`: how a constraint is read, and which buckets satisfy it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from autoscale_aks.cli.options import find_config, format_option
from autoscale_aks.cli.terminal import print_json, printable
from autoscale_aks.errors import ConstraintError, InputError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.matching.constraint import And

_WORDS: Final = {"true": True, "false": False, "null": None}


@click.command("validate-constraint")
@click.argument("constraints", nargs=-1, required=True, metavar="CONSTRAINT...")
@click.option(
    "-c", "--config", "config_path", type=click.Path(dir_okay=False), help="Say too which buckets satisfy it."
)
@format_option
def command(constraints: tuple[str, ...], config_path: Path | None, form: str) -> None:
    """Show how constraints are read, in JSON that means the same, and which buckets' empty nodes satisfy them.

    A constraint is JSON, or NAME=VALUE[,VALUE…] in short; several must all hold. Neither scheduler nor cloud is
    asked. A constraint that cannot be read is an error with its path and exit status 2.

    \b
    Example: azaks validate-constraint '{"ncpus": 4}' 'node.vm_size=Standard_F*'
    """
    from autoscale_aks.matching.parse import parse_constraints  # noqa: PLC0415

    try:
        parsed = parse_constraints([_read(text) for text in constraints], "constraints")
    except ConstraintError as error:
        raise InputError(error.problems) from error
    found = config_path or find_config()
    verdicts = [] if found is None else _verdicts(found, parsed)
    if form == "json":
        print_json({"constraint": _plain(parsed.to_json()), "config": None if found is None else str(found),
                    "buckets": verdicts})  # fmt: skip
        return
    read = parsed.children[0] if len(parsed.children) == 1 else parsed
    click.echo(json.dumps(_plain(read.to_json()), ensure_ascii=False))
    if found is None:
        click.echo("note: with -c CONFIG it is said which buckets satisfy it")
    for verdict in verdicts:
        said = "satisfies it" if verdict["matches"] else f"does not: {verdict['miss']}"
        click.echo(printable(f"{verdict['bucket']}: {said}"))


def _read(text: str) -> Any:
    from autoscale_aks.units import parse_decimal  # noqa: PLC0415

    stripped = text.strip()
    if stripped.startswith(("{", "[")):
        try:
            found = json.loads(stripped, parse_float=parse_decimal)
        except ValueError as error:
            raise InputError([Problem("CONSTRAINT", f"this is not JSON: {error}")]) from None
        return {"and": found} if isinstance(found, list) else found
    name, equals, values = stripped.partition("=")
    if not equals:
        fault = f'expected JSON such as {{"ncpus": 4}}, or NAME=VALUE; found "{printable(text[:60])}"'
        raise InputError([Problem("CONSTRAINT", fault)])
    parts = [_value(one.strip()) for one in values.split(",")]
    return {name.strip(): parts[0] if len(parts) == 1 else parts}


def _value(text: str) -> Any:
    """A word of the short form: numbers are numbers, as in cyclecloud-scalelib."""
    from autoscale_aks.units import parse_decimal  # noqa: PLC0415

    if text in _WORDS:
        return _WORDS[text]
    try:
        return parse_decimal(text)
    except ValueError:
        return text


def _verdicts(config_path: Path | str, parsed: And) -> list[dict[str, Any]]:
    """Every bucket of the configuration once: whether its empty node satisfies it, else the first that fails."""
    from autoscale_aks.config import load_config  # noqa: PLC0415
    from autoscale_aks.model.job import Job, JobShape  # noqa: PLC0415
    from autoscale_aks.model.snapshot import Snapshot  # noqa: PLC0415
    from autoscale_aks.planning.inspect import Inspector  # noqa: PLC0415
    from autoscale_aks.planning.planner import plan  # noqa: PLC0415
    from autoscale_aks.reconcile.catalogue import known_offline  # noqa: PLC0415
    from autoscale_aks.reports.explain import render_verdict  # noqa: PLC0415

    config = known_offline(load_config(config_path))
    snapshot = Snapshot(
        nodearrays=config.arrays,
        default_resources=config.default_resources,
        disable_default_resources=config.disable_default_resources,
        limits=config.limits,
        shared_resources=config.shared_resources,
        jobs=(Job(name="constraint", shape=JobShape(constraints=(parsed.to_json(),))),),
    )
    decided = plan(snapshot, config.policy, {})
    found = Inspector(snapshot=snapshot, policy=config.policy, decided=decided, kinds={}).inspect(0)
    return [
        {
            "bucket": verdict.bucket.id,
            "matches": verdict.miss is None,
            "slots_per_node": verdict.slots_per_node if verdict.miss is None else 0,
            "miss": None if verdict.miss is None else render_verdict(verdict),
        }
        for part in found.parts
        for verdict in part.verdicts
    ]


def _plain(value: Any) -> Any:
    """JSON with decimals as numbers."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | str) else float(value)
