"""docs/celery.md is walked command by command, on a Redis of its own; without one, what needs none of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from celery_rig import EXAMPLE, PATIENCE_S, CeleryRig, missing
from unit.reconcile.site_fixture import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "celery.md").read_text(encoding="utf-8")
URL, PORT = "redis://127.0.0.1:6379/0", "8800"
"""As the page has them; the walk takes a Redis and a port of its own."""


def commands() -> list[str]:
    (block,) = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s+# .*", "", line[2:]) for line in block.splitlines() if line.startswith("$ ")]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Walk:
    """Somebody's shell, in a copy of the example."""

    def __init__(self, place: Path) -> None:
        shutil.copytree(
            EXAMPLE, place / "examples" / "celery", ignore=shutil.ignore_patterns("azaks-cache", "*.sqlite")
        )
        self.port = free_port()
        self.place = place
        config = place / "examples" / "celery" / "autoscale.json"
        config.write_text(config.read_text().replace(PORT, self.port))
        self.env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        self.started: list[subprocess.Popen[bytes]] = []

    def say(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.place, env=self.env, capture_output=True, text=True, timeout=PATIENCE_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def leave_running(self, command: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.place, env=self.env, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.started.append(process)

    def emulate(self, command: str) -> None:
        self.leave_running(command.replace(PORT, self.port).removesuffix("&"))
        deadline = time.monotonic() + PATIENCE_S
        while not self.listens():
            assert self.started[-1].poll() is None, f"{command} has ended"
            assert time.monotonic() < deadline, f"{command} does not listen"
            time.sleep(0.05)

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self.port))) == 0

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def walking() -> Iterator[Walk]:
    with scratch() as place:
        walk = Walk(place)
        try:
            yield walk
        finally:
            walk.end()


def test_the_cluster_of_the_page_stands_up_without_any_broker() -> None:
    (command,) = [one for one in commands() if one.startswith("azaks emulate ")]
    with walking() as walk:
        walk.emulate(command)
        assert "azaks" in walk.say("azaks version")


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=f"NO REAL CELERY HERE: {missing()}")
def test_the_page_is_true_to_the_letter_on_a_redis() -> None:
    export, send, emulate, demand, autoscale, worker = commands()
    with CeleryRig() as rig, walking() as walk:
        assert export == f"export CELERY_BROKER_URL={URL}"
        walk.env["CELERY_BROKER_URL"] = rig.url
        walk.say(send)
        walk.place = walk.place / re.findall(r"^cd (\S+) && ", send)[0]
        walk.emulate(emulate)
        assert "6 slots asked for by 1 job record; 6 placed." in walk.say(demand)
        walk.say(autoscale)
        names = walk.say("azaks machines list -c autoscale.json --format csv --columns name").split()[1:]
        assert len(names) == 2, "six tasks of one core on machines of four"
        walk.leave_running(worker.replace("MACHINE", names[0]))
        deadline = time.monotonic() + PATIENCE_S
        while "Ready" not in walk.say(f"azaks nodes -c autoscale.json --filter name={names[0]} --format csv"):
            assert walk.started[-1].poll() is None, "the worker has ended"
            assert time.monotonic() < deadline, "the machine never became a worker"
