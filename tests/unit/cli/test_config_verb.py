"""`config show|init|schema|import`: what is in force, a first file, the schema, and one from cyclecloud-scalelib."""

from __future__ import annotations

import csv
import io
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from unit.config.config_samples import EXAMPLE, SMALL

from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART, main
from autoscale_aks.config import load_config, parse_config, schema_text
from autoscale_aks.config.importing import Verdict, import_scalelib
from autoscale_aks.config.showing import show_config
from autoscale_aks.config.starting import STARTED, Start, start_document
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import EmulatorSettings

SCALELIB: dict[str, Any] = {
    "cluster_name": "pbs1",
    "username": "cc_admin",
    "password": "hunter2hunter2",
    "url": "https://127.0.0.1:9443",
    "lock_file": "/opt/cycle/pbspro/scalelib.lock",
    "logging": {"config_file": "/opt/cycle/pbspro/logging.conf"},
    "default_resources": [
        {"select": {}, "name": "ncpus", "value": "node.pcpu_count"},
        {"select": {}, "name": "disk", "value": "size::20g"},
        {"select": {}, "name": "mem", "value": "node.memory", "subtract": "1g"},
    ],
    "disable_default_resources": True,
    "idle_timeout": {"default": 300, "execute": 600},
    "boot_timeout": 3600,
    "pbspro": {"read_only_resources": ["host", "vnode"], "ignore_queues": ["idle"]},
}
"""As `azpbs initconfig` writes it, with a timeout of one node array's own."""
ASKED = ("--subscription", "00000000-0000-0000-0000-000000000001", "--resource-group", "rg", "--cluster", "c",
         "--location", "westus2")  # fmt: skip


def imported(tmp_path: Path, theirs: dict[str, Any], *more: str) -> tuple[int, Path]:
    (tmp_path / "old.json").write_text(json.dumps(theirs))
    made = tmp_path / "new.json"
    return main(["config", "import", str(tmp_path / "old.json"), "-o", str(made), "--format", "csv", *more]), made


def verdicts(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return {row["key"]: row["verdict"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}


def test_every_value_is_shown_with_its_line_and_every_default_in_force() -> None:
    rows = {row.path: (row.value, row.source) for row in show_config(EXAMPLE)}
    lines = EXAMPLE.read_text().splitlines()
    for path, (_, source) in rows.items():
        if source != "default":
            key = re.split(r"[.\[\]\"]+", path.rstrip('"]0123456789['))[-1]
            assert f'{key}"' in lines[int(source.removeprefix("line ")) - 1], path
    assert rows["aks.cluster"][0] == "hpc-aks"
    assert rows["aks.workers"] == (100, "default")
    assert rows["nodearrays.htc.buckets[1].memory_gb"][0] == 32
    assert rows["nodearrays.htc.spot"] == (False, "default")
    assert rows["ledger.path"][0] == "/var/lib/azaks/ledger.sqlite"


def test_what_is_shown_as_default_is_what_is_in_force(tmp_path: Path) -> None:
    (tmp_path / "autoscale.json").write_text(json.dumps(SMALL))
    rows = {row.path: row.value for row in show_config(tmp_path / "autoscale.json")}
    config = load_config(tmp_path / "autoscale.json")
    assert rows["aks.workers"] == config.aks.workers
    assert rows["aks.batch_header"] == config.aks.batch_header
    assert rows["aks.deadlines.create"] == config.aks.deadlines.create_s
    assert rows["idle_timeout"] == config.policy.idle_timeout.default_s
    assert rows["policy.mass_delete.share"] == config.policy.mass_delete.share
    assert rows["policy.boot_circuit.retry"] == config.policy.boot_circuit.retry_s
    assert rows["loop.cycle_deadline_s"] == config.loop.cycle_deadline_s
    assert rows["ledger.path"] == str(config.ledger.path)


def test_a_setting_that_looks_like_a_secret_is_refused_and_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {**SMALL, "scheduler": {"type": "slurm", "password": "hunter2hunter2"}}
    (tmp_path / "autoscale.json").write_text(json.dumps(document))
    assert main(["config", "show", "-c", str(tmp_path / "autoscale.json")]) == BAD_INPUT
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err


def test_show_is_filtered_like_all_rows(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["config", "show", "-c", str(EXAMPLE), "--filter", "key=aks.*", "--filter", "source=default"]
    assert main([*asked, "--format", "json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert {row["source"] for row in found} == {"default"}
    assert {row["key"]: row["value"] for row in found}["aks.kubernetes_in_cluster"] is False


def test_the_schema_is_printed_as_it_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == DONE
    assert capsys.readouterr().out == schema_text()


@pytest.mark.parametrize("scheduler", STARTED)
def test_a_first_configuration_is_valid_and_commented(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    where = ["--emulator", "http://127.0.0.1:8085"] if scheduler == "kubernetes" else []  # elsewhere only in a pod
    assert main(["config", "init", *ASKED, "--scheduler", scheduler, *where]) == DONE
    assert "next: azaks validate -c autoscale.json" in capsys.readouterr().err
    text = Path("autoscale.json").read_text()
    assert text.count("$comment") >= 5
    assert load_config("autoscale.json").scheduler.type == scheduler
    assert stat.S_IMODE(Path("autoscale.json").stat().st_mode) & stat.S_IRWXO == 0
    assert main(["validate", "-c", "autoscale.json"]) == DONE


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "a.json"
    there.write_text("mine")
    assert main(["config", "init", *ASKED, "-o", str(there)]) == BAD_INPUT
    assert "is there already" in capsys.readouterr().err
    assert there.read_text() == "mine"
    assert imported(tmp_path, SCALELIB)[0] == DONE
    assert imported(tmp_path, SCALELIB)[0] == BAD_INPUT
    assert main(["config", "init", *ASKED, "-o", str(there), "--force"]) == DONE
    assert parse_config(there.read_text()).aks.cluster == "c"


def test_what_is_missing_where_nobody_can_be_asked_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["config", "init", "--cluster", "c"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert [one in said for one in ("--subscription", "--resource-group", "--location", "--cluster:")] == [
        True, True, True, False,
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_bad_answer_is_said_with_its_path_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "a.json"
    assert main(["config", "init", *ASKED, "--owner", "Not Good", "-o", str(made)]) == BAD_INPUT
    assert "error: aks.owner: " in capsys.readouterr().err
    assert not made.exists()


def test_a_first_configuration_states_of_a_size_what_was_told_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for told, stated in (
        ((), {"vm_size": "Standard_E8-2s_v5"}),
        (("--vcpus", "2", "--memory-gb", "60"), {"vm_size": "Standard_E8-2s_v5", "vcpu_count": 2, "memory_gb": 60}),
    ):
        assert main(["config", "init", *ASKED, "--vm-size", "Standard_E8-2s_v5", *told, "-o", "-"]) == DONE
        (bucket,) = json.loads(capsys.readouterr().out)["nodearrays"]["htc"]["buckets"]
        assert {key: value for key, value in bucket.items() if key != "$comment"} == stated


def test_a_first_configuration_for_the_emulator_plans_machines_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with EmulatorServer(EmulatorSettings()) as emulator:
        path = str(tmp_path / "try.json")
        assert main(["config", "init", "--emulator", emulator.base_url, "--scheduler", "command", "-o", path]) == DONE
        (tmp_path / "jobs.json").write_text('{"jobs": [{"name": "a", "constraints": [{"ncpus": 4}]}]}')
        capsys.readouterr()
        assert main(["demand", "-c", path, "--format", "json"]) == DONE
        summary = json.loads(capsys.readouterr().out)["summary"]
        assert (summary["machines"], summary["price_per_hour"]) == (1, 0.192)


def test_a_first_configuration_for_the_emulator_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init", "--emulator", "http://127.0.0.1:8085", "-o", "-"]) == DONE
    assert parse_config(capsys.readouterr().out).aks.credential == ("emulator",)


def test_a_scalelib_file_without_own_node_arrays_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, made = imported(tmp_path, SCALELIB, "--bucket", "execute=Standard_F4:4:8")
    said = verdicts(capsys)
    assert status == DONE
    assert set(SCALELIB) - {"default_resources", "pbspro"} <= set(said)
    assert said["password"] == "meaningless here"
    assert said["default_resources[2]"] == "renamed"
    assert said["pbspro.ignore_queues"] == "renamed"
    config = load_config(made)
    assert config.scheduler.type == "openpbs"
    assert dict(config.scheduler.settings["queues"]) == {"idle": []}
    assert config.disable_default_resources
    assert (config.policy.idle_timeout.of("execute"), config.policy.boot_timeout.of("execute")) == (600, 3600)
    assert config.nodearrays["execute"].array.offerings[0].vm_size == "Standard_F4"
    assert "hunter2" not in made.read_text()
    assert main(["validate", "-c", str(made)]) == DONE


def test_what_means_something_and_is_not_supported_is_named_and_is_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = {
        **SCALELIB,
        "default_resources": [
            {"select": {}, "name": "a", "value": "`node.vcpu_count ** 2`"},
            {"select": {"node.vm_sise": "x"}, "name": "b", "value": 1},
            {"select": {}, "name": "c", "value": 1},
        ],
        "pbspro": {"ignore_onprem": True},
        "output_columns": {"default": ["name"]},
        "frobnicate": 1,
        "nodearrays": {"default": {"generated_placement_group_buffer": 1}, "Exec": {"max_placement_groups": 3}},
    }
    status, made = imported(tmp_path, theirs)
    said = verdicts(capsys)
    assert status == IN_PART
    lost = {key for key, verdict in said.items() if verdict == "not supported"}
    assert lost == {
        "default_resources[0]", "default_resources[1]", "pbspro.ignore_onprem", "output_columns", "frobnicate",
        "nodearrays.Exec.max_placement_groups",
    }  # fmt: skip
    config = load_config(made)
    assert [one["name"] for one in config.default_resources] == ["c"]
    assert config.nodearrays["exec"].array.new_placement_groups


def test_an_example_bucket_starts_no_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, made = imported(tmp_path, SCALELIB)
    assert verdicts(capsys)["nodearrays.execute.buckets"] == "to be added"
    assert not load_config(made).nodearrays["execute"].array.enabled


def test_every_key_of_theirs_gets_a_word() -> None:
    theirs = {**SCALELIB, "_mock_bindings": {}, "nodearrays": {"x": {"placement_groups": ["pg0"], "other": 1}}}
    ours = start_document(Start(subscription="s", resource_group="r", cluster="c", location="l"))
    made = import_scalelib(theirs, ours, {})
    told = {one.path.split(".")[0].split("[")[0] for one in made.differences}
    assert set(theirs) <= told
    assert {one.verdict for one in made.differences} == set(Verdict)
    assert "limits" not in made.document, "no cap that their file does not have"


def test_grid_engine_environments_become_colocated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = {"relevant_complexes": ["slots"], "pes": {"mpi": {"requires_placement_groups": True}, "make": {}}}
    status, made = imported(tmp_path, {"cluster_name": "g", "gridengine": engine})
    assert status == DONE
    assert load_config(made).scheduler.settings["colocated"] == ["mpi"]


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1, "a": 2}'])
def test_what_is_no_scalelib_file_is_bad_input(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.json").write_text(text)
    assert main(["config", "import", str(tmp_path / "old.json"), "-o", str(tmp_path / "new.json")]) == BAD_INPUT
    assert "old.json" in capsys.readouterr().err
    assert not (tmp_path / "new.json").exists()


def test_a_bucket_that_cannot_be_read_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(tmp_path, SCALELIB, "--bucket", "execute=Standard_F4")[0] == BAD_INPUT
    assert "ARRAY=SIZE:VCPUS:GIB" in capsys.readouterr().err
