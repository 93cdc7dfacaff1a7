"""Which API server the settings name: a kubeconfig, an address, or that of the pod we run in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale_aks.access.addresses import check_url
from autoscale_aks.access.connections import Route
from autoscale_aks.access.kubeconfig import KubernetesAccess, in_cluster_access, kubeconfig_access
from autoscale_aks.access.tokens import FileTokenSource, NoToken
from autoscale_aks.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.schedulers.kubernetes.settings import KubernetesSettings


def access_of(settings: KubernetesSettings, environment: Mapping[str, str]) -> KubernetesAccess:
    """The access that the settings describe. Raises ConfigError."""
    if settings.kubeconfig is not None:
        return kubeconfig_access(settings.kubeconfig, settings.context, setting="scheduler.kubeconfig")
    if settings.url is None:
        return in_cluster_access(environment, setting="scheduler")
    try:
        check_url("url", settings.url)
    except ValueError as error:
        raise ConfigError([Problem("scheduler.url", str(error))]) from error
    return KubernetesAccess(
        url=settings.url.rstrip("/"),
        tokens=NoToken() if settings.token_file is None else FileTokenSource(settings.token_file),
        route=Route(ca=None if settings.ca_file is None else str(settings.ca_file)),
    )
