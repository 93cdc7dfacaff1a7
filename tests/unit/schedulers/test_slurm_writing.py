"""What Slurm is told of new nodes and of jobs that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from new_nodes import new_nodes
from slurm_lines import FakeSlurm

from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.slurm.arrays import TaskSet, holds_task, parse_tasks
from autoscale_aks.schedulers.slurm.driver import SlurmScheduler
from autoscale_aks.schedulers.slurm.settings import read_settings
from autoscale_aks.schedulers.slurm.writing import job_id_of
from autoscale_aks.units import Size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.schedulers.process import Answer

CREATE = {"n*": ["cpus={ncpus}", "realmemory={mem_mb}", "gres=gpu:{ngpus}", "feature={nodearray},{placement_group}"]}


def scheduler(slurm: FakeSlurm, **settings: Any) -> SlurmScheduler:
    return SlurmScheduler(read_settings({"type": "slurm", **settings}), slurm)


def test_a_new_node_is_made_with_what_it_has_and_where_it_is() -> None:
    slurm = FakeSlurm()
    facts = {
        "resources": {"ncpus": 4, "mem": Size(15 * 1024**3), "ngpus": 1},
        "nodearray": "gpu",
        "address": "10.0.0.4",
    }
    scheduler(slurm, create_nodes=CREATE).add_nodes(new_nodes(["n1"], **facts, placement_group="pg1"))
    assert slurm.changes() == [
        ("create", "nodename=n1", "state=cloud", "cpus=4", "realmemory=15360", "gres=gpu:1", "feature=gpu,pg1",
         "nodeaddr=10.0.0.4"),
    ]  # fmt: skip


def test_what_is_not_known_of_a_node_is_left_out() -> None:
    slurm = FakeSlurm()
    create = {"n*": ["cpus={ncpus}", "feature={nodearray},{placement_group}", "nodeaddr={address}"]}
    scheduler(slurm, create_nodes=create).add_nodes(new_nodes(["n1"], nodearray="htc"))
    assert slurm.changes() == [("create", "nodename=n1", "state=cloud", "feature=htc")]


def test_a_dynamic_node_gets_its_address_when_it_is_known_and_keeps_one_that_it_has() -> None:
    class Addressed(FakeSlurm):
        addresses: Mapping[str, str] = {"n1": "n1", "n2": "10.0.0.9", "c1": "c1"}

        def _show(self, what: str) -> str:
            lines = super()._show(what).splitlines()
            return "\n".join(f"{one} NodeAddr={self.addresses[one.split()[0][9:]]}" for one in lines)

    dynamic = "IDLE+CLOUD+DYNAMIC_NORM+POWERED_DOWN"
    slurm = Addressed({"n1": dynamic, "n2": dynamic, "c1": "IDLE+CLOUD"})
    slurm._update = lambda names, changes: None  # type: ignore[method-assign]
    scheduler(slurm).add_nodes(new_nodes(["n1", "n2", "c1"], address="10.0.0.4"))
    assert slurm.changes() == [("update", "nodename=n1", "nodeaddr=10.0.0.4")]


def test_a_placeholder_that_means_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"create_nodes.*there is no \{cpu\}; known are .*\{ncpus\}"):
        read_settings({"type": "slurm", "create_nodes": {"n*": ["cpus={cpu}"]}})


class Jobs(FakeSlurm):
    """Knows jobs 14 and 20; the second can never run, which Slurm says of it although it takes the words."""

    def run(self, args: Sequence[str], env: Mapping[str, str]) -> Answer:
        if args[2].startswith("jobid="):
            self.calls.append(tuple(args))
            job = args[2].removeprefix("jobid=").partition("_")[0]
            if job == "20":
                raise SchedulerError("exit code 1: Requested partition configuration not available now for job 20")
            if job != "14":
                raise SchedulerError(f"exit code 1: {self.words} for job {job}")
            return super().run(["scontrol", "show", "nodes"], env)
        return super().run(args, env)

    words = "Invalid job id specified"


def test_reasons_go_to_jobs_only_where_the_site_wants_them() -> None:
    slurm = Jobs()
    assert scheduler(slurm).explain_jobs({"14": "x"}) == ()
    assert slurm.calls == []
    assert scheduler(slurm).read().takes_reasons == 0
    assert scheduler(slurm, job_reasons=True).read().takes_reasons > 0


def test_a_reason_is_written_once_an_array_and_taken_away_and_jobs_that_are_over_are_no_error() -> None:
    slurm = Jobs()
    reasons = {"14_[0-5%2]": "QUOTA: no\nquota", "14_7": "", "20": "LIMIT", "99": "LIMIT", "no id": "LIMIT"}
    assert scheduler(slurm, job_reasons=True).explain_jobs(reasons) == ("14_[0-5%2]", "14_7", "20", "99")
    assert [call[2:] for call in slurm.calls if call[2].startswith("jobid=")] == [
        ("jobid=14", "admincomment=azaks: QUOTA: no quota"),
        ("jobid=14_7", "admincomment="),
        ("jobid=20", "admincomment=azaks: LIMIT"),
        ("jobid=99", "admincomment=azaks: LIMIT"),
    ]


def test_a_scheduler_that_lets_us_write_nothing_says_so() -> None:
    slurm = Jobs()
    slurm.words = "Access/permission denied"  # type: ignore[misc]
    with pytest.raises(SchedulerError, match="permission denied"):
        scheduler(slurm, job_reasons=True).explain_jobs({"15": "x"})


@pytest.mark.parametrize(
    ("name", "job"), [("14_[0-599]", "14"), ("14_7", "14_7"), ("40+0", "40"), ("9", "9"), ("x", None), ("", None)]
)
def test_the_id_that_scontrol_takes(name: str, job: str | None) -> None:
    assert job_id_of(name) == job


@pytest.mark.parametrize(
    ("record", "task", "holds"),
    [
        ("14_[0-599]", "14_7", True),
        ("14_[0-599]", "14_600", False),
        ("14_[0-6,8]", "14_7", False),
        ("14_[1-9:2%4]", "14_7", True),
        ("14_[1-9:2]", "14_6", False),
        ("14_[2-3,5,...]", "14_700", True),
        ("14_[2-3,5,...]", "14_4", False),
        ("14_[0-9]", "4_7", False),
        ("14_[0-9]", "14", False),
        ("14_[0-9]", "14_x", False),
        ("14", "14_7", False),
    ],
)
def test_a_task_is_found_in_its_arrays_record(record: str, task: str, holds: bool) -> None:
    assert holds_task(record, task) is holds


def test_every_task_of_a_shown_array_is_found() -> None:
    tasks = parse_tasks("3-19:4,40-41")
    assert isinstance(tasks, TaskSet)
    found = [number for number in range(60) if holds_task(f"7_[{tasks}]", f"7_{number}")]
    assert found == [3, 7, 11, 15, 19, 40, 41]
