"""slurm_power.py called by a real slurmctld: power saving, and a prolog that must not hold a job up."""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from slurm_rig import NodeLine, SlurmRig, is_installed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_installed(),
        reason="NO REAL SLURM HERE: apt-get install --no-install-recommends slurmctld slurmd slurm-client "
        "slurm-wlm-basic-plugins",
    ),
]
HOOKS = Path(__file__).parents[2] / "autoscale_aks" / "hooks"
PATIENCE_S = 60.0


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """The hook installed as its page says, with this Python."""
    tmp_path.chmod(0o755)
    for name in ("wake.py", "slurm_power.py"):
        text = (HOOKS / name).read_text().replace("#!/usr/bin/python3 -IS", f"#!{sys.executable} -IS", 1)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for event in ("resume", "suspend", "resume-fail", "prolog"):
        (tmp_path / f"azaks-{event}").symlink_to("slurm_power.py")
    settings = {"socket": str(tmp_path / "s"), "spool": str(tmp_path / "spool"), "log": str(tmp_path / "hook.log")}
    (tmp_path / "wake.json").write_text(json.dumps(settings))
    return tmp_path


@pytest.fixture
def loop(hooks: Path) -> Iterator[socket.socket]:
    """The resident loop's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(hooks / "s"))
        listener.settimeout(PATIENCE_S)
        yield listener


def events_until(loop: socket.socket, wanted: str) -> list[dict[str, str]]:
    """What the loop is told, up to an event of this kind."""
    found: list[dict[str, str]] = []
    while not found or found[-1]["event"] != wanted:
        found.append(json.loads(loop.recv(65536)))
    return found


@pytest.mark.soak  # Slurm looks every 30 s whether booted nodes are there
def test_a_real_slurmctld_wakes_the_loop_for_nodes_it_resumes_and_starts_the_job(
    hooks: Path, loop: socket.socket
) -> None:
    extra = [
        f"ResumeProgram={hooks}/azaks-resume",
        f"SuspendProgram={hooks}/azaks-suspend",
        f"ResumeFailProgram={hooks}/azaks-resume-fail",
        f"PrologSlurmctld={hooks}/azaks-prolog",
        "SuspendTime=600",
        "SuspendTimeout=5",
        "ResumeTimeout=60",
    ]
    nodes = [NodeLine("c[1-4]", cpus=2, memory_mb=2000)]
    with SlurmRig(nodes, ["PartitionName=all Nodes=c[1-4] Default=YES"], extra=extra) as rig:
        job = rig.submit("-N2", "--wrap", "true")
        events = events_until(loop, "resume")
        assert events[-1]["detail"] == "c[1-2]"
        rig.boot("c1", "c2")
        deadline = time.monotonic() + PATIENCE_S
        while rig.output("squeue", "-h", "-j", job, "-t", "PD,CF", "-o", "%i").strip():
            assert time.monotonic() < deadline, f"the job does not start:\n{rig.log()}"
            time.sleep(0.1)
    kept = [json.loads(line) for line in (hooks / "spool").read_text().splitlines()]
    resumed = next(json.loads(line["detail"]) for line in kept if line["event"] == "resume-file")
    assert resumed["all_nodes"] == "c[1-2]"
    assert [str(one["job_id"]) for one in resumed["jobs"]] == [job]
    assert {line["event"] for line in kept} >= {"resume", "resume-file", "prolog"}
