"""A private, real Slurm in a temporary directory.

One slurmctld and any number of slurmds (one per "machine"), all on free ports of 127.0.0.1, without
systemd, without munge (auth/none), as root or as a plain user. Every daemon is a child in the
foreground, so `stop` ends exactly what was started:

    nodes = [NodeLine("htc-[1-8]", cpus=4, memory_mb=15000, features=("htc",))]
    with SlurmRig(nodes, ["PartitionName=htc Nodes=htc-[1-8] Default=YES"], autoboot="htc-[1-2]") as rig:
        job = rig.submit("-n1", "--wrap", "sleep 60")
        rig.run("squeue")

A `State=CLOUD` node is idle and powered down at first, and Slurm gives such a node away although no
machine is behind it (its job stays CONFIGURING). `mark_absent` makes the missing machines DOWN, so that
jobs wait as they would when an outside program makes the machines; `boot` brings one up, `crash` is an
eviction.
"""

from __future__ import annotations

import dataclasses
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

SLURMCTLD = "slurmctld"
SLURMD = "slurmd"
ADDRESS = "127.0.0.1"
# Below Linux's ephemeral ports (32768 and up), so that no outgoing connection can take one from us.
PORTS = range(20000, 32000)
BLOCK = 1000
NODE_MARK = "SLURM_RIG_NODE"
COMMAND_TIMEOUT_S = 60.0
# In gres.conf a GPU has to be a character device and any will do; these need neither root nor mknod.
FAKE_GPU_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")

CONF = """\
ClusterName={cluster}
SlurmctldHost=localhost({address})
SlurmctldPort={port}
SlurmdPort={slurmd_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool/%n
SlurmctldPidFile={directory}/run/slurmctld.pid
SlurmdPidFile={directory}/run/%n.pid
SlurmctldLogFile={directory}/log/slurmctld.log
SlurmdLogFile={directory}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
MailProg=/bin/true
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
TreeWidth=65533
PrivateData=cloud
"""


class SlurmRigError(Exception):
    """The private Slurm did not do what was asked; the message holds its own words."""


def is_installed() -> bool:
    """Return whether this machine has the daemons and commands the rig needs."""
    return all(_find(name) for name in (SLURMCTLD, SLURMD, "scontrol", "squeue", "sbatch"))


@dataclasses.dataclass(frozen=True)
class NodeLine:
    """One NodeName line of slurm.conf: machines of one kind."""

    names: str
    cpus: int
    memory_mb: int
    features: tuple[str, ...] = ()
    gres: str = ""
    state: str = "CLOUD"
    topology: str = ""
    """Sockets, cores and threads, as slurm.conf says them."""

    def render(self, ports: str) -> str:
        """Return the line, with the ports its slurmds would listen on."""
        line = (
            f"NodeName={self.names} NodeAddr={ADDRESS} Port={ports} CPUs={self.cpus}"
            f" RealMemory={self.memory_mb} State={self.state} {self.topology}".rstrip()
        )
        if self.features:
            line += f" Feature={','.join(self.features)}"
        return f"{line} Gres={self.gres}" if self.gres else line


class SlurmRig:
    """A running private Slurm; a context manager."""

    def __init__(
        self,
        nodes: Sequence[NodeLine],
        partitions: Sequence[str],
        *,
        gres_conf: str = "",
        extra: Sequence[str] = (),
        autoboot: str = "",
        cluster: str = "rig",
    ) -> None:
        """Take the lines of the configuration; nothing is started or written yet.

        `partitions` and `extra` are lines of slurm.conf (`extra`: Licenses=…, ResumeProgram=…), and
        `gres_conf` is the text of gres.conf. `autoboot` is a host list of machines that run from the start.
        """
        self._nodes = tuple(nodes)
        self._partitions = tuple(partitions)
        self._gres_conf = gres_conf
        self._extra = tuple(extra)
        self._autoboot = autoboot
        self._cluster = cluster
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._claim: socket.socket | None = None
        self.directory = Path()
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the controller

    def start(self) -> None:
        """Write the configuration, start slurmctld, wait until it answers, boot `autoboot`."""
        self.directory = Path(tempfile.mkdtemp(prefix="slurm-rig-"))
        self.directory.chmod(0o755)  # jobs of other users have to get through
        for name in ("state", "spool", "log", "run"):
            (self.directory / name).mkdir()
        self.env = _clean_environment(self.directory / "slurm.conf")
        try:
            self._write_configuration()
            self.start_controller()
            if self._autoboot:
                self.boot(*self.expand(self._autoboot))
        except BaseException:
            self.stop()
            raise

    def start_controller(self) -> None:
        """Start slurmctld on the state it left behind, and wait until it answers."""
        self._spawn(SLURMCTLD, [_require(SLURMCTLD), "-D"])
        deadline = time.monotonic() + 20
        while self.run(["scontrol", "ping"], check=False).returncode:
            if time.monotonic() > deadline or self._daemons[SLURMCTLD].poll() is not None:
                raise SlurmRigError(f"slurmctld did not start:\n{self.log()}")
            time.sleep(0.05)

    def stop_controller(self) -> None:
        """Stop slurmctld only (a restart or an outage in a test)."""
        _end(self._daemons.pop(SLURMCTLD))

    def stop(self) -> None:
        """End the daemons and every process of their jobs, and remove the directory."""
        for name in reversed(list(self._daemons)):
            _end(self._daemons.pop(name))
        conf = self.env.get("SLURM_CONF")
        if conf:
            _kill_with_environment(f"SLURM_CONF={conf}")
            shutil.rmtree(self.directory, ignore_errors=True)
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    # -- machines

    def boot(self, *names: str, timeout_s: float = 30.0, dynamic: bool = False) -> None:
        """Start the slurmd of each node and wait until slurmctld counts it as usable.

        `dynamic`: a node that was made with `scontrol create`. All of these share SlurmdPort, so that one can run.
        """
        more = ["-Z"] if dynamic else []
        for name in names:
            self._spawn(name, [_require(SLURMD), "-D", "-N", name, "-b", *more], {NODE_MARK: name})
        self._wait_for_states(names, timeout_s)

    def crash(self, name: str) -> None:
        """End a machine as an eviction does: slurmd and all its jobs at once, and nobody is told."""
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()
        conf = f"SLURM_CONF={self.env['SLURM_CONF']}"
        _kill_with_environment(conf, f"{NODE_MARK}={name}")  # the step daemons
        _kill_with_environment(conf, f"SLURMD_NODENAME={name}")  # what they started

    def mark_absent(self, names: str, reason: str = "no machine yet") -> None:
        """Set nodes (a host list) DOWN: they exist in the configuration, no machine is behind them."""
        self.run(["scontrol", "update", f"nodename={names}", "state=down", f"reason={reason}"])

    def expand(self, names: str) -> list[str]:
        """Return the single names of a host list."""
        return self.output("scontrol", "show", "hostnames", names).split()

    # -- commands

    def run(
        self, args: Sequence[str], *, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a Slurm command against this controller and return the finished process."""
        done = subprocess.run(
            [_require(args[0]), *args[1:]],
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if check and done.returncode:
            raise SlurmRigError(f"{' '.join(args)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done

    def output(self, *args: str) -> str:
        """Run a command and return what it printed."""
        return self.run(args).stdout

    def submit(self, *args: str) -> str:
        """Run sbatch with these arguments and return the job id."""
        return self.output("sbatch", "--parsable", "--output=/dev/null", *args).split(";")[0].strip()

    def log(self, name: str = SLURMCTLD, lines: int = 40) -> str:
        """Return the end of a daemon's log (`slurmctld` or a node's name)."""
        path = self.directory / "log" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    # -- inner

    def _write_configuration(self) -> None:
        conf = self.directory / "slurm.conf"
        # Host lists are counted by scontrol, which wants a configuration: the first one has any port.
        conf.write_text(self._head(PORTS.start))
        counts = [len(self.expand(line.names)) for line in self._nodes]
        self._claim, first = _claim_ports(2 + sum(counts))
        lines = [self._head(first), *self._extra]
        port = first + 2
        for node, count in zip(self._nodes, counts, strict=True):
            lines.append(node.render(f"[{port}-{port + count - 1}]" if count > 1 else str(port)))
            port += count
        conf.write_text("\n".join([*lines, *self._partitions, ""]))
        (self.directory / "gres.conf").write_text(self._gres_conf)

    def _head(self, port: int) -> str:
        return CONF.format(
            cluster=self._cluster,
            address=ADDRESS,
            port=port,
            slurmd_port=port + 1,
            user=getpass.getuser(),
            directory=self.directory,
        )

    def _spawn(self, name: str, command: list[str], marks: dict[str, str] | None = None) -> None:
        if name in self._daemons:
            raise SlurmRigError(f"{name} runs already")
        self._daemons[name] = subprocess.Popen(
            command,
            env={**self.env, **(marks or {})},
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_for_states(self, names: Sequence[str], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            text = self.output("sinfo", "-a", "-h", "-N", "-n", ",".join(names), "-O", "NodeList:|,StateComplete:")
            states = dict(line.strip().split("|", 1) for line in text.splitlines() if "|" in line)
            waiting = {name: states.get(name, "unknown") for name in names if not _is_up(states.get(name, ""))}
            if not waiting:
                return
            if time.monotonic() > deadline:
                detail = "\n".join(self.log(name, 10) for name in list(waiting)[:3])
                raise SlurmRigError(f"not up after {timeout_s:g} s: {waiting}\n{detail}")
            time.sleep(0.1)


def _is_up(state: str) -> bool:
    words = set(state.lower().split("+"))
    return bool(words & {"idle", "mixed", "allocated"}) and not words & {
        "powered_down",
        "powering_up",
        "not_responding",
        "invalid_reg",
        "drain",
    }


def _clean_environment(conf: Path) -> dict[str, str]:
    """Return the caller's environment without its own SLURM_ and SBATCH_ settings."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SLURM_", "SBATCH_", "SQUEUE_", "SINFO_"))
    }
    return {**kept, "SLURM_CONF": str(conf), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _require(name: str) -> str:
    path = _find(name)
    if path is None:
        raise SlurmRigError(f"{name} is not installed")
    return path


def _claim_ports(count: int) -> tuple[socket.socket, int]:
    """The first of `count` consecutive ports that are ours until the socket is closed.

    A machine's port is bound only when it boots; until then nobody else may count it as free. So a block of ports has
    a name on this host (an abstract address), and who holds the name holds the block.
    """
    for first in range(PORTS.start, PORTS.stop - BLOCK + 1, BLOCK):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0slurm-rig-{first}")
        except OSError:
            claim.close()
            continue
        if count <= BLOCK and all(map(_is_free, range(first, first + count))):
            return claim, first
        claim.close()
    raise SlurmRigError(f"no {count} consecutive free ports in a block of {BLOCK}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def _end(daemon: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    daemon.terminate()
    try:
        daemon.wait(patience_s)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _kill_with_environment(*settings: str) -> None:
    """Kill the processes that inherited all these settings: job steps outlive their slurmd."""
    wanted = {setting.encode() for setting in settings}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted <= set((entry / "environ").read_bytes().split(b"\0")):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:  # ended meanwhile, or another user's
            continue
