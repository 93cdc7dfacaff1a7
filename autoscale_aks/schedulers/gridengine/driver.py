"""Grid Engine behind the scheduler port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.errors import Problem
from autoscale_aks.schedulers.commanded import (
    checked_names,
    first_line,
    jobs_by_node,
    one_line,
    raise_first,
    runner_of,
    text_of,
    try_each,
    write_reasons,
)
from autoscale_aks.schedulers.gridengine.commands import JOBS_AT_ONCE, CaptureRunner, GridEngineCommands
from autoscale_aks.schedulers.gridengine.details import Details, parse_details
from autoscale_aks.schedulers.gridengine.hosts import Hosts, global_values
from autoscale_aks.schedulers.gridengine.jobs import QueueReader, is_without_priority
from autoscale_aks.schedulers.gridengine.nodes import GLOBAL, global_amounts, parse_hosts, read_nodes
from autoscale_aks.schedulers.gridengine.objects import (
    parse_complexes,
    parse_groups,
    parse_names,
    parse_objects,
    parse_queues,
    parse_rules,
    split_values,
)
from autoscale_aks.schedulers.gridengine.places import ClusterFacts
from autoscale_aks.schedulers.gridengine.quotas import Stocks
from autoscale_aks.schedulers.gridengine.records import parse_jobs
from autoscale_aks.schedulers.gridengine.settings import read_settings
from autoscale_aks.schedulers.gridengine.values import parse_memory, parse_number
from autoscale_aks.schedulers.port import SchedulerState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from autoscale_aks.schedulers.gridengine.nodes import HostRecord
    from autoscale_aks.schedulers.gridengine.objects import Complex
    from autoscale_aks.schedulers.gridengine.records import JobRecord
    from autoscale_aks.schedulers.gridengine.settings import GridEngineSettings
    from autoscale_aks.schedulers.port import NewNode, NodeRequest
    from autoscale_aks.schedulers.process import Runner
    from autoscale_aks.units import Number

_RESERVED: Final = frozenset({GLOBAL, "all", "template", "none"})
"""What qconf takes for something other than a host."""
_KEPT: Final = frozenset({"SGE_ROOT", "SGE_CELL", "SGE_CLUSTER_NAME", "SGE_QMASTER_PORT", "SGE_EXECD_PORT"})


class GridEngineScheduler:
    """The scheduler port over qstat, qhost, qconf and qmod.

    Reading asks for hosts first and jobs after: a job that starts in between is then seen on its host rather than
    counted twice. Of arrays and of the first waiting jobs it also asks `qstat -j`, which knows `-tc` and reasons.

    A host is closed by disabling its queues; Grid Engine has no place for a reason. Closing looks afterwards and
    returns only hosts whose queues are all disabled and that run nothing.
    """

    def __init__(self, settings: GridEngineSettings, runner: Runner) -> None:
        self._settings = settings
        self._commands = GridEngineCommands(runner, settings)
        self._hosts = Hosts(self._commands)
        self._is_capture = isinstance(runner, CaptureRunner)
        self._reports_nodes = settings.capture_nodes or not self._is_capture

    def read(self) -> SchedulerState:
        """Hosts, configuration and jobs. Raises SchedulerError when one of the commands fails."""
        problems: list[Problem] = []
        text = text_of("qhost", self._commands.show_hosts(), problems)
        lost: list[Problem] = []
        hosts = parse_hosts(text, lost)
        facts = self._read_facts()
        stocks = self._read_stocks(facts.complexes, hosts, problems)
        records = list(parse_jobs(text_of("qstat", self._commands.show_jobs(), problems), problems))
        reader = QueueReader(
            settings=self._settings,
            facts=facts,
            stocks=stocks,
            details=self._read_details(records),
            future=self._read_future(records),
            problems=[],
        )
        queue = reader.read(records)
        nodes = None
        if self._reports_nodes:
            wanted = frozenset(
                known.name
                for record in records
                if not record.is_running
                for name, _ in record.requests
                if (known := facts.complexes.get(name)) is not None
            )
            nodes = read_nodes(hosts.values(), wanted, facts.complexes, problems, lost)
        return SchedulerState(
            jobs=queue.jobs,
            nodes=nodes,
            shared_resources=stocks.shared(),
            running=frozendict(jobs_by_node(queue.running, nodes)),
            takes_reasons=self._settings.takes_reasons,
            problems=(*lost, *problems, *queue.problems),
            complete=not lost,
        )

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Make hosts known as `join` says, and enable known ones that are closed.

        Raises SchedulerError after the last one when some were refused: a name has to resolve on the master.
        """
        wanted = tuple(checked_names([node.name for node in nodes], reserved=_RESERVED))
        known = self._records() if wanted else {}
        failures = self._hosts.reopen([name for name in wanted if name in known and known[name].is_disabled])
        joins = [(name, join) for name in wanted if (join := self._settings.join_of(name)) is not None]
        failures += try_each(joins, lambda joining: self._hosts.join(*joining))
        raise_first(failures)

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:  # noqa: ARG002 - there is no place for it
        """Disable, then look: the hosts whose queues are all disabled and that run nothing."""
        wanted = tuple(checked_names(names, reserved=_RESERVED))
        if not wanted:
            return ()
        known = self._records()
        failures = self._hosts.close([name for name in wanted if name in known and not known[name].is_disabled])
        after = known if self._is_capture else self._records()
        closed = tuple(name for name in wanted if name in after and _is_closed(after[name]))
        if not closed:
            raise_first(failures)
        return closed

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Enable the queues of hosts again. Raises when one cannot be."""
        wanted = tuple(checked_names(names, reserved=_RESERVED))
        known = self._records() if wanted else {}
        raise_first(self._hosts.reopen([name for name in wanted if name in known]))

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Forget hosts whose machines are gone, and give their jobs back to the queue."""
        wanted = tuple(checked_names(names, reserved=_RESERVED))
        known = self._records() if wanted else {}
        raise_first(self._hosts.remove([name for name in wanted if name in known]))

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:
        """Write why jobs wait into their contexts, for `qstat -j`; the jobs it was written to.

        A task's reason is its array's: there is one context. An empty reason takes ours away. Raises SchedulerError
        when every one is refused: it takes an operator, or the job's owner.
        """
        if not self._settings.job_reasons:
            return ()

        def write(name: str, reason: str) -> bool:
            job = name.partition(".")[0]
            if job.isdecimal():
                self._commands.tell(job, _as_context(reason))
            return job.isdecimal()

        return write_reasons(reasons, write)

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """Nothing to do: Grid Engine never asks for nodes by name."""

    def version(self) -> str:
        """The first line of `qstat -help`, such as `GE 8.1.9`; of a capture nothing."""
        return first_line(self._commands.version().text)

    # -- inner

    def _records(self) -> dict[str, HostRecord]:
        hosts = parse_hosts(self._commands.show_hosts().text, [])
        return {name: host for name, host in hosts.items() if name != GLOBAL}

    def _read_facts(self) -> ClusterFacts:
        queues = parse_queues(self._commands.show("-sq", "*").text)
        names = parse_names(self._commands.show("-spl").text)
        rules = "\n\n".join(self._commands.show("-sp", name).text for name in names)
        groups = ""
        if not self._settings.serves_all:
            found = parse_names(self._commands.show("-shgrpl").text)
            groups = "\n\n".join(self._commands.show("-shgrp", name).text for name in found)
        return ClusterFacts(
            queues=queues or None,
            rules=parse_rules(rules),
            groups=parse_groups(groups),
            complexes=parse_complexes(self._commands.show("-sc").text),
        )

    def _read_stocks(
        self, complexes: Mapping[str, Complex], hosts: Mapping[str, HostRecord], problems: list[Problem]
    ) -> Stocks:
        totals: dict[str, Number] = {}
        for name, text in split_values(global_values(self._commands.show("-se", GLOBAL).text)).items():
            known = complexes.get(name)
            try:
                if known is not None and known.is_amount:
                    is_memory = known.type == "MEMORY"
                    totals[known.name] = parse_memory(text, name).bytes if is_memory else parse_number(text, name)
            except ValueError as error:
                problems.append(Problem("qconf -se global", f"not looked at: {error}"))
        most = parse_objects(self._commands.show("-ssconf").text)
        jobs = next((pairs.get("maxujobs", "0") for pairs in most), "0")
        stocks = Stocks(
            complexes=complexes,
            problems=problems,
            global_left=frozendict(global_amounts(hosts, complexes)),
            global_total=frozendict(totals),
            jobs_of_a_user=int(jobs) if jobs.isdigit() and len(jobs) < 10 else 0,
        )
        stocks.read_rules(self._commands.show("-srqs").text)
        return stocks

    def _read_details(self, records: Sequence[JobRecord]) -> Details:
        """Of arrays, and of the first waiting jobs: what only `qstat -j` tells."""
        waiting = [record for record in records if not record.is_running]
        asked = dict.fromkeys(record.id for record in waiting if record.tasks)
        asked |= dict.fromkeys(record.id for record in waiting[: self._settings.reasons])
        ids = list(asked)
        texts = [
            self._commands.show_details(ids[start : start + JOBS_AT_ONCE]).text
            for start in range(0, len(ids), JOBS_AT_ONCE)
        ]
        return parse_details("\n".join(texts))

    def _read_future(self, records: Sequence[JobRecord]) -> frozenset[str]:
        """Jobs with a start time; asked for only where some waiting job has no priority."""
        if not any(is_without_priority(record) and "h" not in record.state for record in records):
            return frozenset()
        text = self._commands.show_future().text
        return frozenset(record.id for record in parse_jobs(text, [])) if text.strip() else frozenset()


def _as_context(reason: str) -> str:
    """Words for a job's context: a comma would begin the next variable."""
    return one_line(reason).replace(",", ";")


def _is_closed(record: HostRecord) -> bool:
    return record.is_disabled and not record.is_busy


def build(
    settings: Mapping[str, Any], *, environment: Mapping[str, str], base: Path | None = None
) -> GridEngineScheduler:
    """`{"type": "gridengine", …}` → a scheduler. Raises ConfigError."""
    parsed = read_settings(settings, base=base)
    return GridEngineScheduler(parsed, runner_of(parsed, environment, CaptureRunner, dropped=("SGE_",), kept=_KEPT))
