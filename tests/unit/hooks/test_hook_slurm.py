"""slurm_power.py as slurmctld starts it: descriptors 0 to 2 closed, signals blocked, one host list."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hooks_rig import HookDir

BLOCKED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGALRM}


def as_slurm_does(hook_dir: HookDir, name: str, *arguments: str, **env: str) -> int:
    """Start a link by its name from a process whose descriptors are closed and whose signals are blocked."""
    link = hook_dir.install(name)
    pid = os.fork()
    if not pid:
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
            os.closerange(0, 3)
            os.execve(
                hook_dir.python, [hook_dir.python, "-IS", str(link), *arguments], {"PATH": "/usr/bin:/bin", **env}
            )
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("name", "arguments", "event"),
    [
        ("azaks-resume", ["gpu[1-2],hpc[1-4],htc[1-6]"], {"event": "resume", "detail": "gpu[1-2],hpc[1-4],htc[1-6]"}),
        ("azaks-suspend", ["hpc[1-4]"], {"event": "suspend", "detail": "hpc[1-4]"}),
        ("azaks-resume-fail", ["hpc3"], {"event": "resume-fail", "detail": "hpc3"}),
        ("azaks-prolog", [], {"event": "prolog", "detail": "42"}),
    ],
)
def test_the_link_says_what_happened(hook_dir: HookDir, name: str, arguments: list[str], event: dict[str, str]) -> None:
    hook_dir.configure()
    with hook_dir.listen() as loop:
        assert as_slurm_does(hook_dir, name, *arguments, SLURM_JOB_ID="42") == 0
        assert json.loads(loop.recv(65536)) == event


def test_the_cycle_can_be_ended_and_has_its_standard_descriptors(hook_dir: HookDir) -> None:
    told = hook_dir.path / "told"
    hook_dir.configure(
        command=["/bin/sh", "-c", f"grep SigBlk /proc/self/status > {told}; readlink /proc/$$/fd/0 >> {told}"]
    )
    assert as_slurm_does(hook_dir, "azaks-resume", "hpc[1-4]") == 0
    hook_dir.wait_idle()
    assert told.read_text().splitlines() == ["SigBlk:\t0000000000000000", "/dev/null"]


def test_the_jobs_of_the_resume_file_are_kept_while_it_exists(hook_dir: HookDir) -> None:
    jobs = '{"jobs":[{"job_id":2,"nodes":"hpc[1-4]"}],"all_nodes":"hpc[1-4]"}'
    (hook_dir.path / "resume.json").write_text(jobs)
    hook_dir.configure(spool=str(hook_dir.path / "spool.jsonl"))
    with hook_dir.listen():
        as_slurm_does(hook_dir, "azaks-resume", "hpc[1-4]", SLURM_RESUME_FILE=str(hook_dir.path / "resume.json"))
        as_slurm_does(hook_dir, "azaks-resume", "hpc5", SLURM_RESUME_FILE="/nonexistent")
    kept = [json.loads(line) for line in (hook_dir.path / "spool.jsonl").read_text().splitlines()]
    assert [(line["event"], line["detail"]) for line in kept] == [
        ("resume-file", jobs), ("resume", "hpc[1-4]"), ("resume", "hpc5"),
    ]  # fmt: skip
    assert "SLURM_RESUME_FILE cannot be read" in hook_dir.log()


def test_a_host_list_of_any_size_is_taken(hook_dir: HookDir) -> None:
    hook_dir.configure()
    hosts = ",".join(f"node-{number}" for number in range(10_000))
    with hook_dir.listen() as loop:
        assert as_slurm_does(hook_dir, "azaks-resume", hosts) == 0
        assert len(loop.recv(65536)) < 8192


def test_no_settings_hold_nothing_up(hook_dir: HookDir) -> None:
    link = hook_dir.install("azaks-resume")
    assert subprocess.call([hook_dir.python, "-IS", str(link), "hpc1"], stderr=subprocess.DEVNULL) == 0


def test_a_spool_that_is_a_directory_gets_a_whole_file_an_event_in_the_order_of_time(hook_dir: HookDir) -> None:
    spool = hook_dir.path / "spool"
    spool.mkdir()
    hook_dir.configure(spool=str(spool))
    with hook_dir.listen():
        for name, hosts in (("azaks-resume", "c[1-2]"), ("azaks-suspend", "c1"), ("azaks-resume-fail", "c2")):
            assert as_slurm_does(hook_dir, name, hosts) == 0
    kept = [json.loads(path.read_text()) for path in sorted(spool.iterdir())]
    assert [(event["event"], event["detail"]) for event in kept] == [
        ("resume", "c[1-2]"), ("suspend", "c1"), ("resume-fail", "c2"),
    ]  # fmt: skip
    assert {path.suffix for path in spool.iterdir()} == {".json"}
    assert {path.stat().st_mode & 0o777 for path in spool.iterdir()} <= {0o640, 0o600}


def test_a_spool_that_nobody_empties_is_bounded(hook_dir: HookDir) -> None:
    spool = hook_dir.path / "spool"
    spool.mkdir()
    for number in range(10_000):
        (spool / f"{number}.json").touch()
    hook_dir.configure(spool=str(spool), log=str(hook_dir.path / "hook.log"))
    with hook_dir.listen() as loop:
        assert as_slurm_does(hook_dir, "azaks-resume", "c1") == 0
        assert json.loads(loop.recv(65536))["event"] == "resume", "the wake-up goes out all the same"
    assert len(list(spool.iterdir())) == 10_000
    assert "no cycle takes them" in hook_dir.log()
