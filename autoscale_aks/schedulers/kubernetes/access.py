"""Which API server the settings name, and who we are there: a kubeconfig, an address, or the account of our pod.

The official client reads it, a kubeconfig's exec programs included. What is unsafe is refused before
(`access.kubeconfig`): it would take `insecure-skip-tls-verify`, plain http and passwords. What differs from its ways:

========================  ============================================================================================
its way                   here
========================  ============================================================================================
an exec program may hang  it is given `EXEC_TIMEOUT_S`, and no second one is started beside it
a failed one is logged    it is an error that names the program
proxy of the environment  as everywhere in this program: never one for this machine, networks in NO_PROXY
three retries             none (`retries`): the client above decides
========================  ============================================================================================
"""

from __future__ import annotations

import shutil
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import urllib3

from autoscale_aks.access.addresses import check_url
from autoscale_aks.access.connections import Route, resolved, split_credentials
from autoscale_aks.access.kubeconfig import POD_ACCOUNT, command, in_cluster_access, read_context
from autoscale_aks.access.tokens import FileTokenSource
from autoscale_aks.errors import ConfigError, Problem, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from autoscale_aks.access.kubeconfig import KubeContext
    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings
    from autoscale_aks.schedulers.kubernetes.transport import Login

EXEC_TIMEOUT_S: Final = 60.0


def login_of(
    settings: KubernetesSettings,
    environment: Mapping[str, str],
    *,
    account: Path = POD_ACCOUNT,
    exec_timeout_s: float = EXEC_TIMEOUT_S,
) -> Login:
    """What gives the official client's `Configuration`, each time read anew. Raises ConfigError for what is wrong now.

    The login itself raises SchedulerError.
    """
    if settings.kubeconfig is not None:
        path, context = settings.kubeconfig, settings.context
        read_context(path, context, setting="scheduler.kubeconfig")
        return _Kubeconfig(path, context, exec_timeout_s)
    if settings.url is None:
        in_cluster_access(environment, account, setting="scheduler")
        return partial(_in_cluster, environment, account)
    try:
        check_url("url", settings.url)
    except ValueError as error:
        raise ConfigError([Problem("scheduler.url", str(error))]) from error
    return partial(_by_url, settings.url.rstrip("/"), settings.token_file, settings.ca_file)


def _by_url(url: str, token_file: Path | None, ca_file: Path | None) -> Any:
    configuration = _blank()
    configuration.host = url
    configuration.ssl_ca_cert = None if ca_file is None else str(ca_file)
    if token_file is not None:
        tokens = FileTokenSource(token_file)

        def read_token(client: Any) -> None:
            client.api_key["BearerToken"] = f"Bearer {tokens.token()}"

        configuration.api_key["BearerToken"] = ""
        configuration.refresh_api_key_hook = read_token
    return _routed(configuration)


def _in_cluster(environment: Mapping[str, str], account: Path) -> Any:
    from kubernetes.config import ConfigException  # noqa: PLC0415  an extra
    from kubernetes.config.incluster_config import InClusterConfigLoader  # noqa: PLC0415

    configuration = _blank()
    variables = {"KUBERNETES_SERVICE_PORT": "443", **environment}
    files = {"token_filename": str(account / "token"), "cert_filename": str(account / "ca.crt")}
    try:
        loader: Any = InClusterConfigLoader
        loader(**files, environ=variables).load_and_set(configuration)
    except (ConfigException, OSError, UnicodeDecodeError) as error:
        raise SchedulerError(f"the account of this pod, {account}, cannot be used: {error}") from error
    return _routed(configuration)


class _Kubeconfig:
    """Gives the `Configuration` of a kubeconfig."""

    def __init__(self, path: Path, context: str | None, exec_timeout_s: float) -> None:
        self._path = path
        self._context = context
        self._exec_timeout_s = exec_timeout_s
        self._under_way: threading.Thread | None = None

    def __call__(self) -> Any:
        """Read the file, and run its exec program. Raises SchedulerError."""
        try:
            found = read_context(self._path, self._context, setting="scheduler.kubeconfig")
        except ConfigError as error:
            raise SchedulerError(str(error)) from error
        program = _program(found)
        configuration = _blank()
        self._load(found, configuration, program)
        if program and not configuration.api_key.get("BearerToken") and not configuration.cert_file:
            raise SchedulerError(
                f"{program}, which {found.path} names for tokens, gave none: what it said is in the log. "
                f"Run it by hand, or kubectl --kubeconfig {found.path} get nodes"
            )
        return _routed(configuration, found.proxy)

    def _load(self, found: KubeContext, configuration: Any, program: str) -> None:
        from kubernetes.config import ConfigException, load_kube_config  # noqa: PLC0415  an extra

        failures: list[Exception] = []

        def load() -> None:
            try:
                load_kube_config(str(found.path), found.name, configuration, persist_config=False)
            except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
                failures.append(error)

        if program:
            self._within_time(load, program)
        else:
            load()
        configuration.refresh_api_key_hook = None  # after a 401, within the time, and not unseen before a request
        if failures:
            raise SchedulerError(f"{found.path} cannot be used: {failures[0]}") from failures[0]

    def _within_time(self, load: Callable[[], None], program: str) -> None:
        """The official client waits for an exec program without end: so somebody else waits."""
        if self._under_way is not None and self._under_way.is_alive():
            raise SchedulerError(f"{program} of an earlier try still runs and gives no token; end it")
        self._under_way = threading.Thread(target=load, daemon=True, name="exec-program")
        self._under_way.start()
        self._under_way.join(self._exec_timeout_s)
        if self._under_way.is_alive():
            raise SchedulerError(f"{program} gave no token within {self._exec_timeout_s:g} s")


def _program(found: KubeContext) -> str:
    """The exec program; empty without one. Raises SchedulerError when it is not installed."""
    spec = found.user.get("exec")
    if not isinstance(spec, dict):
        return ""
    wanted = command(found.path, spec)
    program = wanted.arguments[0]
    if shutil.which(program) is None:
        hint = f"; {wanted.hint[:300]}" if wanted.hint else ""
        raise SchedulerError(f"{program}, which the kubeconfig names for tokens, is not installed{hint}")
    return program


def _blank() -> Any:
    from kubernetes.client import Configuration  # noqa: PLC0415  an extra, and 0.3 s to import

    configuration = Configuration()
    configuration.retries = False  # an error is an error, and a redirect an answer
    return configuration


def _routed(configuration: Any, proxy: str | None = None) -> Any:
    """The configuration with authorities and proxy as they are everywhere in this program."""
    route = resolved(Route(ca=configuration.ssl_ca_cert, proxy=proxy), configuration.host)
    if route.ca is not None and Path(route.ca).is_file():
        configuration.ssl_ca_cert = route.ca
    configuration.proxy, configuration.no_proxy = route.proxy, ""
    if route.proxy is not None:
        configuration.proxy, secret = split_credentials(route.proxy)
        configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else None
    return configuration
