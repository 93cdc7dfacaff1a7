"""Every command that docs/aks.md shows is run, in its order, against `azaks emulate`."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import DONE, main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "aks.md").read_text(encoding="utf-8")
SHOWN_URL = "http://127.0.0.1:8085"


def shown() -> list[tuple[str, list[str]]]:
    """Each command with the lines under it; `…` stands for more."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


COMMANDS = [example for example in shown() if not example[0].startswith("azaks emulate")]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with the configuration of the page, and the emulator it starts."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["azaks", "emulate", "--port", "0", "--speed", "200"], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with scratch() as directory:
            (example,) = re.findall(r"^```json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
            assert example.count(SHOWN_URL) == 2
            (directory / "autoscale.json").write_text(example.replace(SHOWN_URL, url))
            (directory / "jobs.json").write_text('{"jobs": []}')
            yield directory
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def is_shown(line: str, output: list[str]) -> bool:
    """Whether the output has the line; a line may break off at `…`."""
    if line.endswith("…"):
        return any(said.startswith(line[:-1]) for said in output)
    return line in [said.rstrip() for said in output]


def test_every_command_does_what_the_page_shows(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(COMMANDS) > 10
    monkeypatch.chdir(place)
    for command, lines in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "azaks"
        status = main(arguments)
        captured = capsys.readouterr()
        assert (status, captured.err) == (DONE, ""), command
        output = captured.out.splitlines()
        assert [line for line in lines if not is_shown(line, output)] == [], f"{command}\n{captured.out[-2000:]}"


def test_both_verbs_are_shown_with_all_they_can_do() -> None:
    pairs = {tuple(command.split()[1:3]) for command, _ in COMMANDS}
    assert pairs == {
        *(("pool", verb) for verb in ("create", "list", "show", "delete")),
        *(("machines", verb) for verb in ("list", "scale", "delete")),
    }
