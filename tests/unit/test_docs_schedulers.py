"""Each scheduler's page leads from nothing to the first job, and what it tells to run or copy is there."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

from autoscale_aks.schedulers.registry import _BUILT_IN

ROOT = Path(__file__).parents[2]
PAGES = {name: ROOT / "docs" / f"{name}.md" for name in _BUILT_IN if name != "command"}
CONSOLE = re.compile(r"^[ ]*```console\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)
SHIPPED = re.compile(r"\b(?:conf|examples|tests|docs)/[\w.*/-]*[\w*]")


def shown(page: Path) -> list[list[str]]:
    """The words of every command line in the console blocks of a page."""
    text = "\n".join(CONSOLE.findall(page.read_text(encoding="utf-8"))).replace("\\\n", " ")
    lines = [line.strip()[2:] for line in text.splitlines() if line.strip()[:2] in {"$ ", "# "}]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_names_of_the_repository_is_there(name: str) -> None:
    named = set(SHIPPED.findall(PAGES[name].read_text(encoding="utf-8")))
    assert named
    assert [path for path in named if not list(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_command_line_of_a_page_can_be_read_by_a_shell(name: str) -> None:
    commands = shown(PAGES[name])
    assert commands
    assert all(commands), "a line without words"


@pytest.mark.parametrize("name", ["slurm", "openpbs", "gridengine"])
def test_a_page_leads_from_the_installation_to_the_first_job_in_order(name: str) -> None:
    text = PAGES[name].read_text(encoding="utf-8")
    section = text.split("## From nothing to the first job\n")[1].split("\n## ")[0]
    submit = "sbatch" if name == "slurm" else "qsub"
    steps = ["(service.md)", f"conf/{name}/autoscale.json", "conf/kubernetes/", "azaks doctor", f"$ {submit}",
             "azaks demand", "systemctl enable --now azaks"]  # fmt: skip
    places = [section.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)]
    assert numbers == [*range(1, len(numbers) + 1)]


@pytest.mark.parametrize("name", ["openpbs", "gridengine"])
def test_an_install_script_takes_the_options_its_page_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script's own parser reads the line; what it would do is tested beside it."""

    class ReadError(Exception):
        """The line was read."""

    original = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, *args: Any) -> Any:
        original(self, *args)
        raise ReadError

    lines = [words for words in shown(PAGES[name]) if words[0].endswith("install.py")]
    assert lines
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    for words in lines:
        monkeypatch.setattr("sys.argv", words)
        with pytest.raises(ReadError):
            runpy.run_path(str(ROOT / "conf" / name / "install.py"), run_name="__main__")
