"""How the Kubernetes API is reached: a kubeconfig file, or the account of the pod that this program runs in.

======================================  ==========================================================================
In a kubeconfig                         Here
======================================  ==========================================================================
`cluster.server`                        the address; plain http for this machine only
`cluster.certificate-authority(-data)`  what the address is checked against
`user.token`                            read again from the file after a 401
`user.tokenFile`                        read on every use
`user.exec`                             run when the token is used up (`kubelogin`), never through a shell
client certificates alone               refused: give a token or `exec`
`insecure-skip-tls-verify`              refused: every request carries a token
======================================  ==========================================================================

YAML needs the extra `kubeconfig`; a file in JSON (`kubectl config view --raw --flatten -o json`) needs nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from autoscale_aks.cloud.aks.auth import FileTokenSource
from autoscale_aks.cloud.aks.endpoints import check_url
from autoscale_aks.cloud.aks.exec_tokens import ExecCommand, ExecTokenSource
from autoscale_aks.cloud.aks.wire import at
from autoscale_aks.errors import AuthError, ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.cloud.aks.auth import TokenSource

POD_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesAccess:
    """Where the Kubernetes API is, what it is checked against, and where tokens for it come from."""

    url: str
    ca: str | None
    """File with its certificate authority; None: the system's."""
    tokens: TokenSource
    stored_ca: IO[bytes] | None = None
    """The temporary file behind `ca` where the kubeconfig holds it itself; closing it removes it."""


def in_cluster_access(environment: Mapping[str, str], account: Path = POD_ACCOUNT) -> KubernetesAccess:
    """The account that Kubernetes gives the pod. Raises ConfigError outside a pod."""
    host, port = environment.get(_HOST, ""), environment.get(_PORT, "443")
    token, ca = account / "token", account / "ca.crt"
    if not host or not token.is_file():
        raise ConfigError(
            [
                Problem(
                    "aks.kubernetes_in_cluster",
                    f"is true, but this is no pod with a service account ({_HOST} or {token} is missing); name a "
                    "kubernetes_config_file or a kubernetes_url instead",
                )
            ]
        )
    where = f"[{host}]" if ":" in host else host
    return KubernetesAccess(
        url=f"https://{where}:{port}", ca=str(ca) if ca.is_file() else None, tokens=FileTokenSource(token)
    )


def kubeconfig_access(path: Path, context: str | None = None) -> KubernetesAccess:
    """What a kubeconfig's context says; None: its current one. Raises ConfigError saying what and where."""
    document = _read(path)
    name = context or _text(document, "current-context")
    if not name:
        raise _fault(path, "current-context", "is missing; name a context in aks.kubernetes_context")
    chosen = _named(path, document, "contexts", name, "context")
    cluster = _named(path, document, "clusters", _text(chosen, "cluster") or "", "cluster")
    user_name = _text(chosen, "user") or ""
    url = _server(path, cluster)
    ca, stored = _authority(path, cluster)
    return KubernetesAccess(url=url, ca=ca, tokens=_tokens(path, document, user_name), stored_ca=stored)


def _server(path: Path, cluster: Mapping[str, Any]) -> str:
    if cluster.get("insecure-skip-tls-verify"):
        raise _fault(path, "cluster.insecure-skip-tls-verify", "would show our token to anybody; give the authority")
    if cluster.get("proxy-url"):
        raise _fault(path, "cluster.proxy-url", "is not supported; set HTTPS_PROXY instead")
    url = (_text(cluster, "server") or "").rstrip("/")
    try:
        check_url("server", url)
    except ValueError as error:
        raise _fault(path, "cluster.server", str(error)) from error
    return url


def _authority(path: Path, cluster: Mapping[str, Any]) -> tuple[str | None, IO[bytes] | None]:
    data, file = _text(cluster, "certificate-authority-data"), _text(cluster, "certificate-authority")
    if data:
        try:
            content = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _fault(path, "cluster.certificate-authority-data", "is not base64") from error
        stored = tempfile.NamedTemporaryFile(prefix="azaks-ca-", suffix=".crt")  # noqa: SIM115  lives with the access
        stored.write(content)
        stored.flush()
        return stored.name, stored
    if file:
        found = path.parent / file
        if not found.is_file():
            raise _fault(path, "cluster.certificate-authority", f"{found} is not there")
        return str(found), None
    return None, None


def _tokens(path: Path, document: Mapping[str, Any], name: str) -> TokenSource:
    user = _named(path, document, "users", name, "user")
    if isinstance(user.get("exec"), dict):
        return ExecTokenSource(_command(path, user["exec"]))
    file = _text(user, "tokenFile")
    if file:
        return FileTokenSource(path.parent / file)
    if _text(user, "token"):
        return KubeconfigTokenSource(path, name)
    if "auth-provider" in user:
        raise _fault(path, f"users.{name}.auth-provider", "is no longer in use; run `kubelogin convert-kubeconfig`")
    raise _fault(
        path,
        f"users.{name}",
        "has neither a token nor exec; client certificates alone are not supported. A service account's token can "
        "stand in a tokenFile, or use aks.kubernetes_url with aks.credential",
    )


class KubeconfigTokenSource:
    """The token that stands in a kubeconfig; read again when it was refused, because tools write new ones there."""

    def __init__(self, path: Path, user: str) -> None:
        self._path = path
        self._user = user
        self._token = self._read()

    def __repr__(self) -> str:
        return f"KubeconfigTokenSource({str(self._path)!r}, {self._user!r})"

    def token(self) -> str:
        """The token as last read."""
        return self._token

    def invalidate(self, refused: str) -> None:
        """Look whether the file has a newer one."""
        if refused == self._token:
            self._token = self._read()

    def _read(self) -> str:
        try:
            token = _text(_named(self._path, _read(self._path), "users", self._user, "user"), "token")
        except ConfigError as error:
            raise AuthError(str(error)) from error
        if not token or not token.isascii() or any(character.isspace() for character in token):
            raise AuthError(f"{self._path}: users.{self._user}.token is no token")
        return token


def _command(path: Path, spec: Mapping[str, Any]) -> ExecCommand:
    command = _text(spec, "command")
    arguments = spec.get("args") or []
    variables = spec.get("env") or []
    if not command or not isinstance(arguments, list) or not isinstance(variables, list):
        raise _fault(path, "user.exec", "needs a command, and lists for args and env")
    if "/" in command:
        command = str(path.parent / command)
    return ExecCommand(
        arguments=(command, *(str(argument) for argument in arguments)),
        environment={str(at(one, "name")): str(at(one, "value")) for one in variables},
        api_version=_text(spec, "apiVersion") or "client.authentication.k8s.io/v1",
        hint=_text(spec, "installHint") or "",
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem("aks.kubernetes_config_file", f"{path} cannot be read: {error}")]) from error
    document = _parse(path, text)
    if not isinstance(document, dict):
        raise _fault(path, "", "is no kubeconfig")
    return document


def _parse(path: Path, text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        import yaml  # noqa: PLC0415  an extra
    except ImportError as error:
        raise _fault(
            path,
            "",
            "is YAML, which needs the extra: pip install autoscale_aks[kubeconfig], or write it as JSON with "
            "`kubectl config view --raw --flatten -o json`",
        ) from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise _fault(path, "", "is neither YAML nor JSON") from error


def _named(path: Path, document: Mapping[str, Any], group: str, name: str, part: str) -> Mapping[str, Any]:
    entries = document.get(group)
    for entry in entries if isinstance(entries, list) else []:
        found = at(entry, part)
        if at(entry, "name") == name and isinstance(found, dict):
            return found
    raise _fault(path, group, f'has no "{name}"')


def _text(value: object, *keys: str) -> str | None:
    found = at(value, *keys)
    return found if isinstance(found, str) else None


def _fault(path: Path, where: str, message: str) -> ConfigError:
    return ConfigError([Problem(f"{path}{': ' if where else ''}{where}", message)])
