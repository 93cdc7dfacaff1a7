"""Captured queues of all five schedulers: what each job was submitted as, what it became, and what it got.

`schedulers.jsonl` was reviewed by hand: a line a job, with a sentence that says why this is right.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scheduler_scene import ROOT, Scene, read_scene, shown

from autoscale_aks.config import load_config
from autoscale_aks.schedulers.registry import build_scheduler

LINES = [json.loads(line) for line in (Path(__file__).parent / "schedulers.jsonl").read_text("utf-8").splitlines()]
JOBS = [line for line in LINES if "job" in line]
TOTALS = [line for line in LINES if "machines" in line]
scene_of = cache(read_scene)


def label(line: dict[str, Any]) -> str:
    return "-".join(str(line[key]) for key in ("scheduler", "scene", "job") if key in line)


@pytest.mark.parametrize("line", JOBS, ids=label)
def test_each_captured_job_becomes_what_it_was_submitted_as_and_gets_its_answer(line: dict[str, Any]) -> None:
    scene: Scene = scene_of(line["scheduler"], line["scene"])
    job = next(job for job in scene.state.jobs if job.name == line["job"])
    assert job.problem is None
    assert shown(job) == line["becomes"], line["why"]
    assert scene.answers[job.name] == line["answer"], line["why"]


@pytest.mark.parametrize("line", TOTALS, ids=label)
def test_a_scene_has_so_many_jobs_and_wants_so_many_machines(line: dict[str, Any]) -> None:
    scene = scene_of(line["scheduler"], line["scene"])
    assert len(scene.state.jobs) == line["jobs"]
    assert scene.machines == line["machines"]
    problems = line.get("problems", [])
    assert [problem.message for problem in scene.state.problems] == problems
    assert scene.state.complete is (not problems)


@pytest.mark.parametrize("scheduler", ["slurm", "openpbs", "gridengine"])
def test_the_example_of_conf_is_a_configuration_and_a_scheduler(scheduler: str) -> None:
    config = load_config(ROOT / "conf" / scheduler / "autoscale.json")
    assert config.scheduler.type == scheduler
    build_scheduler({"type": scheduler, **config.scheduler.settings}, environment={})


def test_every_waiting_job_of_the_first_scenes_is_reviewed() -> None:
    first = "10-pending-running"
    scenes = (("slurm", "sample"), ("openpbs", first), ("gridengine", first), ("kubernetes", "10-pending"),
              ("celery", "redis/10-busy"), ("celery", "rabbitmq/10-busy"))  # fmt: skip
    for scheduler, name in scenes:
        reviewed = {line["job"] for line in JOBS if (line["scheduler"], line["scene"]) == (scheduler, name)}
        scene = scene_of(scheduler, name)
        assert reviewed == {job.name for job in scene.state.jobs}


def test_every_line_has_its_sentence() -> None:
    assert [label(line) for line in JOBS if len(line["why"]) < 4 or not line["submitted"]] == []
