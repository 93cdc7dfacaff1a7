"""A PBS server whose state is a file, as qmgr shows it of a real one, and conf/openpbs/install.py run on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    return {key: value.strip() for key, value in re.findall(r"(\w+) ?= ?([^,]+)", text)}
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


def make_complex(path: Path) -> Complex:
    """A server with two resources, a hook and a manager of its own."""
    found = Complex(path)
    sched = (CAPTURE / "qmgr-list-sched.txt").read_text().replace("/var/spool/pbs/sched_priv", f"{path}/sched_priv")
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
    (path / "sched_priv").mkdir()
    found.sched_config.write_text(SCHED_CONFIG)
    found.sched_config.chmod(0o640)
    (path / "qmgr").write_text(f"#!{sys.executable} -IS\n{QMGR}")
    (path / "qmgr").chmod(0o755)
    (path / "openpbs_hook.py").write_text((ROOT / "autoscale_aks" / "hooks" / "openpbs_hook.py").read_text())
    (path / "wake.json").write_text((ROOT / "autoscale_aks" / "hooks" / "wake.example.json").read_text())
    return found
