"""A private, real Grid Engine on a network of its own.

One qmaster and any number of execution hosts. Each "machine" is a set of namespaces (network, host name, mounts,
processes) on a bridge that lives in the head's own network, so that nothing in it can be reached from outside and
two rigs never meet. Ending a machine's first process ends everything on it: that is an eviction.

    with GridEngineRig() as rig:
        rig.define_queue("all.q", "@allhosts", slots=4)
        rig.boot("az1-htc-1")                     # what a node's boot does: the machine, then its execd
        job = rig.submit("-b", "y", "sleep", "60")
        rig.output("qstat", "-f")

Needs root, the packages of Debian (`PACKAGES`) and the right to make network namespaces.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from typing_extensions import Self

PACKAGES = "gridengine-master gridengine-exec gridengine-client"
HEAD = "gehead"
COMMANDS = ("qstat", "qhost", "qconf", "qmod", "qsub", "qdel", "qalter")
COMMAND_TIMEOUT_S = 60.0
PATIENCE_S = 90.0
SHARED = Path("/usr/share/gridengine")
BINARIES = Path("/usr/lib/gridengine")

QUEUE = """\
qname                 {name}
hostlist              {hostlist}
seq_no                {seq_no}
load_thresholds       NONE
suspend_thresholds    NONE
nsuspend              1
suspend_interval      00:05:00
priority              0
min_cpu_interval      00:05:00
processors            UNDEFINED
qtype                 BATCH INTERACTIVE
ckpt_list             NONE
pe_list               {pe_list}
rerun                 TRUE
slots                 {slots}
tmpdir                /tmp
shell                 /bin/sh
prolog                NONE
epilog                NONE
shell_start_mode      posix_compliant
starter_method        NONE
suspend_method        NONE
resume_method         NONE
terminate_method      NONE
notify                00:00:60
owner_list            NONE
user_lists            NONE
xuser_lists           NONE
subordinate_list      NONE
complex_values        NONE
projects              NONE
xprojects             NONE
calendar              NONE
initial_state         default
{limits}
"""

LIMITS = ["rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem"]

PARALLEL_ENVIRONMENT = """\
pe_name            {name}
slots              999
user_lists         NONE
xuser_lists        NONE
start_proc_args    NONE
stop_proc_args     NONE
allocation_rule    {rule}
control_slaves     TRUE
job_is_first_task  FALSE
urgency_slots      min
accounting_summary FALSE
qsort_args         NONE
"""


class GridEngineRigError(Exception):
    """The private Grid Engine did not do what was asked; the message holds its own words."""


def is_installed() -> bool:
    """Return whether this machine has the daemons and commands the rig needs."""
    return all(shutil.which(name, path=_path()) for name in (*COMMANDS, "sge_qmaster", "sge_execd", "unshare", "ip"))


def may_make_machines() -> bool:
    """Return whether we may make network namespaces: root with the right to."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    make = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "ip", "link", "add", "br0", "type", "bridge"]
    return subprocess.run(make, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False).returncode == 0


class GridEngineRig:
    """A running private Grid Engine; a context manager."""

    def __init__(self) -> None:
        """Nothing is started or written yet."""
        self._machines: dict[str, subprocess.Popen[bytes]] = {}
        self._inits: dict[str, int] = {}
        self._addresses: dict[str, str] = {}
        self.directory = Path()
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the head

    def start(self) -> None:
        """Make the cell, start the head and its qmaster, wait until it answers."""
        self.directory = Path(tempfile.mkdtemp(prefix="ge-rig-"))
        self.directory.chmod(0o755)
        self.env = {
            "PATH": _path(),
            "SGE_ROOT": str(self.directory),
            "SGE_CELL": "default",
            "SGE_QMASTER_PORT": "6444",
            "SGE_EXECD_PORT": "6445",
            "LC_ALL": "C",
            "HOME": "/",
        }
        try:
            self._make_cell()
            self._make_head()
            self.inside(HEAD, "sge_qmaster")
            self.wait_until(lambda: self.run(["qconf", "-sconf"], check=False).returncode == 0, "qmaster answers")
            self.run(["qconf", "-as", HEAD])
            self._make_fast()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every machine with all that runs on it, and remove the directory."""
        for name in reversed(list(self._machines)):
            self._end(name)
        if self.directory != Path():
            shutil.rmtree(self.directory, ignore_errors=True)

    def stop_controller(self) -> None:
        """Stop qmaster only (an outage in a test)."""
        self.run(["qconf", "-km"])
        self.wait_until(lambda: "controlled shutdown" in self._messages(), "qmaster ends")
        self.wait_until(lambda: self.run(["qconf", "-sconf"], check=False).returncode != 0, "qmaster is gone")

    def start_controller(self) -> None:
        """Start qmaster on what it left behind."""
        self.inside(HEAD, "sge_qmaster")
        self.wait_until(lambda: self.run(["qconf", "-sconf"], check=False).returncode == 0, "qmaster answers")

    # -- machines

    def announce(self, *names: str) -> None:
        """Give names an address that every machine resolves, before the machines boot."""
        for name in names:
            if name not in self._addresses:
                number = len(self._addresses)
                self._addresses[name] = f"10.77.{number // 250}.{number % 250 + 1}"
                with (self.directory / "hosts").open("a") as hosts:
                    hosts.write(f"{self._addresses[name]} {name}\n")

    def boot(self, name: str, *, execd: bool = True) -> None:
        """Make a machine of this name, on the network and known by name; start its execd and wait for it."""
        self.announce(name)
        self._unshare(name)
        link = f"v{list(self._addresses).index(name)}"
        peer = str(self._inits[name])
        self.inside(HEAD, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0")
        self._host("nsenter", "-t", str(self._inits[HEAD]), "-n", "ip", "link", "set", "eth0", "netns", peer)
        self.inside(HEAD, "ip", "link", "set", link, "master", "br0", "up")
        self.inside(name, "ip", "addr", "add", f"{self._addresses[name]}/16", "dev", "eth0")
        self.inside(name, "ip", "link", "set", "eth0", "up")
        self.inside(name, "ip", "link", "set", "lo", "up")
        if execd:
            self.inside(name, "sge_execd")

    def crash(self, name: str) -> None:
        """End a machine as an eviction does: everything on it at once, and nobody is told."""
        self._end(name)

    def inside(self, name: str, *command: str) -> str:
        """Run a command on a machine and return what it printed; an error is raised with its words."""
        return self._host(*self._enter(name), *command)

    # -- commands

    def run(self, args: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Grid Engine on the head."""
        return self._process([*self._enter(HEAD), *args], check=check)

    def output(self, *args: str) -> str:
        """Run a command on the head and return what it printed."""
        return self.run(args).stdout

    def submit(self, *args: str) -> str:
        """Run qsub with these arguments and return the job id. A job that no queue could take now is taken too."""
        done = self.run(["qsub", "-w", "n", "-o", "/dev/null", "-j", "y", *args], check=False)
        found = re.search(r"Your job(?:-array)? (\d+)", done.stdout + done.stderr)
        if found is None:
            raise GridEngineRigError(f"qsub {' '.join(args)}: {(done.stderr + done.stdout).strip()}")
        return found[1]

    def wrapper(self, command: str) -> str:
        """Return the path of a program that runs this command on the head: what a driver is given to call."""
        path = self.directory / "wrappers" / command
        path.parent.mkdir(exist_ok=True)
        inner = " ".join([*self._enter(HEAD), command])
        settings = " ".join(f"{key}={value}" for key, value in self.env.items())
        path.write_text(f'#!/bin/sh\nexec env {settings} {inner} "$@"\n')
        path.chmod(0o755)
        return str(path)

    # -- objects of the cluster

    def define_queue(self, name: str, hostlist: str, *, slots: int, pe_list: str = "NONE", seq_no: int = 0) -> None:
        """Make a queue."""
        limits = "\n".join(f"{kind}_{what} INFINITY" for what in LIMITS for kind in "sh")
        text = QUEUE.format(name=name, hostlist=hostlist, slots=slots, pe_list=pe_list, seq_no=seq_no, limits=limits)
        self._add("-Aq", text)

    def define_environment(self, name: str, rule: str) -> None:
        """Make a parallel environment with this allocation rule."""
        self._add("-Ap", PARALLEL_ENVIRONMENT.format(name=name, rule=rule))

    def define_group(self, name: str, hostlist: str = "NONE") -> None:
        """Make a host group; its name begins with @."""
        self._add("-Ahgrp", f"group_name {name}\nhostlist {hostlist}\n")

    def define_complex(self, *lines: str) -> None:
        """Add or change complexes: `name shortcut type relop requestable consumable default urgency`."""
        names = {line.split()[0] for line in lines}
        kept = [
            line
            for line in self.output("qconf", "-sc").splitlines()
            if not line.startswith("#") and line.split()[0] not in names
        ]
        self._add("-Mc", "\n".join([*kept, *lines, ""]))

    def define_quota(self, name: str, limit: str) -> None:
        """Make a resource quota set of one rule."""
        self._add("-Arqs", f"{{\n   name {name}\n   description NONE\n   enabled TRUE\n   limit {limit}\n}}\n")

    def wait_until(self, holds: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Ask again until it holds; GridEngineRigError when it never does."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                shown = self.run(["qstat", "-f", "-u", "*"], check=False).stdout
                raise GridEngineRigError(f"waited {timeout_s:g} s in vain: {what}\n{shown}\n{self._messages()}")
            time.sleep(0.1)

    # -- inner

    def _make_cell(self) -> None:
        root = self.directory
        for name in ("default/common", "spool/db", "spool/qmaster/job_scripts", "spool/execd"):
            (root / name).mkdir(parents=True)
        for name in ("bin", "lib", "utilbin"):
            (root / name).mkdir()
            (root / name / "lx-amd64").symlink_to(BINARIES)
        (root / "util").symlink_to(SHARED / "util")
        lines = (SHARED / "default-bootstrap").read_text().splitlines()
        spools = {"spooling_params": "spool/db", "qmaster_spool_dir": "spool/qmaster"}
        boot = [
            next((f"{key} {root / where}" for key, where in spools.items() if line.startswith(key)), line)
            for line in lines
        ]
        (root / "default/common/bootstrap").write_text("\n".join([*boot, ""]))
        (root / "default/common/act_qmaster").write_text(f"{HEAD}\n")
        (root / "hosts").write_text(f"127.0.0.1 localhost\n10.77.0.1 {HEAD}\n")
        self._host("chown", "-R", "sgeadmin:", str(root))

    def _make_head(self) -> None:
        self._addresses[HEAD] = "10.77.0.1"
        self._unshare(HEAD)
        self.inside(HEAD, "ip", "link", "add", "br0", "type", "bridge")
        self.inside(HEAD, "ip", "addr", "add", "10.77.0.1/16", "dev", "br0")
        self.inside(HEAD, "ip", "link", "set", "br0", "up")
        self.inside(HEAD, "ip", "link", "set", "lo", "up")
        init = [str(SHARED / "scripts/init_cluster"), str(self.directory), "default"]
        self.inside(HEAD, "runuser", "-u", "sgeadmin", "--", *init, str(self.directory / "spool/db"), "sgeadmin")

    def _make_fast(self) -> None:
        """Schedule at once, hear of lost hosts soon, take jobs of root."""
        self._edit("-ssconf", "-Msconf", {
            "schedule_interval": "0:0:2", "flush_submit_sec": "1", "flush_finish_sec": "1", "schedd_job_info": "true",
        })  # fmt: skip
        self._edit("-sconf", "-Mconf", {
            "min_uid": "0", "min_gid": "0", "load_report_time": "00:00:02", "max_unheard": "00:00:10",
            "execd_spool_dir": str(self.directory / "spool/execd"),
        })  # fmt: skip

    def _edit(self, show: str, change: str, values: dict[str, str]) -> None:
        joined = self.output("qconf", show).replace("\\\n", " ")
        lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
        names = {line.split()[0]: line for line in lines}
        changed = [f"{name} {values[name]}" if name in values else line for name, line in names.items()]
        self._add(change, "\n".join([*changed, ""]), "global")

    def _add(self, option: str, text: str, name: str = "object") -> None:
        path = self.directory / name
        path.write_text(text)
        done = self.run(["qconf", option, str(path)], check=False)
        words = done.stdout + done.stderr
        if done.returncode or "error" in words.lower() or "denied" in words.lower():
            raise GridEngineRigError(f"qconf {option}: {words.strip()}\n{text}")

    def _unshare(self, name: str) -> None:
        if name in self._machines:
            raise GridEngineRigError(f"{name} runs already")
        hosts, ready = self.directory / "hosts", self.directory / f"{name}.ready"
        ready.unlink(missing_ok=True)
        script = f"mount --bind {hosts} /etc/hosts && hostname {name} && touch {ready} && exec sleep infinity"
        self._machines[name] = subprocess.Popen(
            ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
             script],
            env={**self.env, "GE_RIG_MACHINE": name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self.wait_until(ready.exists, f"machine {name} boots")
        parent = self._machines[name].pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        self._inits[name] = int(children[0])

    def _end(self, name: str) -> None:
        machine = self._machines.pop(name)
        try:
            os.kill(self._inits.pop(name), signal.SIGKILL)
        except (ProcessLookupError, KeyError):
            machine.kill()
        machine.wait()

    def _enter(self, name: str) -> list[str]:
        return ["nsenter", "-t", str(self._inits[name]), "-n", "-u", "-m", "-p", "--"]

    def _host(self, *command: str) -> str:
        return self._process(list(command), check=True).stdout

    def _process(self, command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        # Daemons started here keep the pipes open unless they are files: output goes to files.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                command,
                env=self.env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
            out.seek(0)
            err.seek(0)
            finished = subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())
        if check and finished.returncode:
            words = (finished.stderr + finished.stdout).strip()
            raise GridEngineRigError(f"{' '.join(command)}: exit code {finished.returncode}: {words}")
        return finished

    def _messages(self) -> str:
        path = self.directory / "spool/qmaster/messages"
        return "\n".join(path.read_text(errors="replace").splitlines()[-20:]) if path.exists() else ""


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
