"""What is shipped for Slurm and what its page says: settings, hooks, the name that a DaemonSet's pod takes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscale_aks.config import load_config
from autoscale_aks.model.node_names import machine_of_kubernetes_node, nodearray_of
from autoscale_aks.schedulers.commanded import MOST_REASONS
from autoscale_aks.schedulers.registry import build_scheduler
from autoscale_aks.schedulers.slurm.hostlists import expand_hosts
from autoscale_aks.schedulers.slurm.records import FIELDS
from autoscale_aks.schedulers.slurm.settings import PowerSaving, read_settings

ROOT = Path(__file__).parents[3]
CONF = ROOT / "conf" / "slurm"
PAGE = (ROOT / "docs" / "slurm.md").read_text("utf-8")


def test_the_example_is_a_configuration_and_a_scheduler() -> None:
    config = load_config(CONF / "autoscale.json")
    assert config.scheduler.type == "slurm"
    build_scheduler({"type": "slurm", **config.scheduler.settings}, environment={})


def test_the_settings_of_the_page_are_settings() -> None:
    blocks = [json.loads(f"{{{block}}}") for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert blocks
    for block in blocks:
        settings = read_settings({"type": "slurm", **block})
        assert settings.power_saving == PowerSaving(spool=Path("/var/spool/azaks"))
    for text in re.findall(r'`("[a-z_]+": [^`]+)`', PAGE):
        if not text.startswith(('"scheduler"', '"nodearrays"')):
            read_settings({"type": "slurm", **json.loads(f"{{{text}}}")})
    assert f"{len(FIELDS)} fields a job" in PAGE
    assert f"{MOST_REASONS} jobs a cycle" in PAGE


def test_the_files_that_the_page_names_are_there() -> None:
    named = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert named
    assert [name for name in named if not (ROOT / "docs" / name).exists()] == []


def test_hooks_and_cycle_name_the_same_spool() -> None:
    assert json.loads((CONF / "wake.json").read_text())["spool"] in PAGE
    assert '"spool": "/var/spool/azaks"' in (CONF / "power-saving.conf").read_text()


def test_the_nodes_of_the_power_saving_lines_are_machines_of_the_example() -> None:
    config = load_config(CONF / "autoscale.json")
    arrays = [array.name for array in config.arrays]
    text = (CONF / "power-saving.conf").read_text()
    lists = re.findall(r"^NodeName=(\S+)", text, re.MULTILINE)
    names = [name for hosts in lists for name in expand_hosts(hosts)]
    assert len(names) == 248
    assert {nodearray_of(name, config.aks.owner, arrays) for name in names} == {"htc", "hpc"}


def daemon_set() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "conf" / "kubernetes" / "slurmd.yaml").read_text())
    return document


@pytest.mark.parametrize(
    "node",
    ["aks-htc-az1-htc-17-12345678-vm", "aks-htc-az1-htc-17-12345678-vm1", "aks-system-12345678-vmss000000", "login-1"],
)
def test_a_pod_takes_the_machines_name_as_the_program_does(node: str) -> None:
    script = daemon_set()["spec"]["template"]["spec"]["containers"][0]["command"][2]
    start = "\n".join(script.splitlines()[:2]) + "\nprintf %s $machine"
    done = subprocess.run(
        ["/bin/sh", "-ec", start],
        env={"NODE": node, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0, done.stdout or None) == (
        machine_of_kubernetes_node(node) is not None, machine_of_kubernetes_node(node),
    )  # fmt: skip


def test_a_pod_runs_on_the_nodes_of_the_example_and_nowhere_else() -> None:
    spec = daemon_set()["spec"]["template"]["spec"]
    config = load_config(CONF / "autoscale.json")
    assert spec["nodeSelector"] == {"azaks-owner": config.aks.owner}
    templates = [one.template_for(one.array.offerings[0].vm_size) for one in config.nodearrays.values()]
    taints = {taint.partition("=")[0] for template in templates for taint in template.node_taints}
    assert {toleration["key"] for toleration in spec["tolerations"]} == taints


def test_the_commands_of_the_page_are_commands() -> None:
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = [shlex.split(line[2:]) for block in blocks for line in block.splitlines() if line[:2] in {"$ ", "# "}]
    assert {command[0] for command in commands} == {"kubectl", "install", "azaks", "sbatch", "systemctl"}
    applied = [command[-1] for command in commands if command[1:2] == ["apply"]]
    assert [path for path in applied if not (ROOT / path).exists()] == []
    secret = next(command for command in commands if "secret" in command)
    assert secret[6] == daemon_set()["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"]
    assert commands[-1] == ["install", "-d", "-o", "slurm", "-g", "azaks", "-m", "2770", "/var/spool/azaks"]
