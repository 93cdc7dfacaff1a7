"""A direct scale-out as an operator sees it: progress while it runs, the sums at its end, and the record on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from autoscale_aks.cli.output import counted, table
from autoscale_aks.cli.progress import ChunkProgress
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.model.launch import LaunchState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.progress import TaskID

    from autoscale_aks.cloud.aks.record import OperationRecord
    from autoscale_aks.model.launch import ChunkOutcome


class ScaleProgress:
    """Bars on a terminal, a line a chunk elsewhere, nothing with `--quiet`. A context manager."""

    def __init__(self, out: Console, chunks: int, machines: int, *, quiet: bool) -> None:
        self._out = out
        self._quiet = quiet
        self._machines = machines
        self._ready = 0
        self._lines = ChunkProgress(out, quiet=quiet)
        self._lines.expect(chunks)
        self._answered: dict[str, int] = {}
        self._bars = Progress(
            TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=out
        )
        self._tasks: dict[str, TaskID] = {}
        if not quiet:
            out.print(f"creating {counted(machines, 'machine')} in {counted(chunks, 'chunk')}")

    def __enter__(self) -> ScaleProgress:  # noqa: PYI034  `Self` came with Python 3.11
        if self._draws:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._draws:
            self._bars.stop()

    @property
    def _draws(self) -> bool:
        return self._out.is_terminal and not self._quiet

    def chunk_done(self, outcome: ChunkOutcome) -> None:
        """A chunk was answered, or the proof changed it."""
        if not self._draws:
            self._lines.chunk_done(outcome)
            return
        self._answered[outcome.chunk_id] = sum(one.state is LaunchState.ACCEPTED for one in outcome.outcomes)
        self._show("accepted", sum(self._answered.values()))

    def ready(self, nodes: int) -> None:
        """So many new nodes are ready."""
        if nodes == self._ready or self._quiet:
            return
        self._ready = nodes
        if self._draws:
            self._show("ready", nodes)
        else:
            self._out.print(f"  {nodes:,} of {counted(self._machines, 'node')} ready")

    def _show(self, what: str, count: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=self._machines)
        self._bars.update(self._tasks[what], completed=count)


def records_writable(path: Path) -> None:
    """Raise InputError, before anything is sent, when no record could be kept at `path`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise InputError(
            [Problem("--records", f"{path} cannot be written: {error.strerror}. Nothing was sent")]
        ) from error


def append_record(path: Path, record: OperationRecord) -> str | None:
    """One line more, in one write, so that lines of runs that end together do not mix. What went wrong, if anything."""
    line = f"{record.to_json()}\n".encode("ascii")
    try:
        with path.open("ab", buffering=0) as stream:
            written = stream.write(line)
    except OSError as error:
        return f"the record could not be written to {path}: {error.strerror}"
    return None if written == len(line) else f"only a part of the record could be written to {path}"


def print_record(record: OperationRecord, names: Sequence[str], out: Console) -> None:
    """What was asked, what came of it, and how long it took."""
    form = "with the batch header" if record.use_batch_api else "one by one"
    out.print(
        f"asked for {counted(record.count, 'machine')} of {record.vm_size} in pool {record.agent_pool}, {form}: "
        f"{counted(record.workers, 'worker')} × {record.count // record.workers}",
        markup=False,
    )
    out.print(f"{names[0]} … {names[-1]}" if len(names) > 1 else names[0], style="dim", markup=False)
    _print_sums(record, out)
    for machine in record.failed_machines[:5]:
        out.print(f"  {machine.name}: {machine.state}: {machine.code}: {machine.message[:200]}", markup=False)
    if record.readiness:
        _print_readiness(record, out)


def _print_sums(record: OperationRecord, out: Console) -> None:
    rejected = [machine for machine in record.failed_machines if machine.state == LaunchState.REJECTED.value]
    later = len(record.failed_machines) - len(rejected) - record.unknown
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in record.failed_by_kind.items())
    rows = [
        ("accepted", f"{record.successful_machines + later:,}", ""),
        ("rejected", f"{len(rejected):,}", kinds if rejected else ""),
        ("failed later", f"{later:,}", kinds if later and not rejected else ""),
        ("unknown", f"{record.unknown:,}", ""),
        ("PUTs", f"{record.puts:,}", ""),
        ("seconds", f"{record.command_execution_time:,.2f}", "from the first PUT to the last answer"),
    ]
    for what, number, remark in rows:
        out.print(f"  {what:<12} {number:>8}  {remark}".rstrip(), markup=False)
    if record.unknown:
        out.print("next: azaks machines list shows which of the unknown exist", style="dim")
    if later:
        out.print("next: azaks machines delete --failed takes the failed ones away", style="dim")


def _print_readiness(record: OperationRecord, out: Console) -> None:
    rows = []
    for name, ours in record.new_node_readiness.items():
        theirs = record.readiness[name]
        rows.append((name, f"{ours.target_nodes:,}", _when(ours.elapsed_s), f"{theirs.target_nodes:,}",
                     _when(theirs.elapsed_s)))  # fmt: skip
    columns = ("share", "nodes", "s since first PUT", "nodes (compatible)", "s since pool ready")
    out.print(table("Ready nodes", columns, rows, right=(1, 2, 3, 4)))


def _when(elapsed_s: float | None) -> str:
    return "never" if elapsed_s is None else f"{elapsed_s:,.1f}"
