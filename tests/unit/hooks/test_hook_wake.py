"""wake.py: the loop is told where one listens; else one detached cycle, and for a burst two at most."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hooks_rig import HOOKS

if TYPE_CHECKING:
    from pathlib import Path

    from hooks_rig import HookDir


def test_a_listening_loop_is_told_and_no_cycle_is_started(hook_dir: HookDir) -> None:
    hook_dir.configure()
    with hook_dir.listen() as loop:
        assert hook_dir.wake("--event", "resume", "hpc[1-4]", 'a"b\\') == 0
        assert json.loads(loop.recv(65536)) == {"event": "resume", "detail": "hpc[1-4] ab"}
    assert hook_dir.cycles() == 0
    assert not (hook_dir.path / "wake.again").exists()
    assert "told: resume" in hook_dir.log()


def test_a_loop_that_is_behind_is_not_waited_for(hook_dir: HookDir) -> None:
    hook_dir.configure(deadline_s=30)
    with hook_dir.listen():
        codes = [hook_dir.wake("--event", f"event-{number}", "x" * 4000) for number in range(30)]
    assert codes == [0] * 30
    assert "full: event-29" in hook_dir.log()
    assert hook_dir.cycles() == 0


def test_a_socket_nobody_listens_at_any_more_means_one_detached_cycle(hook_dir: HookDir) -> None:
    hook_dir.configure()
    hook_dir.listen().close()  # the file stays
    assert hook_dir.wake() == 0
    hook_dir.wait_idle()
    assert hook_dir.cycles() == 1
    assert "started: wake" in hook_dir.log()


def test_a_burst_makes_two_cycles_at_most_and_one_follows_the_last_event(hook_dir: HookDir) -> None:
    seen = hook_dir.path / "seen"
    hook_dir.configure(command=["/bin/sh", "-c", f"wc -l < {hook_dir.path}/hook.log >> {seen}"], settle_s=3)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: hook_dir.wake(), range(60))) == {0}
    hook_dir.wait_idle()
    lines = [line.split()[2] for line in hook_dir.log().splitlines()]
    assert (lines.count("started:"), lines.count("running:")) == (1, 59)
    assert lines.count("cycle:") == 2
    assert int(seen.read_text().split()[-1]) >= 60, "the last cycle came after the last event"


def test_a_thousand_events_in_one_process_make_two_cycles_at_most(hook_dir: HookDir) -> None:
    hook_dir.configure(settle_s=1)
    script = (
        f"scope = {{'__name__': 'hook', '__file__': 'x'}}\nexec(open({str(HOOKS / 'wake.py')!r}).read(), scope)\n"
        f"settings = scope['read_settings']({str(hook_dir.path / 'wake.json')!r})\n"
        "done = [scope['wake'](settings, 'queuejob') for number in range(1000)]\n"
        "print(done.count('started'), done.count('running'))"
    )
    found = subprocess.run([hook_dir.python, "-IS", "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1", "999"]
    hook_dir.wait_idle()
    assert 1 <= hook_dir.cycles() <= 2


def test_the_cycle_outlives_the_hook_in_a_session_of_its_own_without_our_descriptors(
    hook_dir: HookDir, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    probe = f"ps -o sid= -p $$ >> {told}; ls /proc/self/fd >> {told}; cat /proc/self/status | grep SigBlk >> {told}"
    hook_dir.configure(command=["/bin/sh", "-c", probe], cycle_log=str(tmp_path / "cycle.log"))
    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        assert hook_dir.wake(pass_fds=(held.fileno(),)) == 0
        hook_dir.wait_idle()
    session, *rest = told.read_text().split("\n")
    assert int(session) != os.getsid(0)
    assert [line for line in rest if line.isdigit()] == ["0", "1", "2", "3"], "3 is ls's own"
    assert "SigBlk:\t0000000000000000" in rest


def test_a_run_that_finds_another_writer_is_made_again(hook_dir: HookDir) -> None:
    count = hook_dir.path / "cycles"
    hook_dir.configure(command=["/bin/sh", "-c", f"echo x >> {count}; test $(wc -l < {count}) -ge 2 || exit 4"])
    hook_dir.wake()
    hook_dir.wait_idle()
    assert hook_dir.cycles() == 2


def test_a_cycle_that_hangs_is_ended(hook_dir: HookDir) -> None:
    hook_dir.configure(
        command=["/bin/sh", "-c", "trap '' TERM; sleep 600 & wait; wait"], cycle_timeout_s=0.2, patience_s=0.2
    )
    hook_dir.wake()
    hook_dir.wait_idle()
    assert f"cycle: signal {int(signal.SIGKILL)}" in hook_dir.log()


BAD: dict[str, Any] = {
    "no settings at all": None,
    "no JSON": "{",
    "a list": "[]",
    "no command": {"command": []},
    "a command that is not there": {"command": ["/nonexistent/azaks"]},
    "a socket path that is too long": {"socket": "/tmp/" + "x" * 300},
    "no state directory": {"state_dir": "/nonexistent/azaks"},
    "a runner that is not there": {"runner": ["/nonexistent/python"]},
    "a log that cannot be written": {"log": "/nonexistent/azaks/log"},
    "a deadline that is no number": {"deadline_s": "soon"},
    "a spool in a directory that is not there": {"spool": "/no/such/directory/spool"},
    "a spool that takes no files": {"spool": "/proc"},
}


@pytest.mark.parametrize("what", BAD)
def test_whatever_is_wrong_the_hook_ends_well(hook_dir: HookDir, what: str) -> None:
    bad = BAD[what]
    hook_dir.configure(**(bad if isinstance(bad, dict) else {}))
    if isinstance(bad, str):
        (hook_dir.path / "wake.json").write_text(bad)
    elif bad is None:
        (hook_dir.path / "wake.json").unlink()
    assert hook_dir.wake("--event", "resume", "hpc[1-4]", stderr=subprocess.DEVNULL) == 0
    (hook_dir.path / "wake.again").unlink(missing_ok=True)  # nobody is there to answer it


def test_a_state_directory_that_others_may_write_is_not_used(hook_dir: HookDir) -> None:
    hook_dir.configure()
    hook_dir.path.chmod(0o777)
    assert hook_dir.wake() == 0
    hook_dir.path.chmod(0o700)
    assert "others may write" in hook_dir.log()
    assert hook_dir.cycles() == 0


def test_a_disk_that_hangs_holds_the_hook_until_its_deadline_only(hook_dir: HookDir) -> None:
    os.mkfifo(hook_dir.path / "stuck")
    hook_dir.configure(deadline_s=0.3)
    text = (HOOKS / "wake.py").read_text().replace("def spool(", "def unused(")
    stuck = f"\ndef spool(*ignored):\n    open({str(hook_dir.path / 'stuck')!r}).read()\n"
    file = hook_dir.path / "slow.py"
    file.write_text(text.replace('\n\nif __name__ == "__main__":', f'\n{stuck}\n\nif __name__ == "__main__":'))
    began = time.monotonic()
    assert subprocess.call([hook_dir.python, "-IS", str(file), "--config", str(hook_dir.path / "wake.json")]) == 0
    assert time.monotonic() - began < 20, "without the deadline it would never end"
