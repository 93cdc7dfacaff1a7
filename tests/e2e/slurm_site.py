"""A real Slurm, an emulated AKS and a configuration of conf/slurm: what the whole-loop tests stand on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from autoscale_aks.cli.wiring import writing_world
from autoscale_aks.config import load_config
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from slurm_rig import SlurmRig

    from autoscale_aks.config import Config
    from autoscale_aks.reconcile.cycle import CycleReport

T = TypeVar("T")
CONF = Path(__file__).parents[2] / "conf" / "slurm"
SPEED = 600.0
"""The emulator's seconds a second: machines are ready at once, idle times are real."""
PATIENCE_S = 60.0


def emulator() -> EmulatorServer:
    """An emulator of the cluster that conf/slurm/autoscale.json names."""
    aks = json.loads((CONF / "autoscale.json").read_text())["aks"]
    cluster = ClusterSpec(
        subscription=aks["subscription"],
        resource_group=aks["resource_group"],
        name=aks["cluster"],
        location=aks["location"],
    )
    return EmulatorServer(EmulatorSettings(clusters=(cluster,), speed=SPEED, latency_s=0.0))


def configure(directory: Path, rig: SlurmRig, aks: EmulatorServer, **scheduler: Any) -> Config:
    """The example of conf/slurm with this rig, this emulator, short times, and more of `scheduler`."""
    document: dict[str, Any] = json.loads((CONF / "autoscale.json").read_text())
    document["aks"] |= {"credential": ["emulator"], "cloud": "custom", "arm_url": aks.base_url,
                        "kubernetes_url": aks.base_url}  # fmt: skip
    document["scheduler"] |= {"slurm_conf": rig.env["SLURM_CONF"], **scheduler}
    document["ledger"] = {"path": str(directory / "ledger.sqlite")}
    document["idle_timeout"] = 1
    path = directory / "autoscale.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return load_config(path)


def cycle(config: Config) -> CycleReport:
    """What `azaks autoscale` does."""
    with writing_world(config) as world:
        return run_cycle(world)


def machines(aks: EmulatorServer) -> set[str]:
    """The machines there are."""
    aks.catch_up()
    return {machine.name for pool in aks.state.pools() for machine in pool.listed()}


def until(look: Callable[[], T], what: object, pause_s: float = 0.2) -> T:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"never: {what() if callable(what) else what}"
        time.sleep(pause_s)


def cycles_until(config: Config, what: str, holds: Callable[[CycleReport], object]) -> list[CycleReport]:
    """Cycles, one after the other, until it holds of one."""
    reports: list[CycleReport] = []

    def one_more() -> object:
        reports.append(cycle(config))
        return holds(reports[-1])

    until(one_more, what, 0.3)
    return reports


def queue(rig: SlurmRig, *options: str) -> dict[str, str]:
    """Jobs and tasks that are not over, and their states."""
    lines = rig.output("squeue", "-h", "-a", "-r", "-o", "%i %T", *options).splitlines()
    return dict(line.split()[:2] for line in lines if line.strip())


def flags(rig: SlurmRig, node: str) -> set[str]:
    """Words of a node's state; empty when Slurm does not know it."""
    done = rig.run(["scontrol", "-o", "show", "node", node], check=False)
    if done.returncode or "State=" not in done.stdout:
        return set()
    return set(done.stdout.split("State=")[1].split()[0].split("+"))
