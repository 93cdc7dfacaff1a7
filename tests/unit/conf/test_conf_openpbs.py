"""conf/openpbs/install.py against a stand-in for qmgr that prints what the captures of a real server show."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from pbs_complex import INSTALL, ROOT, SCHED_CONFIG, make_complex

if TYPE_CHECKING:
    from pathlib import Path

    from pbs_complex import Complex


@pytest.fixture
def site(tmp_path: Path) -> Complex:
    return make_complex(tmp_path)


def test_what_is_missing_is_made_and_what_is_there_stays(site: Complex) -> None:
    said = site.run("--manager", "azaks@pbshead")
    state = site.state
    assert set(state["resources"]) == {
        "matlab", "ungrouped", "slot_type", "group_id", "vm_size", "disk", "ngpus", "ccnodeid",
    }  # fmt: skip
    assert state["resources"]["ngpus"] == {"type": "long", "flag": "hn"}
    assert state["resources"]["ungrouped"]["type"] == "string", "the site's own, as it was captured"
    assert "resource ungrouped is there already and stays as it is: type string, flag h" in said
    assert site.looked_at() == (
        "ncpus, mem, arch, host, vnode, aoe, eoe, slot_type, group_id, ungrouped, vm_size, disk, ngpus"
    )
    assert '# resources: "not this one"' in site.sched_config.read_text()
    assert site.sched_config.stat().st_mode & 0o777 == 0o640
    assert f"kill -HUP $(cat {site.path}/sched_priv/sched.lock)" in said
    assert state["managers"] == ["root@pbshead", "azaks@pbshead"]
    hook = state["hooks"]["azaks"]
    assert {key: hook["pairs"][key] for key in ("event", "freq", "alarm", "order", "enabled")} == {
        "event": "queuejob,modifyjob,periodic", "freq": "60", "alarm": "5", "order": "999", "enabled": "true",
    }  # fmt: skip
    assert hook["files"]["application/x-python"] == (site.path / "openpbs_hook.py").read_text()
    assert json.loads(hook["files"]["application/x-config"])["runner"]


def test_a_second_run_changes_nothing(site: Complex) -> None:
    site.run("--manager", "azaks@pbshead")
    before, config, made = site.state, site.sched_config.read_text(), (site.path / "made.json").read_text()
    site.take_log()
    said = site.run("--manager", "azaks@pbshead")
    assert site.take_log() == []
    assert {**site.state, "log": []} == {**before, "log": []}
    assert (site.sched_config.read_text(), (site.path / "made.json").read_text()) == (config, made)
    assert "qmgr -c" not in said


def test_undoing_leaves_the_server_as_it_was(site: Complex) -> None:
    before = site.state
    site.run("--manager", "azaks@pbshead")
    site.run("--undo")
    assert {**site.state, "log": []} == {**before, "log": []}
    assert site.sched_config.read_text() == SCHED_CONFIG
    assert json.loads((site.path / "made.json").read_text()) == {}
    site.take_log()
    site.run("--undo")
    assert site.take_log() == [], "what this script did not make is not its to take away"


def test_the_sites_own_resource_hook_and_manager_outlive_the_undoing(site: Complex) -> None:
    site.set(managers=["root@pbshead", "azaks@pbshead"])
    state = site.state
    state["resources"]["slot_type"] = {"type": "string", "flag": "h"}
    site.set(resources=state["resources"])
    site.sched_config.write_text(SCHED_CONFIG.replace("eoe", "eoe, slot_type"))
    site.run("--manager", "azaks@pbshead")
    site.run("--undo")
    assert "slot_type" in site.state["resources"]
    assert site.state["managers"] == ["root@pbshead", "azaks@pbshead"]
    assert site.looked_at().endswith("eoe, slot_type")


def test_a_changed_script_or_setting_is_imported_again_and_nothing_else(site: Complex) -> None:
    site.run()
    site.take_log()
    settings = {**json.loads((site.path / "wake.json").read_text()), "deadline_s": 1}
    (site.path / "wake.json").write_text(json.dumps(settings))
    site.run()
    assert site.take_log() == [
        f"import hook azaks application/x-config default {site.path}/wake.json", "set hook azaks enabled = true",
    ]  # fmt: skip


def test_a_hook_that_somebody_changed_is_put_right(site: Complex) -> None:
    site.run()
    hooks = site.state["hooks"]
    hooks["azaks"]["pairs"].update(event="periodic", enabled="false")
    site.set(hooks=hooks, log=[])
    site.run()
    assert site.take_log() == [
        'set hook azaks event = "queuejob,modifyjob,periodic"', "set hook azaks enabled = true",
    ]  # fmt: skip


def test_a_dry_run_says_everything_and_changes_nothing(site: Complex) -> None:
    before = {**site.state, "log": []}
    said = site.run("--dry-run", "--manager", "azaks@pbshead")
    assert {**site.state, "log": []} == before
    assert site.sched_config.read_text() == SCHED_CONFIG
    assert not (site.path / "made.json").exists()
    for part in ("create resource ngpus type = long, flag = hn", "managers += azaks@pbshead", "import hook azaks"):
        assert part in said


def test_what_is_refused_is_told_the_rest_is_done_and_both_can_be_repeated(site: Complex) -> None:
    site.set(refuse=["create resource disk", "create hook"])
    said = site.run(code=1)
    assert "resource disk: qmgr obj= svr=default: Unauthorized Request" in said
    assert "hook: qmgr obj= svr=default: Unauthorized Request" in said
    assert "ngpus" in site.state["resources"]
    site.set(refuse=[])
    site.run()
    assert "disk" in site.state["resources"]
    assert "azaks" in site.state["hooks"]
    site.set(in_use=["ngpus"])
    assert "resource ngpus: qmgr obj=ngpus svr=default: Resource busy" in site.run("--undo", code=1)
    assert set(site.state["resources"]) == {"matlab", "ungrouped", "ngpus"}
    site.set(in_use=[])
    site.run("--undo")
    assert set(site.state["resources"]) == {"matlab", "ungrouped"}


def test_without_qmgr_nothing_can_be_done(site: Complex) -> None:
    assert "No such file" in site.run("--qmgr", "/nonexistent/qmgr", "--no-hook", code=2)


def test_the_resources_are_those_of_the_example_and_of_the_page() -> None:
    text = INSTALL.read_text()
    listed = dict(re.findall(r'^    \("(\w+)", "(\w+)", "\w+", (?:True|False)\),$', text, re.MULTILINE))
    config = json.loads((ROOT / "conf" / "openpbs" / "autoscale.json").read_text())
    built_in = {"ncpus", "mem", "host", "arch"}
    names = {entry["name"] for entry in config["default_resources"]} - built_in
    assert set(listed) == names | {config["scheduler"]["identity_resource"]}
    page = (ROOT / "docs" / "openpbs.md").read_text()
    assert set(re.findall(r"create resource (\w+) ", page)) == set(listed)
    assert "install.py" in page
