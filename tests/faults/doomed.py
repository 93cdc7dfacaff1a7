"""Runs of the program that can be killed at any named step: a process that waits, and forks one child for each run.

The child is the program itself, with its own wiring, against an emulator in another process. What it does is cut into
named steps by wrapping its ports (ledger, scheduler, cloud, transport) from outside; the program has no test hook. At
the step it is told, it kills itself with SIGKILL, at once or moments later, in the middle of whatever it does then.

Reads one order a line from standard input, `{"step": N, "delay_s": S}` or `{"at": name}` or `{"after_s": S}` or `{}`,
and answers one line: `{"status": wait status, "steps": [names passed]}`. `at` is the first step of that name. With
`after_s` the parent kills, at a moment of the clock.
With `"act": [verb, arguments]` the run is that verb of the command line in place of a cycle.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from autoscale_aks.cli import acting, create, delete, drain, join, wiring
from autoscale_aks.cli.main import main as azaks
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.transport import HttpTransport
from autoscale_aks.config import load_config
from autoscale_aks.errors import LockHeldError
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.cloud.gate import Gate
    from autoscale_aks.config import Config
    from autoscale_aks.reconcile import World

HELD = 4
VERBS = (acting, create, delete, drain, join)


class RemoteClock:
    """The emulator's clock, which stands still unless somebody sleeps or a test moves it."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/_emulator/clock"
        self._base = float(self._ask(None)["now"])
        self._slept = 0.0

    def now(self) -> float:
        return self._base + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += max(seconds, 0.0)
        self._ask({"advance": max(seconds, 0.0)})

    def _ask(self, move: dict[str, float] | None) -> dict[str, Any]:
        data = None if move is None else json.dumps(move).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(self._url, data=data), timeout=30) as answer:
            return json.load(answer)


class Steps:
    """Counts named steps, tells of each, and dies at one of them."""

    def __init__(self, last: int | None, report: int, delay_s: float = 0.0, at: str | None = None) -> None:
        self._last = last
        self._at = at
        self._report = report
        self._delay_s = delay_s
        self._count = 0
        self._lock = threading.Lock()

    def pass_(self, name: str) -> None:
        with self._lock:
            os.write(self._report, f"{name}\n".encode())
            if self._count == self._last or name == self._at:
                self._die()
            self._count += 1

    def _die(self) -> None:
        if not self._delay_s:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Timer(self._delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()

    def wait(self) -> None:
        """A run that was told to die and was quicker than its death waits for it."""
        if self._last is not None and self._count > self._last:
            signal.pause()

    def wrap(self, part: str, port: Any) -> Any:
        return _Wrapped(self, part, port)


class _Wrapped:
    """A port, each call of which is a step before and a step after."""

    def __init__(self, steps: Steps, part: str, port: Any) -> None:
        self._steps = steps
        self._part = part
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._steps.pass_(f"{self._part}.{name}:before")
            result = found(*arguments, **options)
            self._steps.pass_(f"{self._part}.{name}:after")
            return result

        return call


class _WrappedTransport:
    """Each request is a step before it leaves and a step after its answer has come."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._transport = HttpTransport()

    def send(self, request: Any) -> Any:
        name = f"{request.method} {urlsplit(request.url).path.split('/')[-2]}"
        self._steps.pass_(f"{name}:before")
        result = self._transport.send(request)
        self._steps.pass_(f"{name}:after")
        return result

    def close(self) -> None:
        self._transport.close()


@contextmanager
def doomed_world(steps: Steps, config: Config, clock: RemoteClock, gate: Gate | None = None) -> Iterator[World]:
    """The program's own world, each port of it cut into steps."""
    with wiring.writing_world(config, clock, gate) as world:
        steps.pass_("begin")
        yield replace(
            world,
            ledger=steps.wrap("ledger", world.ledger),
            cloud=steps.wrap("cloud", world.cloud),
            scheduler=steps.wrap("scheduler", world.scheduler),
        )
        steps.pass_("end")
        steps.wait()


def act(config_path: str, order: list[str], steps: Steps, clock: RemoteClock) -> int:
    """One verb of the command line; its exit status. What it prints goes nowhere: our answers go there."""
    for module in (wiring, *VERBS):
        if hasattr(module, "SystemClock"):
            module.SystemClock = lambda: clock  # type: ignore[attr-defined]
    acting.writing_world = lambda config, _, gate: doomed_world(steps, config, clock, gate)  # type: ignore[assignment]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    verb, *arguments = order
    return azaks([verb, "-c", config_path, *arguments, "--yes", "--quiet"])


def live(config_path: str, order: dict[str, Any], report: int) -> int:
    """One run of the program; its exit status."""
    steps = Steps(order.get("step"), report, order.get("delay_s", 0.0), order.get("at"))
    config = load_config(config_path)
    clock = RemoteClock(config.aks.arm_url)
    effects = Effects(now=clock.now, sleep=clock.sleep, random=lambda: 0.0)
    wiring.Effects = lambda: effects  # type: ignore[assignment,misc]
    wiring.HttpTransport = lambda **_: _WrappedTransport(steps)  # type: ignore[assignment,misc]
    if "act" in order:
        return act(config_path, order["act"], steps, clock)
    try:
        with doomed_world(steps, config, clock) as world:
            run_cycle(world)
    except LockHeldError:
        return HELD
    return 0


def fork(config_path: str, order: dict[str, Any]) -> dict[str, Any]:
    """Let one child live and, if it was ordered so, die."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        status = 1
        try:
            status = live(config_path, order, writer)
        except BaseException:  # noqa: BLE001  whatever it is, the child ends here and says so
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writer)
    steps: list[bytes] = []
    drain = threading.Thread(target=lambda: steps.extend(_lines(reader)))
    drain.start()
    if "after_s" in order:
        time.sleep(order["after_s"])
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    drain.join()
    return {"status": status, "steps": [line.decode() for line in steps]}


def _lines(reader: int) -> list[bytes]:
    with os.fdopen(reader, "rb") as stream:
        return stream.read().splitlines()


def main() -> None:
    config_path = sys.argv[1]
    for line in sys.stdin:
        print(json.dumps(fork(config_path, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
