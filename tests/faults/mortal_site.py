"""A site of processes: the emulator in one, each run of the program in another, and the scheduler's state in files.

The test is the scheduler: it gives jobs to free nodes between runs, and writes the file that the program reads. The
programs that close and reopen nodes are small shell scripts which keep one file a node, so that a run killed while they
work leaves what a real scheduler would.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from unit.reconcile.fakes import START, bucket, config_document
from unit.reconcile.site_fixture import scratch

from autoscale_aks.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.ledger.records import MachineState

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
IDLE_S = 100.0
MOST = 30
SETTINGS = {
    "speed": 0.0,
    "start_time": START,
    "clusters": [{"pools": ["htc"]}],
    "throttle": {"arm": False},
    "timing": {
        "machine_create": 30.0,
        "machine_fail": 10.0,
        "machine_delete": 20.0,
        "node_register": 10.0,
        "node_ready": 10.0,
    },
}
PROGRAMS = {
    "close": 'cd "$0/closed" && touch -- "$@"',
    "reopen": 'cd "$0/closed" && rm -f -- "$@"',
    "remove": 'for name; do rm -f -- "$0/closed/$name" "$0/joined/$name"; done',
}


@dataclass
class Run:
    """How one run of the program ended."""

    status: int
    steps: list[str]

    @property
    def was_killed(self) -> bool:
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    @property
    def exit_status(self) -> int:
        return os.waitstatus_to_exitcode(self.status)


@dataclass
class MortalSite:
    """Where runs die."""

    directory: Path
    base_url: str
    zygotes: list[subprocess.Popen[str]]
    jobs: dict[str, str | None] = field(default_factory=dict)
    """Job → the machine it runs on; None: it waits. One job fills a machine."""
    session: requests.Session = field(default_factory=requests.Session)
    came_up: set[str] = field(default_factory=set)
    """Machines that have joined: one that the scheduler was told to forget does not join again by itself."""

    def run(self, number: int = 0, **order: Any) -> Run:
        """One run; `step`, `at` or `after_s` says when it is killed."""
        self.order(number, **order)
        return self.answer(number)

    def order(self, number: int, **order: Any) -> None:
        self.write_queue()
        stdin = self.zygotes[number].stdin
        assert stdin is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()

    def answer(self, number: int) -> Run:
        stdout = self.zygotes[number].stdout
        assert stdout is not None
        return Run(**json.loads(stdout.readline()))

    def act(self, *order: str, **how: Any) -> Run:
        """A verb of the command line by hand; `at` says when it is killed."""
        return self.run(act=list(order), **how)

    def whole(self) -> Run:
        """A run that nobody kills, which must end well."""
        done = self.run()
        assert done.exit_status == 0, done
        return done

    # The cloud

    def advance(self, seconds: float) -> None:
        self.session.post(f"{self.base_url}/_emulator/clock", json={"advance": seconds}, timeout=30).raise_for_status()

    def now(self) -> float:
        return float(self.session.get(f"{self.base_url}/_emulator/clock", timeout=30).json()["now"])

    def machines(self) -> dict[str, dict[str, Any]]:
        rows = self.session.get(f"{self.base_url}/_emulator/machines", timeout=30).json()["machines"]
        return {row["name"]: row for row in rows}

    def alive(self) -> set[str]:
        """Machines that are there to stay."""
        return {name for name, row in self.machines().items() if row["state"] != "Deleting"}

    def requests(self, operation: str, since: int = 0) -> list[dict[str, Any]]:
        answer = self.session.get(
            f"{self.base_url}/_emulator/requests", params={"operation": operation, "since": since}, timeout=30
        )
        return list(answer.json()["requests"])

    def fault(self, *rules: dict[str, Any]) -> None:
        self.session.delete(f"{self.base_url}/_emulator/faults", timeout=30)
        self.session.post(f"{self.base_url}/_emulator/faults", json=list(rules), timeout=30).raise_for_status()

    # The scheduler

    def closed(self) -> set[str]:
        return {file.name for file in (self.directory / "closed").iterdir()}

    def joined(self) -> set[str]:
        """Nodes the scheduler knows: those that came up, until it is told to forget them."""
        place = self.directory / "joined"
        for name, row in self.machines().items():
            if row["node"] == "ready" and row["state"] != "Deleting" and name not in self.came_up:
                self.came_up.add(name)
                (place / name).touch()
        return {file.name for file in place.iterdir()}

    def free(self) -> list[str]:
        """Nodes that would take a job now."""
        busy, closed = set(self.jobs.values()), self.closed()
        ready = {name for name, row in self.machines().items() if row["node"] == "ready"}
        return sorted((ready & self.joined()) - busy - closed)

    def schedule(self) -> None:
        """Waiting jobs start on free nodes; a job whose machine is gone would be lost, and is told of."""
        waiting = [job for job, machine in self.jobs.items() if machine is None]
        self.jobs.update(zip(waiting, self.free(), strict=False))

    def write_queue(self) -> None:
        closed, running = self.closed(), {machine: job for job, machine in self.jobs.items() if machine}
        jobs = [
            {"name": job, "constraints": [{"ncpus": 4}], **({"executing_hostnames": [machine]} if machine else {})}
            for job, machine in self.jobs.items()
        ]
        up = {name for name, row in self.machines().items() if row["node"] == "ready"}
        nodes = [
            {
                "name": name,
                "state": "Down" if name not in up else "Closed" if name in closed else "Ready",
                "closed_by_us": name in closed,
                "job_ids": [running[name]] if name in running else [],
                "available": {"ncpus": 0} if name in running else {},
            }
            for name in sorted(self.joined())
        ]
        fresh = self.directory / "jobs.new"
        fresh.write_text(json.dumps({"jobs": jobs, "nodes": nodes}))
        fresh.replace(self.directory / "jobs.json")

    # The ledger

    def states(self) -> dict[str, MachineState]:
        with Ledger.open(self.directory / "ledger.sqlite", now=0.0, read_only=True) as ledger:
            return {record.name: record.state for record in ledger.machines()}

    def known(self) -> set[str]:
        """Every name the ledger ever had."""
        with Ledger.open(self.directory / "ledger.sqlite", now=0.0, read_only=True) as ledger:
            return {record.name for record in ledger.machines(include_gone=True)}


@contextmanager
def mortal_site(runners: int = 1) -> Iterator[MortalSite]:
    """Start the emulator and the processes that runs are forked from."""
    with ExitStack() as stack:
        directory = stack.enter_context(scratch())
        (directory / "settings.json").write_text(json.dumps(SETTINGS))
        (directory / "closed").mkdir()
        (directory / "joined").mkdir()
        emulator = stack.enter_context(
            _process("-c", "import sys; from autoscale_aks.cli.main import main; sys.exit(main())",
                     "emulate", "--settings", str(directory / "settings.json"))
        )  # fmt: skip
        assert emulator.stdout is not None
        base_url = emulator.stdout.readline().split()[-1]
        document = config_document(
            base_url,
            nodearrays={"htc": {"buckets": [bucket()], "max_count": MOST}},
            policy={"machines_per_put": 5},
            idle_timeout=IDLE_S,
        )
        document["aks"]["workers"] = 3
        programs = {name: ["sh", "-c", text, str(directory)] for name, text in PROGRAMS.items()}
        document["scheduler"] = {"type": "command", "jobs_file": "jobs.json", **programs}
        (directory / "autoscale.json").write_text(json.dumps(document))
        (directory / "autoscale.json").chmod(0o600)
        arguments = (str(HERE / "doomed.py"), str(directory / "autoscale.json"))
        zygotes = [stack.enter_context(_process(*arguments)) for _ in range(runners)]
        site = MortalSite(directory, base_url, zygotes)
        stack.callback(site.session.close)
        yield site


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-u", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
