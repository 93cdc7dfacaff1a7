"""How the Kubernetes API is reached: a kubeconfig file, or the account of the pod that this program runs in.

======================================  ==========================================================================
In a kubeconfig                         Here
======================================  ==========================================================================
`cluster.server`                        the address; plain http for this machine only
`cluster.certificate-authority(-data)`  what the address is checked against
`user.token`                            read again from the file after a 401
`user.tokenFile`                        read on every use
`user.exec`                             run when the token is used up (`kubelogin`), never through a shell
`user.client-certificate(-data)`        shown to the server, with its key, beside a token or alone
`cluster.proxy-url`                     used instead of the environment's
no user at all                          nothing is shown: for servers that take anybody
`user.username`, `auth-provider`        refused: give a token, a certificate or `exec`
`insecure-skip-tls-verify`              refused: every request carries a token
======================================  ==========================================================================

The Kubernetes scheduler takes over what is refused (`read_context`) and leaves the rest to the official client.

YAML needs the extra `kubeconfig` (or `kubernetes`, which brings it); a file in JSON needs nothing (`kubectl config view
--raw --flatten -o json`).
"""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.access.addresses import check_url
from autoscale_aks.access.connections import DIRECT, Route
from autoscale_aks.access.exec_tokens import ExecCommand, ExecTokenSource
from autoscale_aks.access.tokens import FileTokenSource, NoToken, is_token
from autoscale_aks.errors import AuthError, ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.access.tokens import TokenSource

POD_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
_MOST_BYTES: Final = 1 << 22


@dataclass(frozen=True, kw_only=True)
class KubernetesAccess:
    """Where the Kubernetes API is, how it is reached and checked, and where tokens for it come from.

    What a kubeconfig holds itself is in temporary files (0600) that live as long as this value.
    """

    url: str
    """Without a slash at its end."""
    tokens: TokenSource
    route: Route = DIRECT
    stored: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    def close(self) -> None:
        """Remove what was stored, before its time."""
        self.stored.close()


def in_cluster_access(
    environment: Mapping[str, str], account: Path = POD_ACCOUNT, *, setting: str = "aks.kubernetes_in_cluster"
) -> KubernetesAccess:
    """The account that Kubernetes gives the pod. Raises ConfigError outside a pod; `setting` asked for it."""
    host, port = environment.get(_HOST, ""), environment.get(_PORT, "443")
    token, ca = account / "token", account / "ca.crt"
    if not host or not token.is_file():
        room = setting.partition(".")[0]
        others = "kubernetes_config_file or a kubernetes_url" if room == "aks" else "kubeconfig or a url"
        said = "is true, but" if room == "aks" else "names no server, and"
        fault = f"{said} this is no pod with a service account ({_HOST} or {token} is missing); name a {others} instead"
        raise ConfigError([Problem(setting, fault)])
    where = f"[{host}]" if ":" in host else host
    return KubernetesAccess(
        url=f"https://{where}:{port}",
        route=Route(ca=str(ca) if ca.is_file() else None),
        tokens=FileTokenSource(token),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeContext:
    """What a kubeconfig says of one context. Nothing in it is unsafe: that was refused."""

    path: Path
    name: str
    url: str
    """Without a slash at its end."""
    cluster: Mapping[str, Any] = field(repr=False)
    user_name: str | None
    user: Mapping[str, Any] = field(repr=False)

    @property
    def proxy(self) -> str | None:
        """The proxy that the file names."""
        return _text(self.cluster, "proxy-url")


def read_context(path: Path, context: str | None = None, *, setting: str = "aks.kubernetes_config_file") -> KubeContext:
    """A kubeconfig's context; None: its current one. Raises ConfigError saying what and where.

    `setting` is what of our configuration named the file.
    """
    document = _read(path, setting)
    name = context or _text(document, "current-context")
    if not name:
        wanted = "aks.kubernetes_context" if setting.startswith("aks.") else f"{setting.partition('.')[0]}.context"
        raise _fault(path, "current-context", f"is missing; name a context in {wanted}")
    chosen = _named(path, document, "contexts", name, "context")
    cluster = _named(path, document, "clusters", _text(chosen, "cluster") or "", "cluster")
    user_name = _text(chosen, "user")
    user = {} if user_name is None else _named(path, document, "users", user_name, "user")
    url = _server(path, cluster)
    if user_name is not None:
        _check_user(path, user_name, user)
    return KubeContext(path=path, name=name, url=url, cluster=cluster, user_name=user_name, user=user)


def kubeconfig_access(
    path: Path, context: str | None = None, *, setting: str = "aks.kubernetes_config_file"
) -> KubernetesAccess:
    """What a kubeconfig's context says, as `read_context` reads it. Raises ConfigError saying what and where."""
    found = read_context(path, context, setting=setting)
    stored = ExitStack()
    try:
        route = Route(
            ca=_file(path, found.cluster, "cluster.certificate-authority", stored),
            client_cert=_client_cert(path, found.user, stored),
            proxy=found.proxy,
        )
        access = KubernetesAccess(url=found.url, route=route, tokens=_tokens(found, setting), stored=stored)
    except ConfigError:
        stored.close()
        raise
    weakref.finalize(access, stored.close)
    return access


def _server(path: Path, cluster: Mapping[str, Any]) -> str:
    if cluster.get("insecure-skip-tls-verify"):
        raise _fault(path, "cluster.insecure-skip-tls-verify", "would show our token to anybody; give the authority")
    url = (_text(cluster, "server") or "").rstrip("/")
    try:
        check_url("server", url)
    except ValueError as error:
        raise _fault(path, "cluster.server", str(error)) from error
    return url


def _check_user(path: Path, name: str, user: Mapping[str, Any]) -> None:
    for key in ("username", "password"):
        if user.get(key):
            raise _fault(path, f"users.{name}.{key}", "is not supported; use a token, a certificate or exec")
    if isinstance(user.get("exec"), dict):
        command(path, user["exec"])
    elif not _text(user, "tokenFile") and not _text(user, "token"):
        if "auth-provider" in user:
            raise _fault(path, f"users.{name}.auth-provider", "is no longer in use; run `kubelogin convert-kubeconfig`")
        if not any(_text(user, key) for key in ("client-certificate", "client-certificate-data", "client-key-data")):
            raise _fault(path, f"users.{name}", "has neither a token, nor exec, nor a client certificate with its key")


def _file(path: Path, entry: Mapping[str, Any], where: str, stored: ExitStack) -> str | None:
    """A file by its name, from the kubeconfig's directory, or its content in a file that only we can read."""
    key = where.partition(".")[2]
    data, name = _text(entry, f"{key}-data"), _text(entry, key)
    if data:
        try:
            content = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _fault(path, f"{where}-data", "is not base64") from error
        file = stored.enter_context(tempfile.NamedTemporaryFile(prefix="azaks-"))  # noqa: SIM115  closed by the stack
        file.write(content)
        file.flush()
        return file.name
    if name:
        found = path.parent / name
        if not found.is_file():
            raise _fault(path, where, f"{found} is not there")
        return str(found)
    return None


def _client_cert(path: Path, user: Mapping[str, Any], stored: ExitStack) -> tuple[str, str] | None:
    certificate = _file(path, user, "user.client-certificate", stored)
    key = _file(path, user, "user.client-key", stored)
    if (certificate is None) != (key is None):
        raise _fault(path, "user.client-certificate", "and client-key are of use only together")
    return None if certificate is None or key is None else (certificate, key)


def _tokens(found: KubeContext, setting: str) -> TokenSource:
    if found.user_name is None:
        return NoToken()
    if isinstance(found.user.get("exec"), dict):
        return ExecTokenSource(command(found.path, found.user["exec"]))
    file = _text(found.user, "tokenFile")
    if file:
        return FileTokenSource(found.path.parent / file)
    if _text(found.user, "token"):
        return KubeconfigTokenSource(found.path, found.user_name, setting)
    return NoToken()


class KubeconfigTokenSource:
    """The token that stands in a kubeconfig; read again when it was refused, because tools write new ones there."""

    def __init__(self, path: Path, user: str, setting: str) -> None:
        self._path = path
        self._user = user
        self._setting = setting
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
            token = _text(_named(self._path, _read(self._path, self._setting), "users", self._user, "user"), "token")
        except ConfigError as error:
            raise AuthError(str(error)) from error
        if token is None or not is_token(token):
            raise AuthError(f"{self._path}: users.{self._user}.token is no token")
        return token


def command(path: Path, spec: Mapping[str, Any]) -> ExecCommand:
    """The program that `user.exec` names, from the kubeconfig's directory. Raises ConfigError."""
    program = _text(spec, "command")
    arguments = spec.get("args") or []
    variables = spec.get("env") or []
    if not program or not isinstance(arguments, list) or not isinstance(variables, list):
        raise _fault(path, "user.exec", "needs a command, and lists for args and env")
    if "/" in program:
        program = str(path.parent / program)
    return ExecCommand(
        arguments=(program, *(str(argument) for argument in arguments)),
        environment={_text(one, "name") or "": _text(one, "value") or "" for one in variables},
        api_version=_text(spec, "apiVersion") or "client.authentication.k8s.io/v1",
        hint=_text(spec, "installHint") or "",
    )


def _read(path: Path, setting: str) -> Mapping[str, Any]:
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(setting, f"{path} cannot be read: {error}")]) from error
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
        found = entry.get(part) if isinstance(entry, dict) and entry.get("name") == name else None
        if isinstance(found, dict):
            return found
    raise _fault(path, group, f'has no "{name}"')


def _text(entry: object, key: str) -> str | None:
    """A text in an object; None where it is missing, empty, or something else."""
    found = entry.get(key) if isinstance(entry, dict) else None
    return found if isinstance(found, str) and found else None


def _fault(path: Path, where: str, message: str) -> ConfigError:
    return ConfigError([Problem(f"{path}{': ' if where else ''}{where}", message)])
