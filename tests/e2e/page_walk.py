"""A scheduler's page walked command by command: what is run as it stands, and what stands in for a head node.

Real are azaks, the install scripts, and Slurm or Grid Engine with their commands. In place of what no test host has:

| stand-in | why, and what is left of the command |
| --- | --- |
| `/etc/azaks`, `/var/spool` | a directory of the test: the same path below another root |
| users `slurm`, `azaks` | the test's own user: an installation makes the other two |
| `systemctl enable --now azaks` | no systemd runs here: its own `systemd-analyze` judges the unit, then the unit's program makes one cycle |
| `kubectl` | no cluster: it takes the page's two forms, and the files they name must be what they say |
| `hostname` in a job | what a job does is its own affair |
"""  # noqa: E501 - a table

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
AZAKS: Final = Path(sys.executable).parent / "azaks"
CONSOLE: Final = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE: Final = re.compile(r"`(azaks [^`\n]+)`")
CONFIG: Final = "/etc/azaks/autoscale.json"
PATIENCE_S: Final = 120

SYSTEMCTL: Final = """\
#!/bin/sh
# No systemd runs here: the unit is judged, and what it starts makes one cycle.
[ "$*" = "enable --now azaks" ] || { echo "systemctl: $*: not on the page" >&2; exit 64; }
if command -v systemd-analyze >/dev/null; then systemd-analyze verify UNIT || exit 1; fi
grep -q '^ExecStart=AZAKS run -c /etc/azaks/autoscale.json ' UNIT || exit 1
exec AZAKS autoscale -c CONFIG
"""
KUBECTL: Final = """\
#!PYTHON
import pathlib, sys, yaml
words = sys.argv[1:]
if words[:5] == ["-n", "azaks", "create", "secret", "generic"] and len(words) == 7:
    assert words[6].startswith("--from-file=munge.key=") and pathlib.Path(words[6].split("=")[2]).read_bytes()
elif words[:2] == ["apply", "-f"] and len(words) == 3:
    for item in yaml.safe_load_all(pathlib.Path(words[2]).read_text()):
        assert item["apiVersion"] and item["kind"] and item["metadata"]["name"]
else:
    sys.exit("kubectl: not on the page: " + " ".join(words))
"""


class PageWalk:
    """Somebody's shell on the head node, with the page open beside it."""

    def __init__(self, page: str, place: Path, config: Path, path: str = "", env: Mapping[str, str] | None = None):
        """`path` is where the scheduler's commands are; what they need to know stands in `env`."""
        self.text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        self.place = place
        self.bin = place / "bin"
        self.bin.mkdir()
        for name in ("conf", "autoscale_aks"):
            (place / name).symlink_to(ROOT / name)
        self.root = {CONFIG: str(config), "/var/spool/": f"{place}/var/spool/", "/etc/munge/": f"{place}/etc/munge/"}
        (place / "var" / "spool").mkdir(parents=True)
        unit = place / "azaks.service"
        unit.write_text(
            (ROOT / "conf" / "systemd" / "azaks.service").read_text().replace("/opt/azaks/bin/azaks", str(AZAKS))
        )
        self.stand_in(
            "systemctl",
            SYSTEMCTL.replace("UNIT", str(unit)).replace("CONFIG", str(config)).replace("AZAKS", str(AZAKS)),
        )
        self.stand_in("kubectl", KUBECTL.replace("PYTHON", sys.executable))
        paths = [str(self.bin), path, str(AZAKS.parent), os.environ["PATH"], "/usr/sbin"]
        self.env = {**(env or os.environ), "PATH": os.pathsep.join(filter(None, paths)), "AZAKS_CONFIG": str(config)}
        self.walked: list[str] = []

    def stand_in(self, name: str, script: str) -> None:
        """A program of this name, before all others."""
        path = self.bin / name
        path.write_text(script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    def commands(self) -> list[str]:
        """Every command of the console blocks, in the order of the page."""
        lines = "\n".join(CONSOLE.findall(self.text)).replace("\\\n", " ").splitlines()
        return [line[2:] for line in lines if line[:2] in {"$ ", "# "}]

    def inline(self) -> list[str]:
        """Every `azaks …` in the sentences, each once."""
        return list(dict.fromkeys(INLINE.findall(self.text)))

    def say(self, command: str, *, inside: Path | None = None, statuses: tuple[int, ...] = (0,)) -> str:
        """Run a command of the page and return all it printed; it fails where the page's reader would be stuck."""
        assert command in {*self.commands(), *self.inline()} or command in self.text, f"not on the page: {command}"
        self.walked.append(command)
        return self.run(command, inside=inside, statuses=statuses)

    def run(self, command: str, *, inside: Path | None = None, statuses: tuple[int, ...] = (0,)) -> str:
        """Run a command with the head node's paths and users in their place here."""
        for path, here in self.root.items():
            command = command.replace(path, here)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        command = re.sub(r"-o slurm -g azaks\b", f"-o {shlex.quote(user)} -g $(id -gn)", command)
        done = subprocess.run(
            ["bash", "-c", command], cwd=inside or self.place, env=self.env, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode in statuses, f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def check_all_was_walked(self) -> None:
        """No command of the page was left out."""
        assert [one for one in (*self.commands(), *self.inline()) if one not in self.walked] == []


def has_systemd_analyze() -> bool:
    """Whether the unit can be judged by systemd's own program."""
    return shutil.which("systemd-analyze") is not None
