"""`azaks doctor`: each trouble is told once, with its mend, and nothing is changed by looking."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from unit.cli.office import Office, run, work
from unit.reconcile.fakes import bucket, emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import main
from autoscale_aks.doctor import CHECKS
from autoscale_aks.doctor.cluster import READ_ACTIONS, WRITE_ACTIONS
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec
from autoscale_aks.ledger.guards import SmallSize
from autoscale_aks.ledger.lock import Writer, WriterLock
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.service import Rights, ServiceView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Lines = list[dict[str, str]]
NOW = 1_780_000_000.0


@pytest.fixture
def open_office() -> Iterator[Callable[..., Office]]:
    """An office with an emulator of the given switches."""
    from contextlib import ExitStack  # noqa: PLC0415

    with ExitStack() as stack:

        def make(**switches: Any) -> Office:
            given = {"clusters": (ClusterSpec(pools=("htc",)),), "start_time": None, "speed": 50.0, **switches}
            emulator = stack.enter_context(EmulatorServer(emulator_settings(**given)))
            office = Office(stack.enter_context(scratch()), emulator)
            office.configure()
            office.queue(work())
            return office

        yield make


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()


def examined(office: Office, capsys: pytest.CaptureFixture[str]) -> tuple[int, Lines]:
    capsys.readouterr()
    status = main(["doctor", "-c", office.config, "--format", "json"])
    lines: Lines = json.loads(capsys.readouterr().out)
    return status, lines


def of(lines: Lines, check: str) -> Lines:
    return [line for line in lines if line["check"] == check]


def test_a_site_in_order_fails_nowhere_and_every_check_has_its_line(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.configure(nodearrays={"htc": {"buckets": [bucket(price=0.2)]}})
    status, lines = examined(office, capsys)
    assert status == 0
    assert {line["status"] for line in lines} == {"ok", "skipped"}
    assert list(dict.fromkeys(line["check"] for line in lines)) == [name for name, _ in CHECKS]


def test_looking_changes_nothing_in_the_cloud_and_nothing_on_the_disk(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["autoscale", "-c", office.config, "--quiet"]) == 0
    before = {path: path.read_bytes() for path in office.directory.rglob("*") if path.is_file()}
    office.emulator.journal.clear()
    examined(office, capsys)
    assert {entry.method for entry in office.emulator.journal.entries()} == {"GET"}
    assert {path: path.read_bytes() for path in office.directory.rglob("*") if path.is_file()} == before


def test_a_cloud_that_cannot_be_reached_is_told_once_and_the_rest_is_still_looked_at(
    office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscale_aks.cloud.aks.caller.BACKOFF_S", (0.01,))
    office.emulator.stop()
    status, lines = examined(office, capsys)
    assert status == 1
    assert [line["check"] for line in lines if line["status"] == "fail"] == ["cluster", "nodes"]
    assert of(lines, "rights")[0]["says"].endswith("because of the trouble of: cluster")
    assert of(lines, "scheduler")[0]["status"] == "ok"


def test_what_the_identity_may_not_do_is_named(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office(actions=READ_ACTIONS)
    status, lines = examined(office, capsys)
    reports, autoscale = of(lines, "rights")
    assert status == 0
    assert reports["status"] == "ok"
    assert autoscale["status"] == "warn"
    assert all(action in autoscale["says"] for action in WRITE_ACTIONS)
    assert "conf/azure" in autoscale["fix"]


def test_without_the_right_to_read_the_cluster_that_is_what_fails(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = examined(open_office(actions=("Microsoft.Compute/*",)), capsys)
    assert status == 1
    assert "AuthorizationFailed" in " ".join(line["says"] for line in lines if line["status"] == "fail")


def test_a_scheduler_whose_records_cannot_be_read_whole_is_a_warning_with_the_record(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.queue(work("good"), {"name": "bad", "constraints": [{"ncpus": 1}], "iterations": "many"})
    status, lines = examined(office, capsys)
    assert status == 0
    assert "nothing is deleted" in of(lines, "scheduler")[0]["fix"]
    assert "jobs[1]" in of(lines, "scheduler")[1]["says"]


def test_a_scheduler_that_does_not_answer_fails(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    (office.directory / "jobs.json").unlink()
    status, lines = examined(office, capsys)
    assert status == 1
    assert of(lines, "scheduler")[0]["status"] == "fail"


def test_a_default_resource_that_nothing_uses_is_named_with_its_place(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.configure(
        default_resources=[
            {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
            {"select": {"node.vm_size": "Standard_X"}, "name": "disk", "value": "memory::1g"},
        ]
    )
    _, lines = examined(office, capsys)
    (line,) = of(lines, "default_resources")
    assert line["status"] == "warn"
    assert "default_resources[1]" in line["says"]


def test_a_ledger_that_others_can_read_and_an_unsettled_intent_are_warnings(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["autoscale", "-c", office.config, "--quiet"]) == 0
    path = office.directory / "ledger.sqlite"
    with Ledger.open(path, now=NOW) as ledger, ledger._writing() as connection:
        connection.execute("UPDATE machines SET state = 'unknown', asked_at = 0")
    path.chmod(0o644)
    _, lines = examined(office, capsys)
    says = [line["says"] for line in of(lines, "ledger") if line["status"] == "warn"]
    assert any("can be read by others" in one for one in says)
    assert any("never settled" in one for one in says)


def test_the_writer_is_named_and_one_without_a_sign_of_life_is_a_warning(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = Writer(owner="az9", now=NOW, pid=os.getpid(), host="head7")
    with WriterLock(office.directory / "ledger.sqlite", writer):
        _, lines = examined(office, capsys)
    (line,) = of(lines, "writer")
    assert line["status"] == "warn"
    assert "az9" in line["says"]
    assert "head7" in line["says"]


def test_machines_with_less_than_promised_propose_the_line_to_paste(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    from autoscale_aks.clock import SystemClock  # noqa: PLC0415

    found = SmallSize(
        nodearray="htc", vm_size="Standard_D4s_v5", resource="mem", machine="az1-htc-1",
        promised="size::15g", found="size::14g",
    )  # fmt: skip
    with Ledger.open(office.directory / "ledger.sqlite", now=NOW) as ledger:
        ledger.record_small([found], SystemClock().now())
    _, lines = examined(office, capsys)
    (line,) = of(lines, "promised sizes")
    entry = json.loads(line["fix"].split(": ", 1)[1])
    assert entry == {
        "select": {"node.nodearray": "htc", "node.vm_size": "Standard_D4s_v5"}, "name": "mem", "value": "size::14g",
    }  # fmt: skip


def test_the_proposed_line_makes_new_machines_what_the_least_of_those_was(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    from autoscale_aks.clock import SystemClock  # noqa: PLC0415

    seen = [
        SmallSize(nodearray="htc", vm_size="Standard_D4s_v5", resource="ncpus", machine=name, promised="4", found=found)
        for name, found in (("az1-htc-1", "2"), ("az1-htc-2", "3"))
    ]
    with Ledger.open(office.directory / "ledger.sqlite", now=NOW) as ledger:
        ledger.record_small(seen, SystemClock().now())
    _, lines = examined(office, capsys)
    (line,) = of(lines, "promised sizes")
    entry = json.loads(line["fix"].split(": ", 1)[1])
    scenario = {
        "default_resources": [entry],
        "nodearrays": [{"name": "htc", "buckets": [
            {"vm_size": "Standard_D4s_v5", "vcpu_count": 4, "memory_gb": 16},
            {"vm_size": "Standard_D8s_v5", "vcpu_count": 8, "memory_gb": 32},
        ]}],
        "jobs": [{"name": name, "constraints": [{"ncpus": cpus}]} for name, cpus in (("small", 2), ("large", 3))],
    }  # fmt: skip
    answer = run("plan", "--scenario", "-", stdin=json.dumps(scenario))
    sizes = [node["vm_size"] for node in json.loads(answer.stdout)["new_nodes"]]
    assert sizes == ["Standard_D4s_v5", "Standard_D8s_v5"]


def test_a_pool_of_another_mode_fails_because_it_can_never_hold_machines(
    office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from autoscale_aks.cloud.aks.client import AksClient  # noqa: PLC0415
    from autoscale_aks.model.launch import PoolView  # noqa: PLC0415

    views = (PoolView("User", "Succeeded", name="htc"),)
    monkeypatch.setattr(AksClient, "list_pool_views", lambda _self: views)
    status, lines = examined(office, capsys)
    assert status == 1
    assert of(lines, "agent pools")[0]["status"] == "fail"
    assert "User" in of(lines, "agent pools")[0]["says"]


def test_a_hook_finds_somebody_listening_or_is_told_that_nobody_does(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    path = office.directory / "wake"
    office.configure(loop={"wake_socket": str(path)})
    assert of(examined(office, capsys)[1], "wake-up")[0]["status"] == "warn"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        assert of(examined(office, capsys)[1], "wake-up")[0]["status"] == "ok"
    path.unlink()
    path.write_text("")
    assert of(examined(office, capsys)[1], "wake-up")[0]["status"] == "fail"


@pytest.mark.parametrize(("ahead", "status"), [(0, "ok"), (60, "warn"), (-3600, "fail")])
def test_a_clock_that_is_wrong_is_told_with_by_how_much(
    office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ahead: float, status: str
) -> None:
    from autoscale_aks.cloud.aks import examine as module  # noqa: PLC0415

    honest = module._skew
    monkeypatch.setattr(module, "_skew", lambda answer, now: honest(answer, now + ahead))
    (line,) = of(examined(office, capsys)[1], "clock")
    assert line["status"] == status
    if ahead:
        assert abs(int(line["says"].split()[0]) - abs(ahead)) <= 2
        assert ("ahead" in line["says"]) == (ahead > 0)


def test_people_see_a_mark_a_line_and_the_sum(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.configure(nodearrays={"htc": {"buckets": [bucket(price=0.2)]}})
    assert main(["doctor", "-c", office.config]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("ok      configuration: ")
    assert output[-1].endswith("0 warn, 0 fail")
    assert max(map(len, output)) <= 80


@pytest.mark.parametrize(
    ("grants", "missing"),
    [
        ((Rights(("*",)),), ()),
        ((Rights(("Microsoft.ContainerService/*/read",)),), ("Microsoft.ContainerService/managedClusters/write",)),
        ((Rights(("*",), ("*/write",)),), ("Microsoft.ContainerService/managedClusters/write",)),
        ((Rights(("*",), ("*/write",)), Rights(("MICROSOFT.containerservice/managedclusters/WRITE",))), ()),
        (None, ()),
    ],
)
def test_rights_are_read_with_wildcards_and_exceptions_grant_by_grant(
    grants: tuple[Rights, ...] | None, missing: tuple[str, ...]
) -> None:
    wanted = ("Microsoft.ContainerService/managedClusters/read", "Microsoft.ContainerService/managedClusters/write")
    assert ServiceView(rights=grants).missing(wanted) == missing


def test_plans_by_price_without_their_solver_are_told_of_with_the_extra_to_install(
    office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines() -> Lines:
        return [line for line in examined(office, capsys)[1] if line["check"] == "plans by price"]

    assert [line["status"] for line in lines()] == ["skipped"]
    office.configure(policy={"objective": "cost"})
    assert [line["status"] for line in lines()] == ["ok"]
    monkeypatch.setattr("autoscale_aks.doctor.settings.find_spec", lambda name: None)
    (line,) = lines()
    assert line["status"] == "warn"
    assert "autoscale_aks[optimize]" in line["fix"]
