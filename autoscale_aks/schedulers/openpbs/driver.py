"""OpenPBS behind the scheduler port."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.schedulers.commanded import (
    checked_names,
    first_line,
    first_match,
    jobs_by_node,
    one_line,
    raise_first,
    report_warnings,
    runner_of,
    text_of,
    try_chunks,
    write_reasons,
)
from autoscale_aks.schedulers.openpbs.commands import DROPPED, KEPT, NODES_AT_ONCE, CaptureRunner, PbsCommands
from autoscale_aks.schedulers.openpbs.facts import (
    PbsFacts,
    SchedConfig,
    parse_hooks,
    parse_queues,
    parse_sched_config,
    parse_sched_priv,
    parse_server,
    parse_types,
)
from autoscale_aks.schedulers.openpbs.jobs import read_queue
from autoscale_aks.schedulers.openpbs.nodes import MARK, parse_nodes, read_nodes
from autoscale_aks.schedulers.openpbs.reasons import OUR_MARK
from autoscale_aks.schedulers.openpbs.settings import read_settings
from autoscale_aks.schedulers.openpbs.values import Kind, parse_value
from autoscale_aks.schedulers.port import SchedulerState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoscale_aks.schedulers.openpbs.nodes import NodeRecord
    from autoscale_aks.schedulers.openpbs.settings import PbsSettings
    from autoscale_aks.schedulers.port import NewNode, NodeRequest
    from autoscale_aks.schedulers.process import Answer, Runner
    from autoscale_aks.units import Value

_ABSENT: Final = re.compile(r"\b15062\b|Unknown node", re.IGNORECASE)
_PRESENT: Final = re.compile(r"\b15066\b|already exists", re.IGNORECASE)
_VERSION: Final = re.compile(r"\bpbs_version\b[\"\s:=]+([^\"\s,]+)")
"""In what `qstat --version` prints, and in the captured answer of a server."""
_SUBJOBS: Final = re.compile(r"\[[^\]]*\]")
_SCHED_CONFIG: Final = "sched_config"


class PbsScheduler:
    """The scheduler port over qstat, pbsnodes and qmgr.

    Reading asks for nodes first and jobs after: a job that starts in between is then seen on its node rather than
    counted twice. What runs where is said by the nodes' own job lists and by the jobs, and either is believed.

    Closing looks afterwards and returns only nodes that PBS shows offline and without a job. A reason for a job is
    written behind the scheduler's own words in its comment, which `read` needs and finds there.
    """

    def __init__(self, settings: PbsSettings, runner: Runner) -> None:
        self._settings = settings
        self._commands = PbsCommands(runner, settings)
        self._is_capture = isinstance(runner, CaptureRunner)
        self._reports_nodes = settings.capture_nodes or not self._is_capture
        self._comments: Mapping[str, str] = {}

    def read(self) -> SchedulerState:
        """Nodes, facts and jobs. Raises SchedulerError when jobs or nodes cannot be asked for."""
        problems: list[Problem] = []
        nodes_text = text_of("pbsnodes", self._commands.show_nodes(), problems) if self._reports_nodes else ""
        facts = self._read_facts(problems)
        printed = self._commands.stream_jobs()
        queue = read_queue(printed, self._settings, facts)
        report_warnings("qstat", printed.warnings, problems)
        self._comments = queue.comments
        before = len(problems)
        nodes = read_nodes(nodes_text, self._settings, facts, problems) if self._reports_nodes else None
        return SchedulerState(
            jobs=queue.jobs,
            nodes=nodes,
            shared_resources=queue.shared,
            running=frozendict(jobs_by_node(queue.running, nodes)),
            takes_reasons=self._settings.takes_reasons,
            problems=(*problems, *queue.problems),
            complete=len(problems) == before,
        )

    def hooks(self) -> tuple[str, ...]:
        """Hooks of ours that pbs_server calls; only its managers may see them. Raises SchedulerError."""
        return parse_hooks(self._commands.list("hook").text)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Make nodes as `create_nodes` says, each closed until its resources are set; open known ones we closed.

        A node that was left half made, offline and without its identity, is finished. Raises SchedulerError after the
        last one when some were refused: a name has to resolve on the server.
        """
        wanted = tuple(checked_names([node.name for node in nodes]))
        known = self._records() if wanted else {}
        ours = [name for name in wanted if name in known and known[name].is_closed_by_us]
        failures = try_chunks(ours, NODES_AT_ONCE, self._commands.reopen)
        for name in wanted:
            resources = first_match(self._settings.create_nodes, name)
            if resources is None or (name in known and not self._is_half_made(known[name])):
                continue
            try:
                self._create(name, resources)
            except SchedulerError as error:
                failures.append(error)
        raise_first(failures)

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        """Mark offline, then look: the names that are offline and without a job."""
        wanted = tuple(checked_names(names))
        if not wanted:
            return ()
        known = self._records()
        to_close = [name for name in wanted if name in known and not known[name].is_offline]
        comment = one_line(f"{MARK}: {reason}")
        failures = try_chunks(to_close, NODES_AT_ONCE, lambda chunk: self._commands.close(chunk, comment))
        after = known if self._is_capture else self._records()
        closed = tuple(name for name in wanted if name in after and _is_closed(after[name]))
        if not closed:
            raise_first(failures)
        return closed

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Take our offline mark away and nothing else: an administrator's stays. Raises when one of ours stays."""
        wanted = tuple(checked_names(names))
        known = self._records() if wanted else {}
        offline = [name for name in wanted if name in known and known[name].is_closed_by_us]
        failures = try_chunks(offline, NODES_AT_ONCE, self._commands.reopen)
        if failures:
            after = self._records()
            if any(name in after and after[name].is_offline for name in offline):
                raise_first(failures)

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Delete nodes whose machines are gone. PBS refuses while it thinks that a job runs there: told again later."""
        wanted = tuple(checked_names(names))
        known = self._records() if wanted else {}
        failures: list[SchedulerError] = []
        for name in wanted:
            if name not in known:
                continue
            try:
                self._commands.manage(f"delete node {name}")
            except SchedulerError as error:
                if not _ABSENT.search(str(error)):
                    failures.append(error)
        raise_first(failures)

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:
        """Write why jobs of the last look wait; the jobs it was written to. An empty reason takes ours away.

        Raises SchedulerError when PBS refuses every one of them: it takes an operator.
        """
        if not self._settings.job_reasons:
            return ()

        def write(name: str, reason: str) -> bool:
            job = _SUBJOBS.sub("[]", name, count=1)
            if job in self._comments:
                ours = f"{OUR_MARK}{one_line(reason)}" if reason else ""
                self._commands.comment(job, f"{self._comments[job]}{ours}")
            return job in self._comments

        return write_reasons(reasons, write)

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """Nothing to do: PBS never asks for nodes by name."""

    def version(self) -> str:
        """The number in what `qstat --version` prints, such as `23.06.06`; of a capture the server's."""
        text = self._commands.version().text
        found = _VERSION.search(text)
        return found[1] if found else first_line(text) if not self._is_capture else ""

    # -- inner

    def _create(self, name: str, resources: Mapping[str, str]) -> None:
        """Make a node; it stays offline until it has its resources, or jobs that do not fit would land on it."""
        try:
            self._commands.manage(f"create node {name}")
        except SchedulerError as error:
            if not _PRESENT.search(str(error)):
                raise
        self._commands.manage(f"set node {name} state = offline")
        given = {**resources, self._settings.identity_resource: name}
        for resource, value in given.items():
            self._commands.manage(f"set node {name} resources_available.{resource} = {value}")
        self._commands.manage(f"set node {name} state -= offline")

    def _is_half_made(self, record: NodeRecord) -> bool:
        """A node that was made and never opened: offline, without a word why, and without its identity."""
        given = record.attributes.get("resources_available")
        has_identity = isinstance(given, dict) and self._settings.identity_resource in given
        return record.is_offline and not record.is_busy and not has_identity and not record.attributes.get("comment")

    def _records(self) -> dict[str, NodeRecord]:
        return {record.name: record for record in parse_nodes(self._commands.show_nodes().text, [])}

    def _read_facts(self, problems: list[Problem]) -> PbsFacts:
        sched = self._read_sched_config(problems)
        types = parse_types(self._optional("qmgr list resource", lambda: self._commands.list("resource"), problems))
        dynamic = self._ask_dynamic(sched, problems) if self._settings.run_server_dyn_res else {}
        queues = text_of("qstat -Qf", self._commands.show_queues(), problems)
        server = text_of("qstat -Bf", self._commands.show_server(), problems)
        return PbsFacts(
            queues=parse_queues(queues, problems) if queues.strip() else frozendict(),
            server=parse_server(server, problems) if server.strip() else frozendict(),
            types=types,
            sched=sched,
            dynamic=frozendict(dynamic),
        )

    def _read_sched_config(self, problems: list[Problem]) -> SchedConfig:
        """The scheduler's own file, where we may read it; without it every resource counts."""
        path = self._settings.sched_config
        asked_for = path is not None
        if path is None and self._settings.capture_dir is not None:
            path = self._settings.capture_dir / _SCHED_CONFIG
        elif path is None:
            said = self._optional("qmgr list sched", lambda: self._commands.list("sched"), problems)
            directory = parse_sched_priv(said)
            path = None if directory is None else Path(directory) / _SCHED_CONFIG
        if path is None:
            return SchedConfig()
        try:
            return parse_sched_config(path.read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            if asked_for:
                raise SchedulerError(f"{path}: cannot be read: {error.strerror} (scheduler.sched_config)") from error
            return SchedConfig()

    def _ask_dynamic(self, sched: SchedConfig, problems: list[Problem]) -> dict[str, Value]:
        """What the programs of `server_dyn_res` lines print: what is left of each resource."""
        found: dict[str, Value] = {}
        for name, program in sched.dynamic.items():
            try:
                printed = self._commands.run_program(program).text if program else ""
                found[name] = parse_value(printed.strip().split("\n")[0], Kind.UNKNOWN, name)
            except (SchedulerError, ValueError) as error:
                problems.append(Problem(f"server_dyn_res {name}", f"not counted: {error}"))
        return found

    def _optional(self, what: str, ask: Callable[[], Answer], problems: list[Problem]) -> str:
        """An answer that reading can do without."""
        try:
            return text_of(what, ask(), problems)
        except SchedulerError as error:
            problems.append(Problem(what, f"not known: {error}"))
            return ""


def _is_closed(record: NodeRecord) -> bool:
    return record.is_offline and not record.is_busy


def build(settings: Mapping[str, Any], *, environment: Mapping[str, str], base: Path | None = None) -> PbsScheduler:
    """`{"type": "openpbs", …}` → a scheduler. Raises ConfigError."""
    parsed = read_settings(settings, base=base)
    return PbsScheduler(parsed, runner_of(parsed, environment, CaptureRunner, dropped=DROPPED, kept=KEPT))
