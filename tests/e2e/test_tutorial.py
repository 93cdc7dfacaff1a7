"""docs/tutorial.md is walked, command by command, in a shell: the emulated cluster, then a real Slurm."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from slurm_rig import NodeLine, SlurmRig, is_installed
from unit.reconcile.site_fixture import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
SHOWN_URL = "http://127.0.0.1:8085"
FILES = dict(re.findall(r'^```json title="([^"]+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))
Example = tuple[str, list[str]]


def examples(section: str) -> list[Example]:
    """The commands of one numbered section, each with the lines under it; `…` stands for more."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (chosen,) = [part for part in text if part.startswith(section)]
    found: list[Example] = []
    for block in re.findall(r"^```console\n(.*?)^```", chosen, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return [example for example in found if not example[0].startswith("azaks emulate")]


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory with the page's files, and the emulator that the page starts."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["azaks", "emulate", "--port", "0", "--speed", "20"], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with scratch() as directory:
            for name, text in FILES.items():
                (directory / name).write_text(text.replace(SHOWN_URL, url))
            yield directory
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def walk(commands: list[Example], place: Path, **environment: str) -> None:
    """Run each command and look for the lines that the page shows under it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, lines in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            capture_output=True, text=True, timeout=60, cwd=place, env={**os.environ, "PATH": path, **environment},
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        said = [line.rstrip() for line in done.stdout.splitlines()]
        missing = [line for line in lines if not is_shown(line, said)]
        assert missing == [], f"{command}\n{done.stdout}"


def is_shown(line: str, said: list[str]) -> bool:
    """Whether the output has the line; a line may break off at `…`."""
    if line.endswith("…"):
        return any(one.startswith(line[:-1].rstrip()) for one in said)
    return line in said


def test_the_emulated_part_goes_as_the_page_shows(place: Path) -> None:
    look, act = examples("2."), examples("3.")
    assert len(look) > 1
    assert len(act) > 4
    walk([*look, *act], place)


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.skipif(not is_installed(), reason="NO REAL SLURM HERE: the last part of the tutorial is not walked")
def test_the_part_with_a_slurm_of_ones_own_goes_as_the_page_shows(place: Path) -> None:
    nodes = [NodeLine("htc-[1-2]", cpus=4, memory_mb=8000)]
    with SlurmRig(nodes, ["PartitionName=htc Nodes=htc-[1-2] Default=YES DefMemPerCPU=500"]) as rig:
        rig.mark_absent("htc-[1-2]")
        settings = json.loads((place / "slurm.json").read_text())
        settings["scheduler"]["slurm_conf"] = rig.env["SLURM_CONF"]
        (place / "slurm.json").write_text(json.dumps(settings))
        commands = examples("4.")
        assert [command.split()[0] for command, _ in commands] == ["sbatch", "azaks", "azaks"]
        walk(commands, place, SLURM_CONF=rig.env["SLURM_CONF"])
