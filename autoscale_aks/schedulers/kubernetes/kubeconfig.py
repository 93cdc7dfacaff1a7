"""kubeconfig files: clusters, users and contexts, with tokens, certificates and exec plug-ins such as kubelogin."""

from __future__ import annotations

import atexit
import base64
import binascii
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import ConfigError, Problem, SchedulerError
from autoscale_aks.schedulers.kubernetes.access import Access, checked_url, no_token, token_of_file
from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping_at, text_at
from autoscale_aks.schedulers.process import SubprocessRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST_BYTES: Final = 1 << 22
_EXEC_TIMEOUT_S: Final = 60.0


def access_of_kubeconfig(path: Path, context: str | None, environment: Mapping[str, str]) -> Access:
    """The access of a context, by default the current one. Raises ConfigError with the path in the file."""
    document = _parse(path)
    try:
        name = context or text_at(document, "current-context")
        chosen = _entry(document, "contexts", "context", name)
        cluster = _entry(document, "clusters", "cluster", text_at(chosen, "cluster"))
        user = _entry(document, "users", "user", text_at(chosen, "user")) if chosen.get("user") else {}
        return _access(cluster, user, path.parent, environment)
    except ValueError as error:
        raise ConfigError([Problem("scheduler.kubeconfig", f"{path}: {error}")]) from error


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES).decode()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError([Problem("scheduler.kubeconfig", f"{path}: {why}")]) from error
    found = _json(text)
    if found is None:
        found = _yaml(text, path)
    if not isinstance(found, dict):
        raise ConfigError([Problem("scheduler.kubeconfig", f"{path}: no kubeconfig")])
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml  # noqa: PLC0415  an extra
    except ImportError as error:
        hint = "write it as JSON (kubectl config view --raw -o json) or pip install autoscale_aks[kubernetes]"
        raise ConfigError([Problem("scheduler.kubeconfig", f"{path} is YAML: {hint}")]) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError([Problem("scheduler.kubeconfig", f"{path}: neither JSON nor YAML")]) from error


def _entry(document: Mapping[str, Any], group: str, kind: str, name: str) -> Mapping[str, Any]:
    if not name:
        raise ValueError(f"names no {kind}")
    for item in list_at(document, group):
        if text_at(item, "name") == name:
            return mapping_at(item, kind)
    raise ValueError(f"has no {kind} {name[:60]!r}")


def _access(cluster: Mapping[str, Any], user: Mapping[str, Any], base: Path, environment: Mapping[str, str]) -> Access:
    if cluster.get("insecure-skip-tls-verify"):
        raise ValueError("insecure-skip-tls-verify is not honoured; give certificate-authority")
    for key in ("username", "password", "auth-provider"):
        if user.get(key):
            raise ValueError(f"{key} is not supported; use a token, a certificate or exec")
    proxy = text_at(cluster, "proxy-url")
    authority = _file(cluster, "certificate-authority", base)
    certificate, key = _file(user, "client-certificate", base), _file(user, "client-key", base)
    return Access(
        url=checked_url(text_at(cluster, "server"), "scheduler.kubeconfig"),
        token=_token(user, base, environment),
        verify=authority or True,
        client_cert=(certificate, key) if certificate and key else None,
        proxies={"http": proxy, "https": proxy} if proxy else None,
    )


def _token(user: Mapping[str, Any], base: Path, environment: Mapping[str, str]) -> Callable[[bool], str]:
    command = mapping_at(user, "exec")
    if command:
        return ExecToken(command, environment)
    if text_at(user, "tokenFile"):
        return token_of_file(base / text_at(user, "tokenFile"))
    token = text_at(user, "token")
    return (lambda _fresh: token) if token else no_token


def _file(entry: Mapping[str, Any], key: str, base: Path) -> str:
    """A file by name, or its content written to one that only we can read, gone when we are."""
    data = text_at(entry, f"{key}-data")
    if not data:
        return str(base / text_at(entry, key)) if text_at(entry, key) else ""
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{key}-data is not base64") from error
    number, name = tempfile.mkstemp(prefix="azaks-kube-")
    atexit.register(Path(name).unlink, missing_ok=True)
    with os.fdopen(number, "wb") as stream:
        stream.write(content)
    return name


class ExecToken:
    """A token from a program (client.authentication.k8s.io), asked for again when the server refuses the last one."""

    def __init__(self, settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._command = [text_at(settings, "command"), *(str(part) for part in list_at(settings, "args"))]
        self._env = {text_at(item, "name"): text_at(item, "value") for item in list_at(settings, "env")}
        version = text_at(settings, "apiVersion") or "client.authentication.k8s.io/v1"
        question = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
        self._env["KUBERNETES_EXEC_INFO"] = json.dumps(question)
        self._runner = SubprocessRunner(environment=environment, timeout_s=_EXEC_TIMEOUT_S, output_limit=1 << 20)
        self._last = ""

    def __call__(self, fresh: bool) -> str:
        """The token. Raises SchedulerError when the program gives none."""
        if fresh or not self._last:
            answer = self._runner.run(self._command, self._env)
            found = _json(answer.text)
            status = found.get("status") if isinstance(found, dict) else None
            token = status.get("token") if isinstance(status, dict) else None
            if not isinstance(token, str) or not token:
                raise SchedulerError(f"{self._command[0]}: printed no token (kubeconfig, exec)")
            self._last = token
        return self._last
