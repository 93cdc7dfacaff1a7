"""conf/openpbs/install.py against a stand-in for qmgr that prints what the captures of a real server show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
INSTALL = ROOT / "conf" / "openpbs" / "install.py"
CAPTURE = ROOT / "tests" / "fixtures" / "openpbs" / "10-pending-running"

QMGR = r"""
import json, os, re, sys
path = os.environ["FAKE_STATE"]
state = json.load(open(path))
directive = sys.argv[-1]
assert sys.argv[1:-1] == ["-c"], sys.argv
state["log"].append(directive)
code, out, err = 0, "", ""
def fail(number, words, rc):
    global code, err
    code, err = rc, "%s\nqmgr: Error (%d) returned from server\n" % (words, number)
def values(text):
    return dict(pair.split(" = ", 1) for pair in re.split(r", (?=\w+ =)", text)) if text else {}
if any(part in directive for part in state["refuse"]):
    fail(15007, "qmgr obj= svr=default: Unauthorized Request ", 7)
elif directive == "list sched":
    out = state["sched"]
elif directive == "list server":
    out = "Server pbshead\n    server_state = Active\n"
    if state["managers"]:
        out += "    managers = %s\n" % ",\n\t".join(state["managers"])
elif directive == "list resource":
    out = "#\n# Create resources and set their properties.\n#\n"
    for name, pairs in state["resources"].items():
        out += "Resource %s\n" % name + "".join("    %s = %s\n" % pair for pair in pairs.items()) + "\n"
elif directive == "list hook":
    for name, hook in state["hooks"].items():
        pairs = {**hook["pairs"], "event": hook["pairs"].get("event", "").replace(",", ",\n\t")}
        out += "Hook %s\n" % name + "".join("    %s = %s\n" % pair for pair in pairs.items()) + "\n"
else:
    verb, kind, name, rest = (directive.split(" ", 3) + [""])[:4]
    if (verb, kind) == ("create", "resource"):
        if name in state["resources"]:
            fail(15081, "qmgr obj=%s svr=default: Resource already exists" % name, 233)
        state["resources"].setdefault(name, values(rest))
    elif (verb, kind) == ("delete", "resource"):
        if name in state["in_use"]:
            fail(15141, "qmgr obj=%s svr=default: Resource busy on job" % name, 37)
        else:
            del state["resources"][name]
    elif (verb, kind, name) == ("set", "server", "managers"):
        sign, who = rest.split(" ")
        state["managers"] = [one for one in state["managers"] if one != who] + ([who] if sign == "+=" else [])
    elif (verb, kind) == ("create", "hook"):
        if name in state["hooks"]:
            fail(15081, "qmgr obj=%s svr=default: hook name already registered" % name, 233)
        base = {"type": "site", "enabled": "true", "event": "", "user": "pbsadmin", "alarm": "30", "order": "1",
                "debug": "false", "fail_action": "none"}
        state["hooks"].setdefault(name, {"pairs": base, "files": {}})
    elif (verb, kind) == ("set", "hook"):
        key, value = rest.split(" = ")
        state["hooks"][name]["pairs"][key] = value.strip('"')
    elif (verb, kind) == ("import", "hook"):
        what, encoding, file = rest.split(" ")
        state["hooks"][name]["files"][what] = open(file).read()
    elif (verb, kind) == ("export", "hook"):
        out = state["hooks"][name]["files"].get(rest.split(" ")[0], "")
    elif (verb, kind) == ("delete", "hook"):
        del state["hooks"][name]
    else:
        fail(15023, "qmgr: Syntax error", 1)
json.dump(state, open(path, "w"))
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""

SCHED_CONFIG = """\
# This is the config file for the scheduling policy
round_robin: False\tall
resources: "ncpus, mem, arch, host, vnode, aoe, eoe"
# resources: "not this one"
load_balancing: false ALL
"""


@dataclass
class Complex:
    """A server whose state is a file, and the script as an operator runs it."""

    path: Path

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "server.json").read_text())
        return found

    def set(self, **changes: Any) -> None:
        (self.path / "server.json").write_text(json.dumps({**self.state, **changes}))

    def take_log(self) -> list[str]:
        """The directives that change something, since the last time."""
        log = [one for one in self.state["log"] if not one.startswith(("list", "export"))]
        self.set(log=[])
        return log

    @property
    def sched_config(self) -> Path:
        return self.path / "sched_priv" / "sched_config"

    def looked_at(self) -> str:
        match = re.search(r'^resources: "(.*)"$', self.sched_config.read_text(), re.MULTILINE)
        assert match is not None
        return match[1]

    def run(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-IS", str(INSTALL), "--qmgr", str(self.path / "qmgr"), "--hooks", str(self.path)]
        command += ["--settings", str(self.path / "wake.json"), "--state", str(self.path / "made.json"), *arguments]
        environment = {"FAKE_STATE": str(self.path / "server.json"), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Complex:
    found = Complex(tmp_path)
    sched = (CAPTURE / "qmgr-list-sched.txt").read_text().replace("/var/spool/pbs/sched_priv", f"{tmp_path}/sched_priv")
    captured = (CAPTURE / "qmgr-list-resource.txt").read_text()
    resources = {
        name: dict(re.findall(r"^ +(\w+) = (.*)$", body, re.MULTILINE))
        for name, body in re.findall(r"^Resource (\S+)\n((?: +.*\n)*)", captured, re.MULTILINE)
        if name in {"matlab", "ungrouped"}
    }
    cgroups = {"type": "site", "enabled": "false", "event": "execjob_begin,exechost_periodic", "freq": "120"}
    found.path.joinpath("server.json").write_text(
        json.dumps({"log": [], "refuse": [], "in_use": [], "managers": ["root@pbshead"], "resources": resources,
                    "sched": sched, "hooks": {"pbs_cgroups": {"pairs": cgroups, "files": {}}}})
    )  # fmt: skip
    (tmp_path / "sched_priv").mkdir()
    found.sched_config.write_text(SCHED_CONFIG)
    found.sched_config.chmod(0o640)
    (tmp_path / "qmgr").write_text(f"#!{sys.executable} -IS\n{QMGR}")
    (tmp_path / "qmgr").chmod(0o755)
    (tmp_path / "openpbs_hook.py").write_text((ROOT / "autoscale_aks" / "hooks" / "openpbs_hook.py").read_text())
    (tmp_path / "wake.json").write_text((ROOT / "autoscale_aks" / "hooks" / "wake.example.json").read_text())
    return found


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
