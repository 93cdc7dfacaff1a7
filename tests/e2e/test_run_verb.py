"""`azaks run` as a process: signals, hooks that wake it, a second one, all against an emulator over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.cli.office import ROOT, Office, run, work
from unit.reconcile.fakes import config_document, emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import DONE, IN_PART, LOCK_HELD
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec
from autoscale_aks.ledger.lock import holder
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30.0
SETTINGS = emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), start_time=None)
LINE = re.compile(r"autoscale_aks\.cycle: plan=(\S+) cycle=(\d+) woken=(\S+) seconds=\S+ status=(\S+)")


class Running:
    """A running `azaks run`, whose standard error is read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.said.append(line)
                self._changed.notify_all()

    def cycles(self) -> list[tuple[str, ...]]:
        return [found.groups() for line in self.said if (found := LINE.search(line))]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what it said makes a condition true."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), self.said

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return status


@pytest.fixture
def office() -> Iterator[Office]:
    with scratch() as directory, EmulatorServer(SETTINGS) as emulator:
        office = Office(directory, emulator)
        office.configure()
        office.queue(work("a"))
        yield office


@contextmanager
def running(office: Office, interval: str = "3600", verb: str = "run") -> Iterator[Running]:
    more = ["--interval", interval] if verb == "run" else []
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from autoscale_aks.cli.main import main; sys.exit(main())",
         verb, "-c", office.config, *more],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=ROOT, env=os.environ,
    )  # fmt: skip
    with process:
        try:
            yield Running(process)
        finally:
            process.kill()


def test_it_runs_cycles_says_a_line_each_and_ends_with_0_on_either_signal(office: Office) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with running(office, "0.1") as azaks:
            azaks.until(lambda: len(azaks.cycles()) >= 3)
            assert azaks.end(number) == 0
            plans = [cycle[0] for cycle in azaks.cycles()]
            assert len(set(plans)) == len(plans)
            assert {cycle[3] for cycle in azaks.cycles()} == {"ok"}
            assert not any("Traceback" in line for line in azaks.said)
        assert holder(office.directory / "ledger.sqlite") is None
    assert office.machines() == ["site-htc-1"]


def test_a_second_one_exits_at_once_with_its_own_status_and_says_who_holds_it_since_when(office: Office) -> None:
    with running(office) as azaks:
        azaks.until(lambda: bool(azaks.cycles()))
        for verb in ("run", "autoscale"):
            second = run(verb, "-c", office.config)
            assert second.returncode == LOCK_HELD
            told = rf"another run \(site, process {azaks.process.pid} on {socket.gethostname()}\) is the writer since 2"
            assert re.search(told, second.stderr), second.stderr
        assert run("demand", "-c", office.config).returncode == 0, "readers need no lock"


@pytest.mark.parametrize(("verb", "status"), [("run", DONE), ("autoscale", IN_PART)])
def test_sigterm_ends_the_request_under_way_and_no_other_is_sent(office: Office, verb: str, status: int) -> None:
    document = config_document(office.emulator.base_url)
    document["aks"]["workers"] = 1
    office.write("autoscale.json", document)
    office.queue(work("a", iterations=120))
    office.emulator.state.faults.add(FaultRule(kind="slow", operations=("machine.batch_put",), after_s=0.8))
    with running(office, verb=verb) as azaks:

        def put_is_there() -> bool:
            return any(entry.operation == "machine.batch_put" for entry in office.emulator.journal.entries())

        while not put_is_there():
            assert azaks.process.poll() is None, azaks.said
            time.sleep(0.01)
        assert azaks.end() == status
    puts = [entry for entry in office.emulator.journal.entries() if entry.method == "PUT" and entry.names]
    made = set(office.machines())
    assert (len(puts), set(puts[0].names)) == (1, made)
    with Ledger.open(office.directory / "ledger.sqlite", now=0.0, read_only=True) as ledger:
        states = {record.name: record.state for record in ledger.machines(include_gone=True)}
        assert ledger.cycles()[0].ended_at is not None
    assert {name for name, state in states.items() if state is MachineState.ACCEPTED} == made
    assert set(states.values()) == {MachineState.ACCEPTED, MachineState.REJECTED}
    office.emulator.state.faults.remove()
    assert run("autoscale", "-c", office.config).returncode == 0
    assert len(office.machines()) == 120


def test_a_burst_of_a_thousand_messages_makes_at_most_two_cycles(office: Office) -> None:
    document = config_document(office.emulator.base_url, loop={"wake_socket": "wake.sock", "wake_delay_s": 0.2})
    office.write("autoscale.json", document)
    path = office.directory / "wake.sock"
    with running(office) as azaks:
        azaks.until(lambda: len(azaks.cycles()) == 1)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hook:
            hook.setblocking(False)
            for _ in range(1000):
                try:
                    hook.sendto(b"x", str(path))
                except BlockingIOError:
                    continue
        azaks.until(lambda: len(azaks.cycles()) >= 2)
        office.queue(work("a"), work("b"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hook:
            hook.sendto(b"x", str(path))
        azaks.until(lambda: len(office.machines()) == 2 or len(azaks.cycles()) >= 3)
        assert azaks.end() == 0
        woken = [cycle[2] for cycle in azaks.cycles()]
        assert woken[0] == "interval"
        assert set(woken[1:]) == {"message"}
        assert len(woken) <= 4, "the first, two for the burst, one for the last message"
    assert not path.exists()


def test_sighup_reads_the_configuration_again_and_a_bad_one_is_refused(office: Office) -> None:
    with running(office) as azaks:
        azaks.until(lambda: len(azaks.cycles()) == 1)
        good = Path(office.config).read_text()
        office.write("autoscale.json", '{"aks": 3}')
        office.queue(work("a"), work("b"))
        azaks.process.send_signal(signal.SIGHUP)
        azaks.until(lambda: len(azaks.cycles()) == 2)
        assert any("is refused, the old one stays: aks" in line for line in azaks.said)
        assert office.machines() == ["site-htc-1", "site-htc-2"]
        document = json.loads(good)
        document["nodearrays"]["htc"]["max_count"] = 3
        office.write("autoscale.json", document)
        office.queue(work("a", iterations=9))
        azaks.process.send_signal(signal.SIGHUP)
        azaks.until(lambda: len(azaks.cycles()) == 3)
        assert any("the configuration was read again" in line for line in azaks.said)
        assert azaks.end() == 0
    assert len(office.machines()) == 3
