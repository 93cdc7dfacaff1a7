"""`azaks doctor` on what Azure says beside AKS, on metrics, and on hooks."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import SIZE, bucket, emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import main
from autoscale_aks.doctor.cluster import READ_ACTIONS
from autoscale_aks.doctor.queue import check_hook
from autoscale_aks.doctor.reference import QUOTA_ACTIONS
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec
from autoscale_aks.errors import SchedulerError
from autoscale_aks.ledger.observations import ObservedSize
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.schedulers.openpbs.facts import parse_hooks as hooks_of_pbs
from autoscale_aks.schedulers.slurm.facts import parse_hooks as hooks_of_slurm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Lines = list[dict[str, str]]


@pytest.fixture
def open_office() -> Iterator[Callable[..., Office]]:
    with ExitStack() as stack:

        def make(**switches: Any) -> Office:
            given = {"clusters": (ClusterSpec(pools=("htc",)),), "start_time": None, "speed": 50.0, **switches}
            emulator = stack.enter_context(EmulatorServer(emulator_settings(**given)))
            office = Office(stack.enter_context(scratch()), emulator)
            office.configure()
            office.queue(work())
            return office

        yield make


def lines_of(office: Office, capsys: pytest.CaptureFixture[str], check: str) -> Lines:
    capsys.readouterr()
    assert main(["doctor", "-c", office.config, "--format", "json", "--filter", f"check={check}"]) in {0, 1}
    found: Lines = json.loads(capsys.readouterr().out)
    return found


def test_quota_that_is_used_up_or_too_small_for_what_may_come_is_a_warning(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office()
    office.configure(nodearrays={"htc": {"max_count": 10, "buckets": [bucket()]}})
    assert [line["status"] for line in lines_of(office, capsys, "quota")] == ["ok", "ok"]
    (counters,) = office.emulator.state.quotas.values()
    counters.set_limit("standardDSv5Family", 36)
    family, region = lines_of(office, capsys, "quota")
    assert (family["status"], region["status"]) == ("warn", "ok")
    assert family["says"].endswith("0 of 36 cores used; the node arrays may grow to 40 cores")
    counters.set_limit("standardDSv5Family", 0)
    family, _ = lines_of(office, capsys, "quota")
    assert "nothing is left" in family["says"]
    assert "azaks limits" in family["fix"]


def test_without_the_third_role_the_sources_are_named_with_the_role_that_opens_them(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office(actions=READ_ACTIONS)
    sizes, usages = lines_of(office, capsys, "Azure's lists")[:2]
    assert (sizes["status"], usages["status"]) == ("warn", "warn")
    assert "conf/azure/role-quota.json" in usages["fix"]
    assert lines_of(office, capsys, "quota")[0]["status"] == "skipped"
    allowed = open_office(actions=(*READ_ACTIONS, *QUOTA_ACTIONS))
    assert [line["status"] for line in lines_of(allowed, capsys, "Azure's lists")[:2]] == ["ok", "ok"]


def test_a_source_that_cannot_be_reached_is_told_apart_from_one_that_refuses_with_the_age_of_what_is_used(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office()
    main(["autoscale", "-c", office.config])
    (kept,) = (office.directory / "azaks-cache").glob("usages-*.json")
    document = json.loads(kept.read_text())
    office.emulator.state.faults.add(FaultRule(kind="error_before", status=500, operations=("usage.list",)))
    for age_s, then in ((120, "those of 2 min ago are used"), (1200, "those of 20 min ago are too old to bind")):
        kept.write_text(json.dumps({**document, "taken_at": time.time() - age_s}))
        usages = lines_of(office, capsys, "Azure's lists")[1]
        assert usages["says"].endswith(then)
        assert "role" not in usages["fix"]
    sizes = lines_of(office, capsys, "Azure's lists")[0]
    assert re.search(r"VM sizes of eastus2: read \d+ s ago, resource SKU API", sizes["says"])


def test_a_restricted_size_is_a_warning_and_an_unknown_one_without_facts_fails(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office(restrictions={SIZE: ()})
    office.configure(nodearrays={"htc": {"buckets": [bucket(), {"vm_size": "Standard_Z99"}]}})
    restricted, *others = lines_of(office, capsys, "sizes")
    assert restricted["status"] == "warn"
    assert "no machine of it is asked for" in restricted["says"]
    assert [line["status"] for line in others if "Standard_Z99" in line["says"]] == ["warn", "fail"]


def test_a_price_that_nobody_knows_is_a_warning_that_says_what_a_budget_makes_of_it(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office()
    assert "sums with them are unknown" in lines_of(office, capsys, "prices")[0]["says"]
    office.configure(limits={"budget_per_hour": 5})
    assert "no machine of these is asked for" in lines_of(office, capsys, "prices")[0]["says"]
    office.configure(nodearrays={"htc": {"buckets": [bucket(price=0.2)]}})
    assert lines_of(office, capsys, "prices")[0]["status"] == "ok"


def test_free_addresses_of_a_pools_subnet_are_counted(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office(subnets={"nodes": {"prefix": "10.1.0.0/28", "used_by_others": 4, "pools": ["htc"]}})
    (line,) = lines_of(office, capsys, "subnet addresses")
    assert line["status"] == "ok"
    assert "7 of 11 addresses are free" in line["says"]
    full = open_office(subnets={"nodes": {"prefix": "10.1.0.0/28", "used_by_others": 11, "pools": ["htc"]}})
    assert lines_of(full, capsys, "subnet addresses")[0]["status"] == "warn"


def test_what_machines_showed_is_proposed_ready_to_paste(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office()
    now = office.emulator.clock.now()
    with Ledger.open(office.directory / "ledger.sqlite", now=now) as ledger:
        seen = ObservedSize(vm_size=SIZE, image="Ubuntu", resource="ncpus", machine="a", promised="4", found="3")
        ledger.record_observed([seen], now, 0.0)
    (line,) = lines_of(office, capsys, "promised sizes")
    assert json.loads(line["fix"].split(": ", 1)[1]) == {
        "select": {"node.vm_size": SIZE}, "name": "ncpus", "value": 3,
    }  # fmt: skip


class _Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"last cycle 5 s ago\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_resident_loop_is_asked_for_its_health(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    office = open_office()
    with HTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            office.configure(metrics={"listen": f"127.0.0.1:{server.server_port}"})
            assert lines_of(office, capsys, "metrics")[0]["status"] == "ok"
            monkeypatch.setattr(_Health, "status", 503)
            assert "answers 503" in lines_of(office, capsys, "metrics")[0]["says"]
        finally:
            server.shutdown()
            thread.join()
    assert "does not answer" in lines_of(office, capsys, "metrics")[0]["says"]


def test_a_metrics_file_needs_its_directory(
    open_office: Callable[..., Office], capsys: pytest.CaptureFixture[str]
) -> None:
    office = open_office()
    office.configure(metrics={"textfile": str(office.directory / "none" / "azaks.prom")})
    assert lines_of(office, capsys, "metrics")[0]["status"] == "fail"
    office.configure(metrics={"textfile": str(office.directory / "azaks.prom")})
    assert lines_of(office, capsys, "metrics")[0]["status"] == "skipped"
    assert main(["autoscale", "-c", office.config, "--quiet"]) == 0
    assert lines_of(office, capsys, "metrics")[0]["status"] == "ok"


SLURM = """SLURM_VERSION           = 22.05.8
PrologSlurmctld         = /usr/local/bin/site-prolog
ResumeProgram           = /opt/azaks/hooks/azaks-resume
SuspendProgram          = (null)
"""
PBS = """Hook azaks
    type = site
    enabled = true
    event = queuejob,periodic

Hook azaks-old
    enabled = false

Hook pbs_cgroups
    enabled = true
"""


def test_hooks_of_ours_are_found_in_what_the_schedulers_say() -> None:
    assert hooks_of_slurm(SLURM) == ("ResumeProgram=/opt/azaks/hooks/azaks-resume",)
    assert hooks_of_pbs(PBS) == ("azaks (queuejob,periodic)",)


class _Hooked:
    def __init__(self, *found: str, trouble: str = "") -> None:
        self.found, self.trouble = found, trouble

    def hooks(self) -> tuple[str, ...]:
        if self.trouble:
            raise SchedulerError(self.trouble)
        return self.found


class _Place:
    """As much of a site as the check of hooks looks at."""

    def __init__(self, scheduler: object, socket: str | None = None) -> None:
        self.scheduler = scheduler
        loop = type("Loop", (), {"wake_socket": socket})
        self.config = type("Config", (), {"scheduler": type("S", (), {"type": "slurm"}), "loop": loop})


@pytest.mark.parametrize(
    ("place", "status"),
    [
        (_Place(object()), "skipped"),
        (_Place(_Hooked("ResumeProgram=/opt/azaks/x")), "ok"),
        (_Place(_Hooked()), "skipped"),
        (_Place(_Hooked(), "/run/azaks.sock"), "warn"),
        (_Place(_Hooked(trouble="not a manager")), "skipped"),
    ],
)
def test_a_loop_that_waits_for_hooks_nobody_calls_is_a_warning(place: Any, status: str) -> None:
    assert [finding.health.value for finding in check_hook(place)] == [status]
