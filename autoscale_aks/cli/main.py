"""`azaks`: the entry point, its verbs, and what the exit status means.

======  ====================================================================
status  meaning
======  ====================================================================
0       done; nothing failed
1       done in part: some machines were refused, unknown or could not leave
2       bad input: arguments, configuration or scenario; nothing was sent
3       with `demand --exit-code`: machines would start or stop
4       another run is the writer; nothing was done
5       scheduler, cloud or ledger could not be used
130     interrupted
======  ====================================================================
"""

from __future__ import annotations

import importlib
import io
import sys
import traceback
from typing import Any, Final

import click

from autoscale_aks import __version__
from autoscale_aks.errors import AutoscaleError, InputError, LockHeldError

DONE, IN_PART, BAD_INPUT, WOULD_CHANGE, LOCK_HELD, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

_VERBS: Final = {
    "autoscale": "autoscale_aks.cli.autoscale",
    "run": "autoscale_aks.cli.run",
    "demand": "autoscale_aks.cli.demand",
    "plan": "autoscale_aks.cli.plan",
    "explain": "autoscale_aks.cli.explain",
    "buckets": "autoscale_aks.cli.buckets",
    "pool": "autoscale_aks.cli.pool",
    "machines": "autoscale_aks.cli.machines",
    "emulate": "autoscale_aks.cli.emulate",
    "demo": "autoscale_aks.cli.demo",
}


class _LazyGroup(click.Group):
    """Imports a verb's module only when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = _VERBS.get(cmd_name)
        return None if module is None else importlib.import_module(module).command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in _VERBS:
            import difflib  # noqa: PLC0415

            close = difflib.get_close_matches(args[0], list(_VERBS), n=1)
            hint = f' Did you mean "{close[0]}"?' if close else ""
            raise click.UsageError(f'There is no verb "{args[0]}".{hint} Known: {", ".join(_VERBS)}.', ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="azaks")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Match waiting jobs to AKS machines and make exactly those machines.

    \b
    Exit status: 0 done; 1 done in part; 2 bad input; 4 another run is the writer;
    5 scheduler, cloud or ledger could not be used; 130 interrupted.
    """


def main(args: list[str] | None = None) -> int:
    """Run `azaks`; returns the exit status."""
    arguments = sys.argv[1:] if args is None else args
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character the terminal lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        result = cli.main(arguments, prog_name="azaks", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except AutoscaleError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        _show(error)
        return _status(error)
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    return result if isinstance(result, int) else DONE


def _show(error: AutoscaleError) -> None:
    if isinstance(error, InputError):
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        return
    click.echo(f"error: {error}", err=True)


def _status(error: AutoscaleError) -> int:
    if isinstance(error, InputError):
        return BAD_INPUT
    return LOCK_HELD if isinstance(error, LockHeldError) else UNAVAILABLE
