"""Slurm behind the scheduler port."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.schedulers.port import SchedulerState
from autoscale_aks.schedulers.process import SubprocessRunner
from autoscale_aks.schedulers.slurm.commands import DROPPED, KEPT, NODES_AT_ONCE, CaptureRunner, SlurmCommands
from autoscale_aks.schedulers.slurm.facts import (
    ClusterFacts,
    parse_hooks,
    parse_licenses,
    parse_memory_is_managed,
    parse_partitions,
    parse_version,
)
from autoscale_aks.schedulers.slurm.jobs import read_queue
from autoscale_aks.schedulers.slurm.nodes import GONE, REASON, is_closed_by_us, parse_nodes, read_nodes
from autoscale_aks.schedulers.slurm.powering import MOVING, find_requests, given_up
from autoscale_aks.schedulers.slurm.settings import read_settings
from autoscale_aks.schedulers.slurm.spool import Spool
from autoscale_aks.schedulers.slurm.writing import MARK, MOST_REASONS, clean, job_id_of, node_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from autoscale_aks.schedulers.port import NewNode, NodeRequest
    from autoscale_aks.schedulers.process import Answer, Runner
    from autoscale_aks.schedulers.slurm.nodes import NodeRecord
    from autoscale_aks.schedulers.slurm.settings import SlurmSettings

_TAKEN_ALL_THE_SAME: Final = re.compile(
    r"Invalid job id|already (?:completing|complete|finish)|partition configuration not available", re.IGNORECASE
)
"""What scontrol says of a job that is over, and of one whose words it took but which cannot run (its status is 1)."""
_SAFE_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,253}\Z")


class SlurmScheduler:
    """The scheduler port over squeue and scontrol.

    Reading asks for nodes first and jobs after: a job that starts in between is then seen on its node rather than
    counted twice. A node whose own numbers say that it works is never reported idle, whatever the queue shows.

    Writing looks afterwards, because `scontrol update` changes some nodes even when it fails for others, and
    `scontrol create` answers 0 when it did nothing. `close_nodes` returns only nodes that Slurm shows drained: a node
    on which work started meanwhile is drained too, but is not returned. Nodes that Slurm does not know are never
    returned.
    """

    def __init__(self, settings: SlurmSettings, runner: Runner) -> None:
        env = {} if settings.slurm_conf is None else {"SLURM_CONF": str(settings.slurm_conf)}
        self._settings = settings
        self._commands = SlurmCommands(runner, settings.squeue, settings.scontrol, env)
        self._is_capture = isinstance(runner, CaptureRunner)
        self._reports_nodes = settings.capture_nodes or not self._is_capture
        self._spool = None if settings.power_saving is None else Spool(settings.power_saving.spool)

    def read(self) -> SchedulerState:
        """Nodes, facts and jobs. Raises SchedulerError when one of the commands fails."""
        problems: list[Problem] = []
        nodes_text = ""
        if self._reports_nodes:
            nodes_text = self._text("scontrol show nodes", self._commands.show_nodes(), problems)
        facts = self._read_facts(problems)
        queue = read_queue(self._text("squeue", self._commands.show_queue(), problems), self._settings, facts)
        nodes = None
        requests = self._read_requests(nodes_text, problems)
        before = len(problems)
        if self._reports_nodes:
            nodes = read_nodes(nodes_text, self._settings, queue.running, problems)
        return SchedulerState(
            jobs=queue.jobs,
            nodes=nodes,
            shared_resources=facts.licenses,
            running=queue.running,
            requests=requests,
            powered=self._powered(),
            takes_reasons=MOST_REASONS if self._settings.job_reasons else 0,
            problems=(*problems, *queue.problems),
            complete=len(problems) == before and (nodes is not None or not queue.skipped),
        )

    def version(self) -> str:
        """slurmctld's version. Raises SchedulerError."""
        return parse_version(self._commands.show("config").text)

    def hooks(self) -> tuple[str, ...]:
        """Programs of ours that slurmctld calls. Raises SchedulerError."""
        return parse_hooks(self._commands.show("config").text)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Make dynamic nodes as `create_nodes` says, and open known ones that this program once closed.

        Nodes of the configuration file come up by themselves when their machine joins (ReturnToService=2), and those
        that Slurm powers itself are its own affair. A dynamic node without an address is given it once it is known.
        """
        new = {node.name: node for node in nodes if not self._settings.powers((node.nodearray,))}
        wanted = tuple(_checked(tuple(new)))
        known = self._node_records() if wanted else {}
        ours = [name for name in wanted if name in known and is_closed_by_us(known[name])]
        failure = self._update(ours, "state=undrain")
        if failure is not None:
            raise failure
        for name in wanted:  # Slurm takes a node's name for its address, which nobody may resolve
            address = new[name].address
            if address and name in known and known[name].is_dynamic and known[name].pairs.get("NodeAddr") == name:
                self._commands.update_node([name], f"nodeaddr={address}")
        missing = [name for name in wanted if name not in known] if self._settings.create_nodes else []
        for name in missing:
            self._commands.create_node(name, "state=cloud", *node_attributes(new[name], self._settings))
        made = self._node_records() if missing and not self._is_capture else known
        refused = [name for name in missing if name not in made and not self._is_capture]
        if refused:
            raise SchedulerError(
                f"scontrol create: {len(refused)} nodes were not made, first {refused[0]}; "
                "MaxNodeCount in slurm.conf may be reached, see slurmctld's log"
            )

    def close_nodes(self, names: Sequence[str], reason: str) -> tuple[str, ...]:
        """Drain, then look: the names that are drained and without work.

        A node that Slurm itself is powering down starts nothing any more, and would not come up again drained.
        """
        wanted = tuple(_checked(names))
        if not wanted:
            return ()
        known = self._node_records()
        to_drain = [
            name
            for name in wanted
            if name in known and "DRAIN" not in known[name].flags and not self._is_moving(known[name])
        ]
        failure = self._update(to_drain, "state=drain", f"reason={clean(f'{REASON}: {reason}')}")
        after = known if self._is_capture else self._node_records()
        closed = tuple(name for name in wanted if name in after and _is_drained(after[name]))
        if failure is not None and not closed:
            raise failure
        return closed

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Take the drain away and nothing else: a node that is down stays down. Raises when one stays closed."""
        wanted = tuple(_checked(names))
        known = self._node_records() if wanted else {}
        drained = [name for name in wanted if name in known and "DRAIN" in known[name].flags]
        failure = self._update(drained, "state=undrain")
        if failure is not None:
            after = self._node_records()
            if any(name in after and "DRAIN" in after[name].flags for name in drained):
                raise failure

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Set nodes whose machines are gone DOWN, so that their jobs are requeued; delete them if they are dynamic.

        A node of the configuration file stays, DOWN and as closed as it was: its machine may live for another
        minute and must not come back into service. `add_nodes` opens it again. With power saving it is powered down
        instead, unless Slurm is about it already: so Slurm may resume it later.
        """
        wanted = tuple(_checked(names))
        known = self._node_records() if wanted else {}
        present = [name for name in wanted if name in known]
        if self._settings.power_saving is not None:
            present = self._power_down(present, known)
        up = [name for name in present if "DOWN" not in known[name].flags]
        failures = [self._update(up, "state=down", f"reason={GONE}")]
        failures.extend(self._delete(name) for name in present if known[name].is_dynamic)
        first = next((failure for failure in failures if failure is not None), None)
        if first is not None:
            raise first

    def settle_requests(self, requests: Sequence[NodeRequest]) -> None:
        """Remove their events from the spool, and give nodes back to Slurm that it had given up on.

        Those whose machine is still to go have a request that is not settled yet, and wait.
        """
        if self._spool is None or self._is_capture:
            return
        done: dict[str, float] = {}
        for request in requests:
            done[request.name] = max(done.get(request.name, request.at), request.at)
        self._spool.settle(done)
        waiting = {name for event in self._spool.read([]) for name in event.names}
        lost = [name for name in given_up(self._node_records().values()) if name not in waiting]
        failure = self._update(lost, "state=resume")
        if failure is not None:
            raise failure

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:
        """Write each reason into the job's AdminComment, which needs the rights of an operator."""
        written: list[str] = []
        if not self._settings.job_reasons:
            return ()
        for name, reason in reasons.items():
            job = job_id_of(name)
            if job is None:
                continue
            try:
                self._commands.update_job(job, f"admincomment={clean(MARK + reason) if reason else ''}")
            except SchedulerError as error:
                if not _TAKEN_ALL_THE_SAME.search(str(error)):
                    raise
            written.append(name)
        return tuple(written)

    def _read_requests(self, nodes_text: str, problems: list[Problem]) -> tuple[NodeRequest, ...]:
        if self._spool is None:
            return ()
        records = None
        if self._reports_nodes:
            every = {record.name: record for record in parse_nodes(nodes_text, [])}
            records = {name: record for name, record in every.items() if not record.is_dynamic}
        return find_requests(self._spool.read(problems), records)

    def _powered(self) -> tuple[str, ...] | None:
        saving = self._settings.power_saving
        if saving is None:
            return ()
        return saving.nodearrays or None

    def _is_moving(self, record: NodeRecord) -> bool:
        return self._settings.power_saving is not None and bool(record.flags & MOVING)

    def _power_down(self, names: Sequence[str], known: Mapping[str, NodeRecord]) -> list[str]:
        """Power down the nodes that Slurm powers itself; the others are returned."""
        ours = [name for name in names if "CLOUD" in known[name].flags and not known[name].is_dynamic]
        up = [name for name in ours if not known[name].flags & MOVING]
        drained = [name for name in up if is_closed_by_us(known[name])]
        failures = [
            self._update(up, "state=power_down_force", f"reason={GONE}"),
            self._update(drained, "state=undrain"),  # it takes the reason away, too
            self._update([name for name in drained if "DOWN" in known[name].flags], f"reason={GONE}"),
        ]
        for failure in filter(None, failures):
            raise failure
        return [name for name in names if name not in set(ours)]

    def _delete(self, name: str) -> SchedulerError | None:
        try:
            self._commands.delete_node(name)
        except SchedulerError as error:
            return error if name in self._node_records() else None
        return None

    def _update(self, names: Sequence[str], *changes: str) -> SchedulerError | None:
        """Change nodes in chunks; a chunk that fails is tried node by node. The first failure, if any stayed."""
        failure: SchedulerError | None = None
        for start in range(0, len(names), NODES_AT_ONCE):
            chunk = names[start : start + NODES_AT_ONCE]
            if self._try_update(chunk, changes) is None:
                continue
            for name in chunk:
                failure = self._try_update([name], changes) or failure
        return failure

    def _try_update(self, names: Sequence[str], changes: tuple[str, ...]) -> SchedulerError | None:
        try:
            self._commands.update_node(names, *changes)
        except SchedulerError as error:
            return error
        return None

    def _node_records(self) -> dict[str, NodeRecord]:
        return {record.name: record for record in parse_nodes(self._commands.show_nodes().text, [])}

    def _read_facts(self, problems: list[Problem]) -> ClusterFacts:
        managed = self._settings.memory_is_managed
        if managed is None:
            managed = parse_memory_is_managed(self._commands.show("config").text)
        return ClusterFacts(
            partitions=parse_partitions(self._commands.show("partitions").text, problems),
            licenses=parse_licenses(self._commands.show("licenses").text, problems),
            memory_is_managed=managed,
        )

    def _text(self, what: str, answer: Answer, problems: list[Problem]) -> str:
        problems.extend(Problem(what, line[:200]) for line in answer.warnings[:10])
        return answer.text


def _is_drained(record: NodeRecord) -> bool:
    return record.is_closed and not record.is_busy


def _checked(names: Sequence[str]) -> Iterator[str]:
    """Names that scontrol takes for one node each: no lists, no options. Raises SchedulerError for others."""
    for name in dict.fromkeys(names):
        if not _SAFE_NAME.match(name) or name.upper() == "ALL":
            raise SchedulerError(f"{name[:60]!r} is no node name")
        yield name


def build(settings: Mapping[str, Any], *, environment: Mapping[str, str], base: Path | None = None) -> SlurmScheduler:
    """`{"type": "slurm", …}` → a scheduler. Raises ConfigError."""
    parsed = read_settings(settings, base=base)
    if parsed.capture_dir is not None:
        return SlurmScheduler(parsed, CaptureRunner(parsed.capture_dir))
    return SlurmScheduler(
        parsed,
        SubprocessRunner(
            environment=environment,
            timeout_s=parsed.timeout_s,
            output_limit=parsed.max_output_bytes,
            dropped=DROPPED,
            kept=KEPT,
        ),
    )
