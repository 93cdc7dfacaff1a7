"""What stands on the screen and what programs read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from unit.cli.office import ESCAPE, ROOT, run, work

from autoscale_aks import __version__
from autoscale_aks.cli import main as entry
from autoscale_aks.cli.main import BAD_INPUT, DONE, main
from autoscale_aks.emulator.faults import FaultRule

if TYPE_CHECKING:
    from unit.cli.office import Office

WIDTH = 80
SUMMARY = {
    "jobs", "slots", "placed_slots", "ready_nodes", "in_flight_nodes", "machines", "puts", "price_per_hour", "notes",
}  # fmt: skip
ANSWER = {"ok", "jobs", "buckets", "new_nodes", "existing_nodes", "matched", "unmatched", "failed",
          "shared_resources", "waves", "puts", "price_per_hour"}  # fmt: skip


def wide(text: str) -> list[str]:
    return [line for line in text.splitlines() if cell_len(line.rstrip()) > WIDTH]


def busy_queue(office: Office) -> None:
    office.queue(
        work("array-with-a-name-that-goes-on-and-on-and-on-for-longer-than-any-screen-is-wide", iterations=120),
        work("too-big", cpus=10_000),
        {"name": "bad", "constraints": [{"ncpus": {"in": 3}}]},
        *(work(f"held-{number}", runnable=False, not_runnable_reason="JobHeldUser") for number in range(9)),
    )


@pytest.mark.parametrize("verb", list(entry._VERBS))
def test_every_verb_explains_itself_within_80_columns(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == DONE
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: azaks {verb}")
    assert len(said.splitlines()) > 5
    assert wide(said) == []


def test_help_lists_every_verb_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == DONE
    said = capsys.readouterr().out
    assert [verb for verb in entry._VERBS if f"\n  {verb} " not in said] == []
    assert "Exit status: 0 done" in said
    assert main(["-h"]) == DONE


def test_help_needs_no_extra() -> None:
    script = (
        "import sys; sys.modules.update(dict.fromkeys(['uvicorn', 'starlette']));"
        "from autoscale_aks.cli.main import main; sys.exit(main())"
    )
    for arguments, status in ((["--help"], DONE), (["demo"], BAD_INPUT), (["emulate"], BAD_INPUT)):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, cwd=ROOT, check=False, timeout=60
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (status, False), done.stderr
        assert status == DONE or b"pip install autoscale_aks[emulator]" in done.stderr


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == DONE
    assert capsys.readouterr().out == f"azaks, version {__version__}\n"


@pytest.mark.parametrize("verb", ["demand", "autoscale"])
def test_the_table_fits_80_columns_and_has_no_escape_codes_away_from_a_terminal(office: Office, verb: str) -> None:
    busy_queue(office)
    done = run(verb, "-c", office.config)
    assert done.returncode == DONE, done.stderr
    assert "htc/Standard_D4s_v5" in done.stdout
    assert "TOO_BIG_FOR_ANY_NODE" in done.stdout
    assert wide(done.stdout) == []
    assert ESCAPE not in done.stdout + done.stderr


def test_no_color_is_respected_even_where_colour_is_forced(office: Office) -> None:
    busy_queue(office)
    plain = run("demand", "-c", office.config, NO_COLOR="1")
    assert ESCAPE not in plain.stdout


def test_progress_lines_can_be_left_out(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    main(["autoscale", "-c", office.config])
    assert "[1/1] htc chunk_0: 3 accepted" in capsys.readouterr().out
    office.queue(work("b", iterations=5))
    main(["autoscale", "-c", office.config, "--quiet"])
    said = capsys.readouterr().out
    assert "chunk_0" not in said
    assert "2 accepted" in said


def test_demand_as_json_has_the_documented_keys(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    busy_queue(office)
    assert main(["demand", "-c", office.config, "--format", "json"]) == DONE
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert captured.err == ""
    assert {"summary", "waiting"} | ANSWER <= set(answer)
    assert set(answer["summary"]) >= SUMMARY
    assert (answer["summary"]["machines"], answer["summary"]["puts"]) == (120, 3)
    assert len(answer["new_nodes"]) == 120
    codes = {row["code"] for row in answer["waiting"]}
    assert codes == {"INVALID", "NOT_RUNNABLE", "TOO_BIG_FOR_ANY_NODE"}
    for row in answer["waiting"]:
        assert {"code", "jobs", "slots", "message", "next"} <= set(row)


def test_autoscale_as_json_says_what_was_done_and_keeps_progress_off_the_answer(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.emulator.state.faults.add(FaultRule(kind="client_error", names=("site-htc-2",), code="Nope"))
    main(["autoscale", "-c", office.config, "--format", "json"])
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert set(answer) >= {"plan_id", "done", "demand"}
    assert set(answer["done"]) >= {"puts", "accepted", "rejected", "unknown", "deleted", "reopened", "kept"}
    assert answer["done"]["accepted"] == ["site-htc-1", "site-htc-3"]
    assert [entry["name"] for entry in answer["done"]["rejected"]] == ["site-htc-2"]
    assert {"name", "kind", "code", "message"} <= set(answer["done"]["rejected"][0])
    assert answer["done"]["puts"] == 1
    assert set(answer["demand"]) >= {"summary", "waiting"}
    assert "chunk_0" in captured.err


def test_a_second_cycle_says_that_there_is_nothing_to_start(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    main(["autoscale", "-c", office.config, "-q"])
    capsys.readouterr()
    assert main(["autoscale", "-c", office.config]) == DONE
    said = capsys.readouterr().out
    assert "Nothing to start." in said
    assert "0 nodes ready, 3 in flight" in said
    assert "asked for 0 machines with 0 PUTs" in said


def test_a_source_that_is_away_is_said_in_the_report(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.emulator.state.faults.add(FaultRule(kind="throttle", operations=("node.list",), after_s=900.0))
    assert main(["demand", "-c", office.config]) == DONE
    said = " ".join(capsys.readouterr().out.split())
    assert "note: nodes could not be read whole" in said
    assert "nothing is deleted in this cycle" in said


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_from_outside_are_shown_as_they_are_and_never_break_the_report(office: Office, encoding: str) -> None:
    names = ["é", "job-\u2028-x", "日本", "[bold]x[/bold]", "\U0001f600"]
    office.queue(*(work(name, cpus=10_000 + number) for number, name in enumerate(names)))
    done = run("demand", "-c", office.config, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert "[bold]x[/bold]" in done.stdout
    assert ("日本" in done.stdout) == (encoding == "utf-8")
