"""Records for the ledger's tests, and a child process to be killed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from autoscale_aks.ledger import opening, reading
from autoscale_aks.ledger.records import MachineRecord, MachineState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z

_RECORD = MachineRecord(
    name="htc-m1-1",
    nodearray="htc",
    pool="htcpool",
    vm_size="Standard_D4s_v5",
    zone="1",
    spot=False,
    placement_group=None,
    plan_id="plan-1",
    chunk_id="plan-1/0",
    state=MachineState.INTENDED,
    asked_at=NOW,
    updated_at=NOW,
)


def machine(name: str | int = 1, **changes: object) -> MachineRecord:
    """A machine of the node array `htc`; a number stands for the name made of it."""
    return replace(_RECORD, name=f"htc-m1-{name}" if isinstance(name, int) else name, **changes)


def machines(first: int, last: int) -> list[MachineRecord]:
    return [machine(number) for number in range(first, last + 1)]


def bytes_and_times(directory: Path) -> dict[str, tuple[bytes, int, int]]:
    """Everything in a directory that a reader could have changed."""
    return {
        file.name: (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_mode)
        for file in sorted(directory.iterdir())
    }


class Journal:
    """Which of its two journals the ledger keeps in these tests, in this process and in its children."""

    before = ""

    def use_rollback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As on a network file system."""
        for module in (opening, reading):
            monkeypatch.setattr(module, "shares_memory", lambda _: False)
        monkeypatch.setattr(self, "before", _NETWORK)


_NETWORK = """
from autoscale_aks.ledger import opening, reading
opening.shares_memory = reading.shares_memory = lambda _: False
"""
journal = Journal()


@contextmanager
def child(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process running `code`, which finds `arguments` in `sys.argv[1:]`; killed if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", journal.before + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
