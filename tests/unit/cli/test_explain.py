"""`azaks explain`: one reason, every bucket's verdict, and why not another size."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import array, f2, f4, job, node, scenario

from autoscale_aks.cli.main import main
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, raw: Json, *arguments: str
) -> tuple[int, str, str]:
    """The verb on a scenario from standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(raw).encode())))
    status = main(["explain", "--scenario", "-", *arguments])
    return (status, *capsys.readouterr())


TWO = [array("htc", f4(), f2())]


def test_a_bucket_that_fits_says_slots_a_node_nodes_allowed_and_the_binding_limit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = run(capsys, monkeypatch, scenario(job(iterations=6)), "a")
    assert status == 0
    assert out.splitlines()[0] == "a: WAITING_FOR_BOOT"
    assert "next: wait for the nodes" in out
    assert "6 of 6 placed: 6 slots on 2 nodes htc-1, htc-2 (new, htc/Standard_F4)" in out
    flat = " ".join(out.split())
    assert "would fit: 4 slots a node, 8 more nodes allowed, binding limit bucket nodes htc/Standard_F4" in flat


def test_slots_that_take_nothing_are_any_number_a_node(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = scenario(job("a", {"node.vm_size": "Standard_F4"}))
    _, out, _ = run(capsys, monkeypatch, raw, "a", "--format", "json")
    bucket = json.loads(out)["jobs"][0]["parts"][0]["buckets"][0]
    assert bucket["slots_per_node"] is None
    assert bucket["message"].startswith("would fit: any number of slots a node")


def test_an_unknown_job_is_bad_input_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, err = run(capsys, monkeypatch, scenario(job("solver-1")), "solver-2")
    assert (status, out) == (2, "")
    assert err == 'error: JOB: there is no job "solver-2" among 1 records; did you mean "solver-1"?\n'


def test_an_array_is_asked_for_by_its_id(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    raw = scenario(job("17_[0-3]", count=4), job("17_[4-9]", count=6, runnable=False), job("170"))
    status, out, _ = run(capsys, monkeypatch, raw, "17", "--format", "json")
    assert status == 0
    assert [(one["name"], one["reason"]["code"]) for one in json.loads(out)["jobs"]] == [
        ("17_[0-3]", "WAITING_FOR_BOOT"),
        ("17_[4-9]", "NOT_RUNNABLE"),
    ]


def test_json_has_the_reason_where_it_landed_and_every_bucket(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = scenario(job("a", {"ncpus": 4}, iterations=2), arrays=TWO, nodes=[node()])
    status, out, _ = run(capsys, monkeypatch, raw, "a", "--why-not", "Standard_F2", "--format", "json")
    (found,) = json.loads(out)["jobs"]
    assert status == 0
    assert (found["status"], found["requested"], found["slots"]) == ("success", 2, 2)
    assert found["placed"] == [
        {"bucket": "htc/Standard_F4", "new": False, "nodes": ["htc-1"], "slots": 1},
        {"bucket": "htc/Standard_F4", "new": True, "nodes": ["htc-2"], "slots": 1},
    ]
    (part,) = found["parts"]
    assert [bucket["fits"] for bucket in part["buckets"]] == [True, False]
    assert (part["buckets"][0]["rank"], part["buckets"][0]["new_nodes_allowed"]) == (1, 8)
    assert (part["buckets"][1]["criterion"], part["buckets"][1]["wanted"], part["buckets"][1]["offered"]) == (
        "ncpus",
        4,
        2,
    )
    assert found["why_not"] == [
        {"bucket": "htc/Standard_F2", "chunk": None, "code": "CRITERION", "message": "asks ncpus 4, offers 2",
         "instead": None}
    ]  # fmt: skip


def test_the_table_names_the_closest_miss_and_answers_why_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = run(
        capsys, monkeypatch, scenario(job("a", {"ncpus": 9}), arrays=TWO), "a", "--why-not", "Standard_F4"
    )
    assert status == 0
    assert "TOO_BIG_FOR_ANY_NODE" in out
    assert "why not htc/Standard_F4? CRITERION: asks ncpus 9, offers 4" in out
    assert "asks ncpus 9, offers 4 (the closest miss)" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_a_job_without_any_bucket_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = run(capsys, monkeypatch, scenario(job(), arrays=[]), "a")
    assert status == 0
    assert "There is no bucket." in out


@pytest.mark.parametrize("arguments", [["a"], ["-c", "x.json", "--scenario", "-", "a"]], ids=["neither", "both"])
def test_either_a_configuration_or_a_scenario_is_asked_for(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *arguments]) == 2
    assert "either -c CONFIG or --scenario FILE" in capsys.readouterr().err


def test_a_scenario_that_cannot_be_read_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--scenario", str(tmp_path / "none.json"), "a"]) == 2
    assert "cannot be read" in capsys.readouterr().err
    broken = tmp_path / "broken.json"
    broken.write_text('{"jobs": 3}', encoding="utf-8")
    assert main(["explain", "--scenario", str(broken), "a"]) == 2
    assert "nodearrays: is required" in capsys.readouterr().err


# --- a live site -------------------------------------------------------------------------------------------------


@pytest.fixture
def live_config(tmp_path: Path) -> Any:
    """The demo's configuration on an emulator of its own."""
    document = json.loads((ROOT / "conf" / "demo" / "autoscale.json").read_text(encoding="utf-8"))
    aks = document["aks"]
    cluster = ClusterSpec(
        subscription=aks["subscription"], resource_group=aks["resource_group"], name=aks["cluster"],
        location=aks["location"],
    )  # fmt: skip
    with EmulatorServer(EmulatorSettings(clusters=(cluster,))) as emulator:
        aks["arm_url"] = aks["kubernetes_url"] = emulator.base_url
        document["scheduler"]["capture_dir"] = str(ROOT / "conf" / "sample" / "slurm")
        document["ledger"]["path"] = str(tmp_path / "ledger.sqlite")
        config = tmp_path / "autoscale.json"
        config.write_text(json.dumps(document), encoding="utf-8")
        yield config


def test_a_live_queue_is_explained_with_the_verdicts_of_the_cycle(
    live_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demand", "-c", str(live_config), "--format", "json"]) == 0
    waiting = next(one for one in json.loads(capsys.readouterr().out)["jobs"] if one["status"] == "failed")
    assert main(["explain", "-c", str(live_config), waiting["name"], "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["jobs"]
    assert found["reason"] == waiting["reason"]
    assert {bucket["nodearray"] for bucket in found["parts"][0]["buckets"]} == {"htc", "hpc", "gpu", "mem"}


def test_live_buckets_have_the_quota_of_the_configuration(
    live_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["buckets", "-c", str(live_config), "--format", "json"]) == 0
    buckets = {one["bucket"]: one for one in json.loads(capsys.readouterr().out)["buckets"]}
    assert buckets["mem/Standard_E16s_v5"]["available"] == 24
    assert "node array nodes mem" in buckets["mem/Standard_E16s_v5"]["binding_limit"]


def test_analyze_of_scalelib_is_understood(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    raw = scenario(job("7", {"ncpus": 64}))
    for arguments in (["explain", "7"], ["analyze", "--job-id", "7"], ["analyze", "-j", "7"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(raw).encode())))
        assert main([*arguments, "--scenario", "-"]) == 0
        assert "7: TOO_BIG_FOR_ANY_NODE" in capsys.readouterr().out
    assert main(["explain", "--scenario", "-"]) == 2
    assert "azaks explain JOB" in capsys.readouterr().err
