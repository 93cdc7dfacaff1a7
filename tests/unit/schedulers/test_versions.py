"""Each driver says which scheduler it talks to, in the scheduler's own words, and the loop's wrapper passes it on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.cli.telling import TellingScheduler
from autoscale_aks.clock import SystemClock
from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.gridengine.driver import GridEngineScheduler
from autoscale_aks.schedulers.gridengine.settings import read_settings as read_gridengine
from autoscale_aks.schedulers.openpbs.driver import PbsScheduler
from autoscale_aks.schedulers.openpbs.settings import read_settings as read_openpbs
from autoscale_aks.schedulers.port import version_of
from autoscale_aks.schedulers.process import Answer
from autoscale_aks.schedulers.registry import build_scheduler
from autoscale_aks.schedulers.slurm.driver import SlurmScheduler
from autoscale_aks.schedulers.slurm.settings import read_settings as read_slurm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TESTS = Path(__file__).parents[2]
SAMPLE = Path(__file__).parents[3] / "conf" / "sample" / "slurm"


class OneAnswer:
    """Prints the same whatever is run."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[tuple[str, ...]] = []

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        self.asked.append(tuple(args))
        return Answer(self.text)


@pytest.mark.parametrize(
    ("printed", "version"),
    [("slurm-wlm 22.05.8\n", "slurm-wlm 22.05.8"), ("slurm 25.05.1\n", "slurm 25.05.1"), ("\n", "")],
)
def test_slurm_is_asked_with_the_configured_command(printed: str, version: str) -> None:
    runner = OneAnswer(printed)
    assert SlurmScheduler(read_slurm({"type": "slurm", "squeue": "/opt/bin/squeue"}), runner).version() == version
    assert runner.asked == [("/opt/bin/squeue", "--version")]


@pytest.mark.parametrize(
    ("printed", "version"),
    [("pbs_version = 23.06.06\n", "23.06.06"), ("19.1.3\n", "19.1.3"), ("a\x07\n" + "b" * 200, "a "), ("", "")],
)
def test_openpbs_is_asked_with_the_configured_command(printed: str, version: str) -> None:
    runner = OneAnswer(printed)
    assert PbsScheduler(read_openpbs({"type": "openpbs", "qstat": "/opt/pbs/bin/qstat"}), runner).version() == version
    assert runner.asked == [("/opt/pbs/bin/qstat", "--version")]


def test_grid_engine_says_it_above_its_help() -> None:
    runner = OneAnswer("GE 8.1.9\nusage: qstat [options]\n        [-cb]  view additional binding specific parameters\n")
    settings = read_gridengine({"type": "gridengine", "qstat": "/opt/sge/qstat"})
    assert GridEngineScheduler(settings, runner).version() == "GE 8.1.9"
    assert runner.asked == [("/opt/sge/qstat", "-help")]


@pytest.mark.parametrize(
    ("settings", "version"),
    [
        ({"type": "openpbs", "capture_dir": str(TESTS / "fixtures" / "openpbs" / "50-busy")}, "23.06.06"),
        ({"type": "slurm", "capture_dir": str(SAMPLE)}, ""),
        ({"type": "gridengine", "capture_dir": str(TESTS / "fixtures" / "gridengine" / "00-empty")}, ""),
        ({"type": "kubernetes", "capture_dir": str(TESTS / "captures" / "kubernetes" / "10-pending")}, ""),
        ({"type": "celery", "capture_dir": str(TESTS / "captures" / "celery" / "redis" / "10-busy"),
          "queues": {"celery": {}}}, ""),
        ({"type": "command", "jobs": ["true"]}, ""),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else value,
)  # fmt: skip
def test_a_capture_says_what_it_holds_and_a_driver_that_cannot_say_says_nothing(
    settings: dict[str, Any], version: str
) -> None:
    scheduler = build_scheduler(settings, environment={})
    assert version_of(scheduler) == version
    assert version_of(TellingScheduler(scheduler, SystemClock())) == version


def test_a_captured_slurm_says_what_its_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "scontrol-show-config.txt").write_text(
        "SlurmctldPort           = 6817\nSLURM_VERSION           = 22.05.8\n"
    )
    scheduler = build_scheduler({"type": "slurm", "capture_dir": str(tmp_path)}, environment={})
    assert version_of(scheduler) == "slurm 22.05.8"


def test_a_scheduler_that_cannot_be_asked_is_an_error() -> None:
    scheduler = build_scheduler({"type": "slurm", "squeue": "/nonexistent/squeue"}, environment={})
    with pytest.raises(SchedulerError, match="cannot be started"):
        version_of(TellingScheduler(scheduler, SystemClock()))
