"""`jobs`, `nodes`, `columns`, `validate-constraint`, `validate`: rows and words on what a cycle would see."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from builders import array, f4, job, node, scenario
from unit.cli.office import work
from unit.reconcile.fakes import bucket

from autoscale_aks.cli.columns import listings
from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART, main
from autoscale_aks.cli.shown import amounts, constraints, duration
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.buckets import list_buckets
from autoscale_aks.reports.jobs import job_rows
from autoscale_aks.reports.nodes import node_rows

if TYPE_CHECKING:
    from unit.cli.office import Office

Json = dict[str, Any]


def scene(**extra: Any) -> Json:
    raw = scenario(job("small", iterations=3), job("huge", {"ncpus": 64}), arrays=[array("htc", f4(price=0.5))])
    return {**raw, "existing_nodes": [node(job_ids=["77"])], "now": "2026-11-22T08:00:00Z", **extra}


def told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str, raw: Json | None = None
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(raw or scene()).encode())))
    status = main([*arguments, "--scenario", "-"])
    return (status, *capsys.readouterr())


def test_each_job_stands_with_what_it_asks_and_why_it_waits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, err = told(capsys, monkeypatch, "jobs")
    assert (status, err) == (DONE, "")
    flat = [" ".join(line.split()) for line in out.splitlines()]
    assert flat[1].startswith("job reason asks placed")
    assert "huge TOO_BIG_FOR_ANY_NODE 1 0 ncpus=64" in flat[3]


def test_jobs_are_filtered_by_reason_and_keep_their_sentences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = told(capsys, monkeypatch, "jobs", "--filter", "reason=TOO_BIG*", "--format", "json")
    found = json.loads(out)
    assert [row["name"] for row in found] == ["huge"]
    assert found[0]["constraints"] == [{"ncpus": 64}]
    assert "64" in found[0]["message"]
    assert found[0]["next"]


def test_headroom_is_no_job() -> None:
    snapshot, policy = decode_scenario(scene())
    kept_free = replace(snapshot.jobs[0], name="headroom of htc", is_headroom=True)
    rows = job_rows(plan(replace(snapshot, jobs=(*snapshot.jobs, kept_free)), policy))
    assert [(row["name"], row["requested"]) for row in rows] == [("small", 3), ("huge", 1)]


def test_nodes_stand_with_stage_work_and_price(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = told(
        capsys, monkeypatch, "nodes", "--format", "csv", "--columns", "name,stage,jobs,price_per_hour,ready"
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["stage"], row["jobs"], row["price_per_hour"], row["ready"]) for row in rows] == [
        ("existing", "77", "0.5", "true")
    ]


def test_every_row_has_exactly_the_columns_of_its_listing() -> None:
    snapshot, policy = decode_scenario(scene())
    found = {"jobs": job_rows(plan(snapshot, policy)), "nodes": node_rows(snapshot)}
    for verb, rows in found.items():
        assert [list(row) for row in rows] == [list(listings()[verb].names)] * len(rows)


def test_a_source_that_is_away_is_said_beside_the_rows(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.emulator.state.faults.add(FaultRule(kind="throttle", operations=("machine.list",), after_s=900.0))
    assert main(["nodes", "-c", office.config]) == DONE
    assert "note: machines of pool htc could not be read whole" in capsys.readouterr().out
    assert main(["nodes", "-c", office.config, "--format", "json"]) == DONE
    captured = capsys.readouterr()
    assert json.loads(captured.out) == []
    assert "could not be read whole" in captured.err


def test_columns_of_the_configuration_are_used_and_checked(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.configure(default_columns={"jobs": ["requested", "name"]})
    assert main(["jobs", "-c", office.config]) == DONE
    assert capsys.readouterr().out.splitlines()[1].split() == ["asks", "job"]
    office.configure(default_columns={"jobs": ["nam"]})
    assert main(["jobs", "-c", office.config]) == BAD_INPUT
    assert (
        'error: default_columns.jobs[0]: "nam": there is no such column; did you mean "name"?'
        in capsys.readouterr().err
    )


def test_columns_are_listed_with_their_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["columns", "nodes", "--format", "json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert [row["column"] for row in found] == list(listings()["nodes"].names)
    assert all(row["meaning"].endswith(".") for row in found)


def test_buckets_are_filtered_and_cut_to_columns_in_json_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = scene()
    raw["nodearrays"].append(array("big", {"vm_size": "Standard_E8", "vcpu_count": 8, "memory_gb": 64}))
    asked = ["buckets", "--filter", "vcpu_count=5", "--columns", "bucket,vcpu_count"]
    _, out, _ = told(capsys, monkeypatch, *asked, "--format", "json", raw=raw)
    assert json.loads(out)["buckets"] == [{"bucket": "big/Standard_E8", "vcpu_count": 8}]
    _, out, _ = told(capsys, monkeypatch, *asked, "--format", "csv", raw=raw)
    assert out == "bucket,vcpu_count\nbig/Standard_E8,8\n"
    assert len(list_buckets(*decode_scenario(raw)).rows) == 2


def test_a_constraint_is_shown_as_it_is_read_with_the_buckets_that_satisfy_it(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate-constraint", "ncpus=4", '{"node.vm_size": ["Standard_D*"]}', "-c", office.config]) == DONE
    first, *buckets = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {"and": [{"ncpus": 4}, {"node.vm_size": ["Standard_D*"]}]}
    assert "htc/Standard_D4s_v5: satisfies it" in buckets
    assert main(["validate-constraint", "ncpus=4000", "-c", office.config, "--format", "json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert [one["matches"] for one in found["buckets"]] == [False] * len(found["buckets"])
    assert "asks ncpus 4000" in found["buckets"][0]["miss"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [('{"ncpus": "memory::4x"}', "error: constraints[0].ncpus: "), ("{", "error: CONSTRAINT: this is not JSON"),
     ("ncpus", "error: CONSTRAINT: expected JSON"), ('{"node.vmsize": 1}', 'did you mean "node.vm_size"')],
)  # fmt: skip
def test_a_constraint_that_cannot_be_read_says_where_and_what(
    asked: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["validate-constraint", asked]) == BAD_INPUT
    assert said in capsys.readouterr().err


def test_a_good_configuration_is_in_order(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "-c", office.config, "--scheduler"]) == DONE
    assert capsys.readouterr().out == "Everything is in order.\n"
    assert not office.emulator.journal.entries(), "nobody is asked"


def test_every_mistake_is_a_row_and_warnings_are_no_failure(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    never = {"select": {"node.vm_size": "Standard_None"}, "name": "x", "value": 1}
    office.configure(default_resources=[never])
    assert main(["validate", "-c", office.config, "--format", "json"]) == DONE
    assert [row["severity"] for row in json.loads(capsys.readouterr().out)] == ["warning"]
    office.configure(default_resources=[{"select": {}, "name": "x"}], scheduler={"type": "comand"})
    assert main(["validate", "-c", office.config, "--format", "json"]) == BAD_INPUT
    found = {row["path"]: row["severity"] for row in json.loads(capsys.readouterr().out)}
    assert found["scheduler.type"] == "error"
    assert any(path.startswith("default_resources[0]") for path in found)
    office.configure(idle_timeout="soon")
    assert main(["validate", "-c", office.config, "--filter", "path=idle*", "--format", "csv"]) == BAD_INPUT
    assert "error,idle_timeout," in capsys.readouterr().out


def test_a_size_that_is_nearly_one_there_is_is_a_warning_and_an_own_one_is_none(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = [bucket("Standard_D4s_v55"), bucket("standard_d8S_V5"), bucket("Contoso_Special")]
    office.configure(nodearrays={"htc": {"buckets": sizes}})
    assert main(["validate", "-c", office.config, "--format", "json"]) == DONE
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["severity"], row["path"]) == ("warning", "nodearrays.htc.buckets[0].vm_size")
    assert row["message"].endswith('did you mean "Standard_D4s_v5"?')


def test_a_scheduler_that_cannot_be_read_is_done_in_part(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.write("jobs.json", "not a job list")
    assert main(["validate", "-c", office.config]) == DONE
    assert main(["validate", "-c", office.config, "--scheduler"]) == IN_PART
    assert "jobs.json" in " ".join(capsys.readouterr().out.split())


def test_the_queue_of_the_site_is_listed_live(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.queue(work("x", cpus=2), work("y", cpus=4, runnable=False, not_runnable_reason="JobHeldUser"))
    assert main(["jobs", "-c", office.config, "--columns", "name,runnable", "--format", "csv"]) == DONE
    assert capsys.readouterr().out == "name,runnable\nx,true\ny,false\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (99, "99s"), (100, "1m"), (5999, "99m"), (6000, "1h40m"), (200_000, "2d07h")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_amounts_and_constraints_are_shown_as_a_person_writes_them() -> None:
    assert (
        amounts({"mem": "memory::4g", "ok": True, "nothing": None, "part": 0.5})
        == "mem=4g ok=true nothing=null part=0.5"
    )
    assert constraints([{"or": [{"ncpus": 1}, {"node.vm_size": ["a", "b"]}]}]) == "or={ncpus=1}|{node.vm_size=a|b}"
