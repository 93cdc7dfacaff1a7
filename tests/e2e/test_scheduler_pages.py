"""docs/slurm.md, gridengine.md and openpbs.md are walked: every command is run, in an order a reader can take.

Slurm and Grid Engine are real. OpenPBS has no package: its commands are run against the captures of a real server and
the stand-in for qmgr that the tests of its install script use. `page_walk.py` lists what else is stood in for, and why.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import gridengine_rig
import pytest
import slurm_rig
from gridengine_rig import GridEngineRig
from page_walk import PageWalk
from slurm_rig import SlurmRig
from slurm_site import configure, emulator, machines, queue, until
from unit.conf.pbs_complex import CAPTURE, make_complex

from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings

ROOT: Final = Path(__file__).parents[2]
NO_SLURM: Final = "NO REAL SLURM HERE: apt-get install --no-install-recommends slurmctld slurmd slurm-client"
NO_GRID: Final = f"NO REAL GRID ENGINE HERE: apt-get install {gridengine_rig.PACKAGES} iproute2, and root"
DOCTOR: Final = (0, 1)
"""`doctor` ends with 1 where it has something to say, such as a hook that is not installed yet."""


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.skipif(not slurm_rig.is_installed(), reason=NO_SLURM)
def test_the_page_on_slurm_leads_to_a_job_that_runs(tmp_path: Path) -> None:
    shipped = (ROOT / "conf" / "slurm" / "slurm.conf").read_text().splitlines()
    mine = ("SelectType", "PrivateData", "ReturnToService", "TreeWidth", "#")  # the rig has the same
    lines = [line for line in shipped if line and not line.startswith(mine)]
    with SlurmRig((), lines, extra=("SchedulerParameters=bf_interval=1,sched_interval=1",)) as rig, emulator() as aks:
        example = json.loads((ROOT / "conf" / "slurm" / "autoscale.json").read_text())["scheduler"]["create_nodes"]
        create = {name: [*words, "nodeaddr=127.0.0.1"] for name, words in example.items()}
        configure(tmp_path, rig, aks, create_nodes=create)
        walk = PageWalk("slurm", tmp_path, tmp_path / "autoscale.json", env=rig.env)
        doctor, submit, demand, start, nodes, secret, apply, spool = walk.commands()
        assert "slurm" in walk.say(doctor, statuses=DOCTOR)
        job = re.findall(r"\d+", walk.say(submit))[-1]
        until(lambda: queue(rig).get(job) == "PENDING", "the job waits")
        assert re.search(r"htc/Standard_D4s_v5 +1 ", walk.say(demand)), "one machine would start"
        assert machines(aks) == set(), "and nothing has changed"
        explain(walk, job)
        walk.say(start)
        assert machines(aks) == {"az1-htc-1"}
        assert "az1-htc-1" in walk.say(nodes)
        array = rig.submit("-p", "hpc", "--array=1-9", "--hold", "--wrap", "true")
        for shown in ("azaks explain 14", "azaks explain 14_7"):
            walk.walked.append(shown)
            assert "JobHeldUser" in walk.run(shown.replace("14", array)), shown
        assert "1 in flight" in walk.say("azaks demand")
        walk.walked.append("azaks run")
        walk.run("timeout --preserve-status --signal=TERM 3 azaks run")
        (tmp_path / "etc" / "munge").mkdir(parents=True)
        (tmp_path / "etc" / "munge" / "munge.key").write_bytes(b"k" * 128)
        walk.say(secret)
        walk.say(apply)
        walk.say(spool)
        assert (tmp_path / "var" / "spool" / "azaks").stat().st_mode & 0o7777 == 0o2770
        rig.boot("az1-htc-1", dynamic=True)
        until(lambda: job not in queue(rig), "the job has run on the machine")
        walk.check_all_was_walked()


@pytest.mark.gridengine
@pytest.mark.slow
@pytest.mark.skipif(not gridengine_rig.is_installed(), reason=NO_GRID)
@pytest.mark.skipif(not gridengine_rig.may_make_machines(), reason=NO_GRID)
def test_the_page_on_grid_engine_leads_to_a_job_that_runs(tmp_path: Path) -> None:
    with GridEngineRig() as rig, emulated("gridengine") as aks:
        rig.announce("az1-htc-1", "never-boots")
        rig.run(["qconf", "-ah", "never-boots"], check=False)
        rig.define_group("@never", "never-boots")
        rig.define_queue("all.q", "@never", slots=4)
        for name in gridengine_rig.COMMANDS:
            rig.wrapper(name)
        document = on(aks, "gridengine", tmp_path)
        for name in ("sge_root", "sge_cell"):
            document["scheduler"].pop(name)
        document["scheduler"] |= {name: rig.wrapper(name) for name in ("qstat", "qhost", "qconf", "qmod")}
        walk = PageWalk("gridengine", tmp_path, written(document, tmp_path), str(Path(rig.wrapper("qsub")).parent))
        install = [sys.executable, "-IS", str(ROOT / "conf/gridengine/install.py"), "--state", str(tmp_path / "made")]
        script(tmp_path / "install.py", [*install, "--qconf", rig.wrapper("qconf")])
        doctor, submit, demand, start, nodes, prepare = walk.commands()
        walk.say(prepare)
        assert {"@htc", "@hpc", "@gpu"} <= set(rig.output("qconf", "-shgrpl").split())
        walk.say("qconf -aattr queue hostlist @htc all.q")
        assert "gridengine" in walk.say(doctor, statuses=DOCTOR)
        job = re.findall(r"Your job (\d+)", walk.say(submit))[0]
        assert re.search(r"htc/Standard_D4s_v5 +1 ", walk.say(demand))
        assert machines(aks) == set()
        walk.say(start)
        assert machines(aks) == {"az1-htc-1"}
        assert "az1-htc-1" in walk.say(nodes)
        explain(walk, job)
        rig.boot("az1-htc-1")
        rig.wait_until(lambda: job not in rig.output("qstat", "-u", "*"), "the job has run on the machine")
        walk.check_all_was_walked()


def test_the_page_on_openpbs_is_walked_on_captures_and_a_stand_in(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    site = make_complex(tmp_path / "server")
    with emulated("openpbs") as aks:
        document = on(aks, "openpbs", tmp_path)
        document["scheduler"] = {**document["scheduler"], "capture_dir": str(CAPTURE)}
        env = {**walk_environment(), "FAKE_STATE": str(site.path / "server.json")}
        walk = PageWalk("openpbs", tmp_path, written(document, tmp_path), str(site.path), env)
        walk.stand_in("qsub", '#!/bin/sh\n[ "$1" = -l ] && [ "$3" = -- ] && [ -x "$4" ] && echo 4.pbshead\n')
        walk.root = {"/var/spool/pbs/": f"{site.path}/", **walk.root}
        install = [sys.executable, "-IS", str(ROOT / "conf/openpbs/install.py"),
                   "--state", str(site.path / "made.json"),
                   "--qmgr", str(site.path / "qmgr"), "--hooks", str(site.path),
                   "--settings", str(site.path / "wake.json")]  # fmt: skip
        script(tmp_path / "install.py", install)
        doctor, submit, demand, start, nodes, dry, prepare, reread, *by_hand = walk.commands()
        assert "openpbs" in walk.say(doctor, statuses=DOCTOR)
        job = walk.say(submit).strip()
        shown = walk.say(demand)
        assert "Would start" in shown
        walk.say(start)
        assert machines(aks), "what would start was started"
        assert min(machines(aks)) in walk.say(nodes)
        explain(walk, job)
        walk.walked.append("azaks explain")
        before = site.state["resources"]
        walk.say(dry)
        assert site.state["resources"] == before
        walk.say(prepare)
        made = site.state["resources"]
        with subprocess.Popen(["env", "--default-signal=HUP", "sleep", "60"]) as scheduler:
            (site.path / "sched_priv" / "sched.lock").write_text(f"{scheduler.pid}\n")
            walk.say(reread)
            assert scheduler.wait(10) == -signal.SIGHUP, "the scheduler is told to look at its configuration"
        walk.run("./install.py --undo")
        for command in by_hand:
            if "ungrouped" in command:  # this server has it already, and says so
                site.set(resources={name: it for name, it in site.state["resources"].items() if name != "ungrouped"})
            walk.say(command)
        assert {name: it["type"] for name, it in site.state["resources"].items()} == {
            name: "boolean" if name == "ungrouped" else it["type"] for name, it in made.items()
        }, "by hand and by the script it is the same"
        walk.check_all_was_walked()


def explain(walk: PageWalk, job: str) -> None:
    """The sentence below the first block."""
    (shown,) = [one for one in walk.inline() if one.endswith(" JOB")]
    walk.walked.append(shown)
    assert job in walk.run(shown.replace("JOB", job))


def walk_environment() -> dict[str, str]:
    return {"HOME": "/", "LC_ALL": "C.UTF-8", "PATH": ""}


def emulated(name: str) -> EmulatorServer:
    aks = json.loads((ROOT / "conf" / name / "autoscale.json").read_text())["aks"]
    cluster = ClusterSpec(
        subscription=aks["subscription"],
        resource_group=aks["resource_group"],
        name=aks["cluster"],
        location=aks["location"],
    )
    return EmulatorServer(EmulatorSettings(clusters=(cluster,), speed=600.0, latency_s=0.0))


def on(aks: EmulatorServer, name: str, place: Path) -> dict[str, Any]:
    """The example of conf/, on this emulator."""
    document: dict[str, Any] = json.loads((ROOT / "conf" / name / "autoscale.json").read_text())
    document["aks"] |= {"credential": ["emulator"], "cloud": "custom", "arm_url": aks.base_url,
                        "kubernetes_url": aks.base_url}  # fmt: skip
    document["ledger"] = {"path": str(place / "ledger.sqlite")}
    return document


def written(document: dict[str, Any], place: Path) -> Path:
    path = place / "autoscale.json"
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


def script(path: Path, words: list[str]) -> None:
    path.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
    path.chmod(0o755)
