"""A burst of a thousand real hook processes: two cycles at most, and hardly any work in each (issue: under 50 ms)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hooks_rig import HOOKS
from test_hook_openpbs import SERVER

if TYPE_CHECKING:
    from hooks_rig import HookDir

BURST = 1000
AT_ONCE = 16
OWN_WORK_S = 0.05
PATIENCE_S = 120.0


def processor_time(command: list[str]) -> float:
    """Run a hook to its end; the processor time it took itself, its interpreter's start included."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def wait_for_cycles(hook_dir: HookDir, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while hook_dir.cycles() < count:
        assert time.monotonic() < deadline, hook_dir.log()
        time.sleep(0.02)


def hook_command(hook_dir: HookDir, hook: str) -> list[str]:
    config = str(hook_dir.path / "wake.json")
    if hook == "wake.py":
        return [hook_dir.python, "-IS", str(HOOKS / hook), "--config", config, "--event", "prolog"]
    if hook == "slurm_power.py":
        return [hook_dir.python, "-IS", str(hook_dir.install("azaks-resume")), "hpc[1-4]"]
    text = SERVER.format(config=config, kind=1, job="7.head", broken="", hook=str(HOOKS / hook))
    return [hook_dir.python, "-IS", "-c", text]


@pytest.mark.soak
@pytest.mark.parametrize("hook", ["wake.py", "slurm_power.py", "openpbs_hook.py"])
def test_a_thousand_hooks_make_two_cycles_at_most_and_each_does_hardly_anything(hook_dir: HookDir, hook: str) -> None:
    """No load makes a gap: the runner waits for ten minutes, and the marker's time tells it that they are over."""
    runner = f"echo $PPID >> {hook_dir.path}/cycles"
    hook_dir.configure(settle_s=600, longest_wait_s=1200, command=["/bin/sh", "-c", runner])
    command = hook_command(hook_dir, hook)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        used = sorted(pool.map(lambda _: processor_time(command), range(BURST)))
    wait_for_cycles(hook_dir, 1)
    assert hook_dir.cycles() == 1, "the burst itself"
    marker = hook_dir.path / "wake.again"
    marker.touch()
    os.utime(marker, (0, 0))
    wait_for_cycles(hook_dir, 2)
    os.kill(int((hook_dir.path / "cycles").read_text().split()[-1]), signal.SIGKILL)
    hook_dir.wait_idle()
    assert hook_dir.cycles() == 2, "one more for all of it"
    lines = [line.split()[2] for line in hook_dir.log().splitlines()]
    assert (lines.count("started:"), lines.count("running:")) == (1, BURST - 1)
    print(f"{hook}: median {used[BURST // 2] * 1000:.1f} ms, worst {used[-1] * 1000:.1f} ms of processor time")
    assert used[BURST * 99 // 100] < OWN_WORK_S, f"worst {used[-1]:.3f} s"


@pytest.mark.soak
@pytest.mark.parametrize("hook", ["wake.py", "openpbs_hook.py"])
def test_a_thousand_hooks_fill_no_loop_and_wait_for_none(hook_dir: HookDir, hook: str) -> None:
    """A loop that is busy reads nothing: its socket fills, and the hooks go on as if it were not."""
    hook_dir.configure()
    command = hook_command(hook_dir, hook)
    with hook_dir.listen() as loop, ThreadPoolExecutor(AT_ONCE) as pool:
        used = sorted(pool.map(lambda _: processor_time(command), range(BURST)))
        told = 0
        while True:
            try:
                loop.recv(65536)
            except BlockingIOError:
                break
            told += 1
    assert 1 <= told < BURST
    assert hook_dir.cycles() == 0
    lines = [line.split()[2] for line in hook_dir.log().splitlines()]
    assert lines.count("told:") == told
    assert lines.count("told:") + lines.count("full:") == BURST
    assert used[BURST * 99 // 100] < OWN_WORK_S, f"worst {used[-1]:.3f} s"
