"""`azaks buckets`: what may be launched, what its nodes will have, and whose word that is."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

from builders import array, f4, job, node, scenario

from autoscale_aks.cli.main import main
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.buckets import list_buckets

if TYPE_CHECKING:
    import pytest

Json = dict[str, Any]

RULES = [
    {"select": {"node.vm_size": "Standard_F4"}, "name": "mem", "value": "node.memory", "subtract": "memory::1g"},
    {"select": {}, "name": "mem", "value": "node.memory"},
    {"select": {}, "name": "rack", "value": "r1"},
]


def site(**extra: Any) -> Json:
    """Two arrays: one with a group and a back-off, one with a resource of its own."""
    arrays = [
        array("htc", f4(vm_family="fsv2", price=0.2, placement_groups=["pg0"])),
        array("own", {"vm_size": "Standard_E4", "vcpu_count": 4, "memory_gb": 32}, resources={"mem": "memory::30g"}),
        array("big", {"vm_size": "Standard_E8", "vcpu_count": 8, "memory_gb": 64}, enabled=False),
    ]
    return {**scenario(job("a", iterations=99), arrays=arrays), "default_resources": RULES, **extra}


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, raw: Json, *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(raw).encode())))
    status = main(["buckets", "--scenario", "-", *arguments])
    return (status, *capsys.readouterr())


def rows(raw: Json) -> dict[str, Any]:
    return {row.bucket.id: row for row in list_buckets(*decode_scenario(raw)).rows}


def test_waiting_jobs_are_not_charged_but_existing_nodes_are() -> None:
    quota = {"families": {"westus2": {"fsv2": {"quota_cores": 20}}}}
    found = rows(site(limits=quota, existing_nodes=[node()]))
    assert found["htc/Standard_F4"].outcome.available_before == 4
    assert found["own/Standard_E4"].outcome.available_before is None


def test_provenance_names_the_entry_the_node_array_or_the_built_in() -> None:
    found = rows(site())
    assert found["htc/Standard_F4"].source_path("mem") == "default_resources[0]"
    assert found["big/Standard_E8"].source_path("mem") == "default_resources[1]"
    assert found["own/Standard_E4"].source_path("mem") == "nodearrays.own.resources.mem"
    assert found["own/Standard_E4"].source_path("ncpus") == "built-in"
    assert found["own/Standard_E4"].source_path("nothing") is None


def test_one_resource_is_shown_with_its_entry_as_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = run(capsys, monkeypatch, site(), "--resource", "mem")
    assert status == 0
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert lines["htc/Standard_F4"] == ["7g", "default_resources[0]"]
    assert lines["own/Standard_E4"] == ["30g", "nodearrays.own.resources.mem"]
    assert lines["default_resources[0]:"][0] == '{"select":'
    _, out, _ = run(capsys, monkeypatch, site(), "--resource", "mem", "--format", "json")
    first = json.loads(out)["buckets"][0]
    assert first["resources"] == {"mem": {"value": "size::7g", "from": "default_resources[0]"}}
    assert first["entry"] == RULES[0]


def test_a_fraction_in_an_entry_is_written_as_a_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = site(default_resources=[{"select": {}, "name": "mem", "value": "node.memory", "multiply": 0.5}])
    status, out, _ = run(capsys, monkeypatch, raw, "--resource", "mem")
    assert (status, '"multiply": 0.5}' in out) == (0, True)
    _, out, _ = run(capsys, monkeypatch, raw, "--resource", "mem", "--format", "json")
    assert json.loads(out)["buckets"][0]["entry"]["multiply"] == 0.5


def test_a_resource_that_no_bucket_defines_is_bad_input_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, err = run(capsys, monkeypatch, site(), "--resource", "rak")
    assert status == 2
    assert err == 'error: --resource: no bucket defines "rak"; did you mean "rack"?\n'
    _, _, err = run(capsys, monkeypatch, site(disable_default_resources=True), "--resource", "zzz")
    assert "known are mem, rack" in err


def test_a_resource_that_only_some_buckets_define_is_shown_as_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = site(default_resources=RULES[:1], disable_default_resources=True)
    _, out, _ = run(capsys, monkeypatch, raw, "--resource", "mem")
    assert "not defined" in out


def test_entries_that_can_never_apply_are_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shadowed = [
        *RULES,
        {"select": {}, "name": "mem", "value": 1},
        {"select": {"node.spot": True}, "name": "s", "value": 1},
    ]
    raw = site(default_resources=shadowed)
    listing = list_buckets(*decode_scenario(raw))
    assert [warning.path for warning in listing.warnings] == ["default_resources[3]", "default_resources[4]"]
    status, out, _ = run(capsys, monkeypatch, raw)
    assert (status, out.count("warning: default_resources[")) == (0, 2)


def test_an_entry_that_applies_to_a_live_node_only_is_no_warning() -> None:
    rules = [{"select": {"node.exists": True}, "name": "warm", "value": True}]
    assert len(list_buckets(*decode_scenario(site(default_resources=rules))).warnings) == 1
    listing = list_buckets(*decode_scenario(site(default_resources=rules, existing_nodes=[node()])))
    assert listing.warnings == ()


def test_the_table_shows_price_limit_and_back_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"back_offs": [{"vm_size": "Standard_E4", "until": "2026-11-22T09:00:00Z"}]}
    status, out, _ = run(capsys, monkeypatch, site(blocked=held))
    flat = " ".join(out.split())
    assert status == 0
    assert "htc/Standard_F4 4 8g 0.20 10 bucket nodes htc/Standard_F4" in flat
    assert "own/Standard_E4 4 32g ? any in back-off, retry at 2026-11-22T09:00:00Z" in flat
    assert "not enabled" in flat
    assert "own/Standard_E4 mem=30g rack=r1" in flat
    assert all(len(line) <= 80 for line in out.splitlines())


def test_json_has_every_fact_of_a_bucket(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"back_offs": [{"vm_size": "Standard_E4", "until": "2026-11-22T09:00:00Z"}]}
    _, out, _ = run(capsys, monkeypatch, site(blocked=held), "--format", "json")
    found = {one["bucket"]: one for one in json.loads(out)["buckets"]}
    first = found["htc/Standard_F4/pg0"]
    assert (first["placement_group"], first["vcpu_count"], first["memory"], first["available"]) == (
        "pg0",
        4,
        "size::8g",
        10,
    )
    assert first["price_per_hour"] == 0.2
    assert first["resources"]["ncpus"] == {"value": 4, "from": "built-in"}
    assert found["own/Standard_E4"]["retry_at"] == "2026-11-22T09:00:00Z"
    assert found["big/Standard_E8"]["enabled"] is False


def test_no_bucket_at_all_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = run(capsys, monkeypatch, site(nodearrays=[]))
    assert (status, "There is no bucket." in out) == (0, True)
