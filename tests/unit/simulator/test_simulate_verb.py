"""`azaks simulate`: what people and programs see, and what is said of a workload that cannot be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from simulator_cases import job
from unit.reconcile.fakes import bucket, config_document

from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART, main
from autoscale_aks.errors import ScenarioError
from autoscale_aks.simulator import read_workload

if TYPE_CHECKING:
    from pathlib import Path


def simulate(tmp_path: Path, workload: object, *more: str, **config: Any) -> int:
    given = {"nodearrays": {"htc": {"buckets": [bucket(price=0.25)]}}, **config}
    document = config_document("http://127.0.0.1:9", **given)
    (tmp_path / "autoscale.json").write_text(json.dumps(document))
    (tmp_path / "autoscale.json").chmod(0o600)
    (tmp_path / "workload.json").write_text(json.dumps(workload))
    return main(["simulate", str(tmp_path / "workload.json"), "-c", str(tmp_path / "autoscale.json"), *more])


def test_a_run_is_told_in_sentences_and_one_row_a_bucket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(tmp_path, {"jobs": [job(count=2)]}) == DONE
    said = " ".join(capsys.readouterr().out.split())
    assert "2 jobs in 0." in said
    assert "2 machines, at most 2 at once;" in said
    assert "htc Standard_D4s_v5 2 " in said
    assert not (tmp_path / "ledger.sqlite").exists(), "the site's own ledger is not touched"


def test_sizes_of_which_the_file_states_nothing_are_simulated_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buckets = {"small": "Standard_E8-2s_v5", "gpu": "Standard_NC24ads_A100_v4"}  # the emulator has no E8-2s_v5
    arrays = {name: {"location": "southcentralus", "buckets": [{"vm_size": size}]} for name, size in buckets.items()}
    jobs = [
        job(name="two", count=3, constraints=[{"ncpus": 2, "node.nodearray": "small"}]),
        job(name="gpu", constraints=[{"ngpus": 1}]),
    ]
    assert simulate(tmp_path, {"jobs": jobs}, "--format", "json", "--interval", "300", nodearrays=arrays) == DONE
    found = json.loads(capsys.readouterr().out)
    assert {row["vm_size"]: row["machines"] for row in found["by_bucket"]} == dict(
        zip(buckets.values(), (3, 1), strict=True)
    )
    assert found["cost"] > 0


def test_a_program_gets_numbers_and_an_unfinished_job_makes_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [job(name="fine"), job(name="huge", constraints=[{"ncpus": 400}])]
    assert simulate(tmp_path, {"jobs": jobs}, "--format", "json", "--interval", "300", "--seed", "3") == IN_PART
    found = json.loads(capsys.readouterr().out)
    assert (found["jobs"], found["unfinished"], found["machines"], found["peak_machines"]) == (2, ["huge"], 1, 1)
    assert found["machines_over_time"][-1][1] == 0
    assert found["by_bucket"][0]["cost"] == pytest.approx(found["cost"])


@pytest.mark.parametrize(
    ("record", "path", "told"),
    [
        ({"constraints": []}, "jobs[0].duration", "is required"),
        (job(at=-1), "jobs[0].at", "0 or more"),
        (job(duration="long"), "jobs[0].duration", "expected"),
        (job(nodecount=2), "jobs[0].nodecount", 'did you mean "node_count"?'),
        (job(chunks=[{"iterations": 1}]), "jobs[0].chunks", "not simulated"),
        (job(count=100_001), "workload.jobs", "at most 100,000"),
        ("text", "jobs[0]", "expected an object"),
    ],
)
def test_every_mistake_of_a_workload_has_its_path(record: Any, path: str, told: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_workload({"jobs": [record]})
    assert any(problem.path == path and told in problem.message for problem in caught.value.problems)


def test_mistakes_are_told_all_at_once_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(tmp_path, {"jobs": [job(at=-1), {"constraints": []}]}) == BAD_INPUT
    said = capsys.readouterr().err
    assert "jobs[0].at" in said
    assert "jobs[1].duration" in said


def test_an_array_is_so_many_jobs_in_the_order_of_their_arrival() -> None:
    found = read_workload({"jobs": [job(name="late", at=5), job(name="tasks", count=2)]})
    assert [one.job.name for one in found.jobs] == ["tasks[0]", "tasks[1]", "late"]
