"""openpbs_hook.py inside a server: it accepts the event, whatever else happens."""

from __future__ import annotations

import json
import socket as socket_module
import subprocess
from typing import TYPE_CHECKING

import pytest
from hooks_rig import HOOKS

if TYPE_CHECKING:
    from hooks_rig import HookDir

SERVER = """
import sys, types
pbs = types.ModuleType("pbs")
pbs.QUEUEJOB, pbs.PERIODIC, pbs.LOG_WARNING = 1, 2048, 4
pbs.hook_config_filename = {config!r}
class Event:
    type = {kind}
    job = types.SimpleNamespace(id={job!r})
    def accept(self):
        print("accepted"); raise SystemExit(0)
pbs.event = Event
pbs.logmsg = lambda level, text: print("log:", text)
{broken}
sys.modules["pbs"] = pbs
exec(compile(open({hook!r}).read(), "<embedded code object>", "exec"), {{"__name__": "__main__"}})
"""


def serve(hook_dir: HookDir, *, kind: int = 1, job: str | None = "7.head", broken: str = "", config: str = "") -> str:
    """Run the hook as the server does and return what it saw of it."""
    config = config or str(hook_dir.path / "wake.json")
    text = SERVER.format(config=config, kind=kind, job=job, broken=broken, hook=str(HOOKS / "openpbs_hook.py"))
    done = subprocess.run([hook_dir.python, "-IS", "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("kind", "job", "told"),
    [(1, "7.head", ("queuejob", "7.head")), (2048, None, ("periodic", "")), (77, None, ("pbs-77", ""))],
)
def test_the_loop_is_told_of_the_event_and_its_job(
    hook_dir: HookDir, kind: int, job: str | None, told: tuple[str, str]
) -> None:
    hook_dir.configure()
    with hook_dir.listen() as loop:
        assert serve(hook_dir, kind=kind, job=job) == "accepted\n"
        found = json.loads(loop.recv(65536))
    assert (found["event"], found["detail"]) == told


def test_without_a_loop_one_cycle_is_started_outside_the_server(hook_dir: HookDir) -> None:
    hook_dir.configure()
    assert serve(hook_dir) == "accepted\n"
    hook_dir.wait_idle()
    assert hook_dir.cycles() == 1


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("pbs.hook_config_filename = '/nonexistent'", "log: azaks: /nonexistent"),
        ("pbs.hook_config_filename = 7; del Event.type", "log: azaks: the autoscaler was not woken"),
        ("pbs.logmsg = None; del Event.type", ""),
    ],
)
def test_whatever_breaks_the_event_is_accepted(hook_dir: HookDir, broken: str, said: str) -> None:
    hook_dir.configure(runner=[])
    found = serve(hook_dir, broken=broken)
    assert found.startswith(said)
    assert found.endswith("accepted\n")


def test_a_server_that_gives_no_event_is_left_alone(hook_dir: HookDir) -> None:
    hook_dir.configure()
    assert serve(hook_dir, broken="def nothing(): raise RuntimeError('no event')\npbs.event = nothing") == ""


@pytest.mark.parametrize("what", ["left behind", "a directory", "full", "no state directory", "no settings"])
def test_a_socket_that_is_gone_or_full_holds_no_server(hook_dir: HookDir, what: str) -> None:
    """The event is accepted, nothing is raised into the server, and no descriptor or child of ours is left in it."""
    hook_dir.configure()
    socket, config = hook_dir.path / "wake.sock", ""
    loop = None
    if what == "left behind":
        hook_dir.listen().close()
    elif what == "a directory":
        socket.mkdir()
    elif what == "full":
        loop = hook_dir.listen()
        with pytest.raises(BlockingIOError):
            fill(str(socket))
    elif what == "no state directory":
        hook_dir.configure(state_dir=str(hook_dir.path / "gone"))
    else:
        config = str(hook_dir.path / "none.json")
    left = "import os; before = len(os.listdir('/proc/self/fd'))"
    told = serve(hook_dir, broken=left + AFTERWARDS, config=config)
    assert told.endswith("accepted\nnothing left\n")
    if loop is not None:
        loop.close()


AFTERWARDS = """
def accept(self):
    print("accepted")
    try:
        os.waitpid(-1, os.WNOHANG)
        print("a child is left")
    except ChildProcessError:
        print("nothing left" if len(os.listdir("/proc/self/fd")) == before else "a descriptor is left")
    raise SystemExit(0)
Event.accept = accept
"""


def fill(path: str) -> None:
    """Send until the queue is full. Raises BlockingIOError."""
    with socket_module.socket(socket_module.AF_UNIX, socket_module.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        while True:
            sender.sendto(b"x", path)
