"""docs/cli.md from the program itself: every verb with its help, options and columns. Pure text; `make reference`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from autoscale_aks.cli.columns import listings
from autoscale_aks.cli.main import PROGRAM, cli
from autoscale_aks.cli.main import __doc__ as statuses
from autoscale_aks.cli.terminal import WIDTH
from autoscale_aks.cli.verbs import OPTION_WORDS, THEMES, aliases_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = """\
# Commands

Made from the program by `make reference`; a test holds it up to date. [rows.md](rows.md) tells of `--format`,
`--columns` and `--filter`, which every verb has that lists something.

`-c FILE` names the configuration. Without it, `$AZAKS_CONFIG` counts, else `./autoscale.json` if it belongs to you or
to root, else `/etc/azaks/autoscale.json`. `--debug` shows the traceback of an error and may stand anywhere. A mistake
in one bucket or one node array leaves out only that in `autoscale`, `run` (at its start) and the verbs that look; its
machines stay as they are, and `azaks validate` says what is wrong.
"""


def render_reference() -> str:
    """The whole page."""
    parts = [_HEAD, *_statuses(), *_aliases()]
    context = click.Context(cli, info_name=PROGRAM, terminal_width=WIDTH, **cli.context_settings)
    for theme, verbs in THEMES.items():
        found = [verb for verb in verbs if verb in cli.list_commands(context)]
        if found:
            parts.append(f"## {theme}\n")
        for verb in found:
            command = cli.get_command(context, verb)
            if command is not None:
                parts += _command(command, (verb,), context)
    return "\n".join(parts)


def _statuses() -> Iterator[str]:
    yield "## Exit status\n"
    yield "| status | meaning |\n|---|---|"
    for line in (statuses or "").splitlines():
        if line[:1].isdigit():
            status, meaning = line.split(maxsplit=1)
            yield f"| {status} | {meaning} |"
    yield ""


def _aliases() -> Iterator[str]:
    yield "## Names from cyclecloud-scalelib\n"
    yield "| theirs | ours |\n|---|---|"
    for name, target in sorted(aliases_of(cli.list_commands(click.Context(cli))).items()):
        yield f"| `{name}` | `{PROGRAM} {' '.join(target)}` |"
    for theirs, ours in sorted(OPTION_WORDS.items()):
        yield f"| `--{theirs}` | `--{ours}` |"
    yield ""


def _command(command: click.Command, words: tuple[str, ...], parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=words[-1], parent=parent)
    yield f"{'#' * (2 + len(words))} {PROGRAM} {' '.join(words)}\n"
    yield f"```text\n{context.command.get_help(context).rstrip()}\n```\n"
    listing = listings().get(words[0]) if len(words) == 1 else None
    if listing is not None:
        yield "| column | by itself | meaning |\n|---|---|---|"
        for column in listing.columns:
            yield f"| `{column.name}` | {'yes' if column.is_default else ''} | {column.meaning} |"
        yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _command(child, (*words, name), context)


def main(arguments: Any = None) -> int:
    """Write the page to the file that is named."""
    (name,) = sys.argv[1:] if arguments is None else arguments
    Path(name).write_text(render_reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
