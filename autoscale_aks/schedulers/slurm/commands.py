"""Slurm's commands: which are run, with what environment, and how a captured queue answers in their place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.process import Answer
from autoscale_aks.schedulers.slurm.records import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.schedulers.process import Runner

QUERY_ENV: Final[Mapping[str, str]] = {"SLURM_BITSTR_LEN": "0", "SLURM_TIME_FORMAT": "standard", "TZ": "UTC"}
"""Array ids in full length, and times without a locale or a zone of their own."""

DROPPED: Final = ("SLURM_", "SQUEUE_", "SBATCH_", "SINFO_", "SCONTROL_")
KEPT: Final = frozenset({"SLURM_CONF"})
"""A user's own settings change what a query prints; where the configuration is does not."""

NODES_AT_ONCE: Final = 200
"""Node names in one command line."""

_QUEUE: Final = ("--noheader", "--all", "--local", "--noconvert", "--sort=i", "--Format=" + ":\t,".join(FIELDS) + ":")
_EXCLUDED: Final = ("--noheader", "--all", "--local", "--states=PENDING", "--format=%A %x")


@dataclass(frozen=True, slots=True)
class SlurmCommands:
    """The commands of one cluster, run by `runner`. Every method may raise SchedulerError."""

    runner: Runner
    squeue: str = "squeue"
    scontrol: str = "scontrol"
    env: Mapping[str, str] = field(default_factory=dict)

    def show_queue(self) -> Answer:
        """Every waiting and running job, one a line."""
        return self._run(self.squeue, *_QUEUE)

    def show_excluded(self) -> Answer:
        """Waiting jobs and the hosts they will not have; `--Format` has no word for these."""
        return self._run(self.squeue, *_EXCLUDED)

    def version(self) -> Answer:
        """The version of the commands, which is that of the cluster or a newer one."""
        return self._run(self.squeue, "--version")

    def show_nodes(self) -> Answer:
        """All nodes, hidden ones and GPUs in use included. (Asked for by name, an unknown one is an error.)"""
        return self._run(self.scontrol, "-a", "-d", "-o", "show", "nodes")

    def show(self, what: str) -> Answer:
        """`partitions` or `licenses`, one a line; or `config`."""
        return self._run(self.scontrol, "-a", "-o", "show", what)

    def update_node(self, names: Iterable[str], *changes: str) -> None:
        """`scontrol update nodename=…`: all these nodes or none of them."""
        self._run(self.scontrol, "update", f"nodename={','.join(names)}", *changes)

    def update_job(self, job: str, *changes: str) -> None:
        """`scontrol update jobid=…`: a job, an array or one of its tasks."""
        self._run(self.scontrol, "update", f"jobid={job}", *changes)

    def create_node(self, name: str, *attributes: str) -> None:
        """Make a dynamic node. Slurm answers 0 also when it did nothing: look afterwards."""
        self._run(self.scontrol, "create", f"nodename={name}", *attributes)

    def delete_node(self, name: str) -> None:
        """Forget a node."""
        self._run(self.scontrol, "delete", f"nodename={name}")

    def _run(self, *args: str) -> Answer:
        return self.runner.run(args, {**QUERY_ENV, **self.env})


_QUERIES: Final = ("--Format=", "--format=", "--version")
_CAPTURED: Final = {"": "squeue.txt", "excluded": "squeue-excluded.txt"}


@dataclass(slots=True)
class CaptureRunner:
    """Answers queries from captured files, so that a real queue can be looked at again anywhere.

    `squeue` is answered by `squeue.txt`, `scontrol … show nodes` by `scontrol-show-nodes.txt` and so on; which hosts
    jobs exclude stands in `squeue-excluded.txt`, where there is one. Commands that change something change nothing;
    they are kept in `recorded`.
    """

    directory: Path
    recorded: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:  # noqa: ARG002 - files need no environment
        """The file that holds what this query printed. Raises SchedulerError when the queue or nodes are missing."""
        if "show" not in args and not any(arg.startswith(_QUERIES) for arg in args):
            self.recorded.append(tuple(args))
            return Answer("")
        what = args[args.index("show") + 1] if "show" in args else "config" if "--version" in args else ""
        if _EXCLUDED[-1] in args:
            what = "excluded"
        name = _CAPTURED.get(what, f"scontrol-show-{what}.txt")
        path = self.directory / name
        try:
            return Answer(path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            if what in {"licenses", "partitions", "config", "excluded"}:
                return Answer("")
            raise SchedulerError(
                f"{path}: no such captured file; a capture holds squeue.txt and scontrol-show-nodes.txt"
            ) from None
        except OSError as error:
            raise SchedulerError(f"{path}: cannot be read: {error.strerror}") from error
