"""From a configuration to the ports: the only place that knows which implementation stands behind which."""

from __future__ import annotations

import os
import socket
import uuid
import weakref
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.access.connections import DIRECT, Route
from autoscale_aks.cli.learned import keep_learned, learned_of
from autoscale_aks.cli.logs import stamped
from autoscale_aks.cli.telling import TellingScheduler
from autoscale_aks.clock import Clock, SystemClock
from autoscale_aks.cloud.aks.auth import (
    KUBERNETES_SCOPE,
    AzureTokenSource,
    CredentialKind,
    NoTokens,
    StaticTokenSource,
    azure_credentials,
)
from autoscale_aks.cloud.aks.budget import RateBudget
from autoscale_aks.cloud.aks.caller import Caller, Patience
from autoscale_aks.cloud.aks.client import AksClient, ClientSettings
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.endpoints import AksEndpoints
from autoscale_aks.cloud.aks.transport import REQUEST_CAP_S, HttpTransport
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits, machines_per_put
from autoscale_aks.cloud.azure.cache import FileCache
from autoscale_aks.cloud.azure.endpoints import AzureEndpoints
from autoscale_aks.cloud.azure.reference import AzureReference, ReferenceRules
from autoscale_aks.cloud.gate import Gate, GatedTransport
from autoscale_aks.cloud.reach import CONNECT_TIMEOUT_S, ImpatientTransport
from autoscale_aks.config.references import CACHE_DIR
from autoscale_aks.errors import ConfigError, Problem
from autoscale_aks.ledger.lock import Writer, WriterLock
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.model.bucket import expand_buckets
from autoscale_aks.reconcile import World
from autoscale_aks.reconcile.launch import machine_tags
from autoscale_aks.reconcile.names import LONGEST_NAME
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.access.kubeconfig import KubernetesAccess
    from autoscale_aks.access.tokens import TokenSource
    from autoscale_aks.cloud.aks.lease import KubernetesLease
    from autoscale_aks.cloud.aks.transport import Transport
    from autoscale_aks.cloud.port import CloudPort
    from autoscale_aks.config import AksConfig, Config, LeaseConfig
    from autoscale_aks.doctor.site import ServicePort, Site
    from autoscale_aks.loop import Heart, LockPort
    from autoscale_aks.schedulers.port import SchedulerPort

_LINGER_S: Final = 10.0
"""How long a run that is over waits for lists of Azure that are under way, so that the next run has them."""
_LINGER_SLICE_S: Final = 0.25
_EMULATOR_TOKEN: Final = "emulator"  # noqa: S105  stands in for a token where there is none to have


@contextmanager
def writing_world(config: Config, clock: Clock | None = None, gate: Gate | None = None) -> Iterator[World]:
    """Everything a cycle needs, with the right to write held.

    Raises LockHeldError when another run is at it, and LockLostError in the end when it was lost meanwhile.
    """
    clock = clock or SystemClock()
    gate = gate or Gate(clock.now)
    with writing_locks(config, clock, gate) as heart, opened_world(config, clock, gate) as world:
        try:
            yield world
        finally:
            remember(world)
        _linger(world, gate)
        heart.check()


def _linger(world: World, gate: Gate) -> None:
    """What was asked of Azure and not waited for is kept for the next run, if it comes soon and nobody stops us."""
    if isinstance(world.reference, AzureReference):
        for _ in range(int(_LINGER_S / _LINGER_SLICE_S)):
            if gate.reason is not None or world.reference.linger(_LINGER_SLICE_S):
                break


@contextmanager
def writing_locks(config: Config, clock: Clock, gate: Gate) -> Iterator[Heart]:
    """The lock beside the ledger and, where one is configured, the lease; losing one closes the gate."""
    from autoscale_aks.loop import holding  # noqa: PLC0415  a dry run holds no lock

    writer = Writer(owner=config.aks.owner, now=clock.now(), pid=os.getpid(), host=socket.gethostname())
    with ExitStack() as stack:
        locks: list[LockPort] = [WriterLock(config.ledger.path, writer)]
        if config.loop.lease is not None:
            locks.append(_lease(config.aks, config.loop.lease, writer, stack))
        yield stack.enter_context(holding(locks, clock, gate.close))


def _lease(aks: AksConfig, lease: LeaseConfig, writer: Writer, stack: ExitStack) -> KubernetesLease:
    from autoscale_aks.cloud.aks.lease import KubernetesLease, LeaseOrder  # noqa: PLC0415  where a lease is configured

    kubernetes = _kubernetes(aks)
    if kubernetes is None:
        raise ConfigError(
            [Problem("loop.lease", "the cluster's Kubernetes API is not configured: give aks.kubernetes_url")]
        )
    stack.callback(kubernetes.close)
    transport = HttpTransport()
    stack.callback(transport.close)
    effects = Effects()
    caller = Caller(
        transport,
        kubernetes.tokens,
        RateBudget(effects=effects),
        patience=Patience(timeout_s=min(lease.duration_s / 4, REQUEST_CAP_S), throttle_s=lease.duration_s / 4),
        route=kubernetes.route,
        effects=effects,
    )
    order = LeaseOrder(
        base_url=kubernetes.url,
        namespace=lease.namespace,
        name=lease.name,
        duration_s=lease.duration_s,
        holder=f"{writer.owner}, process {writer.pid} on {writer.host}, run {uuid.uuid4().hex[:8]}",
        now=writer.now,
    )
    return KubernetesLease(caller, order)


@contextmanager
def opened_world(config: Config, clock: Clock, gate: Gate) -> Iterator[World]:
    """The ports of a configuration, behind a gate. The caller holds the locks."""
    with Ledger.open(config.ledger.path, now=clock.now()) as ledger, build_client(config, ledger, gate) as client:
        reference = build_reference(config, client, writes=True)
        yield replace(_world(config, client, ledger, clock), reference=reference, halted=lambda: gate.reason)


@contextmanager
def reading_world(config: Config, clock: Clock | None = None) -> Iterator[World]:
    """Everything a dry run needs. The ledger's file is read and not changed."""
    clock = clock or SystemClock()
    with (
        Ledger.open(config.ledger.path, now=clock.now(), read_only=True) as ledger,
        build_client(config, ledger, only_looks=True) as client,
    ):
        reference = build_reference(config, client, writes=False)
        yield replace(_world(config, client, ledger, clock, only_looks=True), reference=reference)


def build_reference(config: Config, client: AksClient, *, writes: bool) -> AzureReference:
    """Sizes, quota and prices over the client's connections, with budgets and patience of their own.

    They are read before a decision and may not hold it up, so nothing waits for a throttle for long.
    """
    aks, references = config.aks, config.references
    patience = Patience(throttle_s=5.0)
    directory = references.catalogue.cache_dir or config.ledger.path.parent / CACHE_DIR
    endpoints = AzureEndpoints(arm_url=aks.arm_url, subscription=aks.subscription, retail_url=references.prices.url)

    def caller(tokens: TokenSource) -> Caller:
        budget = RateBudget(effects=client.effects, not_before=client.remembered.not_before)
        return Caller(client.transport, tokens, budget, patience=patience, effects=client.effects)

    return AzureReference(
        endpoints=endpoints,
        pools_url=client.endpoints.pools_url(),
        arm=caller(client.tokens),
        retail=caller(NoTokens()),
        rules=ReferenceRules(
            sizes=references.catalogue.rule,
            usages=references.quota.rule,
            subnets=references.quota.rule,
            prices=references.prices.rule,
        ),
        cache=FileCache(directory, scope=f"{aks.arm_url} {aks.subscription}", writes=writes),
        effects=client.effects,
    )


def _world(config: Config, client: AksClient, ledger: Ledger, clock: Clock, *, only_looks: bool = False) -> World:
    parse_default_resources(config.default_resources, disable_defaults=config.disable_default_resources)
    return World(
        config=config,
        scheduler=TellingScheduler(scheduler_of(config), clock, only_looks=only_looks),
        cloud=client,
        ledger=ledger,
        clock=clock,
        machines_per_put=smallest_batch(config),
        reads_cluster_nodes=config.aks.reads_nodes,
        kinds=frozendict(),
        new_plan_id=lambda: stamped(uuid.uuid4().hex[:12]),
    )


def scheduler_of(config: Config) -> SchedulerPort:
    """The scheduler's driver. Raises ConfigError for settings that it cannot use."""
    return build_scheduler(
        {"type": config.scheduler.type, **config.scheduler.settings}, base=Path(config.source).parent
    )


def build_client(
    config: Config,
    ledger: Ledger | None,
    gate: Gate | None = None,
    effects: Effects | None = None,
    *,
    only_looks: bool = False,
) -> AksClient:
    """The AKS client of a configuration, told what earlier runs learned of this cluster; None: they left nothing.

    Behind `gate`, if given, nothing is sent any more once that is closed. One that `only_looks` is for a person, and
    soon says what cannot be reached.
    """
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
        kubernetes_route=kubernetes.route if kubernetes else DIRECT,
    )
    effects = effects or Effects()
    transport: Transport = HttpTransport(connections=max(64, aks.workers))
    if gate is not None:
        transport, effects = GatedTransport(transport, gate), gate.effects(effects)
    elif only_looks:
        impatient = HttpTransport(connections=max(64, aks.workers), connect_timeout_s=CONNECT_TIMEOUT_S)
        transport = ImpatientTransport(impatient, effects)
    client = AksClient(
        endpoints,
        _tokens(aks, aks.token_scope, aks.arm_url),
        kubernetes_tokens=kubernetes.tokens if kubernetes else None,
        settings=ClientSettings(workers=aks.workers, header=header_limits(config), deadlines=aks.deadlines),
        remembered=learned_of(ledger, aks),
        transport=transport,
        effects=effects,
    )
    if kubernetes is not None:
        weakref.finalize(client, kubernetes.close)
    return client


def _kubernetes(aks: AksConfig) -> KubernetesAccess | None:
    """How the cluster's nodes are read; None: they are not."""
    from autoscale_aks.access.kubeconfig import (  # noqa: PLC0415  its programs and files where they are used
        KubernetesAccess,
        in_cluster_access,
        kubeconfig_access,
    )

    if aks.kubernetes_in_cluster:
        return in_cluster_access(os.environ)
    if aks.kubernetes_config_file is not None:
        return kubeconfig_access(aks.kubernetes_config_file, aks.kubernetes_context)
    if aks.kubernetes_url is None:
        return None
    return KubernetesAccess(
        url=aks.kubernetes_url,
        route=Route(ca=str(aks.kubernetes_ca_file) if aks.kubernetes_ca_file else None),
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


def doctors_site(config: Config, stack: ExitStack, clock: Clock | None = None) -> Site:
    """What `doctor` may look at; each part is opened when it is first wanted, and closed with the stack."""
    from autoscale_aks.doctor.site import Look, Site  # noqa: PLC0415  the checks are doctor's alone
    from autoscale_aks.reconcile.catalogue import equip  # noqa: PLC0415
    from autoscale_aks.reconcile.cycle import effective_policy  # noqa: PLC0415
    from autoscale_aks.reconcile.observe import observe  # noqa: PLC0415

    clock = clock or SystemClock()
    now = clock.now()

    def ledger() -> Ledger:
        return stack.enter_context(Ledger.open(config.ledger.path, now=now, read_only=True))

    def cloud() -> tuple[CloudPort, ServicePort]:
        client = stack.enter_context(build_client(config, None, only_looks=True))
        return client, client

    def look() -> Look:
        world = equip(stack.enter_context(reading_world(config, clock)))
        seen = observe(world)
        return Look(world=world, seen=seen, policy=effective_policy(world, seen.requested))

    return Site(
        config=config,
        now=now,
        open_scheduler=lambda: scheduler_of(config),
        open_ledger=ledger,
        open_cloud=cloud,
        open_look=look,
    )


def remember(world: World) -> None:
    """What the client learned, for the next run (user ask T10b). Nothing for a cloud that learns nothing."""
    if isinstance(world.cloud, AksClient):
        keep_learned(world.ledger, world.cloud, world.config.aks)


def with_emulator(config: Config, base_url: str) -> Config:
    """The same configuration, pointed at an emulator's address."""
    aks = replace(config.aks, kubernetes_config_file=None, kubernetes_in_cluster=False)
    return replace(config, aks=replace(aks, arm_url=base_url, kubernetes_url=base_url))
