"""Running a scheduler's programs: argument lists, a timeout, bounded output, an environment of our choosing."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import select
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

from autoscale_aks.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DEFAULT_TIMEOUT_S: Final = 60.0
DEFAULT_OUTPUT_LIMIT: Final = 2**30
_ERROR_LIMIT: Final = 64 * 1024
_BLOCK: Final = 1 << 18
_PIPE: Final = 1 << 20
"""Programs that print much wait less often in a larger pipe than the usual 64 KiB."""
_PATIENCE_S: Final = 1.0
_SHOWN_LINES: Final = 3
_LOOK_S: Final = 0.25
"""How often we look whether a program that prints nothing has ended."""


class Answer(NamedTuple):
    """What a program printed; `warnings` are its lines on stderr although it succeeded."""

    text: str
    warnings: tuple[str, ...] = ()


class Output:
    """What a program prints, piece by piece while it runs, once. `warnings` are complete when the pieces are."""

    def __init__(self) -> None:
        self.warnings: tuple[str, ...] = ()
        self._pieces: Iterator[str] = iter(())

    @classmethod
    def of(cls, answer: Answer) -> Output:
        """An answer that is here already."""
        output = cls()
        output.warnings = answer.warnings
        output._pieces = iter((answer.text,))
        return output

    def __iter__(self) -> Iterator[str]:
        """Raises SchedulerError, possibly behind many pieces, when the program fails."""
        return self._pieces


class Runner(Protocol):
    """Runs one program to its end. Raises SchedulerError when it fails, and never blocks beyond its timeout."""

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        """Run `args` with these variables added to the environment and return what it printed."""
        ...


@runtime_checkable
class StreamingRunner(Runner, Protocol):
    """A runner that need not keep all that a program prints."""

    def stream(self, args: Sequence[str], env: Mapping[str, str]) -> Output:
        """What `run` returns, piece by piece."""
        ...


def stream(runner: Runner, args: Sequence[str], env: Mapping[str, str]) -> Output:
    """What a program prints, piece by piece where the runner can, else in one piece."""
    if isinstance(runner, StreamingRunner):
        return runner.stream(args, env)
    return Output.of(runner.run(args, env))


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
        output = self.stream(args, env)
        return Answer("".join(output), output.warnings)

    def stream(self, args: Sequence[str], env: Mapping[str, str]) -> Output:
        """The same, piece by piece: never more than a few of them are in memory. It begins with the first piece.

        The time we take over a piece is not the program's.
        """
        output = Output()
        output._pieces = self._pieces(args, env, output)  # noqa: SLF001 - made here
        return output

    def _pieces(self, args: Sequence[str], env: Mapping[str, str], output: Output) -> Iterator[str]:
        shown = _shown(args)
        with self._start(args, env, shown) as process:
            kill = _Killer(process)
            errors = _Collector(process.stderr, _ERROR_LIMIT)
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            first, size = "", 0
            try:
                for block in _Blocks(process, self.timeout_s, kill, shown):
                    size += len(block)
                    if size > self.output_limit:
                        raise SchedulerError(
                            f"{shown}: printed more than {self.output_limit} bytes; raise scheduler.max_output_bytes"
                        )
                    piece = decoder.decode(block)
                    first = first or piece
                    yield piece
                yield decoder.decode(b"", final=True)
            finally:
                if process.poll() is None or not errors.wait(_PATIENCE_S):
                    kill()
                    errors.wait(_PATIENCE_S)
            lines = tuple(line for line in errors.text().splitlines() if line.strip())
            if process.returncode:
                said = " | ".join(lines[:_SHOWN_LINES]) or " | ".join(first.splitlines()[:_SHOWN_LINES])
                raise SchedulerError(
                    f"{shown}: exit code {process.returncode}: {said or 'it said nothing'}; run it by hand to see more"
                )
            output.warnings = lines

    def _start(self, args: Sequence[str], env: Mapping[str, str], shown: str) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - an argument list from the site's configuration, no shell
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


class _Blocks:
    """Reads the output as it comes and waits for the end; `timeout_s` is what we wait for the program in all."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float, kill: _Killer, shown: str) -> None:
        self._process = process
        self._left_s = timeout_s
        self._kill = kill
        self._late = f"{shown}: no answer after {timeout_s:g} s; is the scheduler up? (scheduler.timeout_s)"

    def __iter__(self) -> Iterator[bytes]:
        pipe = self._process.stdout
        if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # a user has only so much; a small pipe does as well
                fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
        while pipe is not None and self._has_more(pipe.fileno()):
            block = os.read(pipe.fileno(), _BLOCK)
            if not block:
                break
            yield block
        try:
            self._process.wait(max(self._left_s, _LOOK_S))
        except subprocess.TimeoutExpired:
            self._kill()
            raise SchedulerError(self._late) from None

    def _has_more(self, pipe: int) -> bool:
        """Wait until there is something to read; False when the program has ended and another keeps its pipe open."""
        quiet_s = 0.0
        poll = select.poll()  # knows descriptors of any number, which select() does not
        poll.register(pipe, select.POLLIN)
        while True:
            began = time.monotonic()
            ready = poll.poll(1000 * min(_LOOK_S, max(self._left_s, 0.0)))
            waited = time.monotonic() - began
            self._left_s -= waited
            if ready:
                return True
            if self._process.poll() is not None:
                quiet_s += waited
                if quiet_s >= _PATIENCE_S:
                    self._kill()
                    return False
            if self._left_s <= 0:
                self._kill()
                raise SchedulerError(self._late)


class _Collector:
    """Reads one pipe in the background, keeping at most `limit` bytes."""

    def __init__(self, pipe: IO[bytes] | None, limit: int) -> None:
        self._blocks: list[bytes] = []
        self._thread = threading.Thread(target=self._read, args=(pipe, limit), daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the pipe; False when somebody still holds it open."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def text(self) -> str:
        """What was read; bytes that are no UTF-8 become replacement characters."""
        return b"".join(self._blocks).decode("utf-8", "replace")

    def _read(self, pipe: IO[bytes] | None, limit: int) -> None:
        left = limit
        while pipe is not None:
            block = os.read(pipe.fileno(), _BLOCK)
            if not block:
                return
            self._blocks.append(block[:left])
            left -= len(block[:left])


def _shown(args: Sequence[str]) -> str:
    """A command for a message: short, on one line."""
    text = " ".join(args).replace("\t", "<TAB>").replace("\n", " ")
    return text if len(text) <= 120 else text[:117] + "..."
