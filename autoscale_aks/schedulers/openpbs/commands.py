"""PBS's commands: which are run, with what environment, and how a captured complex answers in their place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.process import Answer, stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.schedulers.openpbs.settings import PbsSettings
    from autoscale_aks.schedulers.process import Output, Runner

DROPPED: Final = ("PBS_",)
KEPT: Final = frozenset({"PBS_CONF_FILE", "PBS_SERVER"})
"""A user's own settings change what a query prints; where the server is does not."""

NODES_AT_ONCE: Final = 100
"""Node names in one command line."""

_NO_NODES: Final = "no node list"

_CAPTURED: Final[Mapping[str, str]] = {
    "jobs": "qstat-f.json",
    "subjobs": "qstat-ft.json",
    "queues": "qstat-Qf.json",
    "server": "qstat-Bf.json",
    "nodes": "pbsnodes-a.json",
    "list resource": "qmgr-list-resource.txt",
    "list sched": "qmgr-list-sched.txt",
}
_REQUIRED: Final = frozenset({"jobs", "subjobs", "nodes"})


@dataclass(frozen=True, slots=True)
class PbsCommands:
    """The commands of one complex, run by `runner`. Every method may raise SchedulerError."""

    runner: Runner
    settings: PbsSettings

    def stream_jobs(self) -> Output:
        """Every job that waits or runs, as PBS prints them; with subjobs where the settings say so."""
        subjobs = ("-t",) if self.settings.subjobs else ()
        return stream(self.runner, (self.settings.qstat, *subjobs, "-f", "-F", "json"), self._env())

    def show_queues(self) -> Answer:
        """Queues with limits, defaults and stocks."""
        return self._run(self.settings.qstat, "-Qf", "-F", "json")

    def show_server(self) -> Answer:
        """The server with limits and stocks."""
        return self._run(self.settings.qstat, "-Bf", "-F", "json")

    def show_nodes(self) -> Answer:
        """Every node. A server that has none makes an error of it."""
        try:
            return self._run(self.settings.pbsnodes, "-a", "-F", "json")
        except SchedulerError as error:
            if _NO_NODES in str(error):
                return Answer("")
            raise

    def version(self) -> Answer:
        """The version of the commands."""
        return self._run(self.settings.qstat, "--version")

    def list(self, what: str) -> Answer:
        """`resource` (their types), `sched` (where the scheduler's files are) or `hook`."""
        return self.manage(f"list {what}")

    def manage(self, directive: str) -> Answer:
        """One directive of qmgr."""
        return self._run(self.settings.qmgr, "-c", directive)

    def close(self, names: Sequence[str], comment: str) -> None:
        """Mark nodes offline, with a comment that says why."""
        self._run(self.settings.pbsnodes, "-C", comment, "-o", *names)

    def reopen(self, names: Sequence[str]) -> None:
        """Take the offline mark and the comment away."""
        self._run(self.settings.pbsnodes, "-C", "", "-r", *names)

    def comment(self, job: str, words: str) -> None:
        """Set a job's comment, which takes an operator."""
        self._run(self.settings.qalter, "-W", f"comment={words}", job)

    def run_program(self, args: Sequence[str]) -> Answer:
        """A program of sched_config."""
        return self._run(*args)

    def _run(self, *args: str) -> Answer:
        return self.runner.run(args, self._env())

    def _env(self) -> Mapping[str, str]:
        conf = self.settings.pbs_conf
        return {} if conf is None else {"PBS_CONF_FILE": str(conf)}


@dataclass(slots=True)
class CaptureRunner:
    """Answers queries from captured files; commands that change something change nothing and are `recorded`."""

    directory: Path
    recorded: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:  # noqa: ARG002 - files need no environment
        """The file that holds what this query printed. Raises SchedulerError when jobs or nodes are missing."""
        what = _query(args)
        if what is None:
            self.recorded.append(tuple(args))
            return Answer("")
        path = self.directory / _CAPTURED[what]
        try:
            return Answer(path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            if what not in _REQUIRED:
                return Answer("")
            raise SchedulerError(
                f"{path}: no such captured file; a capture holds qstat-f.json and pbsnodes-a.json"
            ) from None
        except OSError as error:
            raise SchedulerError(f"{path}: cannot be read: {error.strerror}") from error


def _query(args: Sequence[str]) -> str | None:
    if "-Qf" in args:
        return "queues"
    if "-Bf" in args or "--version" in args:
        return "server"
    if "-a" in args:
        return "nodes"
    if "-f" in args:
        return "subjobs" if "-t" in args else "jobs"
    directive = args[-1] if len(args) > 1 and args[-2] == "-c" else ""
    return directive if directive in _CAPTURED else None
