"""kubeconfig files, certificates and service accounts: who we are and where the server is."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import ssl
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kube_objects import node
from kube_server import KubeServer

from autoscale_aks.access.connections import DIRECT, Route, resolved
from autoscale_aks.cloud.aks.transport import HttpTransport, Request, Response
from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.kubernetes.access import access_of
from autoscale_aks.schedulers.kubernetes.settings import read_settings
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.access.kubeconfig import KubernetesAccess

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


def access(path: Path, **settings: Any) -> KubernetesAccess:
    return access_of(read_settings({"type": "kubernetes", "kubeconfig": str(path), **settings}), ENV)


def test_a_token_a_token_file_and_none(tmp_path: Path) -> None:
    found = access(kubeconfig(tmp_path, {"token": "t"}))
    assert (found.url, found.tokens.token(), found.route) == ("https://k.example:443", "t", DIRECT)
    (tmp_path / "token").write_text("first\n")
    found = access(kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert found.tokens.token() == "first"
    (tmp_path / "token").write_text("second")
    assert found.tokens.token() == "second"
    assert access(kubeconfig(tmp_path, {"token": "t"}), context="bare").tokens.token() == "", "it names no user"


def test_certificates_by_name_and_by_content(tmp_path: Path) -> None:
    data = {f"{name}-data": base64.b64encode(name.encode()).decode() for name in ("client-certificate", "client-key")}
    (tmp_path / "ca.crt").write_text("authority")
    found = access(kubeconfig(tmp_path, data, {"certificate-authority": "ca.crt"}))
    assert found.route.ca == str(tmp_path / "ca.crt")
    assert found.route.client_cert is not None
    certificate, key = (Path(name) for name in found.route.client_cert)
    assert (certificate.read_text(), key.read_text()) == ("client-certificate", "client-key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert found.tokens.token() == ""
    found.close()
    assert not key.exists()


def test_a_proxy_of_the_file_goes_before_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://other:1")
    found = access(kubeconfig(tmp_path, {"token": "t"}, {"proxy-url": "http://proxy:3128"}))
    assert resolved(found.route, found.url).proxy == "http://proxy:3128"
    assert resolved(DIRECT, found.url).proxy == "http://other:1"


@pytest.mark.parametrize(
    ("user", "cluster", "said"),
    [
        ({"token": "t"}, {"insecure-skip-tls-verify": True}, "would show our token"),
        ({"username": "me"}, {}, "username: is not supported"),
        ({"client-key-data": "%%%"}, {}, "client-key-data: is not base64"),
        ({"token": "t"}, {"server": "http://k.example"}, "in clear"),
    ],
)
def test_what_is_unsafe_or_unknown_is_refused(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        access(kubeconfig(tmp_path, user, cluster))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "a: [", '{"current-context": "x"}', '{"current-context": "c", "contexts": 7}']
)
def test_what_is_no_kubeconfig_is_a_config_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(ConfigError):
        access(tmp_path / "config")
    with pytest.raises(ConfigError, match=r"scheduler\.kubeconfig: .*cannot be read"):
        access(tmp_path / "missing")


def test_outside_a_pod_the_message_names_what_the_scheduler_can_be_given() -> None:
    with pytest.raises(ConfigError, match=r"scheduler: names no server, and this is no pod .*kubeconfig or a url"):
        access_of(read_settings({"type": "kubernetes"}), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})


def test_no_token_is_a_scheduler_error_before_anything_is_sent(tmp_path: Path) -> None:
    user = {"exec": {"command": "/bin/true"}}
    kube = build_scheduler({"type": "kubernetes", "kubeconfig": str(kubeconfig(tmp_path, user))}, environment=ENV)
    with pytest.raises(SchedulerError, match="printed no ExecCredential with a token; no token for the Kubernetes API"):
        kube.read()


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
    kube = build_scheduler({"type": "kubernetes", "kubeconfig": str(path), "timeout_s": 10}, environment=ENV)
    assert [found.name for found in kube.read().nodes or ()] == ["n1"]
    found = access(path)
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
