"""Jobs from any program or file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from new_nodes import new_nodes

from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.registry import build_scheduler
from autoscale_aks.units import Size

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.schedulers.port import SchedulerState

JOB = {"name": "j1", "constraints": [{"ncpus": 1}]}


def read(tmp_path: Path, content: Any, **settings: Any) -> SchedulerState:
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "jobs.json").write_text(text)
    return build_scheduler({"type": "command", "jobs_file": "jobs.json", **settings}, base=tmp_path).read()


@pytest.mark.parametrize(
    "content",
    [
        [JOB, {**JOB, "name": "j2"}],
        {"jobs": [JOB, {**JOB, "name": "j2"}]},
        '{"name": "j1", "constraints": [{"ncpus": 1}]}\n\n{"name": "j2", "constraints": [{"ncpus": 1}]}\n',
    ],
    ids=["list", "frame", "lines"],
)
def test_jobs_may_be_a_list_a_frame_or_lines(tmp_path: Path, content: Any) -> None:
    state = read(tmp_path, content)
    assert [job.name for job in state.jobs] == ["j1", "j2"]
    assert state.jobs[0].shape is state.jobs[1].shape
    assert (state.nodes, state.problems, state.complete) == (None, (), True)


def test_a_single_line_is_a_single_job(tmp_path: Path) -> None:
    assert [job.name for job in read(tmp_path, JOB).jobs] == ["j1"]


def test_higher_priority_comes_first_and_else_the_order_given(tmp_path: Path) -> None:
    jobs = [{"name": "a"}, {"name": "b", "priority": 5}, {"name": "c"}, {"name": "d", "priority": 5}]
    assert [job.name for job in read(tmp_path, jobs).jobs] == ["b", "d", "a", "c"]


def test_one_bad_job_is_invalid_and_the_rest_is_kept(tmp_path: Path) -> None:
    state = read(tmp_path, [JOB, {"name": "j2", "iterations": "many"}, 7, {"name": "j4", "consraints": []}])
    assert [job.problem is None for job in state.jobs] == [True, False, False, False]
    assert len(state.problems) == 3
    assert 'did you mean "constraints"' in state.problems[2].message
    assert not state.complete


def test_one_bad_line_is_reported_and_the_rest_is_kept(tmp_path: Path) -> None:
    state = read(tmp_path, '{"name": "j1"}\n{"name": \n{"name": "j3"}\n')
    assert [job.name for job in state.jobs] == ["j1", "j3"]
    assert (state.problems[0].path, state.complete) == ("line 2", False)


@pytest.mark.parametrize(
    "text", ["", "no jobs today", "7", '"x"', "null", '{"nodes": []}', '{"jobs": {}}', "[1, 2", "[" * 100_000]
)
def test_text_that_is_no_job_list_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(SchedulerError, match=r"jobs\.json"):
        read(tmp_path, text)


def test_nodes_running_jobs_and_licences_may_come_along(tmp_path: Path) -> None:
    state = read(
        tmp_path,
        {
            "jobs": [JOB, {"name": "r1", "executing_hostnames": ["n1", "n2"]}],
            "nodes": [
                {"name": "n1", "resources": {"ncpus": 4, "mem": "memory::4g"}, "available": {"ncpus": 2}},
                {"name": "n2", "state": "Closed", "machine": "htc-2", "job_ids": ["r1", "r9"]},
                {"name": "n3", "state": "Sleeping"},
                {"name": "n1"},
                {"state": "Ready"},
            ],
            "shared_resources": {"licenses": {"initial": 10, "current": 4}, "tokens": {"initial": 3}},
        },
    )
    assert [job.name for job in state.jobs] == ["j1"], "what runs does not wait"
    assert dict(state.running) == {"n1": ("r1",), "n2": ("r1", "r9")}
    assert state.nodes is not None
    assert [(node.name, node.machine, node.state) for node in state.nodes] == [
        ("n1", "n1", "Ready"), ("n2", "htc-2", "Closed"),
    ]  # fmt: skip
    assert dict(state.nodes[0].resources) == {"ncpus": 4, "mem": Size(4 * 1024**3)}
    assert [problem.path for problem in state.problems] == ["nodes[2].state", "nodes[3].name", "nodes[4].name"]
    assert not state.complete
    assert {name: it.current for name, it in state.shared_resources.items()} == {"licenses": 4, "tokens": 3}


def test_a_program_is_asked_anew_each_time() -> None:
    scheduler = build_scheduler({"type": "command", "jobs": ["echo", json.dumps([JOB])]})
    assert scheduler.read().jobs == scheduler.read().jobs or len(scheduler.read().jobs) == 1


def test_what_a_program_says_on_stderr_is_reported() -> None:
    code = "echo careful >&2; echo '[]'"
    (problem,) = build_scheduler({"type": "command", "jobs": ["sh", "-c", code]}).read().problems
    assert (problem.path, problem.message) == ("sh", "careful")


def test_a_missing_or_huge_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"nothing\.json: cannot be read: No such file"):
        build_scheduler({"type": "command", "jobs_file": "nothing.json"}, base=tmp_path).read()
    with pytest.raises(SchedulerError, match="max_output_bytes"):
        read(tmp_path, [JOB] * 100, max_output_bytes=50)


def test_nodes_close_as_the_close_program_says(tmp_path: Path) -> None:
    log = tmp_path / "log"
    some = ["sh", "-c", f'echo "$AUTOSCALE_REASON: $*" >> {log}; echo n2', "close"]
    base = {"type": "command", "jobs": ["true"]}
    assert build_scheduler({**base, "close": some}).close_nodes(["n1", "n2"], "idle") == ("n2",)
    assert log.read_text() == "idle: n1 n2\n"
    assert build_scheduler({**base, "close": ["true"]}).close_nodes(["n1", "n2"], "idle") == ("n1", "n2")
    assert build_scheduler(base).close_nodes(["n1"], "idle") == (), "nothing keeps work off, so nothing may go"
    with pytest.raises(SchedulerError, match="exit code 1"):
        build_scheduler({**base, "close": ["false"]}).close_nodes(["n1"], "idle")


def test_other_changes_are_told_to_their_programs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    told = {key: ["sh", "-c", f'echo "{key} $*" >> {log}', "x"] for key in ("add", "reopen", "remove")}
    scheduler = build_scheduler({"type": "command", "jobs": ["true"], **told})
    scheduler.add_nodes(new_nodes(["n1"]))
    scheduler.reopen_nodes(["n1", "n2"])
    scheduler.remove_nodes(["n2"])
    scheduler.remove_nodes([])
    assert log.read_text() == "add n1\nreopen n1 n2\nremove n2\n"
    build_scheduler({"type": "command", "jobs": ["true"]}).remove_nodes(["n1"])


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({}, "scheduler"),
        ({"jobs": ["a"], "jobs_file": "b"}, "scheduler"),
        ({"jobs": "prog --jobs"}, "scheduler.jobs"),
        ({"jobs": []}, "scheduler.jobs"),
        ({"jobs": ["a", 1]}, "scheduler.jobs[1]"),
        ({"jobs": ["a"], "closed": ["x"]}, "scheduler.closed"),
    ],
)
def test_settings_are_read_strictly(raw: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_scheduler({"type": "command", **raw})
    assert path in [problem.path for problem in caught.value.problems]
