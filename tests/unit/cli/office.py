"""A configuration file, a queue in a file, and an emulator: what the program needs when it is run as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unit.reconcile.fakes import config_document

if TYPE_CHECKING:
    from autoscale_aks.emulator.server import EmulatorServer

ROOT = Path(__file__).parents[3]
ESCAPE = "\x1b"


@dataclass(slots=True)
class Office:
    """Where an operator sits."""

    directory: Path
    emulator: EmulatorServer

    @property
    def config(self) -> str:
        return str(self.directory / "autoscale.json")

    def configure(self, **more: Any) -> None:
        self.write("autoscale.json", config_document(self.emulator.base_url, **more))

    def queue(self, *jobs: dict[str, Any]) -> None:
        self.write("jobs.json", {"jobs": list(jobs)})

    def write(self, name: str, content: Any) -> Path:
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def machines(self) -> list[str]:
        return sorted(machine.name for pool in self.emulator.state.pools() for machine in pool.listed())


def work(name: str = "a", cpus: int = 4, **more: Any) -> dict[str, Any]:
    return {"name": name, "constraints": [{"ncpus": cpus}], **more}


def run(
    *arguments: str, stdin: str | bytes = b"", cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`azaks` as a process of its own, away from any terminal."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    env = {**os.environ, "PYTHONWARNINGS": "error", **environment}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from autoscale_aks.cli.main import main; sys.exit(main())", *arguments],
        input=given, capture_output=True, timeout=60, cwd=cwd or ROOT, env=env, check=False,
    )  # fmt: skip
    return subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())
