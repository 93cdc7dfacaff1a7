"""Every `azaks` command line of the documentation and of the help texts is run once, on a site made for it."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import pytest
from e2e.documented_commands import documented, is_a_name, words_of
from unit.cli.office import ROOT, Office, work
from unit.reconcile.fakes import bucket, emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import DONE, WOULD_CHANGE, cli, main
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES: Final = documented()
SETTINGS: Final = emulator_settings(clusters=(ClusterSpec(pools=("htc", "lab", "gpu")),), start_time=None, speed=100.0)

RUN_ELSEWHERE: Final = {
    "azaks demo": "tests/e2e/test_demo.py",
    "azaks demo --conf conf": "tests/e2e/test_demo.py",
    "azaks emulate": "tests/unit/cli/test_emulate.py",
    "azaks run": "tests/e2e/test_run_verb.py",
}
"""Command line → the test that runs it; nothing more is to be had from a second run."""
NOT_RUN: Final = {
    "azaks config import /opt/cycle/pbspro/autoscale.json -o new.json": "that file is scalelib's, on its head node; "
    "tests/e2e/test_pages_walked.py imports the one of docs/from-scalelib.md",
}
"""Command line → why it cannot be run here."""
NAMES: Final = frozenset(
    f"azaks {verb}"
    for verb in ("create", "delete", "drain", "remove", "join", "protect", "unprotect", "retry-failed", "explain",
                 "history", "plan", "replay", "record", "simulate", "validate-constraint", "machines", "pool",
                 "sizes show", "config import", "config init", "create_nodes")
)  # fmt: skip
"""Verbs that want more words. Alone, in a sentence, they are names: their help is shown."""
ENDLESS: Final = ("run", "emulate")
"""Verbs that go on until they are interrupted."""
ACTING: Final = ("autoscale", "create", "delete", "drain", "remove", "join", "protect", "unprotect", "retry-failed",
                 "pool", "machines")  # fmt: skip
"""Verbs that change a site, each of whose lines has one of its own."""
STATUSES: Final = {
    "azaks demand --exit-code": WOULD_CHANGE,
    "azaks demand -c autoscale.json --diff now.json --exit-code": WOULD_CHANGE,
}
"""Command line → its documented status where that is not 0."""
STANDS_FOR: Final = {
    "JOB": "1042", "NODE…": "az1-htc-17", "WHY": "why", "SIZE": "Standard_D4s_v5", "htc/SIZE": "htc/Standard_D4s_v5",
    "…": "00000000-0000-4000-8000-000000000001", "http://127.0.0.1:8085": "",
}  # fmt: skip
"""What stands in a line for something of the reader's."""
FILES: Final = {"plan": "scenario.json", "explain": "scenario.json", "replay": "bug.json"}
"""Verb → the FILE of its line."""
COMPLETED: Final = {
    "azaks plan --explain-cost": ["--scenario", "scenario.json"],
    "azaks machines scale --batch": ["--pool", "htc", "--count", "10"],
    "azaks config init --subscription … --resource-group … --cluster …": ["--location", "eastus2"],  # else it asks
}
"""Line that names an option in a sentence → what its verb wants besides."""


@contextmanager
def prepared() -> Iterator[Office]:
    """A cluster with twenty machines, three with GPUs, the files that lines name, and a queue that wants more."""
    with scratch() as directory, EmulatorServer(SETTINGS) as emulator:
        office = Office(directory, emulator)
        arrays = {"htc": ["Standard_D4s_v5"], "lab": ["Standard_F4s_v2", "Standard_HB120rs_v3"],
                  "gpu": ["Standard_NC4as_T4_v3"]}  # fmt: skip
        office.configure(nodearrays={name: {"buckets": [*map(bucket, sizes)]} for name, sizes in arrays.items()})
        document = json.loads((directory / "autoscale.json").read_text())
        document["aks"]["owner"] = "az1"
        document["scheduler"].update(close=["true"], remove=["true"])
        document["policy"] = {"mass_delete": {"share": 1, "count": None}}
        document["default_resources"].append({"select": {}, "name": "mem", "value": "node.memory"})
        office.write("autoscale.json", document)
        there = [
            on("1041", "Standard_D4s_v5", 18),
            on("1040", "Standard_F4s_v2", 1),
            on("1039", "Standard_NC4as_T4_v3", 3),
        ]
        office.queue(*there)
        assert main(["autoscale", "-c", office.config]) == DONE
        nodes = [{"name": "az1-htc-17", "resources": {"ncpus": 4}}]
        office.write("jobs.json", {"jobs": [*there, on("1042", "Standard_D4s_v5", 2)], "nodes": nodes})
        scenario = {
            "nodearrays": [{"name": "htc", "buckets": [bucket()]}],
            "jobs": [{"name": "1042", "constraints": [{"ncpus": 1}]}],
        }
        office.write("scenario.json", scenario)
        office.write("workload.json", {"jobs": [{"name": "a", "at": 0, "duration": 60, "constraints": [{"ncpus": 1}]}]})
        office.write("report.py", "print(len(jobs))\n")
        office.write("emulator.json", {"speed": 10})
        assert main(["record", "-c", office.config, str(directory / "bug.json"), "-q"]) == DONE
        assert main(["demand", "-c", office.config, "--format", "json", "-o", str(directory / "now.json")]) == DONE
        yield office


def on(name: str, vm_size: str, count: int) -> dict[str, Any]:
    made = work(name, iterations=count)
    made["constraints"][0]["node.vm_size"] = vm_size
    return made


def arguments(line: str, office: Office) -> list[str]:
    """The words of a line, with what the reader would put in."""
    words = words_of(line)
    mine = {**STANDS_FOR, "FILE": FILES.get(words[0], ""), "http://127.0.0.1:8085": office.emulator.base_url}
    found = [mine.get(word, word) for word in words] + COMPLETED.get(line, [])
    if takes_yes(words) and "--yes" not in words and "--dry-run" not in words:
        found.append("--yes")  # a person says it at the prompt
    return found


def takes_yes(words: list[str]) -> bool:
    command: click.Command | None = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    return command is not None and any("--yes" in parameter.opts for parameter in command.params)


def run_here(line: str, office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*words_of(line), "--help"] if line in NAMES else arguments(line, office)
    status = main(words)
    said = capsys.readouterr()
    assert status == STATUSES.get(line, DONE), f"{line}\n{said.out}{said.err}"
    assert "Traceback" not in said.err
    assert said.out or said.err or any(word in {"-o", "--output"} for word in words), f"{line}: says nothing"


def lines(verbs: tuple[str, ...], *, among: bool = True) -> list[str]:
    left_out = {*RUN_ELSEWHERE, *NOT_RUN}
    return [line for line in LINES if (words_of(line)[0] in verbs) is among and line not in left_out]


LOOKING: Final = lines((*ACTING, *ENDLESS), among=False)
CHANGING: Final = lines(ACTING)


@pytest.fixture(scope="module")
def seen() -> Iterator[Office]:
    with prepared() as office:
        yield office


@pytest.mark.parametrize("line", LOOKING)
def test_a_line_that_looks_runs(
    line: str, seen: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(seen.directory)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((seen.directory / "scenario.json").read_bytes())))
    (seen.directory / "empty").mkdir(exist_ok=True)
    if words_of(line)[0] == "record" and line not in NAMES:
        (seen.directory / "bug.json").unlink()  # it replaces no file
    elif words_of(line)[:2] == ["config", "init"]:
        monkeypatch.chdir(seen.directory / "empty")
    before = seen.machines()
    run_here(line, seen, capsys)
    assert seen.machines() == before


@pytest.mark.parametrize("line", CHANGING)
def test_a_line_that_acts_runs(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with prepared() as office:
        monkeypatch.chdir(office.directory)
        if words_of(line)[0] == "unprotect":
            assert main(["protect", *arguments(line, office)[1:], "--reason", "why"]) == DONE
        capsys.readouterr()
        run_here(line, office, capsys)


@pytest.mark.parametrize("line", lines(ENDLESS))
def test_a_line_that_goes_on_ends_well_when_it_is_interrupted(line: str, seen: Office) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [
        port if before == "--port" else word
        for before, word in zip(["", *words_of(line)], words_of(line), strict=False)
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from autoscale_aks.cli.main import main; sys.exit(main())", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=seen.directory,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == DONE, first + rest
    assert "Traceback" not in first + rest


def test_every_line_is_run_here_or_is_said_to_be_run_elsewhere() -> None:
    run = {*LOOKING, *CHANGING, *lines(ENDLESS)}
    assert set(LINES) == run | set(RUN_ELSEWHERE) | set(NOT_RUN)
    assert not run & {*RUN_ELSEWHERE, *NOT_RUN}
    assert len(run) > 80
    for line, test in RUN_ELSEWHERE.items():
        text = (ROOT / test).read_text(encoding="utf-8")
        assert re.search(rf'["/ ]{words_of(line)[0]}["/ ]', text), f"{test} does not run {line}"


def test_only_verbs_are_taken_for_names() -> None:
    assert [line for line in NAMES & set(LINES) if not is_a_name(line)] == []
