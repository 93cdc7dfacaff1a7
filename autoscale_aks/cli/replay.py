"""`azaks replay`: the decision of a recorded file again, or with something changed (user asks T26a, T26c)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.demand_output import Face, write
from autoscale_aks.cli.main import DONE, IN_PART
from autoscale_aks.cli.options import format_option, read_text
from autoscale_aks.cli.output import console
from autoscale_aks.collector import paused_collector
from autoscale_aks.errors import Problem, ScenarioError
from autoscale_aks.planning.scenario import parse_json
from autoscale_aks.reconcile.deciding import brake, decide
from autoscale_aks.reports.demand import summarise
from autoscale_aks.reports.record import Record, decode_record, digest_of
from autoscale_aks.reports.whatif import changed

if TYPE_CHECKING:
    from autoscale_aks.model.plan import Plan


@click.command("replay")
@click.argument("file", metavar="FILE|-")
@click.option(
    "--policy",
    "change",
    metavar="JSON|FILE",
    help='What if: {"policy": …, "limits": …, "nodearrays": […], "forget_back_offs": true}, as in a scenario.',
)
@format_option
def command(file: str, change: str | None, form: str) -> int:
    """Plan from a recorded file, without scheduler, cloud, ledger or clock: the report that `demand` gave then.

    The same program gives the same bytes. A decision that differs from the recorded one is told of on standard error.

    \b
    Exit status: 0 the same decision, or a changed one was asked for;
    1 this program decides differently.
    Example: azaks replay bug.json
    azaks replay bug.json --policy '{"limits": {"cluster_max_nodes": 500}}'
    """
    record = read_record(file)
    if change is not None:
        record = changed(record, _change(change))
    decided = decide_record(record)
    with paused_collector():
        report = summarise(
            decided, record.snapshot, record.notices, policy=record.policy, kinds={}, boot_s=record.boot_s,
            references=record.references,
        )  # fmt: skip
        face = Face(report, decided)
        if form == "json":
            write(face.text(form, None, tuple), None)
        else:
            face.show(console())
    if record.plan_digest and digest_of(decided) != record.plan_digest:
        click.echo(f"note: {file}: this program decides differently from the one that recorded it", err=True)
        return IN_PART
    return DONE


def read_record(file: str) -> Record:
    """The record in a file; `-` is standard input. Raises ScenarioError."""
    try:
        with click.open_file(file, "rb") as stream:
            raw = json.loads(stream.read().decode("utf-8", "surrogatepass"))
    except OSError as error:
        raise ScenarioError([Problem(file, f"cannot be read: {error.strerror or error}")]) from error
    except (ValueError, RecursionError) as error:
        raise ScenarioError([Problem(file, f"cannot be read: {error}")]) from error
    return decode_record(raw, file)


def decide_record(record: Record) -> Plan:
    """The decision, by the loop's own code."""
    with paused_collector():
        decided = decide(record.snapshot, record.policy, {}, record.headroom)
    return brake(decided, record.policy, record.agreed)


def _change(text: str) -> Any:
    if text.lstrip().startswith("{"):
        return parse_json(text, "--policy")
    return parse_json(read_text(text), text)
