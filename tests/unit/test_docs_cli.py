"""docs/cli.md and docs/rows.md say what the program does."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from builders import array, f4, job, node, scenario

from autoscale_aks.cli import main as entry
from autoscale_aks.cli.columns import WITH_ROWS
from autoscale_aks.cli.main import DONE, cli, main
from autoscale_aks.cli.reference import render_reference

if TYPE_CHECKING:
    import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_command_reference_is_that_of_the_program() -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == render_reference(), "run `make reference`"


def test_the_reference_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = render_reference()
    monkeypatch.setenv("COLUMNS", "200")
    assert render_reference() == before
    assert max(len(line) for line in before.splitlines() if not line.startswith(("|", "*", "`"))) <= 120


def test_every_verb_and_sub_verb_stands_in_it() -> None:
    page = render_reference()
    for verb in entry._VERBS:
        assert f"\n### azaks {verb}\n" in page
        command = cli.get_command(click.Context(cli), verb)
        for name in command.commands if isinstance(command, click.Group) else ():
            assert f"\n#### azaks {verb} {name}\n" in page


def test_the_commands_of_the_page_on_rows_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (DOCS / "rows.md").read_text()
    commands = [line.removeprefix("$ ") for line in page.splitlines() if line.startswith("$ azaks ")]
    assert {"jobs", "nodes", "buckets"} <= {shlex.split(one)[1] for one in commands} <= set(WITH_ROWS)
    raw = scenario(job("42", iterations=3), arrays=[array("htc", f4())], existing_nodes=[node()])
    for one in commands:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(raw).encode())))
        assert main([*shlex.split(one)[1:], "--scenario", "-"]) == DONE, one
        captured = capsys.readouterr()
        assert captured.out
        assert captured.err == ""
