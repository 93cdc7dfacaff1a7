"""`azaks plan`: one decision from a scenario file, without network, database or clock (contract scenario.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from autoscale_aks.cli.cost_report import explain_cost_option, print_cost
from autoscale_aks.cli.demand_face import print_demand
from autoscale_aks.cli.demand_output import Face, write
from autoscale_aks.cli.main import BAD_INPUT, DONE
from autoscale_aks.cli.options import read_text
from autoscale_aks.cli.output import console, print_json
from autoscale_aks.collector import paused_collector
from autoscale_aks.errors import InputError, Problem, ScenarioError
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario, parse_json
from autoscale_aks.reports.answer import render_answer, render_problems
from autoscale_aks.reports.cost import render_explained
from autoscale_aks.reports.demand import summarise

if TYPE_CHECKING:
    from collections.abc import Iterator

_Document: TypeAlias = "tuple[str, str, int | None]"
"""A scenario's text, how to call it in messages, and the indent of its answer."""


@click.command("plan")
@click.option("--scenario", "source", required=True, metavar="FILE|-", help="A scenario, or JSON Lines; - reads stdin.")
@click.option("--format", "form", type=click.Choice(["table", "json", "html"]), default="json", show_default=True)
@explain_cost_option
@click.option("--no-placements", is_flag=True, help="Leave out the per-job nodes and the node lists.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the html to a file.")
def command(source: str, form: str, no_placements: bool, output: Path | None, *, explain_cost: bool) -> int:
    """Plan one scenario, or each line of a JSON Lines file, and print the answer.

    A scenario that cannot be read is answered with its errors and exit status 2; a fault inside one job, node or
    bucket stands in `errors` and the rest is planned. `--format html` is the page of `azaks demand`, of one scenario.

    \b
    Example: azaks plan --scenario scenario.json --format table
    """
    status = DONE
    documents = list(_documents(read_text(source)))
    if form == "html" and len(documents) > 1:
        raise ScenarioError([Problem(source, "holds several scenarios, and a page shows one: cut it into files")])
    for text, where, indent in documents:
        try:
            snapshot, policy = decode_scenario(parse_json(text, where))
            with paused_collector():
                decided = plan(snapshot, policy)
        except InputError as error:
            status = BAD_INPUT
            print_json({"ok": False, "errors": render_problems(error.problems)}, indent)
            if form == "table":
                for problem in error.problems:
                    click.echo(f"error: {problem}", err=True)
            continue
        if form == "html":
            report = summarise(decided, snapshot, policy=policy)
            write(Face(report, decided, subject=snapshot.name).text(form, None, tuple), output)
        elif form == "table":
            print_demand(summarise(decided, snapshot, policy=policy), console())
            if explain_cost:
                print_cost(decided, policy, console())
        else:
            answer = render_answer(decided, placements=not no_placements)
            print_json(answer | ({"cost_explained": render_explained(decided, policy)} if explain_cost else {}), indent)
    return status


def _documents(text: str) -> Iterator[_Document]:
    """The scenarios of a text: one document, or one a line."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_lines([line for _, line in lines]):
        yield from ((line, f"line {number}", None) for number, line in lines)
    else:
        yield text, "", 2


def _is_lines(lines: list[str]) -> bool:
    """Whether a text is JSON Lines: its first line is a document, or, where that is bad, any other is a scenario."""
    if _is_json(lines[0]):
        return True
    return any('"jobs"' in line and line.lstrip().startswith("{") and _is_json(line) for line in lines[1:])


def _is_json(line: str) -> bool:
    try:
        parse_json(line)
    except ScenarioError:
        return False
    return True
