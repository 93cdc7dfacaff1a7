"""The `/_emulator` endpoints, settings from JSON, and load."""

from __future__ import annotations

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autoscale_aks.emulator.draws import Delay
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer, serve
from autoscale_aks.emulator.settings import (
    BucketSpec,
    ClusterSpec,
    EmulatorSettings,
    QuotaSettings,
    ThrottleSettings,
    Timing,
)
from autoscale_aks.emulator.settings_file import load_settings, read_settings

DOCUMENT = Path(__file__).parents[3] / "docs" / "emulator.md"


def entries(*names):
    return [{"machineName": name} for name in names]


def test_the_journal_shows_what_a_client_did(aks):
    """A dry run can be proved to send nothing but GETs."""
    aks.names()
    aks.nodes()
    counts = aks.journal()["counts"]
    assert set(counts["by_method"]) == {"GET"}
    assert counts["by_operation"] == {"machine.list": 1, "node.list": 1}
    assert counts["by_status"] == {"200": 2}
    aks.put("m1")
    aks.delete("m1")
    seen = aks.journal()["requests"]
    assert [(entry["operation"], entry["names"]) for entry in seen[-2:]] == [
        ("machine.put", ["m1"]),
        ("machine.delete", ["m1"]),
    ]
    assert seen[-1]["status"] == 202
    assert seen[-1]["duration_ms"] >= 0


def test_the_journal_can_be_filtered_and_forgotten(aks):
    """`?operation=`, `?since=`, DELETE."""
    aks.put("m1")
    aks.get("m1")
    assert len(aks.journal(operation="machine.get")["requests"]) == 1
    assert len(aks.journal(since=1)["requests"]) == 1
    aks.session.delete(f"{aks.server.base_url}/_emulator/requests", timeout=5)
    empty = {"by_operation": {}, "by_method": {}, "by_status": {}}
    assert aks.journal() == {"requests": [], "counts": empty}


def test_the_journal_keeps_refused_and_unknown_requests(aks):
    """Also those that reach no handler."""
    aks.call("GET", "/nowhere")
    aks.call("GET", aks.pool, headers={"Authorization": ""})
    assert aks.journal()["counts"]["by_status"] == {"404": 1, "401": 1}


def test_state_lists_machines_by_pool_and_state(aks):
    """`GET /_emulator/state`."""
    aks.fault(kind="provisioning_failure", names=["b"])
    aks.batch("a", entries("a", "b"))
    aks.advance(300)
    aks.put("c")
    state = aks.session.get(f"{aks.server.base_url}/_emulator/state", timeout=5).json()
    (pool,) = state["clusters"][0]["pools"]
    assert pool["machines"] == {"Succeeded": ["a"], "Failed": ["b"], "Creating": ["c"]}
    assert (pool["count"], pool["nodes"]) == (3, {"ready": 1, "absent": 2})


def test_the_state_is_there_for_asserts_in_process(aks):
    """`.state`, `.clock`, `.catch_up()`."""
    aks.put("m1")
    (pool,) = aks.server.state.pools()
    aks.server.clock.advance(300)
    aks.server.catch_up()
    assert pool.find("M1").node.value == "ready"
    assert aks.server.state.machine_keys() == [("pool1", "m1")]


def test_a_hundred_batches_with_latency_overlap(emulate):
    """§10.13: 100 × 50 machines and 50 ms of latency: together they last far longer than all of it takes."""
    aks = emulate(latency_s=0.05)

    def one(number):
        names = [f"m{number:02d}-{i:02d}" for i in range(50)]
        return aks.batch(names[0], entries(*names)).status_code

    with ThreadPoolExecutor(50) as pool:
        started = time.monotonic()
        statuses = list(pool.map(one, range(100)))
        taken = time.monotonic() - started
    assert set(statuses) == {200}
    lasted = sum(entry.duration_ms or 0.0 for entry in aks.server.journal.entries()) / 1000
    assert lasted > 3 * taken, "one after another the two are the same"
    assert len(aks.server.state.pools()[0].machines) == 5000
    assert aks.usage("cores") == 10_000


def test_one_name_in_two_batches_at_once_is_made_once(aks):
    """§10.13: check-and-create is atomic per machine."""

    def one(number):
        return aks.batch(f"own{number}", entries("shared", f"own{number}"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert len(aks.names()) == 9


def test_ordinary_latency_delays_every_request(emulate):
    """Switch."""
    aks = emulate(latency_s=0.05, latency_spread_s=0.01)
    started = time.monotonic()
    aks.get("m1")
    assert time.monotonic() - started >= 0.035


def test_serve_blocks_until_told_and_says_when_ready():
    """`serve(settings, host, port, on_ready)`; stopped here from outside, by a signal in a process."""
    ready, servers = threading.Event(), []

    def on_ready(server):
        servers.append(server)
        ready.set()

    thread = threading.Thread(target=serve, args=(EmulatorSettings(), "127.0.0.1", 0, on_ready))
    thread.start()
    assert ready.wait(5)
    assert servers[0].base_url.startswith("http://127.0.0.1:")
    assert not servers[0].base_url.endswith(":0")
    servers[0].stop()
    thread.join(5)
    assert not thread.is_alive()


def test_a_taken_port_is_an_error_at_once():
    """No half-started server."""
    with EmulatorServer() as first:
        port = int(first.base_url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"):
            EmulatorServer(port=port).start()


def test_settings_can_be_read_from_json():
    """For the command line."""
    settings = read_settings(
        {
            "clusters": [{"name": "c1", "pools": ["pool1", "pool2"]}],
            "speed": 60,
            "batch_mode": "unsupported",
            "timing": {"machine_create": {"typical_s": 30, "spread_s": 3}, "node_ready": 5},
            "throttle": {"rp": True, "batch": {"burst": 5, "per_s": 1}},
            "quota": {"limits": {"cores": 10}},
            "restrictions": {"Standard_D2s_v5": ["2"]},
            "faults": [{"kind": "evict", "names": "np-*", "after_s": 60}],
        }
    )
    assert settings.clusters[0].pools == ("pool1", "pool2")
    assert settings.timing.machine_create == Delay(30, 3)
    assert settings.timing.node_ready == Delay(5.0)
    assert settings.throttle.batch == BucketSpec(5, 1)
    assert settings.faults[0].names == ("np-*",)
    with EmulatorServer(settings):
        pass


def test_a_settings_file_and_what_overrides_it(tmp_path):
    """For the command line: an option that was given wins."""
    path = tmp_path / "emulator.json"
    path.write_text('{"speed": 5, "batch_mode": "unsupported"}', encoding="utf-8")
    assert load_settings() == EmulatorSettings()
    assert load_settings(path, speed=None).speed == 5
    assert load_settings(path, speed=20.0) == EmulatorSettings(speed=20.0, batch_mode="unsupported")
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="a JSON object is expected"):
        load_settings(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": 1},
        {"batch_mode": "some"},
        {"progress": "never"},
        {"throttle": {"rp_other": 5}},
        {"timing": {"machine_create": {"median": 5}}},
        {"clusters": [5]},
        {"faults": [{"kind": "unknown"}]},
    ],
)
def test_settings_that_cannot_be_read_say_why(wrong):
    """A `ValueError` naming the field."""
    with pytest.raises(ValueError, match=r"\w+:|unknown"):
        read_settings(wrong)


@pytest.mark.parametrize("group", [EmulatorSettings, ThrottleSettings, QuotaSettings, Timing, ClusterSpec, FaultRule])
def test_every_switch_is_documented(group):
    """docs/emulator.md names each field."""
    text = DOCUMENT.read_text(encoding="utf-8")
    missing = [field.name for field in dataclasses.fields(group) if f"`{field.name}`" not in text]
    assert [name for name in missing if name != "kind"] == []
