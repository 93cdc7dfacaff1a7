"""A private Redis, and Celery workers of examples/celery as machines would start them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

EXAMPLE = Path(__file__).parents[2] / "examples" / "celery"
PATIENCE_S = 60.0


def missing() -> str:
    """What is not installed here; empty when all is."""
    if shutil.which("redis-server") is None:
        return "redis-server: apt-get install --no-install-recommends redis-server"
    try:
        import celery  # noqa: F401, PLC0415
        import redis  # noqa: F401, PLC0415
    except ImportError:
        return "celery: pip install '.[celery]'"
    return ""


class CeleryRig:
    """A running private Redis; workers are ended with it. A context manager."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._redis: subprocess.Popen[bytes] | None = None
        self.directory = Path()
        self.url = ""

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="celery-rig-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}/0"
        self._redis = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", str(self.directory)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.workers.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._redis is not None:
            self._redis.terminate()
            self._redis.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def send(self, code: str) -> None:
        """Run `code` with the example's application imported: `sleep.delay(1)`."""
        script = f"from app import app, sleep, train\n{code}"
        subprocess.run([sys.executable, "-c", script], cwd=EXAMPLE, env=self._env(), check=True, timeout=PATIENCE_S)

    def boot(self, machine: str, queues: str, concurrency: int) -> None:
        """What a machine's boot does: start the example's worker under the machine's name."""
        log = (self.directory / f"{machine}.log").open("wb")
        self.workers[machine] = subprocess.Popen(
            [str(EXAMPLE / "start-worker.sh"), machine, queues, str(concurrency)],
            env=self._env(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        log.close()

    def log(self, machine: str) -> str:
        """What a worker printed."""
        return (self.directory / f"{machine}.log").read_text(errors="replace")

    def _env(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("CELERY_", "C_FORCE"))}
        return {**kept, "PATH": path, "CELERY_BROKER_URL": self.url, "PYTHONDONTWRITEBYTECODE": "1"}
