"""conf/azure: each role lets through what its programs send, and nothing that none of them sends."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import bucket, emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import main
from autoscale_aks.doctor.cluster import READ_ACTIONS, WRITE_ACTIONS
from autoscale_aks.doctor.reference import QUOTA_ACTIONS
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, subnet_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROLES = Path(__file__).parents[2] / "conf" / "azure"
LOOKS: Final = (["demand"], ["explain", "a"], ["buckets"], ["machines", "list"], ["pool", "list"], ["doctor"])


def actions(role: str) -> list[str]:
    found: list[str] = json.loads((ROLES / f"role-{role}.json").read_text())["Actions"]
    return found


@pytest.fixture
def open_office() -> Iterator[Callable[..., Office]]:
    with ExitStack() as stack:

        def make(granted: list[str], **switches: Any) -> Office:
            settings = emulator_settings(speed=100.0, start_time=None, actions=tuple(granted), **switches)
            office = Office(stack.enter_context(scratch()), stack.enter_context(EmulatorServer(settings)))
            office.configure()
            office.queue(work())
            return office

        yield make


def life(office: Office) -> list[int]:
    """Everything that changes the cluster: a cycle with its pool and machine, and the direct tools."""
    config = ["-c", office.config]
    return [
        main(["autoscale", *config, "--quiet"]),
        main(["machines", "delete", *config, "--all", "--yes"]),
        main(["pool", "create", *config, "--pool", "perf"]),
        main(["pool", "delete", *config, "--pool", "perf", "--yes"]),
        main(["doctor", *config]),
    ]


def test_the_role_for_reports_is_enough_for_every_look_and_for_nothing_else(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(actions("reports"))
    for words in LOOKS:
        assert main([*words, "-c", office.config]) == 0, words
    assert main(["autoscale", "-c", office.config, "--quiet"]) != 0
    assert office.machines() == []
    assert all(action.endswith("/read") for action in actions("reports"))


def test_the_role_for_the_autoscaler_is_enough_for_a_whole_life(open_office: Callable[..., Office]) -> None:
    assert life(open_office(actions("autoscaler"))) == [0, 0, 0, 0, 0]


@pytest.mark.parametrize("left_out", actions("autoscaler"))
def test_no_action_of_the_role_is_needless(open_office: Callable[..., Office], left_out: str) -> None:
    granted = [action for action in actions("autoscaler") if action != left_out]
    assert any(life(open_office(granted)))


def test_the_role_for_quota_opens_sizes_counters_and_addresses_and_nothing_else(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    def sources(granted: list[str]) -> dict[str, str]:
        office = open_office(granted, subnets={"nodes": {"prefix": "10.1.0.0/28", "pools": ["perf"]}})
        subnet = subnet_id(ClusterSpec(), "nodes")
        office.configure(nodearrays={"htc": {"vnet_subnet_id": subnet, "buckets": [bucket()]}})
        capsys.readouterr()
        main(["limits", "-c", office.config, "--format", "json"])
        return {row["kind"]: row["source"] for row in json.loads(capsys.readouterr().out)["limits"]}

    both = [*actions("reports"), *actions("quota")]
    assert {"family quota", "regional quota", "subnet addresses"} <= set(sources(both))
    assert "family quota" not in sources(actions("reports"))
    without = [action for action in both if "subnets" not in action]
    assert "subnet addresses" not in sources(without)
    assert "family quota" not in sources([action for action in both if "usages" not in action])
    assert all(action.endswith("/read") for action in actions("quota"))


def test_the_roles_are_those_that_doctor_asks_for() -> None:
    assert tuple(actions("quota")) == QUOTA_ACTIONS
    assert tuple(actions("reports")) == READ_ACTIONS
    assert tuple(actions("autoscaler")) == (*READ_ACTIONS, *WRITE_ACTIONS)
