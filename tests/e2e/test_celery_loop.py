"""The whole loop on a real Redis, real workers and the emulator: tasks → machines → workers → done → drained → gone."""

from __future__ import annotations

import gc
import os
import re
import signal
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from celery_rig import EXAMPLE, PATIENCE_S, CeleryRig, missing

from autoscale_aks.cli.demo import machine_names
from autoscale_aks.cli.wiring import with_emulator, writing_world
from autoscale_aks.config import LedgerConfig, load_config
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings
from autoscale_aks.errors import SchedulerError
from autoscale_aks.loop import run_until
from autoscale_aks.model.policy import Timeout
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.schedulers.port import version_of
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from autoscale_aks.config import Config
    from autoscale_aks.reconcile import CycleReport, World
    from autoscale_aks.schedulers.port import SchedulerPort

pytestmark = [
    pytest.mark.celery,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"NO REAL CELERY HERE: {missing()}"),
    pytest.mark.filterwarnings("default"),  # celery and kombu leave sockets to the collector
]


@pytest.fixture(autouse=True)
def sockets_collected() -> Iterator[None]:
    """They are collected here, or some later test would be blamed for them, or the whole run."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[CeleryRig]:
    with CeleryRig() as running:
        monkeypatch.setenv("CELERY_BROKER_URL", running.url)
        yield running


@pytest.fixture
def config() -> Config:
    return load_config(EXAMPLE / "autoscale.json")


def nodes_when_ready(world: World, count: int) -> dict[str, str]:
    """Wait for the emulated machines to be nodes: machine → node name."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        ready = {node.name for node in world.cloud.list_nodes(world.config.agent_pools) if node.ready}
        machines = [one for pool in world.config.agent_pools for one in world.cloud.list_machines(pool).machines]
        found = {one.name: one.node_name for one in machines if one.node_name in ready and one.node_name}
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no {count} nodes became ready")


def test_tasks_get_machines_run_and_leave_no_machine_behind(rig: CeleryRig, config: Config, tmp_path: Path) -> None:
    rig.send("for number in range(6): sleep.delay(0.5)\ntrain.apply_async((1,), countdown=3600)")
    cluster = ClusterSpec(
        subscription=config.aks.subscription,
        resource_group=config.aks.resource_group,
        name=config.aks.cluster,
        location=config.aks.location or "",
    )
    with EmulatorServer(EmulatorSettings(clusters=(cluster,), speed=60.0, latency_s=0.0)) as emulator:
        config = replace(
            with_emulator(config, emulator.base_url),
            ledger=LedgerConfig(path=tmp_path / "ledger.sqlite"),
            policy=replace(config.policy, idle_timeout=Timeout(default_s=1.0)),
        )
        with writing_world(config) as world:
            first = run_cycle(world)
            claims = [claim.name for claim in first.plan.claims]
            assert len(claims) == 2, "six tasks of one core on machines of four; the one for later buys nothing"
            assert {claim.bucket.array.name for claim in first.plan.claims} == {"htc"}
            assert machine_names(emulator) == set(claims)
            nodes = nodes_when_ready(world, 2)
            joining = run_cycle(world)
            assert not joining.plan.claims, "machines that boot are counted"
            assert {node.state for node in joining.observation.snapshot.nodes} == {"Joining"}
            for node in nodes.values():
                rig.boot(node, "celery", 4)
            seen: list[CycleReport] = []

            def is_over(report: CycleReport) -> bool:
                seen.append(report)
                return not report.observation.snapshot.nodes

            deleted: list[str] = []
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                report = run_until(world, is_over, interval_s=0, cycles=1)[0]
                deleted.extend(report.releases.deleted)
                busy = [node for node in report.observation.snapshot.nodes if node.job_ids]
                assert not {node.name for node in busy} & set(report.releases.deleted), "never under a running task"
                if not report.observation.snapshot.nodes:
                    break
            assert sorted(deleted) == sorted(claims)
            assert any(node.job_ids for report in seen for node in report.observation.snapshot.nodes), "tasks ran there"
            assert machine_names(emulator) == set()
        for machine, process in rig.workers.items():
            assert process.wait(PATIENCE_S) == 0, f"told to end, it ended by itself:\n{rig.log(machine)}"
    celery = build_scheduler({"type": "celery", **config.scheduler.settings})
    left = celery.read()
    assert re.fullmatch(r"5\.\d+\S* on redis \d+\.\d+\.\d+", version_of(celery))
    assert {job.name: (job.count, job.runnable) for job in left.jobs} == {"gpu (later)": (1, False)}


def wait_for_workers(scheduler: SchedulerPort, *names: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while {node.name for node in scheduler.read().nodes or ()} < set(names):
        assert time.monotonic() < deadline, "the workers did not start"


@pytest.mark.soak
def test_closing_waits_for_running_tasks_and_reopening_gives_the_queues_back(rig: CeleryRig, config: Config) -> None:
    settings = {"type": "celery", **config.scheduler.settings}
    celery = build_scheduler(settings)
    rig.boot("m1", "celery,gpu", 2)
    rig.boot("m2", "celery", 1)
    wait_for_workers(celery, "m1", "m2")
    rig.send("train.delay(30)")
    deadline = time.monotonic() + PATIENCE_S
    while not celery.read().running.get("m1"):
        assert time.monotonic() < deadline, "the task did not start"
    assert celery.close_nodes(["m1", "m2", "unknown"], "idle") == ("m2",)
    assert {node.name: node.state for node in celery.read().nodes or ()} == {"m1": "Closed", "m2": "Closed"}
    build_scheduler(settings).reopen_nodes(["m1", "m2"])  # another run, which asks the broker what was taken
    nodes = {node.name: node for node in celery.read().nodes or ()}
    assert {name: node.state for name, node in nodes.items()} == {"m1": "Ready", "m2": "Ready"}
    assert "queue.gpu" not in nodes["m1"].resources
    assert nodes["m2"].resources["queue.gpu"] is False


@pytest.mark.soak
def test_a_machine_that_is_lost_leaves_a_silent_worker_until_it_is_removed(rig: CeleryRig, config: Config) -> None:
    celery = build_scheduler({"type": "celery", **config.scheduler.settings})
    rig.boot("m1", "celery", 1)
    wait_for_workers(celery, "m1")
    process = rig.workers["m1"]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (late,) = celery.read().nodes or ()
    assert (late.name, late.state) == ("m1", "Ready"), "for a minute it may only be slow"
    (node,) = build_scheduler({"type": "celery", **config.scheduler.settings}).read().nodes or ()
    assert (node.name, node.state) == ("m1", "Down"), "another run knows nothing of that minute"
    assert late.job_ids
    assert node.job_ids, "nobody knows what it was doing"
    celery.remove_nodes(["m1"])
    assert celery.read().nodes == ()


def test_a_broker_that_is_gone_is_an_error_in_time_without_a_password(config: Config) -> None:
    settings = {**config.scheduler.settings, "broker_url": "redis://someone@127.0.0.1:9/0", "timeout_s": 5}
    began = time.monotonic()
    with pytest.raises(SchedulerError, match="broker"):
        build_scheduler({"type": "celery", **settings}).read()
    assert time.monotonic() - began < 60
