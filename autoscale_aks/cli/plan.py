"""`azaks plan`: one decision from a scenario file, without network, database or clock (contract scenario.md)."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from autoscale_aks.cli.main import BAD_INPUT, DONE
from autoscale_aks.cli.output import console, print_demand
from autoscale_aks.errors import InputError, Problem, ScenarioError
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario, parse_json
from autoscale_aks.reports.answer import render_answer, render_problems
from autoscale_aks.reports.demand import summarise


@click.command("plan")
@click.option(
    "--scenario", "source", required=True, metavar="FILE|-", help="A scenario, or JSON Lines; - reads stdin."
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="json", show_default=True)
@click.option("--no-placements", is_flag=True, help="Leave out the per-job nodes and the node lists.")
def command(source: str, form: str, no_placements: bool) -> int:
    """Plan one scenario, or each line of a JSON Lines file, and print the answer.

    A scenario that cannot be read is answered with its errors and exit status 2; a fault inside one job, node or
    bucket stands in `errors` and the rest is planned.

    \b
    Example: azaks plan --scenario scenario.json --format table
    """
    text = _read(source)
    documents = _documents(text)
    status = DONE
    for raw, indent in documents:
        try:
            snapshot, policy = decode_scenario(raw() if callable(raw) else raw)
            decided = plan(snapshot, policy)
        except InputError as error:
            status = BAD_INPUT
            _write({"ok": False, "errors": render_problems(error.problems)}, indent)
            if form == "table":
                for problem in error.problems:
                    click.echo(f"error: {problem}", err=True)
            continue
        if form == "table":
            print_demand(summarise(decided, snapshot), console())
        else:
            _write(render_answer(decided, placements=not no_placements), indent)
    return status


def _read(source: str) -> str:
    try:
        if source == "-":
            return sys.stdin.read()
        with click.open_file(source, encoding="utf-8-sig") as stream:
            return str(stream.read())
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([Problem(source, f"cannot be read: {error}")]) from error


def _documents(text: str) -> list[tuple[Any, int | None]]:
    """The scenarios of a text with the indent of their answers: one document, or one a line."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and _is_json(lines[0]):
        return [(lambda line=line, number=number: parse_json(line, f"line {number}"), None)
                for number, line in enumerate(lines, 1)]  # fmt: skip
    return [(lambda: parse_json(text), 2)]


def _is_json(line: str) -> bool:
    try:
        parse_json(line)
    except ScenarioError:
        return False
    return True


def _write(document: Any, indent: int | None) -> None:
    sys.stdout.write(json.dumps(document, indent=indent, ensure_ascii=False) + "\n")
