"""kubeconfig files and service accounts: who we are and where the server is."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.errors import ConfigError, SchedulerError
from autoscale_aks.schedulers.kubernetes.access import SERVICE_ACCOUNT, Access, access_of
from autoscale_aks.schedulers.kubernetes.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def access(path: Path, **settings: Any) -> Access:
    return access_of(read_settings({"type": "kubernetes", "kubeconfig": str(path), **settings}), ENV)


def test_a_token_a_token_file_and_none(tmp_path: Path) -> None:
    found = access(kubeconfig(tmp_path, {"token": "t"}))
    assert (found.url, found.token(False), found.verify) == ("https://k.example:443", "t", True)
    (tmp_path / "token").write_text("first\n")
    found = access(kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert found.token(False) == "first"
    (tmp_path / "token").write_text("second")
    assert found.token(False) == "second"
    assert access(kubeconfig(tmp_path, {}), context="bare").token(False) == ""


def test_certificates_by_name_and_by_content(tmp_path: Path) -> None:
    data = {f"{name}-data": base64.b64encode(name.encode()).decode() for name in ("client-certificate", "client-key")}
    found = access(kubeconfig(tmp_path, data, {"certificate-authority": "ca.crt"}))
    assert found.verify == str(tmp_path / "ca.crt")
    assert found.client_cert is not None
    certificate, key = (Path(name) for name in found.client_cert)
    assert (certificate.read_text(), key.read_text()) == ("client-certificate", "client-key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_program_that_prints_a_token_is_asked_once_and_again_when_the_token_is_refused(tmp_path: Path) -> None:
    script = """
        n=$(cat "$COUNT" 2>/dev/null || echo 0); n=$((n+1)); echo $n > "$COUNT"
        printf %s "$KUBERNETES_EXEC_INFO" > "$COUNT.info"
        echo '{"kind":"ExecCredential","status":{"token":"token-'$n'"}}'
    """
    command = {"command": "/bin/sh", "args": ["-c", script], "env": [{"name": "COUNT", "value": str(tmp_path / "n")}]}
    found = access(kubeconfig(tmp_path, {"exec": command}))
    assert [found.token(False), found.token(False), found.token(True)] == ["token-1", "token-1", "token-2"]
    assert json.loads((tmp_path / "n.info").read_text())["spec"] == {"interactive": False}
    silent = access(kubeconfig(tmp_path, {"exec": {"command": "/bin/true"}}))
    with pytest.raises(SchedulerError, match="printed no token"):
        silent.token(False)


def test_yaml_is_taken_too(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "config"
    path.write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://k:443'}}]\nusers: [{name: u, user: {token: t}}]\n"
    )
    assert access(path).token(False) == "t"


@pytest.mark.parametrize(
    ("user", "cluster", "said"),
    [
        ({}, {"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify is not honoured"),
        ({"username": "me"}, {}, "username is not supported"),
        ({"client-key-data": "%%%"}, {}, "client-key-data is not base64"),
        ({}, {"server": "http://k.example"}, "plain http"),
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
    with pytest.raises(ConfigError):
        access(tmp_path / "missing")


def test_a_pod_uses_its_own_service_account() -> None:
    settings = read_settings({"type": "kubernetes"})
    found = access_of(settings, {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"})
    assert (found.url, found.verify) == ("https://[fd00::1]:6443", str(SERVICE_ACCOUNT / "ca.crt"))
    with pytest.raises(SchedulerError, match="no token for the Kubernetes API"):
        found.token(False)
