"""Slurm's power saving: events that the hooks keep, what they ask for now, and how they are done with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from new_nodes import new_nodes
from slurm_lines import FakeSlurm, line

from autoscale_aks.errors import Problem, SchedulerError
from autoscale_aks.schedulers.port import NodeRequest
from autoscale_aks.schedulers.slurm.driver import SlurmScheduler
from autoscale_aks.schedulers.slurm.nodes import parse_nodes
from autoscale_aks.schedulers.slurm.powering import STILL, find_requests
from autoscale_aks.schedulers.slurm.settings import read_settings
from autoscale_aks.schedulers.slurm.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

UP, AWAY, OUT = "IDLE+CLOUD+POWERING_UP", "IDLE+CLOUD+POWERED_DOWN", "DOWN+CLOUD+POWERED_DOWN"


def keep(directory: Path, at: float, event: str, detail: Any) -> Path:
    path = directory / f"{int(at * 1e6):017d}-1-{event}.json"
    path.write_text(json.dumps({"time": at, "event": event, "detail": detail}))
    return path


def scheduler(slurm: FakeSlurm, spool: Path, **settings: Any) -> SlurmScheduler:
    return SlurmScheduler(read_settings({"type": "slurm", "power_saving": {"spool": str(spool)}, **settings}), slurm)


def told(slurm: FakeSlurm, spool: Path, **settings: Any) -> list[tuple[str, bool, str, str]]:
    found = scheduler(slurm, spool, **settings).read().requests
    return [(one.name, one.is_up, one.cause, one.problem) for one in found]


def left(spool: Path) -> dict[str, str]:
    return {path.name.split("-")[2].removesuffix(".json"): json.loads(path.read_text())["detail"]
            for path in sorted(spool.glob("[0-9]*.json"))}  # fmt: skip


def test_a_resume_is_told_with_its_job_until_it_is_settled(tmp_path: Path) -> None:
    keep(tmp_path, 1.0, "resume-file", json.dumps({"jobs": [{"job_id": 7, "nodes": "c[1-2]"}], "all_nodes": "c[1-3]"}))
    keep(tmp_path, 2.0, "resume", "c[1-3]")
    slurm = FakeSlurm({"c1": UP, "c2": UP, "c3": UP, "c4": AWAY})
    expected = [("c1", True, "resume for job 7", ""), ("c2", True, "resume for job 7", ""), ("c3", True, "resume", "")]
    assert told(slurm, tmp_path) == told(slurm, tmp_path) == expected, "reading takes nothing away"
    driver = scheduler(slurm, tmp_path)
    requests = driver.read().requests
    driver.settle_requests(requests[:2])
    assert left(tmp_path) == {"resume": "c3"}, "what is done is taken out, or it would be done again some day"
    driver.settle_requests(requests[2:])
    assert list(tmp_path.iterdir()) == []


def test_of_each_node_the_last_word_counts_and_a_machine_that_is_to_go_goes_first(tmp_path: Path) -> None:
    keep(tmp_path, 1.0, "resume", "c[1-2]")
    keep(tmp_path, 2.0, "suspend", "c[1-3]")
    keep(tmp_path, 3.0, "resume", "c3")
    slurm = FakeSlurm({"c1": AWAY, "c2": AWAY, "c3": UP})
    assert told(slurm, tmp_path) == [
        ("c1", False, "suspend", ""), ("c2", False, "suspend", ""), ("c3", False, "suspend", ""),
        ("c3", True, "resume", ""),
    ]  # fmt: skip
    driver = scheduler(slurm, tmp_path)
    driver.settle_requests([one for one in driver.read().requests if one.name != "c3"])
    assert left(tmp_path) == {"suspend": "c3", "resume": "c3"}
    driver.settle_requests([one for one in driver.read().requests if not one.is_up])
    assert left(tmp_path) == {"resume": "c3"}, "a later wish is not settled by an earlier one"


def test_an_event_that_slurm_waits_for_no_more_says_so_and_one_that_was_lost_is_found(tmp_path: Path) -> None:
    keep(tmp_path, 1.0, "resume", "c1,gone")
    slurm = FakeSlurm({"c1": OUT, "c2": UP, "c3": "ALLOCATED+CLOUD+POWERING_UP"})
    found = told(slurm, tmp_path)
    assert ("c2", True, STILL, "") in found
    assert ("c3", True, STILL, "") in found
    problems = {name: problem for name, _, _, problem in found}
    assert problems["gone"] == "Slurm does not know it"
    assert problems["c1"] == "Slurm does not wait for it any more: it is CLOUD+DOWN+POWERED_DOWN"


def test_bad_files_are_reported_set_aside_and_spoil_nothing(tmp_path: Path) -> None:
    (tmp_path / "1-1-resume.json").write_text("{")
    keep(tmp_path, 2.0, "resume", "c[1-")
    keep(tmp_path, 3.0, "prolog", "42")
    keep(tmp_path, 4.0, "resume", "c1")
    (tmp_path / ".5-1-resume.json").write_text("half writ")
    driver = scheduler(FakeSlurm({"c1": UP}), tmp_path)
    state = driver.read()
    assert [one.name for one in state.requests] == ["c1"]
    assert len(state.problems) == 2
    assert state.complete, "a bad event keeps no machine"
    driver.settle_requests(())
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".bad", ".bad", ".json", ".json"]
    assert left(tmp_path) == {"resume": "c1"}
    assert driver.read().problems == ()


def test_a_spool_that_is_not_there_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"none: cannot be read: .*scheduler\.power_saving\.spool"):
        scheduler(FakeSlurm(), tmp_path / "none").read()


@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)), max_size=3))
def test_whatever_stands_in_the_spool_reading_goes_on(contents: list[bytes]) -> None:
    import tempfile  # noqa: PLC0415 - a directory for each example
    from pathlib import Path  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        for number, content in enumerate(contents):
            (Path(name) / f"{number}.json").write_bytes(content)
        keep(Path(name), 9.0, "resume", "c1")
        problems: list[Problem] = []
        assert [event.names for event in Spool(Path(name)).read(problems) if event.names] == [("c1",)]
        assert len(problems) <= len(contents)


def test_jobs_of_powered_node_arrays_make_no_demand_and_others_do(tmp_path: Path) -> None:
    slurm = FakeSlurm(queue=line(JobID="1", Partition="htc") + "\n" + line(JobID="2", Partition="gpu") + "\n")
    saving = {"spool": str(tmp_path), "nodearrays": ["htc"]}
    state = scheduler(slurm, tmp_path, power_saving=saving).read()
    assert {job.name: job.not_runnable_reason for job in state.jobs} == {
        "1": "Slurm resumes nodes for it by itself (power saving)", "2": "",
    }  # fmt: skip
    assert state.powered == ("htc",)
    state = scheduler(slurm, tmp_path).read()
    assert [job.runnable for job in state.jobs] == [False, False]
    assert state.powered is None


def test_nodes_that_slurm_is_powering_itself_are_never_drained_or_changed(tmp_path: Path) -> None:
    slurm = FakeSlurm({"a": "IDLE+CLOUD+POWERING_DOWN", "b": "IDLE+CLOUD", "c": UP, "d": AWAY})
    driver = scheduler(slurm, tmp_path)
    assert driver.close_nodes(["a", "b"], "x") == ("a", "b"), "what is powering down starts nothing"
    assert slurm.changes() == [("update", "nodename=b", "state=drain", "reason=autoscale: x")]
    slurm.calls.clear()
    driver.remove_nodes(["a", "b", "c", "d"])
    assert slurm.changes() == [
        ("update", "nodename=b", "state=power_down_force", "reason=autoscale: no machine"),
        ("update", "nodename=b", "state=undrain"),
    ]
    slurm.calls.clear()
    driver.add_nodes(new_nodes(["e"], nodearray="htc"))
    assert slurm.changes() == []


def test_nodes_that_slurm_gave_up_are_given_back_once_their_machines_are_gone(tmp_path: Path) -> None:
    keep(tmp_path, 1.0, "resume-fail", "late,slow")
    reasons = {"late": "ResumeTimeout reached", "slow": "ResumeTimeout reached", "lost": "autoscale: no machine",
               "theirs": "bad disk"}  # fmt: skip
    slurm = FakeSlurm(dict.fromkeys(reasons, OUT), reasons=reasons)
    driver = scheduler(slurm, tmp_path)
    driver.settle_requests([one for one in driver.read().requests if one.name == "late"])
    assert slurm.changes() == [("update", "nodename=late,lost", "state=resume")]


def test_requests_without_a_look_at_nodes_are_believed(tmp_path: Path) -> None:
    keep(tmp_path, 1.0, "resume", "c1")
    found = find_requests(Spool(tmp_path).read([]), None)
    assert found == (NodeRequest(name="c1", is_up=True, at=1.0, cause="resume"),)
    records = {record.name: record for record in parse_nodes("NodeName=c1 State=IDLE", [])}
    assert find_requests(Spool(tmp_path).read([]), records)[0].problem


@pytest.mark.parametrize(
    ("saving", "path", "message"),
    [
        ("yes", "scheduler.power_saving", "expected an object"),
        ({}, "scheduler.power_saving.spool", "is missing"),
        ({"spol": "x"}, "scheduler.power_saving.spol", 'did you mean "spool"'),
        ({"spool": "/s", "nodearrays": "htc"}, "scheduler.power_saving.nodearrays", "expected a list"),
    ],
)
def test_mistakes_in_the_settings_of_power_saving(saving: Any, path: str, message: str) -> None:
    from autoscale_aks.errors import ConfigError  # noqa: PLC0415 - here alone

    with pytest.raises(ConfigError) as caught:
        read_settings({"type": "slurm", "power_saving": saving})
    assert any(problem.path == path and message in problem.message for problem in caught.value.problems)
