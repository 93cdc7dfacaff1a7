"""What happens while it happens: plain lines away from a terminal, a line that goes away on one, nothing if quiet."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from unit.cli.office import ESCAPE, Office

from autoscale_aks.cli import machines
from autoscale_aks.cli.main import DONE, main
from autoscale_aks.cli.progress import GoneProgress
from autoscale_aks.cli.terminal import busy

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.cloud.aks.client import AksClient


def away(quiet: bool = False) -> list[str]:
    out = io.StringIO()
    with GoneProgress(Console(file=out), 3, quiet=quiet) as progress:
        for left in (3, 2, 2, 0):
            progress.left(left)
    return out.getvalue().splitlines()


def test_machines_that_go_are_counted_in_plain_lines_each_once() -> None:
    assert away() == ["  1 of 3 machines gone", "  3 of 3 machines gone"]
    assert away(quiet=True) == []


def test_on_a_terminal_the_count_stands_in_one_place() -> None:
    out = io.StringIO()
    with GoneProgress(Console(file=out, force_terminal=True), 2) as progress:
        progress.left(1)
    assert ESCAPE in out.getvalue()
    assert "  1 of 2 machines gone\n" not in out.getvalue()


def test_waiting_for_deletes_says_how_far_it_is(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["autoscale", "-c", office.config, "-q"]) == DONE
    capsys.readouterr()
    listed = machines.list_whole
    looks: list[int] = []

    def advancing(client: AksClient, pool: str) -> object:
        """The emulator's time stands still: each look finds it a minute later."""
        looks.append(1)
        if len(looks) > 1:
            office.emulator.clock.advance(60.0)
        return listed(client, pool)

    monkeypatch.setattr(machines, "list_whole", advancing)
    assert main(["machines", "delete", "-c", office.config, "--all", "--yes", "--wait"]) == DONE
    assert "  3 of 3 machines gone\n" in capsys.readouterr().out
    assert office.machines() == []


def test_reading_is_told_of_on_a_terminal_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(is_terminal: Callable[[], bool]) -> str:
        out = io.StringIO()
        monkeypatch.setattr(out, "isatty", is_terminal, raising=False)
        monkeypatch.setattr(sys, "stderr", out)
        with busy("reading"):
            pass
        return out.getvalue()

    monkeypatch.setenv("TERM", "xterm")
    assert said(lambda: True) == "reading …\r\x1b[K"
    assert said(lambda: False) == ""


@pytest.mark.parametrize(
    "arguments",
    [["demand"], ["autoscale"], ["jobs"], ["nodes"], ["buckets"], ["validate"], ["config", "show"], ["explain", "a"],
     ["machines", "list"], ["pool", "list"], ["machines", "scale", "--pool", "htc", "--count", "2"],
     ["pool", "create"]],
)  # fmt: skip
def test_away_from_a_terminal_no_verb_writes_an_escape_code(
    office: Office, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "-c", office.config]) == DONE
    captured = capfd.readouterr()
    assert captured.out
    assert not any(code in captured.out + captured.err for code in (ESCAPE, "\r"))
