"""Slurm behind the scheduler port."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.commanded import (
    checked_names,
    first_line,
    one_line,
    raise_first,
    runner_of,
    text_of,
    try_chunks,
    try_each,
    write_reasons,
)
from autoscale_aks.schedulers.port import SchedulerState
from autoscale_aks.schedulers.slurm.commands import DROPPED, KEPT, NODES_AT_ONCE, CaptureRunner, SlurmCommands
from autoscale_aks.schedulers.slurm.cores import created_threads, parse_allocation, parse_threads
from autoscale_aks.schedulers.slurm.facts import (
    ClusterFacts,
    parse_excluded,
    parse_hooks,
    parse_licenses,
    parse_memory_is_managed,
    parse_now,
    parse_partitions,
)
from autoscale_aks.schedulers.slurm.jobs import read_queue
from autoscale_aks.schedulers.slurm.nodes import GONE, REASON, is_closed_by_us, parse_nodes, read_nodes
from autoscale_aks.schedulers.slurm.powering import MOVING, find_requests, given_up
from autoscale_aks.schedulers.slurm.settings import read_settings
from autoscale_aks.schedulers.slurm.spool import Spool
from autoscale_aks.schedulers.slurm.writing import MARK, job_id_of, node_attributes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from autoscale_aks.errors import Problem
    from autoscale_aks.schedulers.port import NewNode, NodeRequest
    from autoscale_aks.schedulers.process import Runner
    from autoscale_aks.schedulers.slurm.nodes import NodeRecord
    from autoscale_aks.schedulers.slurm.settings import SlurmSettings

_TAKEN_ALL_THE_SAME: Final = re.compile(
    r"Invalid job id|already (?:completing|complete|finish)|partition configuration not available", re.IGNORECASE
)
"""What scontrol says of a job that is over, and of one whose words it took but which cannot run (its status is 1)."""
_CAPTURED_VERSION: Final = re.compile(r"^SLURM_VERSION\s*=\s*(\S+)", re.MULTILINE)
_RESERVED: Final = frozenset({"all"})
"""What scontrol takes for something other than a node."""


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
            nodes_text = text_of("scontrol show nodes", self._commands.show_nodes(), problems)
        facts = self._read_facts(nodes_text, problems)
        queue = read_queue(text_of("squeue", self._commands.show_queue(), problems), self._settings, facts)
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
            takes_reasons=self._settings.takes_reasons,
            problems=(*problems, *queue.problems),
            complete=len(problems) == before and (nodes is not None or not queue.skipped),
        )

    def hooks(self) -> tuple[str, ...]:
        """Programs of ours that slurmctld calls. Raises SchedulerError."""
        return parse_hooks(self._commands.show("config").text)

    def add_nodes(self, nodes: Sequence[NewNode]) -> None:
        """Make dynamic nodes as `create_nodes` says, and open known ones that this program once closed.

        Nodes of the configuration file come up by themselves when their machine joins (ReturnToService=2), and those
        that Slurm powers itself are its own affair. A dynamic node without an address is given it once it is known.
        """
        new = {node.name: node for node in nodes if not self._settings.powers((node.nodearray,))}
        wanted = tuple(checked_names(tuple(new), reserved=_RESERVED))
        known = self._node_records() if wanted else {}
        ours = [name for name in wanted if name in known and is_closed_by_us(known[name])]
        raise_first(self._update(ours, "state=undrain"))
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
        wanted = tuple(checked_names(names, reserved=_RESERVED))
        if not wanted:
            return ()
        known = self._node_records()
        to_drain = [
            name
            for name in wanted
            if name in known and "DRAIN" not in known[name].flags and not self._is_moving(known[name])
        ]
        failures = self._update(to_drain, "state=drain", f"reason={one_line(f'{REASON}: {reason}')}")
        after = known if self._is_capture else self._node_records()
        closed = tuple(name for name in wanted if name in after and _is_drained(after[name]))
        if not closed:
            raise_first(failures)
        return closed

    def reopen_nodes(self, names: Sequence[str]) -> None:
        """Take our drain away and nothing else: a node that is down stays down, and what an administrator has drained
        stays drained. Raises when one of ours stays closed."""
        wanted = tuple(checked_names(names, reserved=_RESERVED))
        known = self._node_records() if wanted else {}
        drained = [name for name in wanted if name in known and is_closed_by_us(known[name])]
        failures = self._update(drained, "state=undrain")
        if failures:
            after = self._node_records()
            if any(name in after and "DRAIN" in after[name].flags for name in drained):
                raise_first(failures)

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Set nodes whose machines are gone DOWN, so that their jobs are requeued; delete them if they are dynamic.

        A node of the configuration file stays, DOWN and as closed as it was: its machine may live for another
        minute and must not come back into service. `add_nodes` opens it again. With power saving it is powered down
        instead, unless Slurm is about it already: so Slurm may resume it later.
        """
        wanted = tuple(checked_names(names, reserved=_RESERVED))
        known = self._node_records() if wanted else {}
        present = [name for name in wanted if name in known]
        if self._settings.power_saving is not None:
            present = self._power_down(present, known)
        up = [name for name in present if "DOWN" not in known[name].flags]
        failures = self._update(up, "state=down", f"reason={GONE}")
        failures += try_each((name for name in present if known[name].is_dynamic), self._delete)
        raise_first(failures)

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
        raise_first(self._update(lost, "state=resume"))

    def explain_jobs(self, reasons: Mapping[str, str]) -> tuple[str, ...]:
        """Write each reason into the job's AdminComment. Raises SchedulerError when every one is refused.

        It takes an operator.
        """
        return write_reasons(reasons, self._explain) if self._settings.job_reasons else ()

    def _explain(self, name: str, reason: str) -> bool:
        job = job_id_of(name)
        if job is None:
            return False
        try:
            self._commands.update_job(job, f"admincomment={one_line(MARK + reason) if reason else ''}")
        except SchedulerError as error:
            if not _TAKEN_ALL_THE_SAME.search(str(error)):
                raise
        return True

    def version(self) -> str:
        """What `squeue --version` prints, such as `slurm-wlm 22.05.8`; of a capture what its configuration says."""
        text = self._commands.version().text
        captured = _CAPTURED_VERSION.search(text)
        return f"slurm {captured[1]}" if captured else first_line(text) if not self._is_capture else ""

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
        failures = self._update(up, "state=power_down_force", f"reason={GONE}")
        failures += self._update(drained, "state=undrain")  # it takes the reason away, too
        failures += self._update([name for name in drained if "DOWN" in known[name].flags], f"reason={GONE}")
        raise_first(failures)
        return [name for name in names if name not in set(ours)]

    def _delete(self, name: str) -> None:
        try:
            self._commands.delete_node(name)
        except SchedulerError:
            if name in self._node_records():
                raise

    def _update(self, names: Sequence[str], *changes: str) -> list[SchedulerError]:
        """Change nodes in chunks; a chunk that fails is tried node by node. The failures that stayed."""
        return try_chunks(names, NODES_AT_ONCE, lambda chunk: self._commands.update_node(chunk, *changes))

    def _node_records(self) -> dict[str, NodeRecord]:
        return {record.name: record for record in parse_nodes(self._commands.show_nodes().text, [])}

    def _read_facts(self, nodes_text: str, problems: list[Problem]) -> ClusterFacts:
        config = self._commands.show("config").text
        managed = self._settings.memory_is_managed
        return ClusterFacts(
            partitions=parse_partitions(self._commands.show("partitions").text, problems),
            licenses=parse_licenses(self._commands.show("licenses").text, problems),
            memory_is_managed=parse_memory_is_managed(config) if managed is None else managed,
            allocation=parse_allocation(config),
            now=parse_now(config),
            threads=parse_threads(nodes_text),
            new_threads=created_threads(self._settings.create_nodes.values()),
            excluded=parse_excluded(self._commands.show_excluded().text) if nodes_text else frozendict(),
        )


def _is_drained(record: NodeRecord) -> bool:
    return record.is_closed and not record.is_busy


def build(settings: Mapping[str, Any], *, environment: Mapping[str, str], base: Path | None = None) -> SlurmScheduler:
    """`{"type": "slurm", …}` → a scheduler. Raises ConfigError."""
    parsed = read_settings(settings, base=base)
    return SlurmScheduler(parsed, runner_of(parsed, environment, CaptureRunner, dropped=DROPPED, kept=KEPT))
