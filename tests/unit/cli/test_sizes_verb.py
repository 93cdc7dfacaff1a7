"""`azaks sizes` and `azaks limits` as a user sees them (user asks T09, T17a)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from unit.cli.office import work

from autoscale_aks.cli.main import main
from autoscale_aks.ledger.observations import ObservedSize
from autoscale_aks.ledger.store import Ledger

if TYPE_CHECKING:
    from unit.cli.office import Office

SIZE = "Standard_D4s_v5"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(list(arguments))
    said = capsys.readouterr()
    return status, said.out + said.err


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    status, said = run(capsys, *arguments, "--format", "json")
    assert status == 0, said
    return json.loads(said)


def test_every_fact_of_a_size_has_its_source(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.configure(prices={"url": office.emulator.base_url, "overrides": {SIZE: {"spot": 0.01}}})
    facts = answer(capsys, "sizes", "show", SIZE.lower(), "-c", office.config)["facts"]
    assert facts["vcpus"] == {"value": "4", "source": "resource SKU API"}
    assert facts["price_regular"] == {"value": "0.192 an hour", "source": "retail price API"}
    assert facts["price_spot"] == {"value": "0.01 an hour", "source": "prices.overrides"}
    assert facts["vcpu_count of htc"] == {"value": "4", "source": "autoscale.json"}
    assert all(row["source"] or row["value"] == "not known" for row in facts.values())


def test_without_a_configuration_the_packaged_table_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    facts = answer(capsys, "sizes", "show", "Standard_NC24ads_A100_v4", "--location", "usgovvirginia")["facts"]
    assert facts["gpu_model"] == {"value": "A100-80GB", "source": "packaged"}
    assert "borrowed from southcentralus" in facts["price_regular"]["source"]
    assert facts["price_spot"] == {"value": "not known", "source": ""}


def test_a_location_may_be_written_as_azure_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    shown = answer(capsys, "sizes", "show", SIZE, "--location", "South Central US")
    assert (shown["location"], shown["facts"]["price_regular"]["value"]) == ("southcentralus", "0.23 an hour")


def test_why_there_is_no_price_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    shown = answer(capsys, "sizes", "show", SIZE, "--location", "nowhere")
    assert shown["facts"]["price_regular"]["value"] == "not known"
    (note,) = shown["notices"]
    assert note.startswith("no price of nowhere is in the packaged table, and no location stands in for it")


def test_a_size_that_the_live_list_does_not_have_is_noted(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    notices = answer(capsys, "sizes", "show", "Standard_E8-2s_v5", "-c", office.config)["notices"]
    assert "Standard_E8-2s_v5 is not in the live list of eastus2; its creation may be refused" in notices


def test_what_buckets_of_several_zones_state_is_told_apart_where_it_differs(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = {"vm_size": SIZE, "gpu_count": 2}
    buckets = [{**stated, "zone": "1", "memory_gb": 15}, {**stated, "zone": "2", "memory_gb": 14, "price": 0.5}]
    office.configure(nodearrays={"htc": {"buckets": buckets}})
    facts = answer(capsys, "sizes", "show", SIZE, "-c", office.config)["facts"]
    said = {fact: row["value"] for fact, row in facts.items() if row["source"] == "autoscale.json"}
    assert said == {
        "gpu_count of htc": "2",
        "memory_gb of htc:1": "15g",
        "memory_gb of htc:2": "14g",
        "price of htc:2": "0.5",
    }


def test_an_unknown_size_gets_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    status, said = run(capsys, "sizes", "show", "Standard_D4sv5")
    assert status == 2
    assert 'did you mean "Standard_D4s_v5"?' in said


def test_what_machines_showed_stands_beside_with_rules_to_paste(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    path = office.directory / "ledger.sqlite"
    now = office.emulator.clock.now()
    with Ledger.open(path, now=now) as ledger:
        seen = [
            ObservedSize(vm_size=SIZE, image="Ubuntu", resource="ncpus", machine=name, promised="4", found="3")
            for name in "ab"
        ]
        ledger.record_observed(seen, now, 0.0)
    found = answer(capsys, "sizes", "show", SIZE, "-c", office.config)
    assert found["facts"]["resource ncpus"]["value"] == "promised 4, observed 3, used 3"
    assert found["default_resources"] == [{"select": {"node.vm_size": SIZE}, "name": "ncpus", "value": 3}]


def test_the_list_is_what_the_location_sells(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "sizes", "list", "-c", office.config, "--match", "a100")["sizes"]
    assert {row["size"]: row["gpus"] for row in rows}["Standard_NC24ads_A100_v4"] == 1
    assert {row["source"] for row in rows} == {"resource SKU API"}
    assert len(answer(capsys, "sizes", "list", "-c", office.config)["sizes"]) == len(
        list(office.emulator.state.catalog)
    )
    status, said = run(capsys, "sizes", "list", "--match", "HB120")
    assert status == 0
    assert all(len(line) <= 80 for line in said.splitlines())


def test_limits_show_use_and_source_and_missing_what_to_ask_for(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    (counters,) = office.emulator.state.quotas.values()
    counters.set_limit("standardDSv5Family", 8)
    office.queue(work("a", iterations=5))
    rows = {row["kind"]: row for row in answer(capsys, "limits", "-c", office.config)["limits"]}
    assert (rows["family quota"]["limit_value"], rows["family quota"]["left"]) == (8, 8)
    assert rows["family quota"]["source"] == "usages API"
    (missing,) = answer(capsys, "limits", "-c", office.config, "--missing")["missing"]
    assert (missing["limit"], missing["location"], missing["increase"]) == ("standardDSv5Family", "eastus2", 12)
    status, said = run(capsys, "limits", "-c", office.config, "--missing")
    assert status == 0
    assert "next: raise standardDSv5Family in eastus2 from 8 to 20 vCPUs" in said
    office.queue(work("a"))
    assert "Nothing waits for a limit of Azure's" in run(capsys, "limits", "-c", office.config, "--missing")[1]


def test_a_size_that_nobody_knows_is_a_note_of_what_is_missing(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.configure(nodearrays={"htc": {"buckets": [{"vm_size": SIZE}, {"vm_size": "Standard_Nonsense_v9"}]}})
    office.queue(work("a"))
    for verb in (["limits"], ["limits", "--missing"]):
        (note,) = answer(capsys, *verb, "-c", office.config)["notices"]
        assert "nothing is known of this size in eastus2" in note


@pytest.mark.parametrize("arguments", [["limits"], ["sizes", "show", SIZE], ["sizes", "list"]])
def test_a_cloud_that_refuses_is_a_note_and_no_error(
    office: Office, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    from autoscale_aks.emulator.faults import FaultRule  # noqa: PLC0415

    rule = FaultRule(kind="error_before", status=403, code="AuthorizationFailed", operations=("sku.list", "usage.list"))
    office.emulator.state.faults.add(rule)
    status, said = run(capsys, *arguments, "-c", office.config)
    assert status == 0
    assert "AuthorizationFailed" in " ".join(said.split())
