"""docs/from-scalelib.md is walked in a shell, and every page whose commands are shown is walked by some test."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from unit.cli.office import Office, run, work
from unit.reconcile.fakes import emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r'^```json title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)

WALKED: Final = {
    "README.md": "tests/e2e/test_readme.py",
    "docs/acting.md": "tests/e2e/test_acting_of_the_docs.py",
    "docs/aks.md": "tests/e2e/test_direct_tools_of_the_docs.py",
    "docs/celery.md": "tests/e2e/test_celery_page.py",
    "docs/from-scalelib.md": "tests/e2e/test_pages_walked.py",
    "docs/gridengine.md": "tests/e2e/test_scheduler_pages.py",
    "docs/openpbs.md": "tests/e2e/test_scheduler_pages.py",
    "docs/quota-and-prices.md": "tests/e2e/test_pages_walked.py",
    "docs/rows.md": "tests/unit/test_docs_cli.py",
    "docs/simulator.md": "tests/e2e/test_pages_walked.py",
    "docs/sizes.md": "tests/unit/test_docs_sizes.py",
    "docs/slurm.md": "tests/e2e/test_scheduler_pages.py",
    "docs/tutorial.md": "tests/e2e/test_tutorial.py",
}
"""Page → the test that runs its commands."""
NOT_WALKED: Final[dict[str, str]] = {}
"""Page → why its commands cannot be run: none. What stands in for a head node is listed in `page_walk.py`."""


def shows_commands(page: Path) -> bool:
    text = page.read_text(encoding="utf-8")
    return any(re.search(r"(^\$|\|) azaks ", block, re.MULTILINE) for block in CONSOLE.findall(text))


def test_every_page_that_shows_commands_is_walked_or_says_why_not() -> None:
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "conf" / "README.md"]
    showing = {str(page.relative_to(ROOT)) for page in pages if shows_commands(page)}
    assert showing == set(WALKED) | set(NOT_WALKED)
    assert set(WALKED) & set(NOT_WALKED) == set()


@pytest.mark.parametrize(("page", "test"), list(WALKED.items()))
def test_the_test_that_walks_a_page_reads_that_page(page: str, test: str) -> None:
    assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


def test_the_page_for_those_who_come_from_scalelib_is_true_to_the_letter() -> None:
    text = (DOCS / "from-scalelib.md").read_text(encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with scratch() as place:
        for name, content in FILE.findall(text):
            (place / name).write_text(content)
        ran = 0
        for command, shown in commands(text):
            done = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=place, check=False,
                env={**os.environ, "PATH": path},
            )  # fmt: skip
            assert done.returncode in {0, 1} if "import" in command else done.returncode == 0, done.stdout + done.stderr
            said = [" ".join(line.split()) for line in done.stdout.splitlines()]
            missing = [line for line in shown if not is_shown(" ".join(line.split()), said)]
            assert missing == [], f"{command}\n{done.stdout}{done.stderr}"
            ran += 1
        assert ran >= 2


def test_the_page_on_quota_shows_what_is_missing_as_the_program_does() -> None:
    text = (DOCS / "quota-and-prices.md").read_text(encoding="utf-8")
    settings = emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), start_time=None)
    with EmulatorServer(settings) as emulator, scratch() as place:
        office = Office(place, emulator)
        office.configure()
        (counters,) = emulator.state.quotas.values()
        counters.set_limit("standardDSv5Family", 40)
        office.queue(work(iterations=23))
        walked = [(shlex.split(command), shown) for command, shown in commands(text)]
        assert len(walked) == 2
        for words, shown in walked:
            done = run(*words[1:], cwd=place)
            assert done.returncode == 0, done.stderr
            said = [line.rstrip() for line in done.stdout.splitlines()]
            assert [line for line in shown if line not in said] == [], done.stdout


def test_the_page_on_the_simulator_shows_the_run_of_its_own_workload() -> None:
    text = (DOCS / "simulator.md").read_text(encoding="utf-8")
    with scratch() as place:
        (place / "autoscale.json").write_bytes((ROOT / "conf" / "demo" / "autoscale.json").read_bytes())
        for name, content in FILE.findall(text):
            (place / name).write_text(content)
        ((command, shown),) = commands(text)
        done = run(*shlex.split(command)[1:], cwd=place)
        assert done.returncode == 0, done.stderr
        said = [line.rstrip() for line in done.stdout.splitlines()]
        assert len(shown) == 6
        assert [line for line in shown if not is_shown(line, said)] == [], done.stdout


def commands(text: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for block in CONSOLE.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def is_shown(line: str, said: list[str]) -> bool:
    """Whether the output has the line; it may break off at `…`, which alone stands for any lines."""
    if line.endswith("…"):
        return any(one.startswith(line[:-1].rstrip()) for one in said)
    return line in said
