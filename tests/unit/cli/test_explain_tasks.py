"""`azaks explain` of one task of an array in a captured Slurm queue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autoscale_aks.cli.explain import _find
from autoscale_aks.errors import InputError
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from autoscale_aks.model.job import Job

SAMPLE = Path(__file__).parents[3] / "conf" / "sample" / "slurm"


@pytest.fixture(scope="module")
def jobs() -> tuple[Job, ...]:
    return build_scheduler({"type": "slurm", "capture_dir": str(SAMPLE)}, environment={}).read().jobs


@pytest.mark.parametrize(
    ("asked", "records"),
    [
        ("14_7", ["14_[0-599]"]),
        ("14", ["14_[0-599]"]),
        ("16_7", ["16_[1-10]"]),
        ("16_77", ["16_[11-120%10]"]),
        ("16", ["16_[1-10]", "16_[11-120%10]"]),
        ("17_6", ["17_[0-318:2]"]),
        ("18_61", ["18_[2-3,5,7,11,13,17,19,23,29,31,37,41,43,47,53,59,...]"]),
    ],
)
def test_a_task_is_found_in_the_record_that_holds_it(jobs: tuple[Job, ...], asked: str, records: list[str]) -> None:
    assert [jobs[index].name for index in _find(jobs, asked)] == records


@pytest.mark.parametrize("asked", ["14_600", "17_7", "18_4", "1_3"])
def test_a_task_that_does_not_wait_is_not_found(jobs: tuple[Job, ...], asked: str) -> None:
    with pytest.raises(InputError, match=f'there is no job "{asked}"'):
        _find(jobs, asked)
