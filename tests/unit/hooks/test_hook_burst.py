"""A burst of a thousand real hook processes: two cycles at most, and hardly any work in each (issue: under 50 ms)."""

from __future__ import annotations

import os
import subprocess
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


def processor_time(command: list[str]) -> float:
    """Run a hook to its end; the processor time it took itself, its interpreter's start included."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


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
    hook_dir.configure(settle_s=10, longest_wait_s=600)  # a loaded machine may stand still for seconds
    command = hook_command(hook_dir, hook)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        used = sorted(pool.map(lambda _: processor_time(command), range(BURST)))
    hook_dir.wait_idle(patience_s=120)
    assert 1 <= hook_dir.cycles() <= 2
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
