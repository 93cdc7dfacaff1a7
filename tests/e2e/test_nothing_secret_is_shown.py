"""Everything this program writes, searched for the tokens it was given (user ask T32a).

The emulator's token is replaced by one that can be recognised; then every verb that talks to the cloud runs, with
debug logging, through success, refusals, throttling and a token that is refused.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli import wiring
from autoscale_aks.cli.main import DONE, main
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOUD, CLUSTER = "canary-of-the-cloud-7f3a", "canary-of-the-cluster-91bc"
SIGNED = "s=emulated&h="
"""A piece of the signed address that the service hands out for its operations (§6.4)."""

FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "refused": {"kind": "error_before", "operations": ("machine.batch_put",), "status": 400, "code": "Nope"},
    "unauthorised": {"kind": "error_before", "operations": ("machine.list",), "status": 401, "code": "Expired"},
    "throttled": {"kind": "throttle", "operations": ("machine.batch_put",), "after_s": 900.0},
    "broken off": {"kind": "reset_after", "operations": ("machine.batch_put",)},
    "nodes away": {"kind": "error_before", "operations": ("node.list",), "status": 500, "code": "Boom"},
}


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr(wiring, "_EMULATOR_TOKEN", CLOUD)
    settings = emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), start_time=None)
    with EmulatorServer(settings) as emulator, scratch() as directory:
        clock = emulator.clock
        effects = Effects(now=clock.now, sleep=clock.advance, random=lambda: 0.0)
        monkeypatch.setattr(wiring, "Effects", lambda: effects)
        made = Office(directory, emulator)
        made.configure(logging={"level": "DEBUG"})
        made.queue(work("a", iterations=3))
        document = json.loads((directory / "autoscale.json").read_text())
        del document["aks"]["kubernetes_url"]
        document["aks"]["kubernetes_config_file"] = "kubeconfig"
        made.write("autoscale.json", document)
        made.write("kubeconfig", kubeconfig(emulator.base_url))
        yield made


def kubeconfig(url: str) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": CLUSTER}}],
    }


def verbs(office: Office) -> list[list[str]]:
    config = ["-c", office.config]
    return [
        ["demand", *config],
        ["autoscale", *config],
        ["buckets", *config],
        ["explain", *config, "a"],
        ["pool", "list", *config],
        ["pool", "show", *config],
        ["machines", "scale", *config, "--pool", "htc", "--count", "4", "--workers", "2", "--wait"],
        ["machines", "scale", *config, "--pool", "htc", "--count", "2", "--no-batch", "--format", "json"],
        ["machines", "list", *config, "--format", "json"],
        ["machines", "delete", *config, "--all", "--yes"],
    ]


@pytest.mark.parametrize("fault", FAULTS)
def test_no_output_log_record_report_or_ledger_holds_a_token_or_a_signed_address(
    office: Office, fault: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if FAULTS[fault]:
        office.emulator.state.faults.add(FaultRule(**FAULTS[fault]))
    statuses = [main(["--debug", *verb]) for verb in verbs(office)]
    assert fault != "none" or statuses == [DONE] * len(statuses)
    files = [path for path in office.directory.rglob("*") if path.is_file() and path.name != "kubeconfig"]
    written = {path.name: path.read_bytes() for path in files}
    assert {"ledger.sqlite", "operations.jsonl", "autoscale.json"} <= set(written)
    captured = capsys.readouterr()
    texts = {"output": captured.out, "errors": captured.err, "log": caplog.text}
    assert "GET /subscriptions/" in texts["log"], "the requests were logged"
    shown = {**{name: text.encode() for name, text in texts.items()}, **written}
    for canary in (CLOUD, CLUSTER, "Bearer", SIGNED):
        assert [name for name, content in shown.items() if canary.encode() in content] == []


def test_every_log_line_of_a_request_has_its_request_and_correlation_ids(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "autoscale_aks")
    for verb in verbs(office):
        main(verb)
    lines = [record.getMessage() for record in caplog.records if record.name == "autoscale_aks.cloud.aks.caller"]
    assert len(lines) > 20
    for line in lines:
        words = line.split()
        assert len(words[words.index("request") + 1].rstrip(",")) == 36, line
        assert "correlation " in line
    assert all(" correlation -" not in line for line in lines if "/subscriptions/" in line), "the service names one"
