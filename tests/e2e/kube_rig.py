"""A private, real Kubernetes control plane: etcd, kube-apiserver and kube-scheduler on loopback. There is no kubelet.

`KUBE_TEST_BIN` names a directory with the three programs (etcd may be on PATH). Node objects are made by the test, as
a kubelet would; pods that are bound stay Pending, and end when the test deletes them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

PROGRAMS = ("kube-apiserver", "kube-scheduler", "etcd")
PATIENCE_S = float(os.environ.get("KUBE_TEST_PATIENCE_S", "90"))
ADMIN, SCHEDULER = "admin-token", "scheduler-token"
OURS = "system:serviceaccount:azaks:azaks"
"""Who azaks is for the API server: the service account of the manifests."""
CONF = Path(__file__).parents[2] / "conf" / "kubernetes"
RBAC = CONF / "rbac.yaml"
_COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


def find(program: str) -> str | None:
    """The program, in KUBE_TEST_BIN first."""
    directory = os.environ.get("KUBE_TEST_BIN", "")
    return shutil.which(program, path=f"{directory}:{os.environ.get('PATH', os.defpath)}") if directory else None


def missing() -> str:
    """What is not there; empty when all is."""
    if not os.environ.get("KUBE_TEST_BIN"):
        return f"set KUBE_TEST_BIN to a directory with {', '.join(PROGRAMS)} (docs/kubernetes.md says how to get them)"
    return ", ".join(program for program in PROGRAMS if find(program) is None)


class KubeRig:
    """A running control plane; a context manager."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self.directory = Path()
        self.url = ""
        self._programs: list[subprocess.Popen[bytes]] = []
        self._session = requests.Session()

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="kube-rig-"))
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def ca(self) -> Path:
        """The API server's own certificate."""
        return self.directory / "certs" / "apiserver.crt"

    @property
    def token_file(self) -> Path:
        """A token of the service account of conf/kubernetes/rbac.yaml, with the rights of that file and no others."""
        return self.directory / "azaks.token"

    def api(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """One request as the administrator. Raises AssertionError with the server's words."""
        answer = self._session.request(
            method,
            self.url + path,
            data=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {ADMIN}", "Content-Type": kind},
            verify=str(self.ca),
            timeout=30,
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def apply(self, document: dict[str, Any], *, dry: bool = False) -> Any:
        """Create an object of a manifest; `dry`: the server checks it and forgets it. Raises AssertionError."""
        collection = _COLLECTIONS[document["kind"]].format(document["metadata"].get("namespace", ""))
        return self.api("POST", collection + ("?dryRun=All" if dry else ""), document)

    def audited(self) -> list[dict[str, Any]]:
        """What azaks asked the API server, with the server's own words on who allowed it."""
        log = self.directory / "audit.log"
        lines = log.read_text().splitlines() if log.exists() else []
        events = [json.loads(line) for line in lines if OURS in line]
        return [event for event in events if event["user"]["username"] == OURS]

    def add_pod(self, name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> None:
        """A pod of the default namespace that asks for one CPU unless `containers` says otherwise.

        `annotations` may be given too; all else is its spec.
        """
        meta = {"name": name, "labels": labels or {}, "annotations": spec.pop("annotations", {})}
        container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": "1"}}}
        body = {
            "apiVersion": "v1", "kind": "Pod", "metadata": meta,
            "spec": {"containers": [container], **spec},
        }  # fmt: skip
        self.api("POST", "/api/v1/namespaces/default/pods", body)

    def end_pod(self, name: str) -> None:
        """What a kubelet does when the work is done, and its owner when it has seen it."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self.api("DELETE", f"/api/v1/namespaces/default/pods/{name}", options)

    def pods(self) -> dict[str, str]:
        """Pod → the node it is bound to, or nothing."""
        items = self.api("GET", "/api/v1/namespaces/default/pods")["items"]
        return {item["metadata"]["name"]: item["spec"].get("nodeName", "") for item in items}

    def add_node(self, name: str, labels: dict[str, str], capacity: dict[str, str], **spec: Any) -> None:
        """What a kubelet does when its machine has booted: register, then be ready."""
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}
        self.api("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec})
        self.set_ready(name, "True", capacity)

    def set_ready(self, name: str, ready: str, capacity: dict[str, str] | None = None) -> None:
        """The node's Ready condition, as the kubelet or the node controller writes it."""
        now = "2026-11-22T09:00:00Z"
        condition = {
            "type": "Ready",
            "status": ready,
            "reason": "Test",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        status: dict[str, Any] = {"conditions": [condition]}
        if capacity:
            status |= {"capacity": capacity, "allocatable": capacity}
        self.api("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, "application/strategic-merge-patch+json")

    def log(self, program: str, lines: int = 30) -> str:
        """The end of a program's log."""
        return "\n".join((self.directory / f"{program}.log").read_text(errors="replace").splitlines()[-lines:])

    # -- inner

    def _start(self) -> None:
        etcd, peer, api, secure = _free_ports(4)
        self.url = f"https://127.0.0.1:{api}"
        self._spawn(
            "etcd", f"--data-dir={self.directory / 'etcd'}", f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        )  # fmt: skip
        self._write_secrets()
        old = ["--insecure-port=0"] if _minor("kube-apiserver") < 24 else []
        self._spawn(
            "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1",
            f"--secure-port={api}", f"--cert-dir={self.directory / 'certs'}",
            "--service-account-issuer=https://kubernetes.default",
            f"--service-account-key-file={self.directory / 'sa.key'}",
            f"--service-account-signing-key-file={self.directory / 'sa.key'}",
            f"--token-auth-file={self.directory / 'tokens.csv'}", "--authorization-mode=RBAC",
            f"--audit-policy-file={self.directory / 'audit.json'}",
            f"--audit-log-path={self.directory / 'audit.log'}", "--audit-log-mode=blocking",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
            "--allow-privileged", *old,
        )  # fmt: skip
        self._wait_ready()
        self._grant()
        no_port = ["--port=0"] if _minor("kube-scheduler") < 23 else []
        self._spawn(
            "kube-scheduler", f"--kubeconfig={self._kubeconfig()}", "--leader-elect=false", "--bind-address=127.0.0.1",
            f"--secure-port={secure}", f"--cert-dir={self.directory / 'scheduler'}", *no_port,
        )  # fmt: skip

    def _spawn(self, program: str, *arguments: str) -> None:
        path = find(program)
        assert path is not None, f"{program} is not in KUBE_TEST_BIN"
        with (self.directory / f"{program}.log").open("wb") as log:
            process = subprocess.Popen(
                [path, *arguments], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._programs.append(process)

    def _write_secrets(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self.directory / "sa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
        policy = {
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "users": [OURS]}, {"level": "None"}],
        }  # fmt: skip
        (self.directory / "audit.json").write_text(json.dumps(policy))
        users = ((ADMIN, "admin", "system:masters"), (SCHEDULER, "system:kube-scheduler", ""))
        rows = (f'{token},{name},{name},"{group}"' for token, name, group in users)
        (self.directory / "tokens.csv").write_text("\n".join(rows) + "\n")

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.api("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:kube-scheduler")
                self.api("GET", "/api/v1/namespaces/default")
            except (AssertionError, requests.RequestException, OSError):
                dead = [program for program in self._programs if program.poll() is not None]
                if dead or time.monotonic() > deadline:
                    raise AssertionError(f"kube-apiserver did not start:\n{self.log('kube-apiserver')}") from None
                time.sleep(0.1)
            else:
                return

    def _grant(self) -> None:
        """conf/kubernetes/rbac.yaml as an administrator applies it, and a token for its service account."""
        for document in yaml.safe_load_all(RBAC.read_text()):
            self.apply(document)
        request = {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}
        }  # fmt: skip
        made = self.api("POST", "/api/v1/namespaces/azaks/serviceaccounts/azaks/token", request)
        self.token_file.write_text(made["status"]["token"])

    def _kubeconfig(self) -> Path:
        path = self.directory / "scheduler.kubeconfig"
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "u", "user": {"token": SCHEDULER}}],
        }  # fmt: skip
        path.write_text(json.dumps(document))
        return path

    def _stop(self) -> None:
        for process in reversed(self._programs):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._session.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def _minor(program: str) -> int:
    path = find(program) or program
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    match = re.search(r"v1\.(\d+)", text)
    return int(match.group(1)) if match else 99


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
