"""Entries of default_resources are judged by what is known of the sizes, not by what the file says alone (T17f)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from autoscale_aks.cli.main import main
from autoscale_aks.cloud.azure.packaged import packaged_sizes

if TYPE_CHECKING:
    import pytest
    from unit.cli.office import Office

RULES: list[dict[str, Any]] = [
    {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
    {"select": {"node.arch": "arm64"}, "name": "arm", "value": 1},
    {"select": {"node.gpu_model": "A100-80GB"}, "name": "mig-1g.10gb", "value": 7},
    {"select": {"node.vm_capabilities.threads_per_core": 2}, "name": "ncpus", "value": "node.pcpu_count"},
    {"select": {"node.gpu_count": 16}, "name": "many", "value": 1},
]
BUCKETS = [{"vm_size": "Standard_D4ps_v5"}, {"vm_size": "Standard_NC24ads_A100_v4"}, {"vm_size": "Standard_D4s_v5"}]


def warned(office: Office, capsys: pytest.CaptureFixture[str], *buckets: dict[str, str]) -> dict[str, str]:
    office.configure(nodearrays={"htc": {"buckets": [*BUCKETS, *buckets]}}, default_resources=RULES)
    capsys.readouterr()
    main(["validate", "-c", office.config, "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    return {row["path"]: row["message"] for row in rows if row["path"].startswith("default_resources")}


def test_t17f_rules_that_can_never_apply_are_named_and_those_that_some_size_needs_are_not(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    found = warned(office, capsys)
    assert set(found) == {"default_resources[3]", "default_resources[4]"}  # shadowed; no such size
    assert all(message.endswith("its select never holds") for message in found.values())


def test_t17f_with_a_size_that_the_packaged_table_does_not_have_the_warning_says_so(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    found = warned(office, capsys, {"vm_size": "Standard_Brandnew_v9"})
    assert all("not in the packaged table" in message for message in found.values())


def test_a_constraint_is_tried_on_what_is_known_of_the_sizes(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.configure(nodearrays={"htc": {"buckets": BUCKETS}}, default_resources=[RULES[0]])
    asked = '{"ngpus": 1, "node.gpu_model": "A100-80GB", "ncpus": 24}'
    capsys.readouterr()
    main(["validate-constraint", asked, "-c", office.config, "--format", "json"])
    rows = json.loads(capsys.readouterr().out)["buckets"]
    assert [row["bucket"] for row in rows if row["matches"]] == ["htc/Standard_NC24ads_A100_v4"]


def test_t17f_doctor_judges_by_the_live_list_as_well(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    live = {"select": {"node.vm_capabilities.ephemeral_os_disk": True}, "name": "fast", "value": 1}
    office.configure(nodearrays={"htc": {"buckets": BUCKETS[2:]}}, default_resources=[RULES[0], live])
    capsys.readouterr()
    main(["doctor", "-c", office.config, "--format", "json", "--filter", "check=default_resources"])
    (line,) = json.loads(capsys.readouterr().out)
    assert line["status"] == "ok"
    assert packaged_sizes()["standard_d4s_v5"].ephemeral_os_disk is None  # only the list says it
