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
70      a defect of this program
130     interrupted
======  ====================================================================

Answers go to standard output, errors, notes of progress and questions to standard error. An error is one line for
each problem: where, what, and what to do next. Tracebacks are shown with `--debug` only.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from autoscale_aks import __version__
from autoscale_aks.cli.verbs import ELSEWHERE, OPTION_WORDS, THEMES, aliases_of
from autoscale_aks.errors import AutoscaleError, InputError, LockHeldError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

DONE, IN_PART, BAD_INPUT, WOULD_CHANGE, LOCK_HELD, UNAVAILABLE, DEFECT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 70, 130

PROGRAM: Final = "azaks"
DEBUG: Final = "--debug"

_VERBS: Final = {
    "autoscale": "autoscale_aks.cli.autoscale",
    "run": "autoscale_aks.cli.run",
    "demand": "autoscale_aks.cli.demand",
    "plan": "autoscale_aks.cli.plan",
    "explain": "autoscale_aks.cli.explain",
    "jobs": "autoscale_aks.cli.jobs",
    "nodes": "autoscale_aks.cli.nodes",
    "buckets": "autoscale_aks.cli.buckets",
    "doctor": "autoscale_aks.cli.doctor",
    "history": "autoscale_aks.cli.history",
    "create": "autoscale_aks.cli.create",
    "delete": "autoscale_aks.cli.delete",
    "drain": "autoscale_aks.cli.drain",
    "protect": "autoscale_aks.cli.protect",
    "unprotect": "autoscale_aks.cli.unprotect",
    "join": "autoscale_aks.cli.join",
    "remove": "autoscale_aks.cli.remove",
    "retry-failed": "autoscale_aks.cli.retry",
    "record": "autoscale_aks.cli.record",
    "replay": "autoscale_aks.cli.replay",
    "sizes": "autoscale_aks.cli.sizes",
    "limits": "autoscale_aks.cli.limits",
    "pool": "autoscale_aks.cli.pool",
    "machines": "autoscale_aks.cli.machines",
    "validate": "autoscale_aks.cli.validate",
    "validate-constraint": "autoscale_aks.cli.validate_constraint",
    "config": "autoscale_aks.cli.config",
    "columns": "autoscale_aks.cli.columns",
    "shell": "autoscale_aks.cli.shell",
    "emulate": "autoscale_aks.cli.emulate",
    "demo": "autoscale_aks.cli.demo",
    "simulate": "autoscale_aks.cli.simulate",
    "completion": "autoscale_aks.cli.completion",
    "version": "autoscale_aks.cli.version",
}


class _LazyGroup(click.Group):
    """Imports a verb's module only when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _VERBS:
            command: click.Command = importlib.import_module(_VERBS[cmd_name]).command
            return command
        found: click.Command | None = self
        for word in aliases_of(_VERBS).get(cmd_name, ("",)):
            found = found.get_command(ctx, word) if isinstance(found, click.Group) and word else None
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        word = args[0] if args else ""
        if word and not word.startswith("-") and word not in _VERBS and word not in aliases_of(_VERBS):
            raise click.UsageError(_unknown(word), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        width = max(map(len, _VERBS)) + 2
        for theme, verbs in THEMES.items():
            rows = [(verb, text) for verb, text in verbs.items() if verb in _VERBS]
            with formatter.section(theme):
                formatter.write_dl(rows, col_max=width)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem  # noqa: PLC0415  only a shell that completes needs it

        texts = {verb: text for verbs in THEMES.values() for verb, text in verbs.items()}
        verbs = [CompletionItem(verb, help=texts.get(verb)) for verb in _VERBS if verb.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]


def _unknown(word: str) -> str:
    if word in ELSEWHERE:
        return f'There is no verb "{word}": {ELSEWHERE[word]}.'
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(word, [*_VERBS, *aliases_of(_VERBS)], n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f'There is no verb "{word}".{hint} Known: {", ".join(_VERBS)}.'


_SETTINGS: Final = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda word: OPTION_WORDS.get(word, word),
}


@click.group(cls=_LazyGroup, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name=PROGRAM)
@click.option(DEBUG, is_flag=True, help="Show the traceback of an error; may stand behind the verb too.")
def cli(debug: bool) -> None:
    """Match waiting jobs to AKS machines and make exactly those machines.

    \b
    Start with: azaks demo, or azaks config init and azaks demand.
    Exit status: 0 done; 1 done in part; 2 bad input; 3 would change
    (demand --exit-code); 4 another run is the writer; 5 scheduler, cloud or
    ledger could not be used; 70 a defect of this program; 130 interrupted.
    """


def main(args: list[str] | None = None) -> int:
    """Run `azaks`; returns the exit status. No exception leaves it."""
    arguments, debug = _without_debug(sys.argv[1:] if args is None else args)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads that nothing here ever uses
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character the terminal lacks is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        result = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except AutoscaleError as error:
        _show_traceback(debug)
        _show(error)
        return _status(error)
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    except Exception as error:  # noqa: BLE001  the last resort: a line that can be reported, not a page of code
        _show_traceback(debug)
        click.echo(_defect(error, arguments, debug=debug), err=True)
        return DEFECT
    return result if isinstance(result, int) else DONE


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without `--debug`, wherever it stands before a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [word for index, word in enumerate(arguments) if word != DEBUG or index > end]
    return kept, len(kept) < len(arguments)


def _show_traceback(debug: bool) -> None:
    if debug:
        import traceback  # noqa: PLC0415

        traceback.print_exc()


def _defect(error: Exception, arguments: list[str], *, debug: bool) -> str:
    """One line: what happened, where, and what to do next."""
    where = "the command line"
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith("autoscale_aks"):
            where = f"{name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    verb = next((word for word in arguments if not word.startswith("-")), "")
    advice = "report this and the traceback" if debug else f"repeat with {DEBUG} and report what it prints"
    said = " ".join(str(error).split())
    return f"error: {PROGRAM} {verb}: {type(error).__name__} in {where}: {said}; next: {advice}"


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
