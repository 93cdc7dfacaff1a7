"""The whole loop on a real Grid Engine and the emulator: qsub → cycle → machines → execd → runs → idle → deleted."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from gridengine_rig import PACKAGES, GridEngineRig, is_installed, may_make_machines

from autoscale_aks.cli.wiring import writing_world
from autoscale_aks.config import load_config
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.config import Config
    from autoscale_aks.reconcile.cycle import CycleReport

pytestmark = [
    pytest.mark.gridengine,
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason=f"NO REAL GRID ENGINE HERE: apt-get install {PACKAGES} iproute2"),
    pytest.mark.skipif(not may_make_machines(), reason="NO REAL GRID ENGINE HERE: network namespaces need root"),
]

EXAMPLE = Path(__file__).parents[2] / "conf" / "gridengine" / "autoscale.json"
SPEED = 600.0
"""The emulator's seconds a second: machines are ready at once, idle times are real."""


@pytest.fixture
def rig() -> Iterator[GridEngineRig]:
    with GridEngineRig() as running:
        running.define_complex(
            "mem_free mf MEMORY <= YES YES 0 0",
            "exclusive excl BOOL EXCL YES YES 0 1000",
            "gpu gpu INT <= YES YES 0 0",
            "slot_type slot_type RESTRING == YES NO NONE 0",
        )
        for group in ("@htc", "@hpc", "@gpu"):
            running.define_group(group)
        running.define_environment("mpi", "$fill_up")
        running.define_queue("all.q", "@htc @hpc @gpu", slots=16, pe_list="mpi")
        # A site whose DNS gives machine names addresses before the machines are there.
        running.announce(*(f"az1-htc-{number}" for number in range(1, 7)))
        yield running


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    aks = json.loads(EXAMPLE.read_text())["aks"]
    cluster = ClusterSpec(
        subscription=aks["subscription"],
        resource_group=aks["resource_group"],
        name=aks["cluster"],
        location=aks["location"],
    )
    with EmulatorServer(EmulatorSettings(clusters=(cluster,), speed=SPEED, latency_s=0.0)) as running:
        yield running


@pytest.fixture
def config(rig: GridEngineRig, emulator: EmulatorServer, tmp_path: Path) -> Config:
    """The example of conf/gridengine, with this rig's commands, this emulator and short times."""
    document: dict[str, Any] = json.loads(EXAMPLE.read_text())
    document["aks"] |= {"credential": ["emulator"], "cloud": "custom", "arm_url": emulator.base_url,
                        "kubernetes_url": emulator.base_url}  # fmt: skip
    for name in ("sge_root", "sge_cell"):
        document["scheduler"].pop(name)
    document["scheduler"] |= {name: rig.wrapper(name) for name in ("qstat", "qhost", "qconf", "qmod")}
    document["ledger"] = {"path": str(tmp_path / "ledger.sqlite")}
    document["idle_timeout"] = 1
    path = tmp_path / "autoscale.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return load_config(path)


def cycle(config: Config) -> CycleReport:
    with writing_world(config) as world:
        return run_cycle(world)


def machines(emulator: EmulatorServer) -> set[str]:
    emulator.catch_up()
    return {machine.name for pool in emulator.state.pools() for machine in pool.listed()}


def cycles_until(config: Config, what: str, holds: Any, timeout_s: float = 120.0) -> list[CycleReport]:
    """Cycles, one after the other, until it holds of one."""
    reports: list[CycleReport] = []
    deadline = time.monotonic() + timeout_s
    while True:
        reports.append(cycle(config))
        if holds(reports[-1]):
            return reports
        assert time.monotonic() < deadline, f"never: {what}; last: {reports[-1].releases} {reports[-1].notices}"
        time.sleep(0.3)


def test_jobs_get_machines_run_on_them_and_the_machines_leave(
    rig: GridEngineRig, emulator: EmulatorServer, config: Config
) -> None:
    gang = rig.submit("-b", "y", "-pe", "mpi", "6", "-l", "slot_type=htc", "sleep", "8")
    rig.submit("-b", "y", "-t", "1-8", "-tc", "4", "-l", "slot_type=htc,mem_free=2G", "sleep", "2")
    held = rig.submit("-b", "y", "-h", "-l", "slot_type=htc", "sleep", "2")
    first = cycle(config)
    asked = {claim.name for claim in first.plan.claims}
    assert asked == {"az1-htc-1", "az1-htc-2", "az1-htc-3"}, "6 slots and 4 of 8 tasks at 4 slots a machine"
    assert machines(emulator) == asked
    assert first.notices == (), "the scheduler took the new names"
    assert set(rig.output("qconf", "-sel").split()) == asked
    again = cycle(config)
    assert not again.plan.claims, "machines on their way are not asked for twice"

    for name in sorted(asked):
        rig.boot(name)
    rig.wait_until(lambda: len(_hosts_of(rig, gang)) >= 2, "the gang runs on several machines")
    while_running = cycle(config)
    assert not while_running.plan.claims
    assert not while_running.releases.deleted

    rig.wait_until(lambda: _jobs(rig) == {held}, "all work is done")
    done = cycles_until(config, "all machines are deleted", lambda _: not machines(emulator))
    assert {name for report in done for name in report.releases.deleted} == asked
    cycles_until(config, "the hosts are forgotten", lambda _: _execution_hosts(rig) == set())
    assert _jobs(rig) == {held}, "the held job still waits, and has cost nothing"


def _jobs(rig: GridEngineRig) -> set[str]:
    lines = [line.split() for line in rig.output("qstat", "-u", "*").splitlines()]
    return {words[0] for words in lines if words and words[0].isdigit()}


def _hosts_of(rig: GridEngineRig, job: str) -> set[str]:
    text = rig.output("qstat", "-u", "*", "-s", "r", "-g", "t")
    return {
        word.partition("@")[2]
        for line in text.splitlines()
        if line.split()[:1] == [job]
        for word in line.split()
        if "@" in word
    }


def _execution_hosts(rig: GridEngineRig) -> set[str]:
    done = rig.run(["qconf", "-sel"], check=False)
    return set(done.stdout.split()) if done.returncode == 0 else set()
