"""Grid Engine's commands: which are run, with what environment, and how a captured cluster answers in their place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.process import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.schedulers.gridengine.settings import GridEngineSettings
    from autoscale_aks.schedulers.process import Runner

CONTEXT: Final = "azaks"
"""The variable of a job's context that holds our reason."""

JOBS_AT_ONCE: Final = 500
"""Job ids in one command line."""

_NOTHING: Final = re.compile(r"\bno \S.* (defined|found)|No cluster queue or queue instance matches", re.IGNORECASE)
"""What qconf says, with exit code 1, when there is nothing of a kind."""


@dataclass(frozen=True, slots=True)
class GridEngineCommands:
    """The commands of one cluster, run by `runner`. Every method may raise SchedulerError."""

    runner: Runner
    settings: GridEngineSettings

    def show_jobs(self) -> Answer:
        """Every waiting and running job of every user, with its requests."""
        return self._run(self.settings.qstat, "-xml", "-r", "-u", "*")

    def show_future(self) -> Answer:
        """Waiting jobs that were given a start time, due or not."""
        return self._run(self.settings.qstat, "-xml", "-r", "-u", "*", "-s", "ha")

    def show_details(self, jobs: Sequence[str]) -> Answer:
        """Array limits and the scheduler's reasons of single jobs."""
        return self._run(self.settings.qstat, "-xml", "-j", ",".join(jobs))

    def show_hosts(self) -> Answer:
        """Every host with its resources, queues and jobs."""
        return self._run(self.settings.qhost, "-xml", "-F", "-q", "-j")

    def show(self, option: str, *names: str) -> Answer:
        """Something of the configuration (`-sc`, `-sq NAME` …); empty where there is nothing of the kind."""
        try:
            return self._run(self.settings.qconf, option, *names)
        except SchedulerError as error:
            if _NOTHING.search(str(error)):
                return Answer("")
            raise

    def version(self) -> Answer:
        """The version, which stands above the help of each command."""
        return self._run(self.settings.qstat, "-help")

    def change(self, *args: str) -> str:
        """Change the configuration; what qconf said."""
        return self._run(self.settings.qconf, *args).text

    def modify(self, *args: str) -> str:
        """Change the state of queues or jobs; what qmod said."""
        return self._run(self.settings.qmod, *args).text

    def tell(self, job: str, words: str) -> None:
        """Put words into a job's context, or take them away."""
        option = ("-ac", f"{CONTEXT}={words}") if words else ("-dc", CONTEXT)
        self._run(self.settings.qalter, *option, job)

    def _run(self, *args: str) -> Answer:
        env = {}
        if self.settings.sge_root is not None:
            env["SGE_ROOT"] = str(self.settings.sge_root)
        if self.settings.sge_cell is not None:
            env["SGE_CELL"] = self.settings.sge_cell
        return self.runner.run(args, env)


_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "jobs": ("qstat-all.xml",),
    "future": ("qstat-future.xml",),
    "details": ("qstat-j.xml",),
    "hosts": ("qhost-F.xml", "qhost-j-q.xml"),
}
_REQUIRED: Final = frozenset({"jobs", "hosts"})


@dataclass(slots=True)
class CaptureRunner:
    """Answers queries from captured files; commands that change something change nothing and are `recorded`.

    `qconf -sp mpi` is answered by `qconf-sp-mpi.txt` and so on, `qconf -sq *` by all `qconf-sq-….txt`.
    """

    directory: Path
    recorded: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:  # noqa: ARG002 - files need no environment
        """The file that holds what this query printed. Raises SchedulerError when jobs or hosts are missing."""
        what = _query(args)
        if what is not None:
            texts = [text for name in _FILES[what] if (text := self._text(self.directory / name)) is not None]
            if texts or what not in _REQUIRED:
                return Answer("\n".join(texts))
            raise SchedulerError(f"{self.directory}: no {_FILES[what][0]}; a capture holds it and qhost-F.xml")
        if len(args) < 2 or not args[1].startswith("-s"):
            self.recorded.append(tuple(args))
            return Answer("")
        stem = f"qconf{args[1]}"
        if args[-1] == "*":
            paths = sorted(self.directory.glob(f"{stem}-*.txt"))
        else:
            paths = [self.directory / ("-".join([stem, *(name.lstrip("@") for name in args[2:])]) + ".txt")]
        return Answer("\n\n".join(text for path in paths if (text := self._text(path)) is not None))

    def _text(self, path: Path) -> str | None:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SchedulerError(f"{path}: cannot be read: {error.strerror}") from error
        return "" if _NOTHING.match(text.strip()) else text


def _query(args: Sequence[str]) -> str | None:
    if "-F" in args:
        return "hosts"
    if "-j" in args:
        return "details"
    if "-r" in args and "-xml" in args:
        return "future" if "ha" in args else "jobs"
    return None
