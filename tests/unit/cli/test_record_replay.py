"""`record` writes what a decision is made from, and `replay` makes it again: same bytes, or what would be if."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import SIZE, Site, bucket
from unit.reconcile.site_fixture import make_site

from autoscale_aks.cli import wiring
from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART, main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["make_site"]


@pytest.fixture
def site(make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> Site:
    """A queue that a limit holds up, machines at work, and some that are idle long enough."""
    site = make_site(
        limits={"cluster_max_nodes": 5},
        nodearrays={"htc": {"buckets": [bucket(price=0.25)], "headroom": [{"constraints": {"ncpus": 4}}]}},
        default_resources=[
            {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
            {"select": {}, "name": "share", "value": 0.1},
        ],
    )
    monkeypatch.setattr(wiring, "SystemClock", lambda: site.clock)
    site.scheduler.submit("first", iterations=3)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.scheduler.start("running", "site-htc-1")
    site.cycle()
    site.advance(400)
    for number in range(8):
        site.scheduler.submit(f"job{number}")
    (site.directory / "autoscale.json").write_text(json.dumps(site.document))
    return site


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def recorded(site: Site, capsys: pytest.CaptureFixture[str], *more: str) -> Path:
    path = site.directory / "record.json"
    status, _, err = say(capsys, "record", "-c", f"{site.directory}/autoscale.json", str(path), "--force", *more)
    assert status == DONE, err
    return path


def replayed(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> tuple[int, dict[str, Any]]:
    status, out, _ = say(capsys, "replay", str(path), "--format", "json", *more)
    return status, json.loads(out) if out else {}


def test_a_live_decision_is_replayed_to_the_byte(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(site, capsys)
    _, live, _ = say(capsys, "demand", "-c", f"{site.directory}/autoscale.json", "--format", "json")
    status, out, _ = say(capsys, "replay", str(path), "--format", "json")
    assert (status, out) == (DONE, live)
    assert json.loads(live)["summary"]["machines"] > 0, "there was something to decide"
    again = path.read_bytes()
    assert recorded(site, capsys).read_bytes() == again


def test_what_replay_would_make_is_what_the_cycle_then_makes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(site, capsys)
    _, answer = replayed(capsys, path)
    report = site.cycle()
    assert [one["name"] for one in answer["new_nodes"]] == [claim.name for claim in report.plan.claims]


def test_recording_changes_nothing_and_replaces_no_file_by_itself(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    before = site.ledger_path.read_bytes()
    path = recorded(site, capsys)
    assert path.stat().st_mode & 0o777 == 0o600
    assert site.ledger_path.read_bytes() == before
    status, _, err = say(capsys, "record", "-c", f"{site.directory}/autoscale.json", str(path))
    assert status == BAD_INPUT
    assert "--force" in err


def test_nothing_private_is_in_the_file(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = site.demand()[0].snapshot.nodes
    private = [value for node in nodes for value in (node.private_ip, node.instance_id) if value]
    text = recorded(site, capsys).read_text()
    assert private, "there was something to hide"
    assert not [value for value in private if value in text]
    assert "job7" in text
    secretive = recorded(site, capsys, "--anonymous").read_text()
    assert not [f"job{number}" for number in (0, *range(9, 20)) if f'"job{number}"' in secretive]
    assert '"running"' not in secretive


@pytest.mark.parametrize(
    ("change", "machines"),
    [
        ({"limits": {"cluster_max_nodes": 20}}, 6),
        ({"policy": {"max_creates_per_cycle": 1}}, 1),
        ({"nodearrays": [{"name": "big", "buckets": [{"vm_size": SIZE, "vcpu_count": 32, "memory_gb": 128}]}]}, 1),
    ],
)
def test_what_if(site: Site, capsys: pytest.CaptureFixture[str], change: dict[str, Any], machines: int) -> None:
    path = recorded(site, capsys)
    status, answer = replayed(capsys, path, "--policy", json.dumps(change))
    assert (status, answer["summary"]["machines"]) == (DONE, machines)
    file = site.directory / "change.json"
    file.write_text(json.dumps(change))
    assert replayed(capsys, path, "--policy", str(file)) == (status, answer)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "is no recorded decision"),
        ('{"format": "azaks-record", "version": 2}', "has version 2"),
        ('{"format": "azaks-record", "version": 1}', "cannot be read"),
        ('{"format": "azaks-record", "version": 1, "shapes": [], "snapshot": {"$": "Spaceship"}}', "cannot be read"),
        ("nonsense", "cannot be read"),
    ],
)
def test_a_file_that_is_no_record_is_bad_input(
    site: Site, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = site.directory / "odd.json"
    path.write_text(text)
    status, _, err = say(capsys, "replay", str(path))
    assert status == BAD_INPUT
    assert said in err
    assert "Traceback" not in err


def test_a_change_that_cannot_be_read_tells_every_problem(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(site, capsys)
    change = '{"policy": {"idle_timout": 5}, "limits": {"cluster_max_nodes": "many"}}'
    status, _, err = say(capsys, "replay", str(path), "--policy", change)
    assert status == BAD_INPUT
    assert "idle_timout" in err
    assert "cluster_max_nodes" in err


def test_a_program_that_decides_differently_says_so(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(site, capsys)
    document = json.loads(path.read_text())
    document["plan_digest"] = "0" * 64
    path.write_text(json.dumps(document))
    status, out, err = say(capsys, "replay", str(path))
    assert status == IN_PART
    assert "decides differently" in err
    assert "Would start" in out


def test_when_machines_under_way_are_expected_is_kept(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.cycle()
    path = recorded(site, capsys)
    _, live, _ = say(capsys, "demand", "-c", f"{site.directory}/autoscale.json", "--format", "json")
    status, out, _ = say(capsys, "replay", str(path), "--format", "json")
    assert (status, out) == (DONE, live)
    assert any(row["expected_s"] is not None for row in json.loads(live)["in_flight"]), "machines are on their way"


def test_a_record_of_an_older_program_has_no_boot_times(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded(site, capsys)
    document = json.loads(path.read_text())
    assert [one["nodearray"] for one in document.pop("boot_times")] == ["htc"]
    assert document.pop("references")
    path.write_text(json.dumps(document))
    assert replayed(capsys, path)[0] == DONE
