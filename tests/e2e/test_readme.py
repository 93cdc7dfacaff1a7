"""The README is run, not believed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import _VERBS
from autoscale_aks.config import load_config
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
FIRST_SCREEN = "\n".join(README.splitlines()[:40])


def examples() -> list[tuple[str, list[str]]]:
    """Every command of the console blocks with the output lines under it; `…` stands for more."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        is_open = False
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif is_open:
                found[-1] = (f"{found[-1][0]}\n{line}", [])
            else:
                found[-1][1].append(line)
            is_open = line.startswith("$ ") or is_open
            is_open = is_open and found[-1][0].count("'") % 2 == 1
    return found


def command(text: str) -> str:
    """A command without the remark behind it."""
    return re.sub(r"\s+#\s.*", "", text).strip()


def shell(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        capture_output=True, text=True, timeout=60, cwd=directory, env={**os.environ, "PATH": path}, check=False,
    )  # fmt: skip


def recipe(target: str) -> str:
    lines = MAKEFILE.split(f"\n{target}:", 1)[1].split("\n")[1:]
    return "\n".join(lines[: next(index for index, line in enumerate(lines) if not line.startswith("\t"))])


def test_the_first_screen_shows_exactly_two_commands_which_are_make_targets_with_help() -> None:
    block = re.search(r"^```console\n(.*?)^```", FIRST_SCREEN, re.MULTILINE | re.DOTALL)
    assert block is not None
    commands = [command(line[2:]) for line in block[1].splitlines() if line.startswith("$ ")]
    assert commands == ["make demo", "make test"]
    for name in ("demo", "test"):
        assert re.search(rf"^{name}: .*## ", MAKEFILE, re.MULTILINE), f"make help does not list {name}"


def test_make_demo_is_the_demo_and_make_test_checks_and_tests_everything() -> None:
    assert recipe("demo").split() == ["$(BIN)/azaks", "demo", "--conf", "conf"]
    assert "check-only" in recipe("test")
    assert "-m pytest" in recipe("test")
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert tool in recipe("check-only")


def test_ci_calls_the_readmes_test_command_and_nothing_else_that_tests() -> None:
    script = (ROOT / ".ci/run").read_text()
    lines = [line.strip() for line in script.splitlines() if line.strip() and not line.startswith("#")]
    assert lines[-1] == "make test"
    assert [line for line in lines if "pytest" in line or "ruff" in line] == []
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_every_make_target_of_the_readme_exists() -> None:
    for target in re.findall(r"`make ([a-z-]+)`|\$ make ([a-z-]+)", README):
        assert re.search(rf"^{''.join(target)}:", MAKEFILE, re.MULTILINE), target


PLANS = [example for example in examples() if "azaks" in example[0]]


def test_the_readme_has_an_example_to_run() -> None:
    assert [text for text, _ in PLANS if "azaks plan --scenario -" in text]


@pytest.mark.parametrize("example", PLANS, ids=lambda example: example[0][-40:])
def test_an_example_of_the_readme_prints_what_it_says(example: tuple[str, list[str]], tmp_path: Path) -> None:
    text, said = example
    done = shell(text, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for line in said:
        assert line == "…" or line in done.stdout.splitlines(), line


@pytest.fixture
def office() -> Iterator[Office]:
    settings = emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), start_time=None)
    with EmulatorServer(settings) as emulator, scratch() as directory:
        made = Office(directory, emulator)
        made.configure()
        made.queue(work("a", iterations=2))
        yield made


COMMANDS = README.split("## Commands")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| (`azaks [^|]+) \|", COMMANDS, re.MULTILINE)
RUNNABLE = ("azaks demand", "azaks autoscale", "azaks explain JOB", "azaks jobs", "azaks doctor")
"""Commands of the table that need nothing but `./autoscale.json`; the others' own pages are run by their tests."""


def named(row: str) -> list[str]:
    """The verbs of one row; behind the first, a word alone is a verb too."""
    verbs = [part.removeprefix("azaks ").split()[0] for part in re.findall(r"`([^`]+)`", row)]
    return verbs[:1] if verbs[0] == "config" else verbs


def test_the_table_of_commands_names_verbs_that_exist() -> None:
    assert len(ROWS) > 8
    assert {verb for row in ROWS for verb in named(row)} <= set(_VERBS)
    assert all(f"`{text}`" in COMMANDS or f"`{text}`," in COMMANDS for text in RUNNABLE)


@pytest.mark.parametrize("text", RUNNABLE)
def test_commands_of_the_table_find_the_configuration_and_run(text: str, office: Office) -> None:
    done = shell(text.replace(" JOB", " a"), office.directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(office.machines()) == (2 if text == "azaks autoscale" else 0)


def test_the_configuration_the_readme_starts_from_can_be_read() -> None:
    assert "`conf/autoscale.example.json`" in README
    assert load_config(ROOT / "conf/autoscale.example.json").nodearrays


def test_the_extra_the_readme_installs_exists() -> None:
    setup = (ROOT / "setup.py").read_text()
    for extra in re.findall(r"pip install '\.\[([a-z]+)\]'", README):
        assert f'"{extra}": [' in setup


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
