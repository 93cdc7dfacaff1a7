"""What happens while it happens: a bar on a terminal, plain lines elsewhere, nothing with `--quiet`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale_aks.model.launch import LaunchState

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from autoscale_aks.model.launch import ChunkOutcome
    from autoscale_aks.model.plan import Plan


class ChunkProgress:
    """One line a chunk as its request is answered."""

    def __init__(self, out: Console, *, quiet: bool = False) -> None:
        self._out = out
        self._quiet = quiet
        self._chunks = 0
        self._seen: dict[str, ChunkOutcome] = {}

    def expect(self, chunks: int) -> None:
        """How many chunks there will be, where no plan says it."""
        self._chunks = chunks
        self._seen.clear()

    def planned(self, plan: Plan) -> None:
        """Say what is about to be sent."""
        self._chunks = plan.puts
        self._seen.clear()
        if plan.puts and not self._quiet:
            self._out.print(f"creating {len(plan.claims):,} machines with {plan.puts:,} PUTs")

    def chunk_done(self, outcome: ChunkOutcome) -> None:
        """Say how one chunk ended; a chunk that comes again says what changed."""
        before = self._seen.get(outcome.chunk_id)
        self._seen[outcome.chunk_id] = outcome
        if self._quiet or (before is not None and before.outcomes == outcome.outcomes):
            return
        counts = {state: sum(one.state is state for one in outcome.outcomes) for state in LaunchState}
        said = ", ".join(f"{count} {state.value}" for state, count in counts.items() if count)
        seconds = outcome.ended_at - outcome.started_at
        tries = f", {outcome.attempts} attempts" if outcome.attempts > max(outcome.puts, 1) else ""
        again = " (after the list)" if before is not None else ""
        self._out.print(
            f"  [{len(self._seen)}/{self._chunks}] {outcome.pool} {outcome.chunk_id}: {said} in {seconds:.2f} s"
            f"{tries}{again}",
            markup=False,
        )
        failed = next((one for one in outcome.outcomes if one.state is LaunchState.REJECTED), None)
        if failed is not None:
            self._out.print(f"      {failed.name}: {failed.code}: {failed.message[:200]}", markup=False)


class GoneProgress:
    """How many machines are gone already, while one waits for the rest. Nothing where there is none to wait for."""

    def __init__(self, out: Console, machines: int, *, quiet: bool = False) -> None:
        self._out = out
        self._machines = machines
        self._shown = 0
        self._status: Status | None = None
        if machines and not quiet and out.is_terminal:
            self._status = out.status(self._said(0))
        self._lines = bool(machines) and not quiet and not out.is_terminal

    def __enter__(self) -> GoneProgress:  # noqa: PYI034  `Self` came with Python 3.11
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def left(self, machines: int) -> None:
        """So many are still listed."""
        gone = self._machines - machines
        if gone == self._shown:
            return
        self._shown = gone
        if self._status is not None:
            self._status.update(self._said(gone))
        elif self._lines:
            self._out.print(f"  {self._said(gone)}")

    def _said(self, gone: int) -> str:
        return f"{gone:,} of {self._machines:,} machines gone"
