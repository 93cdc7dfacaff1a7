"""Readers never hold the writer up and are never held up by it, however long either of them takes."""

from __future__ import annotations

import signal
import stat
from typing import TYPE_CHECKING

import pytest
from ledger_cases import NOW, child, machine, machines

from autoscale_aks.ledger.store import Ledger

if TYPE_CHECKING:
    from pathlib import Path

READING = """
import sys
from autoscale_aks.ledger.store import Ledger

ledger = Ledger.open(sys.argv[1], now=0.0, read_only=True)
print(len(ledger.machines()), flush=True)
sys.stdin.readline()
print(len(ledger.machines()), flush=True)
"""

WRITING = """
import sys
sys.path.insert(0, sys.argv[2])
from ledger_cases import NOW, machine
from autoscale_aks.ledger.store import Ledger

with Ledger.open(sys.argv[1], now=NOW) as ledger, ledger._writing() as connection:
    connection.execute("DELETE FROM machines")
    print("half done", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "state" / "ledger.db"
    with Ledger.open(place, now=NOW) as ledger:
        ledger.record_intents(machines(1, 3), {"htc": 4}, NOW)
    return place


def test_a_reader_that_reads_for_ever_keeps_no_commit_waiting_and_stays_at_its_moment(path: Path) -> None:
    """The reader is even stopped: a lock that it held would never be let go."""
    with child(READING, path) as reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert reader.stdout.readline() == "3\n"
        reader.send_signal(signal.SIGSTOP)
        with Ledger.open(path, now=NOW, busy_timeout_s=0.0) as writer:
            for number in range(4, 54):
                writer.record_intents([machine(number)], {"htc": number + 1}, NOW)
        reader.send_signal(signal.SIGCONT)
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "3\n"
    with Ledger.open(path, now=NOW, read_only=True) as ledger:
        assert len(ledger.machines()) == 53


def test_a_writer_that_hangs_in_the_middle_of_a_transaction_keeps_no_reader_waiting(
    path: Path, request: pytest.FixtureRequest
) -> None:
    with child(WRITING, path, request.path.parent) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half done\n"
        writer.send_signal(signal.SIGSTOP)
        for _ in range(20):
            with Ledger.open(path, now=NOW, read_only=True, busy_timeout_s=0.0) as ledger:
                assert len(ledger.machines()) == 3


def test_every_file_beside_the_ledger_is_for_its_owner_only(path: Path, request: pytest.FixtureRequest) -> None:
    with child(WRITING, path, request.path.parent) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        beside = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert set(beside) == {"ledger.db", "ledger.db-journal"}
        assert set(beside.values()) == {0o600}
