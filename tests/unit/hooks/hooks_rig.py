"""Running hook files as a scheduler does: as programs of their own, with a directory of their own."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOOKS = Path(__file__).parents[3] / "autoscale_aks" / "hooks"
CORE = ("# --- core:", "# --- end of the core")
PATIENCE_S = 20.0


def old_python() -> str | None:
    """A Python 3.6 to run the hooks with, where there is one."""
    for found in (os.environ.get("PYTHON36"), shutil.which("python3.6")):
        if found is None:
            continue
        try:
            version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        except OSError:
            continue
        if version.startswith("Python 3.6."):  # a shim may be there without the Python it stands for
            return found
    return None


@dataclass
class HookDir:
    """A directory with settings, a lock, a log, and a command that writes a line a cycle."""

    path: Path
    python: str = sys.executable

    def configure(self, **settings: Any) -> None:
        self.path.chmod(0o700)
        defaults = {
            "socket": str(self.path / "wake.sock"),
            "state_dir": str(self.path),
            "command": ["/bin/sh", "-c", f"echo cycle >> {self.path}/cycles"],
            "runner": [self.python, "-IS", str(HOOKS / "wake.py"), "--config", str(self.path / "wake.json")],
            "log": str(self.path / "hook.log"),
            "min_interval_s": 0.2,
            "settle_s": 0.3,
        }
        (self.path / "wake.json").write_text(json.dumps({**defaults, **settings}))

    def listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(str(self.path / "wake.sock"))
        listener.setblocking(False)
        return listener

    def run(self, *arguments: str, hook: str = "wake.py", **kwargs: Any) -> int:
        return subprocess.call([self.python, "-IS", str(HOOKS / hook), *arguments], **kwargs)

    def wake(self, *arguments: str, **kwargs: Any) -> int:
        return self.run("--config", str(self.path / "wake.json"), *arguments, **kwargs)

    def install(self, name: str, hook: str = "slurm_power.py") -> Path:
        """A copy of a hook beside the settings, linked under the name Slurm calls."""
        for file in (hook, "wake.py"):
            shutil.copy(HOOKS / file, self.path / file)
        link = self.path / name
        if not link.exists():
            link.symlink_to(hook)
        return link

    def log(self) -> str:
        path = self.path / "hook.log"
        return path.read_text() if path.exists() else ""

    def cycles(self) -> int:
        path = self.path / "cycles"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_idle(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until no detached cycle runs or is owed."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            with (self.path / "wake.lock").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    time.sleep(0.02)
                    continue
                if not (self.path / "wake.again").exists():
                    return
            time.sleep(0.02)
        raise AssertionError(f"a cycle is still owed:\n{self.log()}")
