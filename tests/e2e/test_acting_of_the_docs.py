"""Every command of docs/acting.md runs as it stands there, and `azaks run` serves its pages as a process."""

from __future__ import annotations

import json
import re
import shlex
import socket
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e.test_run_verb import running
from unit.cli.office import Office, run, work
from unit.reconcile.fakes import bucket, emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import _VERBS, DONE, main
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[2] / "docs" / "acting.md").read_text()
COMMANDS = re.findall(r"^\$ (azaks .+)$", PAGE, re.MULTILINE)
SETTINGS = emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), start_time=None)


@pytest.fixture
def office() -> Iterator[Office]:
    with scratch() as directory, EmulatorServer(SETTINGS) as emulator:
        office = Office(directory, emulator)
        office.configure(nodearrays={"htc": {"buckets": [bucket()]}, "gpu": {"buckets": [bucket("Standard_F4s_v2")]}})
        document = json.loads((directory / "autoscale.json").read_text())
        document["aks"]["owner"] = "az1"
        office.write("autoscale.json", document)
        office.queue(work("a", iterations=2))
        yield office


def test_every_command_of_the_page_runs(office: Office, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    monkeypatch.chdir(office.directory)
    assert main(["autoscale", "-c", "autoscale.json"]) == DONE
    assert len(COMMANDS) >= 6
    for command in COMMANDS:
        assert main(shlex.split(command)[1:]) == DONE, command


def test_the_page_names_every_acting_verb_and_none_that_is_not() -> None:
    named = set(re.findall(r"`azaks ([a-z-]+)", PAGE)) | {shlex.split(command)[1] for command in COMMANDS}
    assert named <= set(_VERBS)
    acting = {
        "create",
        "delete",
        "drain",
        "protect",
        "unprotect",
        "join",
        "remove",
        "retry-failed",
        "history",
        "record",
    }
    assert acting <= named


def test_a_running_loop_serves_metrics_and_health(office: Office) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    document = json.loads((office.directory / "autoscale.json").read_text())
    document["metrics"] = {"listen": f":{port}", "textfile": "azaks.prom"}
    office.write("autoscale.json", document)
    with running(office) as azaks:
        azaks.until(lambda: bool(azaks.cycles()))
        for path, said in (("/metrics", b"azaks_cycles_total"), ("/healthz", b'"status": "ok"')):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                assert said in answer.read()
        drained = run("drain", "-c", office.config, "az1-htc-1", "--yes")
        assert drained.returncode == DONE, drained.stderr
        assert "goes on with it" in drained.stdout
        assert run("protect", "-c", office.config, "az1-htc-2", "--reason", "x").returncode == DONE
        assert azaks.end() == DONE
    assert "azaks_cycles_total" in (office.directory / "azaks.prom").read_text()
