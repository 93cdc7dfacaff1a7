"""What drivers have in common that run a scheduler's own commands: settings, names, answers, failures, waiting jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, TypeVar

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.model.job import Job
from autoscale_aks.schedulers.process import DEFAULT_OUTPUT_LIMIT, DEFAULT_TIMEOUT_S, SubprocessRunner
from autoscale_aks.schedulers.settings import (
    read_job_reasons,
    read_output_limit,
    read_path,
    read_timeout,
    read_unknown_reasons,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.model.job import JobShape
    from autoscale_aks.planning.reading import Reader
    from autoscale_aks.schedulers.port import SchedulerNode
    from autoscale_aks.schedulers.process import Answer, Runner

_T = TypeVar("_T")
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,253}\Z")
_SHOWN_WARNINGS: Final = 10
_REFUSALS: Final = 3
_LONGEST_WORDS: Final = 200
_LONGEST_VERSION: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandedSettings:
    """The settings that every such scheduler has; its own class says what each means."""

    timeout_s: float = DEFAULT_TIMEOUT_S
    max_output_bytes: int = DEFAULT_OUTPUT_LIMIT
    capture_dir: Path | None = None
    capture_nodes: bool = False
    unknown_is_runnable: bool = True
    job_reasons: bool = False

    @property
    def takes_reasons(self) -> int:
        """How many reasons may be written to jobs in one cycle: each is a command of its own."""
        return MOST_REASONS if self.job_reasons else 0


MOST_REASONS: Final = 50
COMMANDED_KEYS: Final = (
    "type", "timeout_s", "max_output_bytes", "capture_dir", "capture_nodes", "unknown_reasons", "job_reasons",
)  # fmt: skip


class CommandedValues(TypedDict):
    """`CommandedSettings` as keyword arguments."""

    timeout_s: float
    max_output_bytes: int
    capture_dir: Path | None
    capture_nodes: bool
    unknown_is_runnable: bool
    job_reasons: bool


def read_commanded(reader: Reader, raw: Mapping[str, Any], path: str, base: Path | None) -> CommandedValues:
    """What `COMMANDED_KEYS` say."""
    return {
        "timeout_s": read_timeout(reader, raw, path, DEFAULT_TIMEOUT_S),
        "max_output_bytes": read_output_limit(reader, raw, path, DEFAULT_OUTPUT_LIMIT),
        "capture_dir": read_path(reader, raw, "capture_dir", path, base),
        "capture_nodes": reader.flag(raw, "capture_nodes", path, default=False),
        "unknown_is_runnable": read_unknown_reasons(reader, raw, path),
        "job_reasons": read_job_reasons(reader, raw, path),
    }


def runner_of(
    settings: CommandedSettings,
    environment: Mapping[str, str],
    captured: Callable[[Path], Runner],
    *,
    dropped: tuple[str, ...],
    kept: frozenset[str],
) -> Runner:
    """What answers the commands: programs, or the captured files where the settings name a directory of them."""
    if settings.capture_dir is not None:
        return captured(settings.capture_dir)
    return SubprocessRunner(
        environment=environment,
        timeout_s=settings.timeout_s,
        output_limit=settings.max_output_bytes,
        dropped=dropped,
        kept=kept,
    )


def checked_names(names: Sequence[str], *, reserved: frozenset[str] = frozenset()) -> Iterator[str]:
    """Names that a command takes for one node each, once: no lists, no patterns, no options, none of `reserved`.

    Raises SchedulerError for others.
    """
    for name in dict.fromkeys(names):
        if not _SAFE_NAME.match(name) or name.lower() in reserved:
            raise SchedulerError(f"{name[:60]!r} is no node name")
        yield name


def one_line(words: str, limit: int = _LONGEST_WORDS) -> str:
    """A reason as schedulers keep them: printable, on one line, short."""
    return "".join(char if char.isprintable() else " " for char in words)[:limit]


def first_line(text: str, limit: int = _LONGEST_VERSION) -> str:
    """The first line with anything on it, as one that can be shown."""
    return next((one_line(line.strip(), limit) for line in text.splitlines() if line.strip()), "")


def first_match(patterns: Mapping[str, _T], name: str) -> _T | None:
    """What the first pattern that a name matches stands for; None: nobody says."""
    return next((found for pattern, found in patterns.items() if fnmatchcase(name, pattern)), None)


def text_of(what: str, answer: Answer, problems: list[Problem]) -> str:
    """What a command printed; what it complained of is reported."""
    report_warnings(what, answer.warnings, problems)
    return answer.text


def report_warnings(what: str, warnings: Sequence[str], problems: list[Problem]) -> None:
    """Report the first lines that a command wrote to its standard error."""
    problems.extend(Problem(what, line[:200]) for line in warnings[:_SHOWN_WARNINGS])


def try_each(items: Iterable[_T], act: Callable[[_T], object]) -> list[SchedulerError]:
    """Do it for each; one that fails stops no other. The failures."""
    failures: list[SchedulerError] = []
    for item in items:
        try:
            act(item)
        except SchedulerError as error:
            failures.append(error)
    return failures


def try_chunks(names: Sequence[str], size: int, act: Callable[[Sequence[str]], object]) -> list[SchedulerError]:
    """Do it for `size` names at once; a chunk that fails is tried name by name. The failures."""
    failures: list[SchedulerError] = []
    for start in range(0, len(names), size):
        chunk = names[start : start + size]
        failed = try_each([chunk], act)
        failures.extend(try_each([[name] for name in chunk], act) if failed and len(chunk) > 1 else failed)
    return failures


def raise_first(failures: Sequence[SchedulerError]) -> None:
    """Raise the first failure, if there is one."""
    if failures:
        raise failures[0]


def write_reasons(reasons: Mapping[str, str], write: Callable[[str, str], bool]) -> tuple[str, ...]:
    """Give each job its reason; `write` says whether there was a place for it. The jobs it was written to.

    One that is refused stops no other, but three in a row stop the rest: a server that does not answer would take its
    time with each. Raises SchedulerError when nothing was written and something refused.
    """
    said: list[str] = []
    failures: list[SchedulerError] = []
    in_a_row = 0
    for name, reason in reasons.items():
        try:
            if write(name, reason):
                said.append(name)
            in_a_row = 0
        except SchedulerError as error:
            failures.append(error)
            in_a_row += 1
            if in_a_row == _REFUSALS:
                break
    if not said:
        raise_first(failures)
    return tuple(said)


def jobs_by_node(
    running: Mapping[str, tuple[str, ...]], nodes: Iterable[SchedulerNode] | None
) -> dict[str, tuple[str, ...]]:
    """What runs where, by the jobs and by the nodes' own lists: either is believed."""
    found = dict(running)
    for node in nodes or ():
        if node.job_ids:
            found[node.name] = tuple(dict.fromkeys((*node.job_ids, *found.get(node.name, ()))))
    return found


class Submission(NamedTuple):
    """Whose job it is and where it waits: what all jobs made of one record share."""

    priority: float = 0.0
    queue: str = ""
    user: str = ""
    path: str = ""

    def job(self, name: str, shape: JobShape, *, why: str = "", count: int = 1, problem: Problem | None = None) -> Job:
        """The job; with `why` it may not run, for that reason."""
        return Job(
            name=name,
            shape=shape,
            count=count,
            runnable=not why,
            not_runnable_reason=why,
            priority=self.priority,
            queue=self.queue,
            user=self.user,
            path=self.path,
            problem=problem,
        )
