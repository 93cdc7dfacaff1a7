"""`azaks pool create|show|list|delete`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import requests
from rich.cells import cell_len
from unit.reconcile.fakes import bucket

from autoscale_aks.cli import wiring
from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART, UNAVAILABLE, main
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.emulator.faults import FaultRule

if TYPE_CHECKING:
    from unit.cli.office import Office


@pytest.fixture(autouse=True)
def emulated_time(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = office.emulator.clock
    effects = Effects(now=clock.now, sleep=clock.advance, random=lambda: 0.0)
    monkeypatch.setattr(wiring, "Effects", lambda: effects)


def pool(office: Office, verb: str, *arguments: str) -> int:
    return main(["pool", verb, "-c", office.config, *arguments])


def pools(office: Office) -> list[str]:
    office.emulator.catch_up()
    return sorted(one.name for one in office.emulator.state.pools())


def make_a_pool_of_another_mode(office: Office, name: str) -> None:
    cluster = json.loads((office.directory / "autoscale.json").read_text())["aks"]
    url = (
        f"{office.emulator.base_url}/subscriptions/{cluster['subscription']}/resourceGroups/{cluster['resource_group']}"
        f"/providers/Microsoft.ContainerService/managedClusters/{cluster['cluster']}/agentPools/{name}"
    )
    body = {"properties": {"mode": "User", "count": 1, "vmSize": "Standard_D4s_v5"}}
    query = {"api-version": "2024-06-02-preview"}
    assert requests.put(url, json=body, params=query, headers={"Authorization": "Bearer x"}, timeout=10).ok
    office.emulator.clock.advance(10)


def test_without_a_name_every_pool_of_the_configuration_is_made_and_none_twice(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.configure(nodearrays={"htc": {"buckets": [bucket()]}, "hpc": {"buckets": [bucket()]}})
    assert pool(office, "create") == DONE
    assert capsys.readouterr().out == "htc: exists already\nhpc: created in 1.5 s\n"
    assert pools(office) == ["hpc", "htc"]
    assert pool(office, "create", "--format", "json", "--pool", "perf") == DONE
    captured = capsys.readouterr()
    (entry,) = json.loads(captured.out)["pools"]
    assert (entry["pool"], entry["created"], entry["error"]) == ("perf", True, None)
    assert "perf: created" in captured.err
    assert pool(office, "create", "-q") == DONE
    assert capsys.readouterr().out == ""


def test_a_pool_that_cannot_be_made_does_not_stop_the_others(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pool(office, "create", "--pool", "Not-A-Name", "--pool", "good") == IN_PART
    said = capsys.readouterr().out
    assert "Not-A-Name: not there: pool name" in said
    assert pools(office) == ["good", "htc"]


def test_the_list_shows_pools_of_any_mode_and_what_is_missing(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    make_a_pool_of_another_mode(office, "system")
    office.configure(nodearrays={"htc": {"buckets": [bucket()]}, "hpc": {"buckets": [bucket()]}})
    assert pool(office, "list") == DONE
    said = capsys.readouterr().out
    assert "Agent pools of aks-emulated: 2 of 100" in said
    assert [line.split() for line in said.splitlines()[2:4]] == [
        ["htc", "Machines", "Succeeded", "Running", "htc"],
        ["system", "User", "Succeeded", "Running"],
    ]
    assert "named by the configuration and not there: hpc" in said
    assert pool(office, "list", "--format", "json") == DONE
    assert json.loads(capsys.readouterr().out)["missing"] == ["hpc"]


def test_a_pool_is_shown_with_its_machines_by_state_size_zone_and_owner(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.configure(nodearrays={"htc": {"zones": ["1", "2"], "buckets": [bucket()]}})
    assert main(["machines", "scale", "-c", office.config, "--pool", "htc", "--count", "3", "-q"]) == DONE
    capsys.readouterr()
    assert pool(office, "show") == DONE
    assert capsys.readouterr().out.splitlines() == [
        "htc: mode Machines, Succeeded, used by htc",
        "  3 machines, 3 ours, 0 failed",
        "  by state: Creating 3",
        "  by size: Standard_D4s_v5 3",
        "  by zone: 1 2, 2 1",
    ]
    assert pool(office, "show", "--pool", "gone") == IN_PART
    assert "gone: there is no such pool; next: azaks pool create --pool gone" in capsys.readouterr().out
    make_a_pool_of_another_mode(office, "system")
    assert pool(office, "show", "--pool", "system", "--format", "json") == DONE
    (entry,) = json.loads(capsys.readouterr().out)["pools"]
    assert (entry["mode"], "machines" in entry) == ("User", False)


def test_a_deleted_pool_takes_its_machines_with_it_and_absent_is_success(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["machines", "scale", "-c", office.config, "--pool", "htc", "--count", "3", "-q"]) == DONE
    assert pool(office, "delete", "--pool", "htc", "--yes") == DONE
    assert capsys.readouterr().out.endswith("htc: gone\n")
    assert (pools(office), office.machines()) == ([], [])
    assert pool(office, "delete", "--pool", "htc", "--yes", "--format", "json") == DONE
    assert json.loads(capsys.readouterr().out)["pools"] == [{"pool": "htc", "gone": True, "error": None, "machines": 0}]


def test_pools_can_be_named_without_an_option(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert pool(office, "create", "perf", "--pool", "more", "-q") == DONE
    assert pools(office) == ["htc", "more", "perf"]
    assert pool(office, "show", "perf") == DONE
    assert capsys.readouterr().out.startswith("perf: mode Machines, Succeeded, used by no node array\n")
    assert pool(office, "delete", "perf", "more", "--yes", "-q") == DONE
    assert pools(office) == ["htc"]


@pytest.mark.parametrize("arguments", [["pool", verb] for verb in ("create", "list", "show", "delete")]
                         + [["machines", verb] for verb in ("list", "scale", "delete")])  # fmt: skip
def test_every_tool_explains_itself_within_80_columns_with_an_example(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--help"]) == DONE
    said = capsys.readouterr().out
    assert f"Example: azaks {' '.join(arguments)} -c autoscale.json" in said
    assert [line for line in said.splitlines() if cell_len(line.rstrip()) > 80] == []


def test_one_does_not_have_to_wait(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert pool(office, "delete", "--pool", "htc", "--yes", "--no-wait") == DONE
    assert capsys.readouterr().out == "htc: is being deleted\n"


def test_a_pool_with_somebody_elses_machines_is_kept_unless_that_is_asked_for(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((office.directory / "autoscale.json").read_text())
    document["aks"]["owner"] = "next"
    theirs = str(office.write("next.json", document))
    assert main(["machines", "scale", "-c", theirs, "--pool", "htc", "--count", "2", "-q"]) == DONE
    assert pool(office, "delete", "--pool", "htc", "--yes") == BAD_INPUT
    assert '2 do not carry the mark of owner "site"' in capsys.readouterr().err
    assert pools(office) == ["htc"]
    assert pool(office, "delete", "--pool", "htc", "--yes", "--even-if-not-ours") == DONE
    assert pools(office) == []


def test_a_pool_in_another_mode_is_never_deleted(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    make_a_pool_of_another_mode(office, "system")
    for more in ((), ("--even-if-not-ours",)):
        assert pool(office, "delete", "--pool", "htc", "--pool", "system", "--yes", *more) == BAD_INPUT
        assert "az aks nodepool delete --name system" in capsys.readouterr().err
    assert pools(office) == ["htc", "system"]


def test_nothing_is_deleted_without_a_yes_and_a_name(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert pool(office, "delete", "--pool", "htc") == BAD_INPUT
    assert "--yes: is needed where nobody can be asked: Delete pool htc with 0 machines?" in capsys.readouterr().err
    assert pool(office, "delete", "--yes") == BAD_INPUT
    assert pools(office) == ["htc"]


def test_a_delete_the_service_refuses_is_status_1_and_no_service_status_5(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = office.emulator.state.faults
    faults.add(FaultRule(kind="error_before", operations=("pool.delete",), status=400, code="Nope"))
    assert pool(office, "delete", "--pool", "htc", "--yes") == IN_PART
    assert "htc: HTTP 400 Nope" in capsys.readouterr().out
    faults.add(FaultRule(kind="error_before", operations=("pool.get", "pool.list"), status=403, code="No"))
    for verb in ("show", "list", "create"):
        assert pool(office, verb) == UNAVAILABLE
        error = capsys.readouterr().err
        assert error.startswith(f"error: cluster aks-emulated at {office.emulator.base_url}: HTTP 403 No")
        assert '"Azure Kubernetes Service Contributor Role" on resource group rg-emulated' in error
    faults.remove()
    faults.add(FaultRule(kind="throttle", operations=("pool.list",), after_s=900.0))
    assert pool(office, "list") == UNAVAILABLE
    assert re.search(r"next: try again after 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$", capsys.readouterr().err)


def test_a_cluster_that_cannot_be_reached_is_named_with_what_to_look_at(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.emulator.stop()
    assert pool(office, "list") == UNAVAILABLE
    error = capsys.readouterr().err
    assert "Connection refused; next: see that aks names the right cluster and that this host reaches it" in error


def test_a_node_array_that_is_not_there_is_named_with_those_that_are(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pool(office, "show", "--nodearray", "hcp") == BAD_INPUT
    assert capsys.readouterr().err == 'error: --nodearray: there is no node array "hcp"; known are htc\n'
