"""Running a scheduler's programs: argument lists, a timeout, bounded output, an environment of our choosing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final, NamedTuple, Protocol

from autoscale_aks.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULT_TIMEOUT_S: Final = 60.0
DEFAULT_OUTPUT_LIMIT: Final = 2**30
_ERROR_LIMIT: Final = 64 * 1024
_BLOCK: Final = 1 << 16
_PATIENCE_S: Final = 1.0
_SHOWN_LINES: Final = 3


class Answer(NamedTuple):
    """What a program printed; `warnings` are its lines on stderr although it succeeded."""

    text: str
    warnings: tuple[str, ...] = ()


class Runner(Protocol):
    """Runs one program to its end. Raises SchedulerError when it fails, and never blocks beyond its timeout."""

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        """Run `args` with these variables added to the environment and return what it printed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SubprocessRunner:
    """Runs real programs, without a shell.

    `environment` is what programs inherit, without the variables that begin with one of `dropped` (the user's own
    settings would change what a query prints) unless they stand in `kept`. Messages are those of the C locale.
    """

    environment: Mapping[str, str]
    timeout_s: float = DEFAULT_TIMEOUT_S
    output_limit: int = DEFAULT_OUTPUT_LIMIT
    dropped: tuple[str, ...] = ()
    kept: frozenset[str] = field(default_factory=frozenset)

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        """Run it. Raises SchedulerError with the command, the exit code and its first words on stderr."""
        shown = _shown(args)
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list from the site's configuration, no shell
                list(args),
                env=self._environment(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise SchedulerError(
                f"{shown}: cannot be started: {error.strerror}; install it here or give its full path in scheduler"
            ) from error
        with process:
            return self._finish(process, shown)

    def _finish(self, process: subprocess.Popen[bytes], shown: str) -> Answer:
        kill = _Killer(process)
        output = _Collector(process.stdout, self.output_limit, kill)
        errors = _Collector(process.stderr, _ERROR_LIMIT, None)
        try:
            code = process.wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            kill()
            raise SchedulerError(
                f"{shown}: no answer after {self.timeout_s:g} s; is the scheduler up? (scheduler.timeout_s)"
            ) from None
        finally:
            for collector in (output, errors):
                if process.returncode is None or not collector.wait(_PATIENCE_S):
                    kill()
                    collector.wait(_PATIENCE_S)
        if output.overflowed:
            raise SchedulerError(
                f"{shown}: printed more than {self.output_limit} bytes; raise scheduler.max_output_bytes"
            )
        lines = tuple(line for line in errors.text().splitlines() if line.strip())
        if code:
            said = " | ".join(lines[:_SHOWN_LINES]) or " | ".join(output.text().splitlines()[:_SHOWN_LINES])
            raise SchedulerError(f"{shown}: exit code {code}: {said or 'it said nothing'}; run it by hand to see more")
        return Answer(output.text(), lines)

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in self.environment.items()
            if name in self.kept or not name.startswith((*self.dropped, "LC_", "LANGUAGE"))
        }
        return {**inherited, "LC_ALL": "C", **env}


class _Killer:
    """Ends a program with everything it started, once."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._done = threading.Event()

    def __call__(self) -> None:
        if not self._done.is_set():
            self._done.set()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


class _Collector:
    """Reads one pipe in the background, keeping at most `limit` bytes; beyond it calls `too_much`, if any."""

    def __init__(self, pipe: IO[bytes] | None, limit: int, too_much: Callable[[], None] | None) -> None:
        self.overflowed = False
        self._blocks: list[bytes] = []
        self._thread = threading.Thread(target=self._read, args=(pipe, limit, too_much), daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the pipe; False when somebody still holds it open."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def text(self) -> str:
        """What was read; bytes that are no UTF-8 become replacement characters."""
        return b"".join(self._blocks).decode("utf-8", "replace")

    def _read(self, pipe: IO[bytes] | None, limit: int, too_much: Callable[[], None] | None) -> None:
        left = limit
        while pipe is not None:
            block = os.read(pipe.fileno(), _BLOCK)
            if not block:
                return
            if len(block) > left:
                self.overflowed = True
                if too_much is not None:
                    too_much()
                    return
            self._blocks.append(block[:left])
            left -= len(block[:left])


def _shown(args: Sequence[str]) -> str:
    """A command for a message: short, on one line."""
    text = " ".join(args).replace("\t", "<TAB>").replace("\n", " ")
    return text if len(text) <= 120 else text[:117] + "..."
