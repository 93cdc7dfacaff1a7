"""conf/azure: each role lets through what its programs send, and nothing that none of them sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import main
from autoscale_aks.emulator.routes import TABLE
from autoscale_aks.emulator.server import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLES = Path(__file__).parents[2] / "conf" / "azure"
_AKS: Final = "Microsoft.ContainerService/managedClusters"
ACTIONS: Final = {
    "cluster.get": f"{_AKS}/read",
    "pool.list": f"{_AKS}/agentPools/read",
    "pool.get": f"{_AKS}/agentPools/read",
    "pool.put": f"{_AKS}/agentPools/write",
    "pool.delete": f"{_AKS}/agentPools/delete",
    "machine.list": f"{_AKS}/agentPools/machines/read",
    "machine.get": f"{_AKS}/agentPools/machines/read",
    "machine.put": f"{_AKS}/agentPools/machines/write",
    "machine.delete": f"{_AKS}/agentPools/deleteMachines/action",
}
"""What an operation of the service needs (aks-machine-api.md §1.3)."""
LOOKS: Final = (["demand"], ["explain", "a"], ["buckets"], ["machines", "list"], ["pool", "list"], ["pool", "show"])


def actions(role: str) -> list[str]:
    found: list[str] = json.loads((ROLES / f"role-{role}.json").read_text())["Actions"]
    return found


@pytest.fixture
def office() -> Iterator[Office]:
    with EmulatorServer(emulator_settings(speed=100.0, start_time=None)) as emulator, scratch() as directory:
        office = Office(directory, emulator)
        office.configure()
        office.queue(work())
        yield office


def needed(office: Office) -> set[str]:
    """What the requests so far need of Azure's rights."""
    rules = {operation: whose for _, _, operation, _, whose in TABLE}
    sent = {entry.operation for entry in office.emulator.journal.entries()}
    return {ACTIONS[operation] for operation in sent if rules.get(operation) == "arm"}


def test_the_role_for_reports_lets_every_look_through_and_changes_nothing(office: Office) -> None:
    assert main(["autoscale", "-c", office.config, "--quiet"]) == 0
    office.emulator.journal.clear()
    for words in LOOKS:
        extra = ["--pool", "htc"] if words == ["pool", "show"] else []
        assert main([*words, "-c", office.config, *extra]) == 0
    assert needed(office) <= set(actions("reports"))
    assert all(action.endswith("/read") for action in actions("reports"))


def test_the_role_for_the_autoscaler_lets_a_whole_life_through_and_has_no_wildcard(office: Office) -> None:
    assert main(["autoscale", "-c", office.config, "--quiet"]) == 0
    assert main(["machines", "delete", "-c", office.config, "--all", "--yes"]) == 0
    assert main(["pool", "create", "-c", office.config, "--pool", "perf"]) == 0
    assert main(["pool", "delete", "-c", office.config, "--pool", "perf", "--yes"]) == 0
    assert needed(office) <= set(actions("autoscaler"))
    assert {"write", "delete", "action"} <= {action.rpartition("/")[2] for action in needed(office)}
    assert not any("*" in action for action in actions("autoscaler"))
    assert set(actions("reports")) <= set(actions("autoscaler"))


@pytest.mark.parametrize("role", ["autoscaler", "reports"])
def test_no_role_holds_an_action_that_no_operation_needs(role: str) -> None:
    known = set(ACTIONS.values())
    assert [action for action in actions(role) if action not in known] == []
    assert len(actions(role)) == len(set(actions(role)))
