"""Which `azaks` command lines the documentation shows in sentences, in `sh` blocks and as the examples of help texts.

Console blocks are walked page by page, in their order, and with what is shown under them: test_pages_walked.py.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import click

from autoscale_aks.cli.main import cli

ROOT: Final = Path(__file__).parents[2]
ELSEWHERE: Final = frozenset({"slurm.md", "openpbs.md", "gridengine.md"})
"""Installations on a head node, which tests/e2e/test_scheduler_pages.py walks, line by line."""
PAGES: Final = tuple(
    page
    for page in sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "conf" / "README.md"])
    if page.name not in ELSEWHERE
)
_INLINE: Final = re.compile(r"`(azaks [^`\n]+)`")
_SHELL: Final = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXAMPLES: Final = re.compile(r"^ *Examples?: azaks .*(?:\n +azaks .*)*", re.MULTILINE)


def documented() -> list[str]:
    """Every distinct command line, in the order of the pages, then of the help texts."""
    found: list[str] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _SHELL.findall(text):
            found += [line for line in block.splitlines() if line.startswith("azaks ")]
        found += _INLINE.findall(text)
    found += [line for text in _help_texts(cli, click.Context(cli)) for line in examples_in(text)]
    return list(dict.fromkeys(map(without_remark, found)))


def _help_texts(command: click.Command, context: click.Context) -> list[str]:
    texts = [command.help or ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                texts += _help_texts(inner, context)
    return texts


def examples_in(text: str) -> list[str]:
    """The examples at the end of a help text."""
    lines = "\n".join(_EXAMPLES.findall(text)).splitlines()
    return [line[line.index("azaks ") :].strip() for line in lines]


def without_remark(line: str) -> str:
    """Without what follows it: a remark, a place for the output."""
    return re.sub(r"\s+#\s.*|\s*[|>].*(?=$)", "", line).strip() if "'" not in line else line


def words_of(line: str) -> list[str]:
    """The arguments."""
    return shlex.split(line)[1:]


def is_a_name(line: str) -> bool:
    """Whether a line is only verbs: in a sentence that is the verb's name."""
    context, group = click.Context(cli), cli
    for word in words_of(line):
        found = group.get_command(context, word) if isinstance(group, click.Group) else None
        if found is None:
            return False
        group = found  # type: ignore[assignment]
    return True
