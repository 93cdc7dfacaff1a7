"""conf/kubernetes: rights that are all used and all there are, pods that may do little, machines that become nodes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml
from kube_objects import UNSCHEDULABLE, container, node, pod
from kube_server import KubeServer

from autoscale_aks.cloud.aks.kubernetes import lease_url, nodes_url
from autoscale_aks.config import load_config
from autoscale_aks.model.launch import OWNER_TAG
from autoscale_aks.model.node_names import machine_of_kubernetes_node
from autoscale_aks.schedulers.kubernetes.nodes import read_node
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[4]
CONF = ROOT / "conf" / "kubernetes"
VERBS = {"GET": "list", "PATCH": "patch", "POST": "create", "PUT": "update", "DELETE": "delete"}
NODE = "aks-htc-az1-htc-17-12345678-vm"
Right = tuple[str, str, str]


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((CONF / name).read_text()))


def granted(kind: str) -> set[Right]:
    return {
        (group, resource, verb)
        for role in documents("rbac.yaml")
        if role["kind"] == kind
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def right_of(method: str, url: str) -> Right:
    """What the API server would ask RBAC for: the group, the resource and the verb of a request."""
    parts = urlsplit(url).path.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    verb = "get" if method == "GET" and len(rest) > 1 else VERBS[method]
    return group, rest[0], verb


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        yield running


def used_by_the_driver(server: KubeServer, token: Path) -> set[Right]:
    """Everything the driver ever asks for: each optional list, each change."""
    token.write_text(server.token)
    claim = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]}
    server.put("nodes", node("idle"), node("dead", ready="Unknown"))
    server.put("pods", pod("p", status=UNSCHEDULABLE), pod("q", status=UNSCHEDULABLE, **claim))
    server.put("pods", pod("m", labels={"scheduling.x-k8s.io/pod-group": "g"}))
    server.put("persistentvolumeclaims", {"metadata": {"name": "x", "namespace": "default"}, "spec": {}, "status": {}})
    settings = {"url": server.url, "token_file": str(token), "kueue": True, "job_reasons": True}
    kube: Any = build_scheduler({"type": "kubernetes", **settings})
    kube.read()
    kube.explain_jobs({"default/p": "quota"})
    kube.close_nodes(["idle"], "idle")
    kube.reopen_nodes(["idle"])
    kube.remove_nodes(["dead"])
    return {right_of(method, path) for method, path, _ in server.requests}


def test_every_right_of_the_role_is_used_and_nothing_needs_another(server: KubeServer, tmp_path: Path) -> None:
    used = used_by_the_driver(server, tmp_path / "token")
    used.add(right_of("GET", nodes_url("https://k", ["general"])))
    assert used == granted("ClusterRole")


def test_the_lease_is_read_made_and_renewed_in_our_namespace_and_under_its_name_alone() -> None:
    config = load_config(CONF / "autoscale.json")
    assert config.loop.lease is not None
    one = lease_url("https://k", config.loop.lease.namespace, "azaks-kub")
    some = lease_url("https://k", config.loop.lease.namespace)
    assert {right_of("GET", one), right_of("PUT", one), right_of("POST", some)} == granted("Role")
    (role,) = [document for document in documents("rbac.yaml") if document["kind"] == "Role"]
    named = [rule["resourceNames"] for rule in role["rules"] if "create" not in rule["verbs"]]
    assert role["metadata"]["namespace"] == config.loop.lease.namespace
    assert named == [[config.loop.lease.name]]


def test_it_may_not_read_secrets_change_pods_or_evict() -> None:
    rights = granted("ClusterRole") | granted("Role")
    changed = {resource for _, resource, verb in rights if verb not in {"get", "list"}}
    assert changed == {"nodes", "events", "leases"}
    assert not {resource for _, resource, _ in rights} & {"secrets", "configmaps", "*"}
    assert not {verb for _, _, verb in rights} & {"*", "watch", "deletecollection", "escalate", "impersonate", "bind"}


def deployment() -> dict[str, Any]:
    (found,) = [document for document in documents("deployment.yaml") if document["kind"] == "Deployment"]
    return found


def test_the_deployment_is_the_resident_loop_alone_and_unprivileged() -> None:
    spec = deployment()["spec"]
    pod_spec = spec["template"]["spec"]
    (one,) = pod_spec["containers"]
    assert one["command"] == ["azaks", "run", "-c", "/etc/azaks/autoscale.json", "--interval", "30"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert pod_spec["securityContext"]["runAsNonRoot"] is True
    rights = one["securityContext"]
    assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod_spec)


def test_what_the_configuration_writes_lies_where_the_deployment_lets_it_write() -> None:
    (one,) = deployment()["spec"]["template"]["spec"]["containers"]
    writable = {mount["mountPath"] for mount in one["volumeMounts"] if not mount.get("readOnly")}
    config = json.loads((CONF / "autoscale.json").read_text())
    files = (config["ledger"]["path"], config["loop"]["wake_socket"])
    assert {str(Path(path).parent) for path in files} < writable
    assert config["aks"]["kubernetes_in_cluster"] is True


@pytest.mark.parametrize("age_s", [0, 60, 300, None])
def test_the_probes_see_a_heartbeat_and_a_listener(tmp_path: Path, age_s: int | None) -> None:
    (one,) = deployment()["spec"]["template"]["spec"]["containers"]
    lock = tmp_path / "ledger.sqlite.lock"
    if age_s is not None:
        lock.write_text("owner")
        now = lock.stat().st_mtime
        os.utime(lock, (now - age_s, now - age_s))
    alive = [word.replace("/var/lib/azaks", str(tmp_path)) for word in one["livenessProbe"]["exec"]["command"]]
    assert (subprocess.run(alive, check=False, capture_output=True).returncode == 0) is (age_s in (0, 60))
    ready = [word.replace("/run/azaks", str(tmp_path)) for word in one["readinessProbe"]["exec"]["command"]]
    assert subprocess.run(ready, check=False).returncode == 1, "nobody listens here"


DAEMON_SETS = ("pbs-mom.yaml", "sge-execd.yaml", "celery-worker.yaml")


@pytest.mark.parametrize("name", DAEMON_SETS)
def test_a_daemon_runs_on_our_machines_only_and_is_never_replaced_under_its_jobs(name: str) -> None:
    (daemon,) = [document for document in documents(name) if document["kind"] == "DaemonSet"]
    pod_spec = daemon["spec"]["template"]["spec"]
    assert OWNER_TAG in pod_spec["nodeSelector"]
    assert daemon["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert pod_spec["automountServiceAccountToken"] is False
    for one in (*pod_spec["containers"], *pod_spec.get("initContainers", ())):
        assert one["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert "privileged" not in one["securityContext"]
        names = {entry["name"]: entry for entry in one["env"]}
        assert names["NODE_NAME"]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}


def daemon_spec(name: str) -> dict[str, Any]:
    (daemon,) = [document for document in documents(name) if document["kind"] == "DaemonSet"]
    found: dict[str, Any] = daemon["spec"]
    return found


def test_slurmd_too_runs_on_our_machines_only_and_is_never_replaced_under_its_jobs() -> None:
    """It alone is privileged: it puts jobs into control groups of the host."""
    spec = daemon_spec("slurmd.yaml")
    assert spec["updateStrategy"] == {"type": "OnDelete"}
    assert OWNER_TAG in spec["template"]["spec"]["nodeSelector"]
    assert spec["template"]["spec"]["automountServiceAccountToken"] is False


def scripts() -> Iterator[tuple[str, str]]:
    """Every shell script in a manifest, with where it stands."""
    for path in sorted(CONF.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            template = document.get("spec", {}).get("template", {}).get("spec", {})
            for one in (*template.get("containers", ()), *template.get("initContainers", ())):
                command = [*one.get("command", ()), *one.get("args", ())]
                if command[:2] == ["/bin/sh", "-ec"]:
                    yield f"{path.name}:{one['name']}", command[2]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="NO SHELLCHECK HERE: install Debian's shellcheck")
@pytest.mark.parametrize(("place", "text"), [pytest.param(*found, id=found[0]) for found in scripts()])
def test_shellcheck_finds_nothing_in_a_daemons_script(place: str, text: str) -> None:
    checked = subprocess.run(
        ["shellcheck", "--shell=sh", "--severity=style", "--exclude=SC2016", "-"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, f"{place}\n{checked.stdout}"


def slurmd_programs(tmp_path: Path) -> None:
    for name in ("install", "setpriv", "slurmd"):
        program(tmp_path, name, f'echo "{name} $*" >> "$LOG"')


@pytest.mark.parametrize("node_name", [NODE, f"{NODE}0"])
def test_slurmd_starts_under_its_machines_name_after_munge(tmp_path: Path, node_name: str) -> None:
    slurmd_programs(tmp_path)
    spec = daemon_spec("slurmd.yaml")["template"]["spec"]["containers"][0]
    said = run_script(tmp_path, spec["command"], NODE=node_name, CONTROLLER="head:6817")
    assert said[-1] == "slurmd -D -Z -b -N az1-htc-17 --conf-server head:6817"
    assert [line.split()[0] for line in said] == ["install", "install", "setpriv", "slurmd"]


def test_slurmd_never_starts_on_a_node_that_is_no_machines(tmp_path: Path) -> None:
    slurmd_programs(tmp_path)
    spec = daemon_spec("slurmd.yaml")["template"]["spec"]["containers"][0]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
    environment |= {"NODE": "aks-system-12345678-vmss000000", "CONTROLLER": "head"}
    done = subprocess.run(spec["command"], env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "is no machine's node" in done.stderr) == (1, True)
    assert not (tmp_path / "log").exists()


def test_a_celery_worker_is_named_after_its_node_so_that_its_machine_can_be_told() -> None:
    (one,) = daemon_spec("celery-worker.yaml")["template"]["spec"]["containers"]
    command = [word.replace("$(NODE_NAME)", NODE) for word in one["command"]]
    worker = command[command.index("-n") + 1]
    assert machine_of_kubernetes_node(worker.partition("@")[2], "htc") == "az1-htc-17"


def script(name: str, container_name: str) -> list[str]:
    (daemon,) = [document for document in documents(name) if document["kind"] == "DaemonSet"]
    spec = daemon["spec"]["template"]["spec"]
    (one,) = [one for one in (*spec["containers"], *spec.get("initContainers", ())) if one["name"] == container_name]
    return [*one["command"], *one["args"]]


def run_script(tmp_path: Path, command: list[str], **variables: str) -> list[str]:
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log"), **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return (tmp_path / "log").read_text().splitlines()


def program(tmp_path: Path, name: str, body: str) -> None:
    (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
    (tmp_path / name).chmod(0o755)


@pytest.mark.parametrize("node_name", [NODE, f"{NODE}0"])
def test_a_mom_tells_pbs_whose_machine_its_node_is_and_does_so_once(tmp_path: Path, node_name: str) -> None:
    program(
        tmp_path, "qmgr",
        f'echo "$2" >> "$LOG"; case $2 in "list node"*) cat {tmp_path}/known 2>/dev/null;; '
        f'*ccnodeid*) echo "$2" > {tmp_path}/known;; esac',
    )  # fmt: skip
    program(tmp_path, "pbs_mom", 'echo "mom $*" >> "$LOG"')
    variables = {"NODE_NAME": node_name, "PBS_SERVER": "head", "SLOT_TYPE": "htc"}
    said = run_script(tmp_path, script("pbs-mom.yaml", "join"), **variables)
    assert f"set node {node_name} resources_available.ccnodeid = az1-htc-17" in said
    assert said.index(f"set node {node_name} state = offline") < said.index(f"set node {node_name} state -= offline")
    before = len(said)
    assert run_script(tmp_path, script("pbs-mom.yaml", "join"), **variables)[before:] == [f"list node {node_name}"]
    (tmp_path / "mom_priv").mkdir()
    command = script("pbs-mom.yaml", "mom")
    assert run_script(tmp_path, command, **variables, PBS_HOME=str(tmp_path))[-1] == "mom -N"
    assert (tmp_path / "mom_priv" / "config").read_text() == "$clienthost head\n"


def test_the_machine_in_a_node_name_is_the_one_that_the_driver_reads() -> None:

    raw = node(NODE, labels={"agentpool": "htc"})
    said = read_node(raw).machine
    cut = re.findall(r"machine=(\$\{.*\})", script("pbs-mom.yaml", "join")[-1])
    shell = f"NODE_NAME={NODE}; machine={cut[0]}; echo {cut[1]}"
    assert subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True).stdout.strip() == said


def test_an_execd_waits_until_the_master_knows_its_host(tmp_path: Path) -> None:
    program(
        tmp_path, "qconf",
        f"echo asked >> {tmp_path}/asked; test $(wc -l < {tmp_path}/asked) -ge 3 && echo other && echo {NODE}",
    )  # fmt: skip
    program(tmp_path, "sge_execd", 'echo "execd $SGE_ND" >> "$LOG"')
    command = script("sge-execd.yaml", "execd")
    variables = {"SGE_ROOT": str(tmp_path), "SGE_CELL": "cell", "SGE_MASTER": "head", "WAIT_S": "0"}
    assert run_script(tmp_path, command, NODE_NAME=NODE, **variables) == ["execd 1"]
    assert (tmp_path / "asked").read_text().count("asked") == 3
    assert (tmp_path / "cell" / "common" / "act_qmaster").read_text() == "head\n"


def test_a_daemons_requests_leave_room_on_the_smallest_machine() -> None:
    for name in ("pbs-mom.yaml", "sge-execd.yaml"):
        (daemon,) = [document for document in documents(name) if document["kind"] == "DaemonSet"]
        (one,) = daemon["spec"]["template"]["spec"]["containers"]
        assert one["resources"]["requests"] == container(cpu="100m", memory="256Mi")["resources"]["requests"]
