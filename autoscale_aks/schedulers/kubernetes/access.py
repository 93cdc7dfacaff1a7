"""Where the API server is and how we show who we are: a pod's service account, a kubeconfig, or an address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from autoscale_aks.errors import ConfigError, Problem, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_TOKEN_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An API server and an identity. Tokens are read when they are needed, because they are changed under us."""

    url: str
    """Without a slash at its end."""
    token: Callable[[bool], str]
    """The token to send, empty for none; the argument asks for a fresh one."""
    verify: str | bool = True
    """A CA file, or True for the system's."""
    client_cert: tuple[str, str] | None = None
    """Files of certificate and key."""
    proxies: dict[str, str] | None = None


def no_token(_fresh: bool) -> str:
    """For servers that know us by our certificate."""
    return ""


def token_of_file(path: Path) -> Callable[[bool], str]:
    """A token that somebody keeps fresh in a file."""

    def read(_fresh: bool) -> str:
        try:
            with path.open("rb") as stream:
                return stream.read(_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it holds no token"
            raise SchedulerError(f"{path}: {why}; no token for the Kubernetes API") from error

    return read


def access_of(settings: KubernetesSettings, environment: Mapping[str, str]) -> Access:
    """The access that the settings describe. Raises ConfigError."""
    if settings.kubeconfig is not None:
        from autoscale_aks.schedulers.kubernetes.kubeconfig import access_of_kubeconfig  # noqa: PLC0415  may need YAML

        return access_of_kubeconfig(settings.kubeconfig, settings.context, environment)
    if settings.url is not None:
        token = no_token if settings.token_file is None else token_of_file(settings.token_file)
        verify = True if settings.ca_file is None else str(settings.ca_file)
        return Access(url=checked_url(settings.url, "scheduler.url"), token=token, verify=verify)
    return _in_cluster(environment)


def _in_cluster(environment: Mapping[str, str]) -> Access:
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        hint = 'this is no pod of a cluster; give "kubeconfig" or "url"'
        raise ConfigError([Problem("scheduler", f"KUBERNETES_SERVICE_HOST is not set: {hint}")])
    shown = f"[{host}]" if ":" in host else host
    return Access(
        url=f"https://{shown}:{port}",
        token=token_of_file(SERVICE_ACCOUNT / "token"),
        verify=str(SERVICE_ACCOUNT / "ca.crt"),
    )


def checked_url(text: str, path: str) -> str:
    """An address without a slash at its end. Plain http would show the token to the network. Raises ConfigError."""
    parts = urlsplit(text)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError([Problem(path, "plain http is taken for this host only; use https")])
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise ConfigError([Problem(path, "expected an address such as https://HOST:443")])
    return text.rstrip("/")
