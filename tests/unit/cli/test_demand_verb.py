"""`azaks demand` as it is called: formats, files, comparison, exit status."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from unit.cli.office import ESCAPE, Office, run, work

from autoscale_aks.cli.main import BAD_INPUT, DONE, WOULD_CHANGE, main

if TYPE_CHECKING:
    from _pytest.capture import CaptureFixture


def demand(office: Office, *more: str) -> int:
    return main(["demand", "-c", office.config, *more])


def test_the_exit_code_tells_whether_a_cycle_would_change_anything(office: Office) -> None:
    assert demand(office) == DONE
    assert demand(office, "--exit-code") == WOULD_CHANGE == 3
    main(["autoscale", "-c", office.config, "-q"])
    assert demand(office, "--exit-code") == DONE


def test_the_page_is_written_to_the_file_and_nothing_to_standard_output(
    office: Office, capsys: CaptureFixture[str]
) -> None:
    path = office.directory / "demand.html"
    assert demand(office, "--format", "html", "-o", str(path)) == DONE
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"written to {path}\n")
    page = path.read_text(encoding="utf-8")
    assert page.lstrip().startswith("<!doctype html>")
    assert "3 machines would start" in page
    assert "site" in page.split("<h1>")[1].split("</h1>")[0]


def test_a_page_is_written_where_the_terminal_knows_no_more_than_ascii(office: Office) -> None:
    office.queue(work("日本", cpus=10_000), work("a", iterations=3))
    done = run("demand", "-c", office.config, "--format", "html", PYTHONIOENCODING="ascii")
    assert done.returncode == DONE, done.stderr
    assert done.stdout.rstrip().endswith("</html>")


def test_markdown_and_csv_hold_the_tables(office: Office, capsys: CaptureFixture[str]) -> None:
    office.queue(work("a", iterations=3), work("big", cpus=10_000))
    assert demand(office, "--format", "markdown") == DONE
    text = capsys.readouterr().out
    assert "## Would start\n" in text
    assert "## Waiting\n" in text
    assert demand(office, "--format", "csv", "--table", "waiting") == DONE
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["code"], row["jobs"], row["examples"]) == ("TOO_BIG_FOR_ANY_NODE", "1", "big")
    assert demand(office, "--format", "csv") == DONE
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["bucket"], row["machines"]) == ("htc/Standard_D4s_v5", "3")


def test_a_table_in_a_file_is_plain_text(office: Office, capsys: CaptureFixture[str]) -> None:
    path = office.directory / "demand.txt"
    assert demand(office, "--output", str(path)) == DONE
    assert capsys.readouterr().out == ""
    text = path.read_text()
    assert "Would start" in text
    assert ESCAPE not in text


def test_what_changed_is_said_to_people_and_to_programs(office: Office, capsys: CaptureFixture[str]) -> None:
    path = office.directory / "before.json"
    assert demand(office, "--format", "json", "-o", str(path)) == DONE
    office.queue(work("a", iterations=5), work("big", cpus=10_000))
    capsys.readouterr()
    assert demand(office, "--diff", str(path)) == DONE
    said = capsys.readouterr().out
    assert "Changed since 20" in said
    assert "wait now: 1 job (big)" in said
    assert demand(office, "--diff", str(path), "--format", "json") == DONE
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert changes["starts"] == [{"key": "htc/Standard_D4s_v5", "before": 3, "now": 5}]
    assert changes["now_waiting"] == ["big"]
    assert demand(office, "--diff", str(path), "--format", "html") == DONE
    assert "What changed since 20" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot be read as JSON"), ('{"a": 1}', "is no demand report"), (None, "No such file")],
)
def test_a_file_that_is_no_report_is_bad_input_with_the_next_step(
    office: Office, text: str | None, words: str, capsys: CaptureFixture[str]
) -> None:
    path = office.write("old.json", text) if text is not None else office.directory / "absent.json"
    assert demand(office, "--diff", str(path)) == BAD_INPUT
    said = capsys.readouterr().err
    assert words in said
    assert Path(path).name in said


def test_a_file_that_cannot_be_written_is_said(office: Office, capsys: CaptureFixture[str]) -> None:
    assert demand(office, "--format", "html", "-o", str(office.directory / "no" / "such.html")) == BAD_INPUT
    assert "cannot be written" in capsys.readouterr().err


def test_the_timeline_and_the_boot_times_come_from_the_ledger(office: Office, capsys: CaptureFixture[str]) -> None:
    main(["autoscale", "-c", office.config, "-q"])
    capsys.readouterr()
    assert demand(office, "--format", "html") == DONE
    page = capsys.readouterr().out
    assert "3 machines now, at most 3; in this time 3 created, 0 deleted, 0 refused." in page


def test_a_scenario_has_a_page_as_well(office: Office, capsys: CaptureFixture[str]) -> None:
    scenario = {"nodearrays": [{"name": "htc", "buckets": [{"vm_size": "F4", "vcpu_count": 4, "memory_gb": 8}]}],
                "jobs": [{"name": "a", "constraints": [{"ncpus": 1}], "iterations": 9}]}  # fmt: skip
    path, page = office.write("s.json", scenario), office.directory / "s.html"
    assert main(["plan", "--scenario", str(path), "--format", "html", "-o", str(page)]) == DONE
    assert "3 machines would start" in page.read_text()
    lines = office.write("s.jsonl", "\n".join([json.dumps(scenario)] * 2))
    assert main(["plan", "--scenario", str(lines), "--format", "html"]) == BAD_INPUT
    assert "several scenarios" in capsys.readouterr().err
