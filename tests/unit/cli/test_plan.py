"""`azaks plan`: scenarios in, answers out, and no input that ends in a traceback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from unit.cli.office import run

from autoscale_aks.cli.main import BAD_INPUT, DONE, main

if TYPE_CHECKING:
    from pathlib import Path

F4 = {"vm_size": "Standard_F4", "vcpu_count": 4, "memory_gb": 8}


def scenario(iterations: int = 97, **more: Any) -> dict[str, Any]:
    return {
        "nodearrays": [{"name": "htc", "buckets": [F4]}],
        "jobs": [{"name": "a", "constraints": [{"ncpus": 4}], "iterations": iterations}],
        **more,
    }


def answers(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_scenario_gives_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(scenario(), indent=2))
    assert main(["plan", "--scenario", str(path)]) == DONE
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert answer["puts"] == 2
    assert [(wave["workers"], wave["per_worker"]) for wave in answer["waves"]] == [(1, 50), (1, 47)]


def test_the_empty_scenario_is_refused_with_paths_and_status_2() -> None:
    done = run("plan", "--scenario", "-", stdin="{}")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"]) == (BAD_INPUT, False)
    assert {error["path"] for error in answer["errors"]} == {"nodearrays", "jobs"}
    assert "Traceback" not in done.stderr


def test_all_problems_of_a_frame_come_at_once() -> None:
    bad = scenario(jbos=[], limits={"cluster_max_nodes": -1}, policy={"objective": "luck"})
    answer = json.loads(run("plan", "--scenario", "-", stdin=json.dumps(bad)).stdout)
    assert {error["path"] for error in answer["errors"]} == {"jbos", "limits.cluster_max_nodes", "policy.objective"}


def test_json_lines_give_one_answer_a_line_in_order() -> None:
    lines = "\n".join(json.dumps(scenario(count)) for count in (1, 2, 3))
    done = run("plan", "--scenario", "-", stdin=lines)
    assert done.returncode == DONE
    assert [len(answer["new_nodes"]) for answer in answers(done.stdout)] == [1, 2, 3]


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("bad", ["{}", "nonsense", '{"jobs": [', "[]", "null", '{"jobs": 5, "nodearrays": []}'])
def test_a_bad_line_is_answered_in_its_place_and_does_not_stop_the_others(
    position: int, bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps(scenario(count)) for count in (1, 2)]
    lines.insert(position, bad)
    path = tmp_path / "s.jsonl"
    path.write_text("\n".join(lines) + "\n")
    assert main(["plan", "--scenario", str(path)]) == BAD_INPUT
    found = answers(capsys.readouterr().out)
    assert [answer["ok"] for answer in found] == [index != position for index in range(3)]
    assert [len(answer["new_nodes"]) for answer in found if answer["ok"]] == [1, 2]


def test_a_line_that_is_no_json_is_named_by_its_number_in_the_file() -> None:
    done = run("plan", "--scenario", "-", stdin=f"{json.dumps(scenario())}\n\n\nnonsense\n")
    assert answers(done.stdout)[1]["errors"][0]["path"] == "line 4"


def test_one_document_over_several_lines_that_breaks_off_is_one_error() -> None:
    text = json.dumps(scenario(), indent=1)[:-5]
    done = run("plan", "--scenario", "-", stdin=text)
    assert done.returncode == BAD_INPUT
    assert len(json.loads(done.stdout)["errors"]) == 1


def test_line_separators_inside_strings_do_not_end_a_line() -> None:
    lines = [json.dumps({**scenario(1), "name": f"a{mark}b"}, ensure_ascii=False) for mark in "\u2028\u0085\u2029"]
    done = run("plan", "--scenario", "-", stdin="\n".join(lines))
    assert [answer["ok"] for answer in map(json.loads, done.stdout.split("\n")[:-1])] == [True] * 3


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_input_is_utf_8_and_output_is_json_whatever_the_locale_says(encoding: str) -> None:
    given = scenario(1)
    given["jobs"][0]["name"] = "é…\U0001f600"
    stdin = b"\xef\xbb\xbf" + json.dumps(given, ensure_ascii=False).encode()
    done = run("plan", "--scenario", "-", stdin=stdin, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert json.loads(done.stdout)["jobs"][0]["name"] == "é…\U0001f600"


def test_half_a_character_in_a_name_is_given_back_as_it_came() -> None:
    text = json.dumps(scenario(1)).replace('"name": "a"', '"name": "\\ud800"')
    done = run("plan", "--scenario", "-", stdin=text)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert json.loads(done.stdout)["jobs"][0]["name"] == "\ud800"
    assert run("plan", "--scenario", "-", "--format", "table", stdin=text).returncode == DONE


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"\x00", b"[" * 100_000, b'{"a": ' * 50_000])
def test_no_input_ends_in_a_traceback(content: bytes) -> None:
    done = run("plan", "--scenario", "-", stdin=content)
    assert done.returncode == BAD_INPUT
    assert "Traceback" not in done.stderr


def test_as_a_table_the_answer_is_the_demand_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(scenario()))
    assert main(["plan", "--scenario", str(path), "--format", "table"]) == DONE
    said = capsys.readouterr().out
    assert "97 slots asked for by 1 job record; 97 placed." in said
    assert "1×50 + 1×47" in said
    path.write_text("{}")
    assert main(["plan", "--scenario", str(path), "--format", "table"]) == BAD_INPUT
    assert "error: nodearrays: " in capsys.readouterr().err


def test_placements_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(scenario()))
    main(["plan", "--scenario", str(path), "--no-placements"])
    answer = json.loads(capsys.readouterr().out)
    assert "new_nodes" not in answer
    assert "nodes" not in answer["jobs"][0]
    assert answer["jobs"][0]["slots"] == 97


def test_a_bad_job_stands_in_errors_beside_ok_and_the_status_is_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = scenario(1)
    given["jobs"].append({"name": "bad", "constraints": [{"ncpus": -4}]})
    path = tmp_path / "s.json"
    path.write_text(json.dumps(given))
    assert main(["plan", "--scenario", str(path)]) == DONE
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], [job["status"] for job in answer["jobs"]]) == (True, ["success", "invalid"])
    assert answer["errors"][0]["path"].startswith("jobs[1].constraints[0]")
