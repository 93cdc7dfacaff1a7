"""kubeconfig files, certificates and service accounts: who we are and where the server is."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
import ssl
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kube_objects import node
from kube_server import KubeServer

from autoscale_aks.access.connections import Route
from autoscale_aks.access.kubeconfig import kubeconfig_access
from autoscale_aks.cloud.aks.transport import HttpTransport, Request, Response
from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.kubernetes.access import login_of
from autoscale_aks.schedulers.kubernetes.client import KubeClient
from autoscale_aks.schedulers.kubernetes.settings import read_settings
from autoscale_aks.schedulers.kubernetes.transport import ApiTransport
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from autoscale_aks.schedulers.port import SchedulerPort

BARE = {"name": "bare", "context": {"cluster": "k"}}
ENV = {"PATH": "/usr/bin:/bin"}


def kubeconfig(directory: Path, user: Mapping[str, Any], cluster: Mapping[str, Any] | None = None) -> Path:
    document = {
        "current-context": "c",
        "contexts": [
            {"name": "c", "context": {"cluster": "k", "user": "u"}},
            BARE,
        ],
        "clusters": [{"name": "k", "cluster": {"server": "https://k.example:443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": dict(user)}],
    }
    path = directory / "config"
    path.write_text(json.dumps(document))
    return path


def scheduler(path: Path, **settings: Any) -> SchedulerPort:
    return build_scheduler(
        {"type": "kubernetes", "kubeconfig": str(path), "timeout_s": 10, **settings}, environment=ENV
    )


def shown(server: KubeServer) -> list[str]:
    """What was shown to the server as who we are, one a request."""
    return [value for name, value in server.headers if name.lower() == "authorization"]


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        running.put("nodes", node("n1"))
        yield running


def test_a_token_a_token_file_and_none(server: KubeServer, tmp_path: Path) -> None:
    cluster = {"server": f"{server.url}/"}
    scheduler(kubeconfig(tmp_path, {"token": server.token}, cluster)).read()
    (tmp_path / "token").write_text(server.token)
    scheduler(kubeconfig(tmp_path, {"tokenFile": "token"}, cluster)).read()
    assert set(shown(server)) == {f"Bearer {server.token}"}
    server.headers.clear()
    server.token = ""
    scheduler(kubeconfig(tmp_path, {"token": "t"}, cluster), context="bare").read()
    assert shown(server) == [], "this context names no user"


def test_a_token_that_was_changed_in_the_kubeconfig_is_read_again(server: KubeServer, tmp_path: Path) -> None:
    cluster = {"server": server.url}
    kube = scheduler(kubeconfig(tmp_path, {"token": server.token}, cluster))
    kube.read()
    server.token = "another"
    kubeconfig(tmp_path, {"token": "another"}, cluster)
    assert kube.read().complete


def test_the_account_of_the_pod_is_enough_inside_a_cluster(tls_server: KubeServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(tls_server.token)
    host, port = urlsplit(tls_server.url).netloc.split(":")
    variables = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    transport = ApiTransport(login_of(read_settings({"type": "kubernetes"}), variables, account=tmp_path))
    client = KubeClient(transport, timeout_s=10, page_size=500, page_bytes=1 << 20)
    client.begin()
    assert [item["metadata"]["name"] for item in client.list_all("/api/v1/nodes")] == ["n1"]
    assert shown(tls_server) == [f"bearer {tls_server.token}"], "the official client's own spelling"


def test_a_proxy_of_the_file_goes_before_that_of_the_environment_and_its_password_is_no_part_of_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://other:1")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")

    def route(cluster: Mapping[str, Any]) -> tuple[Any, Any]:
        settings = read_settings(
            {"type": "kubernetes", "kubeconfig": str(kubeconfig(tmp_path, {"token": "t"}, cluster))}
        )
        found = login_of(settings, ENV)()
        return found.proxy, found.proxy_headers

    assert route({}) == ("http://other:1", None)
    assert route({"server": "https://10.1.2.3:443"}) == (None, None)
    assert route({"server": "http://127.0.0.1:8001"}) == (None, None)
    address, headers = route({"proxy-url": "http://me:secret@proxy:3128"})
    assert address == "http://proxy:3128"
    assert headers == {"proxy-authorization": f"Basic {base64.b64encode(b'me:secret').decode()}"}


@pytest.mark.parametrize(
    ("user", "cluster", "said"),
    [
        ({"token": "t"}, {"insecure-skip-tls-verify": True}, "would show our token"),
        ({"username": "me"}, {}, "username: is not supported"),
        ({"auth-provider": {"name": "oidc"}}, {}, "no longer in use"),
        ({"exec": {"args": []}}, {}, "needs a command"),
        ({}, {}, "neither a token"),
        ({"token": "t"}, {"server": "http://k.example"}, "in clear"),
    ],
)
def test_what_the_official_client_would_take_and_is_unsafe_is_refused(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        scheduler(kubeconfig(tmp_path, user, cluster))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "a: [", '{"current-context": "x"}', '{"current-context": "c", "contexts": 7}']
)
def test_what_is_no_kubeconfig_is_a_config_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(ConfigError):
        scheduler(tmp_path / "config")
    with pytest.raises(ConfigError, match=r"scheduler\.kubeconfig: .*cannot be read"):
        scheduler(tmp_path / "missing")


@pytest.mark.parametrize(
    ("user", "cluster"),
    [
        ({"client-certificate-data": "%%%", "client-key-data": "%%%"}, {}),
        ({"token": "t"}, {"certificate-authority": "missing.crt"}),
        ({"token": "t"}, {"certificate-authority-data": "QQ=="}),
    ],
)
def test_a_kubeconfig_with_certificates_that_are_none_is_an_error_and_no_look(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any]
) -> None:
    kube = scheduler(kubeconfig(tmp_path, user, {"server": "https://127.0.0.1:9", **cluster}), timeout_s=1)
    with pytest.raises(SchedulerError):
        kube.read()


def test_outside_a_pod_the_message_names_what_the_scheduler_can_be_given() -> None:
    with pytest.raises(ConfigError, match=r"scheduler: names no server, and this is no pod .*kubeconfig or a url"):
        login_of(read_settings({"type": "kubernetes"}), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})


def test_without_the_extra_the_message_says_how_it_is_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoscale_aks.schedulers.kubernetes.driver.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'autoscale_aks\[kubernetes\]'"):
        build_scheduler({"type": "kubernetes", "url": "http://127.0.0.1:1"}, environment=ENV)


def test_the_official_client_is_imported_with_the_first_request_and_not_before() -> None:
    program = (
        "import sys; from autoscale_aks.schedulers.registry import build_scheduler; "
        "build_scheduler({'type': 'kubernetes', 'url': 'http://127.0.0.1:1'}); print('kubernetes' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def program(directory: Path, script: str) -> dict[str, Any]:
    """A user whose token a program prints."""
    path = directory / "login"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return {"exec": {"command": "./login", "apiVersion": "client.authentication.k8s.io/v1"}}


def printing(token: str) -> str:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}
    }  # fmt: skip
    return f'echo run >> "$(dirname "$0")/runs"; echo \'{json.dumps(credential)}\''


def test_an_exec_program_is_run_once_and_again_when_its_token_is_refused(server: KubeServer, tmp_path: Path) -> None:
    user = program(tmp_path, printing(server.token))
    kube = scheduler(kubeconfig(tmp_path, user, {"server": server.url}))
    kube.read()
    kube.read()
    assert (tmp_path / "runs").read_text() == "run\n"
    server.token = "renewed"
    program(tmp_path, printing("renewed"))
    assert kube.read().complete
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


@pytest.mark.parametrize("script", ["true", "echo no", "exit 3", "echo '{}'"])
def test_an_exec_program_without_a_token_is_an_error_before_anything_is_sent(
    server: KubeServer, tmp_path: Path, script: str
) -> None:
    kube = scheduler(kubeconfig(tmp_path, program(tmp_path, script), {"server": server.url}))
    with pytest.raises(SchedulerError, match=r"login, which .* names for tokens, gave none"):
        kube.read()
    assert server.requests == []


def test_a_missing_exec_program_is_named_with_the_hint_of_the_kubeconfig(server: KubeServer, tmp_path: Path) -> None:
    user = {"exec": {"command": "no-such-login", "apiVersion": "v1", "installHint": "brew install it"}}
    with pytest.raises(SchedulerError, match=r"no-such-login, .* is not installed; brew install it"):
        scheduler(kubeconfig(tmp_path, user, {"server": server.url})).read()


def test_an_exec_program_that_hangs_is_left_alone_and_no_second_one_is_started(
    server: KubeServer, tmp_path: Path
) -> None:
    script = 'echo run >> "$(dirname "$0")/runs"; read -r end < "$(dirname "$0")/end"'
    os.mkfifo(tmp_path / "end")
    path = kubeconfig(tmp_path, program(tmp_path, script), {"server": server.url})
    login = login_of(read_settings({"type": "kubernetes", "kubeconfig": str(path)}), ENV, exec_timeout_s=0.3)
    with pytest.raises(SchedulerError, match=r"login gave no token within 0\.3 s"):
        login()
    with pytest.raises(SchedulerError, match="of an earlier try still runs"):
        login()
    (tmp_path / "end").write_text("now\n")
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_redirect_is_not_followed_with_our_token(server: KubeServer, tmp_path: Path) -> None:
    server.faults.append(("/nodes", 307, {"message": "elsewhere"}))
    kube = scheduler(kubeconfig(tmp_path, {"token": server.token}, {"server": server.url}))
    with pytest.raises(SchedulerError, match="307: elsewhere"):
        kube.read()
    assert len(server.requests) == 1


@dataclass
class Authority:
    """An authority of our own, and what it signs."""

    directory: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self.write("ca", self.signed("authority", self.key.public_key(), is_authority=True), self.key)

    def issue(self, name: str) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        return self.write(name, self.signed(name, key.public_key()), key)

    def signed(self, name: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool = False) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        start = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(start + dt.timedelta(days=9))
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        basic = x509.BasicConstraints(ca=is_authority, path_length=None)
        return (
            builder.add_extension(names, critical=False)
            .add_extension(basic, critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[str, str]:
        files = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(files[0]), str(files[1])


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[KubeServer]:
    """A server over TLS that wants a token."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).issue("server"))
    with KubeServer(tls=context) as running:
        running.put("nodes", node("n1"))
        yield running


@pytest.fixture
def strict_server(tmp_path: Path) -> Iterator[KubeServer]:
    """A server over TLS that takes only those whom its authority knows."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    context.load_verify_locations(tmp_path / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue("us")
    with KubeServer(tls=context) as running:
        running.token = ""
        yield running


def test_both_rooms_show_the_certificate_of_a_kubeconfig_and_nobody_else_is_let_in(
    strict_server: KubeServer, tmp_path: Path
) -> None:
    strict_server.put("nodes", node("n1"))
    cluster = {"server": strict_server.url, "certificate-authority": "ca.crt"}
    user = {
        f"client-{kind}-data": base64.b64encode((tmp_path / f"us.{ending}").read_bytes()).decode()
        for kind, ending in (("certificate", "crt"), ("key", "key"))
    }
    path = kubeconfig(tmp_path, user, cluster)
    assert [found.name for found in scheduler(path).read().nodes or ()] == ["n1"]
    found = kubeconfig_access(path)
    request = Request(method="GET", url=f"{found.url}/api/v1/nodes", token=found.tokens.token(), route=found.route)
    transport = HttpTransport()
    answer = transport.send(request)
    assert isinstance(answer, Response), answer
    assert answer.status == 200
    assert {name for name, _ in strict_server.headers if name == "Authorization"} == set(), "no empty token is shown"
    stranger = transport.send(replace(request, route=Route(ca=str(tmp_path / "ca.crt"))))
    assert not isinstance(stranger, Response)
    transport.close()
    found.close()
