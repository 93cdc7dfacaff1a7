"""conf/systemd and conf/cron: what the host's own programs take, unprivileged, and true to the words beside them."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "conf" / "systemd" / "azaks.service"
OPENPBS = ROOT / "conf" / "systemd" / "openpbs.conf"
CRON = ROOT / "conf" / "cron" / "azaks"
ANALYZE = shutil.which("systemd-analyze")

IMPLY_NO_NEW_PRIVILEGES = frozenset(
    {
        "SystemCallFilter", "SystemCallArchitectures", "RestrictAddressFamilies", "RestrictNamespaces",
        "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectClock",
        "MemoryDenyWriteExecute", "RestrictRealtime", "RestrictSUIDSGID", "DynamicUser", "LockPersonality",
        "ProtectHostname",
    }
)  # fmt: skip
"""systemd.exec(5): each of these switches set-user-ID programs off in a service with User=."""


def settings(path: Path) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(section, {}).setdefault(name, []).append(value)
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it is, but with a program that is there."""
    path = tmp_path / "azaks.service"
    path.write_text(UNIT.read_text().replace("/opt/azaks/bin/azaks", "/bin/true"))
    return path


def analyze(*arguments: str) -> str:
    assert ANALYZE is not None
    done = subprocess.run([ANALYZE, "--no-pager", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here (Debian: systemd)")
@pytest.mark.parametrize("with_openpbs", [False, True])
def test_systemd_takes_the_unit_without_a_word(installed: Path, with_openpbs: bool) -> None:
    if with_openpbs:
        extra = installed.with_name("azaks.service.d")
        extra.mkdir()
        shutil.copy(OPENPBS, extra)
    assert analyze("verify", str(installed)) == ""


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here (Debian: systemd)")
def test_systemd_calls_the_unit_well_hardened(installed: Path) -> None:
    said = analyze("security", "--offline=yes", str(installed))
    match = re.search(r"exposure level for azaks\.service: (\d+\.\d)", said)
    assert match is not None, said[-300:]
    assert float(match[1]) < 2.0


def test_the_service_is_an_unprivileged_user_with_directories_of_its_own() -> None:
    service = settings(UNIT)["Service"]
    assert service["User"] == service["Group"] == ["azaks"]
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == [""]
    assert service["NoNewPrivileges"] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["StateDirectoryMode"] == ["0700"]
    users = (ROOT / "conf" / "systemd" / "azaks.sysusers").read_text()
    assert re.search(r"^u\s+azaks\s+-", users, re.MULTILINE)


def test_the_service_runs_the_resident_loop_is_stopped_gently_and_not_restarted_over_a_mistake() -> None:
    service = settings(UNIT)["Service"]
    assert service["ExecStart"] == ["/opt/azaks/bin/azaks run -c /etc/azaks/autoscale.json --interval 30"]
    assert (service["KillSignal"], service["ExecReload"]) == (["SIGTERM"], ["/bin/kill -HUP $MAINPID"])
    assert service["RestartPreventExitStatus"] == ["2"], "bad input; see the README's exit statuses"
    assert int(service["TimeoutStopSec"][0]) >= 120


def test_with_openpbs_nothing_is_left_that_switches_its_set_user_id_program_off() -> None:
    plain, loose = settings(UNIT)["Service"], settings(OPENPBS)["Service"]
    assert loose["NoNewPrivileges"] == ["no"]
    strict = {name for name, values in plain.items() if name in IMPLY_NO_NEW_PRIVILEGES and values != ["no"]}
    assert strict, "the unit is hardened"
    assert {name for name in strict if loose.get(name) not in (["no"], [""])} == set()


@pytest.mark.parametrize(
    ("status", "logged"), [(0, ""), (4, ""), (5, "status 5: no scheduler"), (1, "status 1: no scheduler")]
)
def test_cron_runs_a_cycle_a_minute_as_our_user_and_logs_only_what_went_wrong(
    tmp_path: Path, status: int, logged: str
) -> None:
    lines = [line for line in CRON.read_text().splitlines() if line and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    (entry,) = [line for line in lines if not re.match(r"[A-Z_]+=", line)]
    *when, user, command = entry.split(None, 6)
    assert (when, user) == (["*"] * 5, "azaks")
    assert "%" not in command, "cron makes line breaks of these"
    azaks, logger, log = tmp_path / "azaks", tmp_path / "logger", tmp_path / "log"
    azaks.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/asked; echo report; echo no scheduler >&2; exit {status}\n')
    logger.write_text(f'#!/bin/sh\nfor last; do :; done; echo "$last" > {log}\n')
    azaks.chmod(0o755)
    logger.chmod(0o755)
    environment = {**variables, "AZAKS": str(azaks), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [variables["SHELL"], "-c", command], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("", ""), "cron mails what is printed"
    assert (tmp_path / "asked").read_text() == "autoscale -c /etc/azaks/autoscale.json\n"
    assert (log.read_text().strip() if log.exists() else "") == logged


@pytest.mark.parametrize("name", ["openpbs", "gridengine"])
def test_an_install_script_is_python_3_6_of_the_standard_library_alone(name: str) -> None:
    tree = ast.parse((ROOT / "conf" / name / "install.py").read_text(), feature_version=(3, 6))
    imported = {
        alias.name.partition(".")[0]
        for found in ast.walk(tree)
        if isinstance(found, ast.Import | ast.ImportFrom)
        for alias in (found.names if isinstance(found, ast.Import) else [ast.alias(found.module or "")])
    }
    assert imported <= sys.stdlib_module_names
