"""Reaching the Kubernetes API by a kubeconfig or by a pod's service account."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aks_fakes import EPOCH, FakeClock

from autoscale_aks.access.exec_tokens import ExecCommand, ExecTokenSource
from autoscale_aks.access.kubeconfig import in_cluster_access, kubeconfig_access
from autoscale_aks.cloud.aks.wire import format_timestamp
from autoscale_aks.errors import AuthError, ConfigError

AUTHORITY = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def document(user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    return {
        "current-context": "here",
        "contexts": [
            {"name": "other", "context": {"cluster": "none", "user": "me"}},
            {"name": "here", "context": {"cluster": "c", "user": "me"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://k8s.example:443/", **cluster}}],
        "users": [{"name": "me", "user": {"token": "secret-1"} if user is None else user}],
    }


def write(directory: Path, content: Any, name: str = "config") -> Path:
    path = directory / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_token_and_an_authority_inside_the_file(tmp_path: Path) -> None:
    data = base64.b64encode(AUTHORITY).decode()
    access = kubeconfig_access(write(tmp_path, document(**{"certificate-authority-data": data})))
    assert (access.url, access.tokens.token()) == ("https://k8s.example:443", "secret-1")
    assert access.route.ca is not None
    assert Path(access.route.ca).read_bytes() == AUTHORITY
    access.close()
    assert not Path(access.route.ca).exists(), "nothing is left behind"


def test_yaml_is_read_like_json(tmp_path: Path) -> None:
    access = kubeconfig_access(write(tmp_path, yaml.safe_dump(document())))
    assert (access.url, access.route.ca, access.tokens.token()) == ("https://k8s.example:443", None, "secret-1")


def test_yaml_without_its_reader_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"autoscale_aks\[kubeconfig\].*-o json"):
        kubeconfig_access(write(tmp_path, yaml.safe_dump(document())))


def test_paths_in_the_file_start_at_its_directory(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(AUTHORITY)
    (tmp_path / "token").write_text("secret-2\n")
    path = write(tmp_path, document({"tokenFile": "token"}, **{"certificate-authority": "ca.crt"}))
    access = kubeconfig_access(path)
    assert (access.route.ca, access.tokens.token()) == (str(tmp_path / "ca.crt"), "secret-2")


def test_a_refused_token_is_looked_for_in_the_file_again(tmp_path: Path) -> None:
    path = write(tmp_path, document())
    tokens = kubeconfig_access(path).tokens
    write(tmp_path, document({"token": "secret-9"}))
    assert tokens.token() == "secret-1"
    tokens.invalidate("something older")
    assert tokens.token() == "secret-1"
    tokens.invalidate("secret-1")
    assert tokens.token() == "secret-9"
    assert "secret" not in repr(tokens)
    path.unlink()
    with pytest.raises(AuthError):
        tokens.invalidate("secret-9")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (document({"client-certificate-data": "eA=="}), "of use only together"),
        (document({"client-certificate-data": "eA==", "client-key-data": "%%"}), "client-key-data: is not base64"),
        (document({}), "neither a token, nor exec, nor a client certificate"),
        (document({"username": "me", "password": "secret-5"}), "username: is not supported"),
        (document({"auth-provider": {"name": "azure"}}), "kubelogin convert-kubeconfig"),
        (document({"exec": {"args": []}}), "needs a command"),
        (document({"exec": {"command": "x", "args": "a b"}}), "lists for args"),
        (document(**{"insecure-skip-tls-verify": True}), "show our token to anybody"),
        (document(server="http://k8s.example"), "in clear"),
        (document(server=""), "is not an http"),
        (document(**{"certificate-authority-data": "?"}), "not base64"),
        (document(**{"certificate-authority": "nowhere.crt"}), "is not there"),
        ({**document(), "users": []}, 'users: has no "me"'),
        ({**document(), "clusters": "none"}, 'clusters: has no "c"'),
        ({**document(), "contexts": [None, {"name": "here"}]}, 'contexts: has no "here"'),
        ({**document(), "current-context": ""}, "aks.kubernetes_context"),
        ([], "is no kubeconfig"),
        ("{a: [", "neither YAML nor JSON"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_and_where_and_never_shows_a_token(
    tmp_path: Path, content: Any, says: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as raised:
        kubeconfig_access(path)
    assert says in str(raised.value)
    assert str(path) in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_is_not_there_and_a_context_that_is_not_in_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"aks.kubernetes_config_file: .*cannot be read"):
        kubeconfig_access(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match='contexts: has no "mars"'):
        kubeconfig_access(write(tmp_path, document()), "mars")


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret-3")
    (tmp_path / "ca.crt").write_bytes(AUTHORITY)
    access = in_cluster_access({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert (access.url, access.route.ca, access.tokens.token()) == (
        "https://10.0.0.1:6443",
        str(tmp_path / "ca.crt"),
        "secret-3",
    )
    assert in_cluster_access({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).url == "https://[fd00::1]:443"


@pytest.mark.parametrize("environment", [{}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}])
def test_outside_a_pod_there_is_no_service_account(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"aks.kubernetes_in_cluster: .*no pod"):
        in_cluster_access(environment, tmp_path)


def program(directory: Path, body: str) -> ExecCommand:
    """A credential program in Python."""
    return ExecCommand(
        arguments=(sys.executable, str(write(directory, body, "program.py"))), environment={"EXTRA": "given"}
    )


COUNTING = """
import json, os, pathlib, sys
count = pathlib.Path(__file__).with_suffix(".count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert asked["kind"] == "ExecCredential" and os.environ["EXTRA"] == "given" and not sys.stdin.read()
print(json.dumps({"kind": "ExecCredential", "status": {"token": f"secret-{number}", "expirationTimestamp": "WHEN"}}))
"""


def test_a_program_is_run_once_until_a_minute_before_its_tokens_end_or_a_refusal(tmp_path: Path) -> None:
    clock = FakeClock()
    body = COUNTING.replace("WHEN", format_timestamp(EPOCH + 600))
    source = ExecTokenSource(program(tmp_path, body), now=clock.effects().now)
    assert [source.token(), source.token()] == ["secret-1", "secret-1"]
    source.invalidate("something older")
    assert source.token() == "secret-1"
    source.invalidate("secret-1")
    assert source.token() == "secret-2"
    clock.time = EPOCH + 541
    assert source.token() == "secret-3"
    assert "secret" not in repr(source)
    assert "given" not in repr(source)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import sys; print('secret-1'); sys.exit('not logged in\\nlong story')", "status 1: not logged in"),
        ("print('secret-1')", "no ExecCredential"),
        ('print(\'{"status": {"token": ""}}\')', "no ExecCredential"),
        ('print(\'{"status": {"token": "secret 1"}}\')', "no ExecCredential"),
        ("import time; time.sleep(30)", "TimeoutExpired"),
    ],
)
def test_a_program_that_gives_no_token_is_an_auth_error_that_shows_none(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(AuthError) as raised:
        ExecTokenSource(program(tmp_path, body), timeout_s=0.5 if "sleep" in body else 20).token()
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_program_that_is_not_installed_says_how_to_get_it(tmp_path: Path) -> None:
    user = {"exec": {"command": "./no-such-login", "installHint": "see the site's manual", "env": [{"name": "A"}]}}
    tokens = kubeconfig_access(write(tmp_path, document(user))).tokens
    with pytest.raises(AuthError, match="not installed; see the site's manual"):
        tokens.token()
