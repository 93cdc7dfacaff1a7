"""Captures of real workers with Redis and RabbitMQ: what each task, queue and worker becomes, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery_objects import CAPTURES, NOW

from autoscale_aks.schedulers.celery.driver import CaptureCell
from autoscale_aks.schedulers.celery.settings import read_settings
from autoscale_aks.schedulers.celery.state import read_state
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from autoscale_aks.schedulers.port import SchedulerState

QUEUES: dict[str, Any] = {
    "celery": {"nodearrays": ["htc"]},
    "gpu": {"constraints": {"ngpus": 1}, "priority": 5},
    "bigmem": {"nodearrays": ["mem"], "tasks": {"app.assemble": {"mem": "memory::512g"}}},
    "idle": {"nodearrays": ["htc"]},
}
SETTINGS = read_settings({"type": "celery", "queues": QUEUES, "machine_is": "name"})
# scene → job → tasks, runnable; every worker's host is one and the same there, so machines go by the worker's name
SCENES: dict[str, tuple[dict[str, tuple[int, bool]], str]] = {
    "redis/00-empty": ({}, "nothing waits"),
    "redis/10-busy": (
        {"gpu": (2, True), "celery": (8, True), "celery (later)": (2, False), "bigmem:app.assemble": (3, True)},
        "10 wait in celery, two of them for a time to come; gpu's two lie in its priority lists; bigmem has no worker",
    ),
    "redis/20-scaled": (
        {"gpu": (2, True), "idle (later)": (2, False)},
        "the ETA tasks of celery were fetched by a worker and wait in it; those of idle wait in the queue",
    ),
    "redis/30-draining": ({"gpu": (2, True), "idle (later)": (2, False)}, "cpu works on unseen after SIGTERM"),
    "redis/40-drained": (
        {"gpu": (2, True), "celery": (6, True), "celery (later)": (2, False), "idle (later)": (2, False)},
        "cpu put back what it had prefetched, its ETA tasks too",
    ),
    "rabbitmq/00-empty": ({}, "nothing waits"),
    "rabbitmq/10-busy": (
        {"gpu": (2, True), "celery": (6, True), "bigmem": (3, True)},
        "RabbitMQ only counts: which task waits, and for when, cannot be looked into",
    ),
    "rabbitmq/20-scaled": ({"gpu": (1, True), "celery": (4, True), "bigmem": (1, True)}, "the new worker took two"),
    "rabbitmq/30-draining": ({"gpu": (1, True), "celery": (4, True)}, "gpu has no consumer any more"),
}  # fmt: skip


def read(scene: str) -> SchedulerState:
    return read_state(CaptureCell(CAPTURES / scene, SETTINGS).look(), SETTINGS, NOW)


@pytest.mark.parametrize("scene", SCENES)
def test_each_waiting_task_becomes_a_slot_of_its_queue(scene: str) -> None:
    jobs, why = SCENES[scene]
    assert {job.name: (job.count, job.runnable) for job in read(scene).jobs} == jobs, why


def test_workers_are_nodes_with_what_their_tasks_left() -> None:
    nodes = {node.name: node for node in read("redis/10-busy").nodes or ()}
    cpu, gpu = nodes["cpu"], nodes["gpu"]
    assert (cpu.resources["slots"], cpu.available["slots"], len(cpu.job_ids)) == (2, 0, 6), "2 active, 4 prefetched"
    assert (gpu.resources["slots"], gpu.available["slots"], len(gpu.job_ids)) == (1, 0, 2)
    assert gpu.resources["queue.celery"] is False, "it takes from gpu only"
    assert "queue.gpu" not in gpu.resources


def test_tasks_for_later_hold_the_worker_that_fetched_them() -> None:
    nodes = {node.name: node for node in read("redis/40-drained").nodes or ()}
    assert nodes["mem"].job_ids == ("eta-asm-0", "eta-asm-1", "eta-asm-2")
    assert nodes["mem"].available["slots"] == nodes["mem"].resources["slots"], "they take no slot until their time"


def test_a_worker_that_was_told_to_stop_is_unseen_and_nothing_may_be_deleted() -> None:
    draining, others = read("redis/30-draining"), [read(f"redis/{name}") for name in ("10-busy", "20-scaled")]
    assert not draining.complete
    assert [problem.message for problem in draining.problems] == [
        "tasks are held by workers that cannot be seen: nothing is deleted (8)"
    ]
    assert all(state.complete for state in others)


def test_the_queue_of_higher_priority_comes_first() -> None:
    assert read("redis/10-busy").jobs[0].name == "gpu"


def test_captures_are_read_through_the_registry() -> None:
    settings = {"type": "celery", "capture_dir": "10-busy", "queues": QUEUES}
    state = build_scheduler(settings, base=CAPTURES / "redis").read()
    assert [(node.name, node.resources["slots"]) for node in state.nodes or ()] == [("vm", 3)], "two workers, one host"
