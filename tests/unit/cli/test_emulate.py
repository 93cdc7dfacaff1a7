"""`azaks emulate`: an address on standard output, and clear words for bad settings."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests
from unit.cli.office import ROOT

from autoscale_aks.cli.main import BAD_INPUT, main

if TYPE_CHECKING:
    from pathlib import Path


def test_it_serves_on_the_address_it_tells_until_it_is_interrupted() -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", "import sys; from autoscale_aks.cli.main import main; sys.exit(main())",
         "emulate", "--speed", "5"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("serving on http://127.0.0.1:")
        state = requests.get(f"{said.split()[-1]}/_emulator/clock", timeout=10).json()
        assert state["speed"] == 5
    finally:
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, "")


@pytest.mark.parametrize("content", ['{"nope": 1}', "[]", "nonsense", '{"speed": "fast"}'])
def test_settings_that_cannot_be_read_are_named(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    assert main(["emulate", "--settings", str(path)]) == BAD_INPUT
    assert capsys.readouterr().err.startswith(f"error: {path}: ")


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["emulate", "--port", port]) == BAD_INPUT
    assert port in capsys.readouterr().err
