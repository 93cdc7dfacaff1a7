"""`azaks shell`: a Python prompt with what a cycle would see at hand. Nothing can be changed from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from autoscale_aks.cli.options import config_option
from autoscale_aks.errors import AutoscaleError, CloudError, InputError, LedgerError, Problem, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.reconcile import World

NAMES: Final = {
    "config": "the configuration, frozen",
    "world": "scheduler, cloud, ledger, clock: world.scheduler.read(), world.cloud.list_machines(pool)",
    "snapshot": "everything the plan looked at: snapshot.jobs, snapshot.nodes, snapshot.nodearrays",
    "plan": "the decision: plan.claims, plan.waves, plan.releases, plan.outcomes",
    "jobs": "job name -> job",
    "nodes": "node name -> node",
    "buckets": "bucket id -> bucket",
    "explain": "explain(job) prints why it waits, bucket by bucket",
    "api": "the planner as a library (docs/api.md)",
    "names": "names() prints this list",
}
"""What stands at the prompt."""
_CLOUD: Final = ("list_machines", "list_nodes", "list_pools", "list_pool_views", "get_pool", "get_machine")
_LEDGER: Final = (
    "machines", "believed_gone", "history", "back_offs", "back_off_reasons", "not_before", "flag", "flags", "cycles",
    "protections", "circuits", "family_marks", "small_sizes", "proposals", "next_number", "drains", "evictions",
    "memory", "observed_sizes", "last_point",
)  # fmt: skip
"""What may be asked of cloud and ledger."""
_LEFT: Final = "the shell only looks; use the verb that acts"


@click.command("shell")
@config_option
@click.option("--script", "-s", type=click.Path(dir_okay=False, path_type=Path),
              help="Run this Python file instead of a prompt; - reads standard input.")  # fmt: skip
def command(config_path: Path, script: Path | None) -> None:
    """Open a Python prompt with config, world, snapshot, plan and api; names() lists what there is.

    Everything is read once at the start. Nothing can be changed: scheduler and cloud refuse to act, and the ledger is
    opened read-only.

    \b
    Example: azaks shell -c autoscale.json --script report.py
    """
    from autoscale_aks.cli.logs import configure_logging  # noqa: PLC0415
    from autoscale_aks.cli.wiring import reading_world  # noqa: PLC0415
    from autoscale_aks.config import load_usable  # noqa: PLC0415

    config = load_usable(config_path)
    configure_logging(config.logging)
    with reading_world(config) as world:
        space = namespace(only_looking(world))
        if script is not None:
            _run(script, space)
            return
        import code  # noqa: PLC0415

        code.interact(
            banner="azaks shell: names() lists what is at hand; nothing can be changed from here. Ctrl-D leaves.",
            local=space, exitmsg="",
        )  # fmt: skip


def _run(script: Path, space: dict[str, Any]) -> None:
    try:
        text = sys.stdin.read() if str(script) == "-" else script.read_text(encoding="utf-8")
        compiled = compile(text, str(script), "exec")
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError([Problem("--script", f"{script} cannot be run: {error}")]) from error
    try:
        exec(compiled, space)  # noqa: S102  the user's own file, as the user
    except AutoscaleError:
        raise
    except Exception as error:  # the user's code: its mistakes are bad input, not ours
        raise InputError([Problem(_place(error, script), f"{type(error).__name__}: {error}")]) from error


def _place(error: Exception, script: Path) -> str:
    """The last line of the script that was at work."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(script) else line
        trace = trace.tb_next
    return f"{script}, line {line}"


def namespace(world: World) -> dict[str, Any]:
    """What stands at the prompt, by name (`NAMES`)."""
    from autoscale_aks import api  # noqa: PLC0415
    from autoscale_aks.model.bucket import expand_buckets  # noqa: PLC0415
    from autoscale_aks.reconcile import observe_and_plan  # noqa: PLC0415

    seen, plan = observe_and_plan(world)
    snapshot = seen.snapshot
    return {
        "config": world.config,
        "world": world,
        "snapshot": snapshot,
        "plan": plan,
        "jobs": {job.name: job for job in snapshot.jobs},
        "nodes": {node.name: node for node in snapshot.nodes},
        "buckets": {bucket.id: bucket for array in snapshot.nodearrays for bucket in expand_buckets(array)},
        "explain": lambda job: _explain(world, snapshot, plan, str(getattr(job, "name", job))),
        "api": api,
        "names": _names,
    }


def _names() -> None:
    for name, meaning in NAMES.items():
        click.echo(f"{name:10} {meaning}")


def _explain(world: World, snapshot: Any, plan: Any, name: str) -> None:
    from autoscale_aks.planning.inspect import Inspector  # noqa: PLC0415
    from autoscale_aks.reports.explain import render_verdict  # noqa: PLC0415
    from autoscale_aks.reports.sentences import render_message  # noqa: PLC0415

    index = next((number for number, job in enumerate(plan.jobs) if job.name == name), None)
    if index is None:
        click.echo(f'there is no job "{name}"')
        return
    policy = world.config.policy
    found = Inspector(snapshot=snapshot, policy=policy, decided=plan, kinds=world.kinds).inspect(index)
    click.echo(f"{name}: {found.outcome.reason.code.value}: {render_message(found.outcome.reason)}")
    for part in found.parts:
        for verdict in part.verdicts:
            click.echo(f"  {verdict.bucket.id}: {render_verdict(verdict)}")


class _OnlyLooks:
    """A port whose reading methods work; every other one refuses before anything is sent."""

    def __init__(self, port: Any, reading: Iterable[str], error: type[Exception]) -> None:
        self._port, self._reading, self._error = port, frozenset(reading), error

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found) or name in self._reading:
            return found
        return self._refuse

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise self._error(_LEFT)


def only_looking(world: World) -> World:
    """The same world, in which scheduler, cloud and ledger can be asked and not told."""
    from dataclasses import replace  # noqa: PLC0415

    return replace(
        world,
        scheduler=_OnlyLooks(world.scheduler, ("read",), SchedulerError),
        cloud=_OnlyLooks(world.cloud, _CLOUD, CloudError),
        ledger=_OnlyLooks(world.ledger, _LEDGER, LedgerError),  # type: ignore[arg-type]
    )
