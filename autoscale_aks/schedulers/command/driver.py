"""A program or a file as the scheduler: `{"type": "command", …}`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.matching.constraint import write_value
from autoscale_aks.planning.reading import Reader
from autoscale_aks.schedulers.command.parse import parse_state
from autoscale_aks.schedulers.process import DEFAULT_OUTPUT_LIMIT, DEFAULT_TIMEOUT_S, SubprocessRunner
from autoscale_aks.schedulers.settings import finish, read_command, read_output_limit, read_path, read_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.schedulers.port import NewNode, NodeRequest, SchedulerState
    from autoscale_aks.schedulers.process import Runner

_KEYS: Final = ("type", "jobs", "jobs_file", "close", "reopen", "add", "remove", "timeout_s", "max_output_bytes")


_LONGEST_VARIABLE: Final = 100_000
"""Linux takes 128 KiB in one variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """The programs and files of a site's own scheduler. Programs are argument lists; no shell reads them.

    ================  ==============================================================================
    key               meaning
    ================  ==============================================================================
    jobs              program that prints the jobs (see `parse`)
    jobs_file         or the file that holds them; exactly one of the two
    close             program that keeps new work off nodes; their names follow as arguments. It prints
                      the names that are closed, one a line; when it prints nothing, all are.
                      Without it no node counts as closed, and so none is ever removed
    reopen            program that undoes `close`, with the names as arguments
    add, remove       programs that are told of new and of gone nodes, with the names as arguments. `add` is
                      told again in each cycle of those that the job list does not show yet, and what
                      each is stands in AUTOSCALE_NODES (JSON)
    timeout_s         seconds one program may take (60)
    max_output_bytes  most bytes one program may print, or the file may hold (1 GiB)
    ================  ==============================================================================
    """

    jobs: tuple[str, ...] = ()
    jobs_file: Path | None = None
    close: tuple[str, ...] = ()
    reopen: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    timeout_s: float = DEFAULT_TIMEOUT_S
    max_output_bytes: int = DEFAULT_OUTPUT_LIMIT


class CommandScheduler:
    """The scheduler port over programs."""

    def __init__(self, settings: CommandSettings, runner: Runner) -> None:
        self._settings = settings
        self._runner = runner

    def read(self) -> SchedulerState:
        """Run the program or read the file. Raises SchedulerError when there is no job list in it."""
        if self._settings.jobs_file is not None:
            return parse_state(self._file(self._settings.jobs_file), str(self._settings.jobs_file))
        answer = self._runner.run(self._settings.jobs, {})
        state = parse_state(answer.text, self._settings.jobs[0])
        said = tuple(Problem(self._settings.jobs[0], line[:200]) for line in answer.warnings[:10])
        return state if not said else _with_problems(state, said)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Tell the `add` program; AUTOSCALE_NODES says in JSON what each of them is."""
        names = [node.name for node in nodes]
        if self._settings.add and names:
            self._runner.run([*self._settings.add, *names], {"AUTOSCALE_NODES": _described(nodes)})

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        """Run the `close` program (AUTOSCALE_REASON says why); the names it prints, or all when it prints none."""
        if not self._settings.close or not names:
            return ()
        answer = self._runner.run([*self._settings.close, *names], {"AUTOSCALE_REASON": reason[:200]})
        printed = set(answer.text.split())
        return tuple(name for name in names if not printed or name in printed)

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Run the `reopen` program."""
        self._tell(self._settings.reopen, names)

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Tell the `remove` program."""
        self._tell(self._settings.remove, names)

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """Nothing to do: a program never asks for nodes by name."""

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:  # noqa: ARG002 - the port's
        """Nowhere: there is no program for it."""
        return ()

    def _tell(self, command: tuple[str, ...], names: Sequence[str]) -> None:
        if command and names:
            self._runner.run([*command, *names], {})

    def _file(self, path: Path) -> str:
        try:
            with path.open("rb") as stream:
                content = stream.read(self._settings.max_output_bytes + 1)
        except OSError as error:
            raise SchedulerError(f"{path}: cannot be read: {error.strerror} (scheduler.jobs_file)") from error
        if len(content) > self._settings.max_output_bytes:
            raise SchedulerError(f"{path}: larger than scheduler.max_output_bytes")
        return content.decode("utf-8", "replace")


def _described(nodes: Sequence[NewNode]) -> str:
    """What is known of new nodes, as JSON; short enough for an environment variable or cut to nothing."""
    text = json.dumps(
        [
            {
                "name": node.name,
                "nodearray": node.nodearray,
                "vm_size": node.vm_size,
                "placement_group": node.placement_group,
                "zone": node.zone,
                "address": node.address,
                "resources": {name: write_value(value) for name, value in node.resources.items()},
            }
            for node in nodes
        ],
        default=str,
    )
    return text if len(text) <= _LONGEST_VARIABLE else "[]"


def _with_problems(state: SchedulerState, more: tuple[Problem, ...]) -> SchedulerState:
    return replace(state, problems=(*more, *state.problems))


def read_settings(raw: Mapping[str, Any], *, path: str = "scheduler", base: Path | None = None) -> CommandSettings:
    """Raises ConfigError with every problem at once."""
    reader = Reader()
    reader.keys(raw, path, _KEYS)
    settings = CommandSettings(
        jobs=read_command(reader, raw, "jobs", path),
        jobs_file=read_path(reader, raw, "jobs_file", path, base),
        close=read_command(reader, raw, "close", path),
        reopen=read_command(reader, raw, "reopen", path),
        add=read_command(reader, raw, "add", path),
        remove=read_command(reader, raw, "remove", path),
        timeout_s=read_timeout(reader, raw, path, DEFAULT_TIMEOUT_S),
        max_output_bytes=read_output_limit(reader, raw, path, DEFAULT_OUTPUT_LIMIT),
    )
    if ("jobs" in raw) == ("jobs_file" in raw):
        reader.wrong(path, 'expected one of "jobs" (a program) and "jobs_file" (a file)')
    finish(reader)
    return settings


def build(settings: Mapping[str, Any], *, environment: Mapping[str, str], base: Path | None = None) -> CommandScheduler:
    """`{"type": "command", …}` → a scheduler. Raises ConfigError."""
    parsed = read_settings(settings, base=base)
    runner = SubprocessRunner(environment=environment, timeout_s=parsed.timeout_s, output_limit=parsed.max_output_bytes)
    return CommandScheduler(parsed, runner)
