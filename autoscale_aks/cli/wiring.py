"""From a configuration to the ports: the only place that knows which implementation stands behind which."""

from __future__ import annotations

import os
import uuid
import weakref
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.cli.learned import keep_learned, learned_of
from autoscale_aks.clock import Clock, SystemClock
from autoscale_aks.cloud.aks.auth import (
    KUBERNETES_SCOPE,
    AzureTokenSource,
    CredentialKind,
    StaticTokenSource,
    TokenSource,
    azure_credentials,
)
from autoscale_aks.cloud.aks.client import AksClient, ClientSettings
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.endpoints import AksEndpoints
from autoscale_aks.cloud.aks.kubeconfig import KubernetesAccess, in_cluster_access, kubeconfig_access
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits, machines_per_put
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.loop import writing_ledger
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.bucket import expand_buckets
from autoscale_aks.reconcile import World
from autoscale_aks.reconcile.launch import machine_tags
from autoscale_aks.reconcile.names import LONGEST_NAME
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.config import AksConfig, Config

_EMULATOR_TOKEN: Final = "emulator"  # noqa: S105  stands in for a token where there is none to have


@contextmanager
def writing_world(config: Config, clock: Clock | None = None) -> Iterator[World]:
    """Everything a cycle needs, with the ledger held for writing. Raises LockHeldError when another run is at it."""
    clock = clock or SystemClock()
    with (
        writing_ledger(config.ledger.path, config.aks.owner, os.getpid(), clock) as ledger,
        build_client(config, ledger) as client,
    ):
        try:
            yield _world(config, client, ledger, clock)
        finally:
            keep_learned(ledger, client, config.aks)


@contextmanager
def reading_world(config: Config, clock: Clock | None = None) -> Iterator[World]:
    """Everything a dry run needs. The ledger's file is read and not changed."""
    clock = clock or SystemClock()
    with (
        Ledger.open(config.ledger.path, now=clock.now(), read_only=True) as ledger,
        build_client(config, ledger) as client,
    ):
        yield _world(config, client, ledger, clock)


def _world(config: Config, client: AksClient, ledger: Ledger, clock: Clock) -> World:
    parse_default_resources(config.default_resources, disable_defaults=config.disable_default_resources)
    return World(
        config=config,
        scheduler=build_scheduler(
            {"type": config.scheduler.type, **config.scheduler.settings}, base=Path(config.source).parent
        ),
        cloud=client,
        ledger=ledger,
        clock=clock,
        machines_per_put=smallest_batch(config),
        reads_cluster_nodes=config.aks.reads_nodes,
        kinds=frozendict(),
        new_plan_id=lambda: uuid.uuid4().hex[:12],
    )


def build_client(config: Config, ledger: Ledger | None) -> AksClient:
    """The AKS client of a configuration, told what earlier runs learned of this cluster; None: they left nothing."""
    aks = config.aks
    kubernetes = _kubernetes(aks)
    endpoints = AksEndpoints(
        arm_url=aks.arm_url,
        scope=aks.token_scope,
        subscription=aks.subscription,
        resource_group=aks.resource_group,
        cluster=aks.cluster,
        pool_api_version=aks.pool_api_version,
        machine_api_version=aks.machine_api_version,
        kubernetes_url=kubernetes.url if kubernetes else None,
        kubernetes_ca=kubernetes.ca if kubernetes else None,
    )
    client = AksClient(
        endpoints,
        _tokens(aks, aks.token_scope, aks.arm_url),
        kubernetes_tokens=kubernetes.tokens if kubernetes else None,
        settings=ClientSettings(workers=aks.workers, header=header_limits(config), deadlines=aks.deadlines),
        remembered=learned_of(ledger, aks),
        effects=Effects(),
    )
    if kubernetes is not None and kubernetes.stored_ca is not None:
        weakref.finalize(client, kubernetes.stored_ca.close)
    return client


def _kubernetes(aks: AksConfig) -> KubernetesAccess | None:
    """How the cluster's nodes are read; None: they are not."""
    if aks.kubernetes_in_cluster:
        return in_cluster_access(os.environ)
    if aks.kubernetes_config_file is not None:
        return kubeconfig_access(aks.kubernetes_config_file, aks.kubernetes_context)
    if aks.kubernetes_url is None:
        return None
    return KubernetesAccess(
        url=aks.kubernetes_url,
        ca=str(aks.kubernetes_ca_file) if aks.kubernetes_ca_file else None,
        tokens=_tokens(aks, KUBERNETES_SCOPE, aks.kubernetes_url),
    )


def _tokens(aks: AksConfig, scope: str, endpoint: str) -> TokenSource:
    if "emulator" in aks.credential:
        return StaticTokenSource(_EMULATOR_TOKEN, endpoint=endpoint)
    kinds = [CredentialKind(kind) for kind in aks.credential]
    return AzureTokenSource(
        scope, azure_credentials(kinds, authority=aks.authority_url, client_id=aks.identity_client_id)
    )


def header_limits(config: Config) -> HeaderLimits:
    """How batches are written for this cluster (batching.md B5, B7)."""
    form = HeaderForm.ADDITIONAL if config.aks.batch_header == "additional" else HeaderForm.ALL
    return HeaderLimits(form=form, budget_bytes=config.aks.header_budget_bytes)


def smallest_batch(config: Config) -> int:
    """Machines that any bucket's PUT can carry, for the longest names and tags there can be (batching.md B5)."""
    if config.aks.batch_header == "off":
        return 1
    sizes = [50]
    for nodearray in config.nodearrays.values():
        for bucket in expand_buckets(nodearray.array):
            template = nodearray.template_for(bucket.vm_size)
            own = machine_tags(bucket, "0" * 12)
            sizes.append(
                machines_per_put(
                    template, LONGEST_NAME, zone=bucket.offering.zone, tags=own, limits=header_limits(config)
                )
            )
    return min(sizes)


def with_emulator(config: Config, base_url: str) -> Config:
    """The same configuration, pointed at an emulator's address."""
    aks = replace(config.aks, kubernetes_config_file=None, kubernetes_in_cluster=False)
    return replace(config, aks=replace(aks, arm_url=base_url, kubernetes_url=base_url))
