"""`AksClient`: the cloud port on AKS. What the methods promise is in `cloud/port.py`."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.cloud.aks.batch import MachineWriter
from autoscale_aks.cloud.aks.budget import ARM_READS, ARM_WRITES, Lane, Rate, RateBudget
from autoscale_aks.cloud.aks.caller import Call, Caller, Patience, throttled
from autoscale_aks.cloud.aks.deletion import Deleter
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.examine import examine
from autoscale_aks.cloud.aks.faults import is_absent_pool, parse_fault, parse_object
from autoscale_aks.cloud.aks.launcher import Launcher
from autoscale_aks.cloud.aks.memory import PoolMemory
from autoscale_aks.cloud.aks.node_pages import read_nodes
from autoscale_aks.cloud.aks.pages import describe, walk
from autoscale_aks.cloud.aks.pool import ensure_all, ensure_pool, get_pool
from autoscale_aks.cloud.aks.pool_views import delete_pool_to_the_end, list_pool_views
from autoscale_aks.cloud.aks.pools import Pools
from autoscale_aks.cloud.aks.scale import ScaleOrder, Watch, check_names, check_split, scale, scale_names, spread
from autoscale_aks.cloud.aks.transport import REQUEST_CAP_S, HttpTransport, Response, Transport
from autoscale_aks.cloud.aks.wire import HeaderLimits, decode_machine
from autoscale_aks.errors import (
    AuthError,
    CloudError,
    PoolLimitError,
    PoolRefusedError,
    ProtocolError,
)
from autoscale_aks.model.launch import CallDeadlines, Machine, MachineListing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoscale_aks.access.tokens import TokenSource
    from autoscale_aks.cloud.aks.caller import Answer
    from autoscale_aks.cloud.aks.endpoints import AksEndpoints
    from autoscale_aks.cloud.aks.pages import Walk
    from autoscale_aks.cloud.aks.record import OperationRecord
    from autoscale_aks.cloud.port import CloudPort, DirectPort
    from autoscale_aks.model.launch import (
        ChunkOutcome,
        ClusterNode,
        DeleteOutcome,
        LaunchRequest,
        MachineTemplate,
        PoolView,
    )
    from autoscale_aks.model.service import ServiceView

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How a client behaves; what it talks to is in `AksEndpoints`."""

    workers: int = 100
    """Requests in flight at most (B4). A cluster's 5,000 nodes are 100 requests: one round trip."""
    header: HeaderLimits = field(default_factory=HeaderLimits)
    timeout_s: float = REQUEST_CAP_S
    """Per attempt, 60 s at most (B8)."""
    throttle_patience_s: float = 120.0
    """How long one call may wait for the service's throttle, over all attempts."""
    deadlines: CallDeadlines = CallDeadlines()
    """How long calls may take whose caller names no deadline."""
    expand_vm_state: bool = True
    """Ask lists for `vmState` (§1.1); a service that refuses is asked without from then on."""
    reads: Rate = ARM_READS
    writes: Rate = ARM_WRITES


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a client learns of a cluster that the next run should know; for the caller to keep."""

    batch_honoured: bool | None = None
    """Whether `BatchPutMachine` makes all its machines here (B10); None: not seen yet."""
    not_before: Mapping[str, float] = field(default_factory=frozendict)
    """Per lane (`read`, `write`), the moment before which the service wants nothing."""


class AksClient:
    """Implements `CloudPort`. Thread-safe for reads; one `create_machines` at a time."""

    def __init__(
        self,
        endpoints: AksEndpoints,
        tokens: TokenSource,
        *,
        kubernetes_tokens: TokenSource | None = None,
        transport: Transport | None = None,
        settings: ClientSettings | None = None,
        remembered: Remembered | None = None,
        effects: Effects | None = None,
    ) -> None:
        self._settings = settings or ClientSettings()
        if self._settings.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self._settings.workers}")
        remembered = remembered or Remembered()
        self._effects = effects or Effects()
        self.endpoints = endpoints
        self._tokens = tokens
        self._transport = transport = transport or HttpTransport(connections=max(64, self._settings.workers))
        patience = Patience(timeout_s=self._settings.timeout_s, throttle_s=self._settings.throttle_patience_s)
        budget = RateBudget(
            reads=self._settings.reads,
            writes=self._settings.writes,
            not_before=remembered.not_before,
            effects=self._effects,
        )
        self._arm = Caller(transport, tokens, budget, patience=patience, effects=self._effects)
        self._kubernetes = (
            Caller(
                transport,
                kubernetes_tokens,
                RateBudget(effects=self._effects),
                patience=patience,
                route=endpoints.kubernetes_route,
                effects=self._effects,
            )
            if kubernetes_tokens is not None and endpoints.kubernetes_url is not None
            else None
        )
        self._memory = PoolMemory()
        writer = MachineWriter(self._arm, endpoints, self._settings.header, self._effects.now)
        self._launcher = Launcher(
            writer,
            self.list_machines,
            self._effects.now,
            memory=self._memory,
            batch_honoured=remembered.batch_honoured,
        )
        self._pools = Pools(caller=self._arm, endpoints=endpoints, effects=self._effects)
        self._deleter = Deleter(self._arm, endpoints, self.list_machines)
        self._expand = self._settings.expand_vm_state

    def close(self) -> None:
        """Let the workers go and drop the kept connections."""
        self._launcher.close()
        self._transport.close()

    def __enter__(self) -> AksClient:  # noqa: PYI034  `Self` came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def batch_honoured(self) -> bool | None:
        """Whether the batch header works on this cluster; False sends machines one by one (B10)."""
        return self._launcher.batch_honoured

    def forget_batch(self) -> None:
        """Try the batch header anew, whatever earlier runs saw."""
        self._launcher.batch_honoured = None

    @property
    def remembered(self) -> Remembered:
        """What the next run should be given."""
        return Remembered(batch_honoured=self.batch_honoured, not_before=frozendict(self._arm.budget.not_before))

    @property
    def settings(self) -> ClientSettings:
        """How this client behaves."""
        return self._settings

    @property
    def tokens(self) -> TokenSource:
        """Where this client has its tokens for Azure Resource Manager from."""
        return self._tokens

    @property
    def transport(self) -> Transport:
        """What this client sends with; others may send with it too."""
        return self._transport

    @property
    def effects(self) -> Effects:
        """The clock and the sleep that this client uses."""
        return self._effects

    def _until(self, deadline: float | None, default_s: float) -> float:
        """The deadline of a call: the caller's, else the default from now on."""
        return self._effects.now() + default_s if deadline is None else deadline

    def ensure_pool(self, pool: str, deadline: float | None = None) -> None:
        """Make the pool in Machines mode if it is absent and wait until it can take machines (§2.1).

        A pool that was found so a short time ago, and has not been heard of otherwise since, is not asked again.
        """
        if self._memory.is_usable(pool, self._effects.now()):
            return
        until = self._until(deadline, self._settings.deadlines.pool_s)
        try:
            ensure_pool(self._arm, self.endpoints, pool, deadline=until, effects=self._effects)
        except PoolRefusedError as error:
            self._explain_refusal(pool, error, until)
            raise
        self._memory.note_usable(pool, self._effects.now())

    def ensure_pools(self, pools: Sequence[str], deadline: float | None = None) -> Mapping[str, CloudError]:
        """`ensure_pool` for all of them at once, each with the whole time; those that cannot be used, and why."""
        unsure = [pool for pool in pools if not self._memory.is_usable(pool, self._effects.now())]
        return ensure_all(lambda pool: self.ensure_pool(pool, deadline), unsure)

    def _explain_refusal(self, pool: str, error: CloudError, deadline: float) -> None:
        """Raise PoolLimitError where that is why a pool was refused; the service has no code of its own for it."""
        try:
            self._pools.check_room(pool, deadline)
        except PoolLimitError as full:
            raise full from error
        except CloudError as trouble:
            log.info("whether the cluster has room for pool %s cannot be told: %s", pool, trouble)

    def list_pools(self, deadline: float | None = None) -> tuple[str, ...]:
        """The names of the cluster's pools in Machines mode (§1.1)."""
        return self._pools.of_machines(self._until(deadline, self._settings.deadlines.list_s))

    def delete_pool(self, pool: str, deadline: float | None = None) -> None:
        """Ask for the deletion of a pool and its machines; absent is success (§1.1)."""
        self._memory.forget_lists([pool])
        self._memory.forget_usable([pool])
        self._pools.delete(pool, self._until(deadline, self._settings.deadlines.delete_s))

    def get_pool(self, pool: str, deadline: float | None = None) -> PoolView | None:
        """The pool as the service shows it; None when it is absent."""
        until = self._until(deadline, self._settings.deadlines.list_s)
        return get_pool(self._arm, self.endpoints, pool, self._effects, until)

    def list_pool_views(self) -> tuple[PoolView, ...]:
        """Every agent pool of the cluster, in any mode. Raises CloudError when the list cannot be read whole."""
        return list_pool_views(self._arm, self.endpoints, self._effects)

    def delete_pool_to_the_end(self, pool: str, *, wait_s: float | None = None) -> bool:
        """Delete a Machines pool with its machines; absent is success. Whether it is gone within `wait_s`."""
        wait_s = self._settings.deadlines.pool_s if wait_s is None else wait_s
        self._memory.forget_lists([pool])
        self._memory.forget_usable([pool])
        return delete_pool_to_the_end(self._arm, self.endpoints, pool, wait_s=wait_s, effects=self._effects)

    def get_machine(self, pool: str, name: str) -> Machine | None:
        """One machine, None when it or its pool is absent. For looking at one: states of many are read by LIST (§11).

        Raises CloudError when the question is not answered.
        """
        answer = self._arm.call(Call(method="GET", url=self.endpoints.machine_url(pool, name), label=f"machine {name}"))
        if isinstance(answer.result, Response) and answer.result.ok:
            return decode_machine(parse_object(answer.result.body), pool)
        self._check_refusal(answer)
        if _is_absent(answer):
            return None
        raise CloudError(f"machine {name} of pool {pool} cannot be read: {describe(answer)}")

    def list_machines(self, pool: str, deadline: float | None = None) -> MachineListing:
        """All machines of a pool, every page followed (§7.4). A pool that does not exist is empty and complete."""
        asked_at = self._effects.now()
        found = self._walk(pool, self._until(deadline, self._settings.deadlines.list_s))
        if found.refusal is not None:
            self._check_refusal(found.refusal)
            if _is_absent(found.refusal):
                absent = MachineListing(pool=pool, machines=())
                self._memory.note_list(absent, asked_at, exists=False)
                return absent
        machines: dict[str, Machine] = {}
        detail = found.detail
        for item in found.items:
            try:
                machine = decode_machine(item, pool)
            except ProtocolError as error:
                detail = detail or str(error)
            else:
                machines[machine.name] = machine
        if detail:
            log.warning("the list of pool %s is not complete: %s", pool, detail)
        listing = MachineListing(
            pool=pool,
            machines=tuple(machines.values()),
            complete=not detail,
            pages=found.pages,
            detail=detail,
            answered=found.refusal is None or isinstance(found.refusal.result, Response),
        )
        self._memory.note_list(listing, asked_at, exists=True)
        return listing

    def create_machines(
        self,
        requests: Sequence[LaunchRequest],
        on_chunk: Callable[[ChunkOutcome], None] | None = None,
        deadline: float | None = None,
    ) -> tuple[ChunkOutcome, ...]:
        """Send every chunk, then prove by LIST what exists (batching.md B4, B7 – B10).

        `on_chunk` is called as each chunk's PUTs are answered, and again with the same chunk id when the proof
        changed its outcomes: the later one counts.
        """
        return self.launch(requests, on_chunk, workers=self._settings.workers, deadline=deadline)

    def launch(
        self,
        requests: Sequence[LaunchRequest],
        on_chunk: Callable[[ChunkOutcome], None] | None = None,
        *,
        workers: int,
        batch: bool = True,
        deadline: float | None = None,
    ) -> tuple[ChunkOutcome, ...]:
        """`create_machines` with another number of workers, or without the batch header."""
        until = self._until(deadline, self._settings.deadlines.create_s)
        return self._launcher.launch(requests, on_chunk, workers=workers, batch=batch, deadline=until)

    def scale_machine(
        self,
        template: MachineTemplate,
        count: int,
        machine_workers: int,
        use_batch_api: bool = True,
        *,
        names: Sequence[str] | None = None,
        zones: Sequence[str] = (),
        watch: Watch | None = None,
    ) -> OperationRecord:
        """Create `count` machines in one wave and wait for their nodes (B2, B11).

        Raises ValueError, before any request, unless `count` splits evenly over the workers with at most 50 each, and
        for names that are not usable. Without `names` they are made from the count and the present time. Machines
        stand in the zones in turn.
        """
        check_split(count, machine_workers)
        chosen = scale_names(count, self._effects.now()) if names is None else names
        check_names(template.pool, chosen, count)
        order = ScaleOrder(
            template=template,
            machines=spread(chosen, zones, {}),
            machine_workers=machine_workers,
            use_batch_api=use_batch_api,
        )
        return scale(self, order, watch or Watch())

    def delete_machines(self, pool: str, names: Sequence[str], deadline: float | None = None) -> DeleteOutcome:
        """Ask for deletion, at most 50 a request; absent is success (§7.5)."""
        until = self._until(deadline, self._settings.deadlines.delete_s)
        self._memory.forget_lists([pool])
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="aks") as executor:
            return self._deleter.delete(executor, pool, names, until)

    def list_nodes(self, pools: Sequence[str], deadline: float | None = None) -> tuple[ClusterNode, ...]:
        """The Kubernetes nodes of these pools, ready or not. Raises CloudError when the list cannot be read whole."""
        if self._kubernetes is None or self.endpoints.kubernetes_url is None:
            raise CloudError("no Kubernetes API is configured: nodes cannot be listed")
        if not pools:
            return ()
        until = self._until(deadline, self._settings.deadlines.list_s)
        return read_nodes(self._kubernetes, self.endpoints.kubernetes_url, pools, until, self._check_refusal)

    def examine(self, pool: str | None) -> ServiceView:
        """The cluster, both API versions and the caller's rights; `pool` is one that exists, to try machines on."""
        until = self._until(None, self._settings.deadlines.list_s)
        return examine(self._arm, self.endpoints, self._effects, pool, until)

    def _walk(self, pool: str, deadline: float) -> Walk:
        label = f"list {pool}"
        if self._expand:
            found = walk(self._arm, self.endpoints.machines_url(pool, expand_vm_state=True), label, deadline)
            refused = found.refusal.result if found.refusal is not None else None
            if not isinstance(refused, Response) or refused.status != 400:
                return found
            log.info("the list of machines refuses $expand; asking without")
            self._expand = False
        return walk(self._arm, self.endpoints.machines_url(pool), label, deadline)

    def _check_refusal(self, answer: Answer, caller: Caller | None = None) -> None:
        """Raise for a list that was refused as a whole; return for a pool that is absent and for passing trouble."""
        response = answer.result
        if not isinstance(response, Response):
            return
        if response.status in {401, 403}:
            raise AuthError(describe(answer))
        if response.status == 429:
            raise throttled(answer, caller or self._arm, Lane.READ, self._effects.now())
        if 400 <= response.status < 500 and response.status != 408 and not _is_absent(answer):
            raise CloudError(describe(answer))


def _is_absent(answer: Answer) -> bool:
    response = answer.result
    return isinstance(response, Response) and is_absent_pool(
        response.status, parse_fault(response.status, response.body)
    )


if TYPE_CHECKING:

    def _as_port(client: AksClient) -> CloudPort:
        """The type checker's proof that the port is kept."""
        return client

    def _as_direct_port(client: AksClient) -> DirectPort:
        """And that of the direct tools."""
        return client
