"""A lease in Kubernetes: one writer among head nodes that share nothing but the cluster (user ask T33b).

=====================  =========================================================================================
the lease              then a run that comes
=====================  =========================================================================================
is not there           makes it; a 409 says that another was quicker
nobody holds it        takes it; a 409 says that another was quicker
is held and fresh      leaves it
is held and expired    takes it over; a 409 says that another was quicker
=====================  =========================================================================================

It is expired when it was not renewed for its duration and `SKEW_S` more, which the clocks of the heads may differ by.
A holder that cannot renew it stops `SKEW_S` before others may take it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final, final

from autoscale_aks.cloud.aks.budget import Lane
from autoscale_aks.cloud.aks.caller import Call
from autoscale_aks.cloud.aks.kubernetes import Lease, decode_lease, encode_lease, lease_url
from autoscale_aks.cloud.aks.pages import describe
from autoscale_aks.cloud.aks.transport import Response
from autoscale_aks.errors import CloudError, LockHeldError, LockLostError

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.caller import Answer, Caller

log = logging.getLogger(__name__)

SKEW_S: Final = 5.0
"""How far the clocks of two heads may be apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseOrder:
    """Which lease, for how long, and for whom. `now` is the start of this run, in seconds since the epoch."""

    base_url: str
    namespace: str
    name: str
    duration_s: float
    holder: str
    """Who holds it, as others are told; no two runs may say the same."""
    now: float


@final
class KubernetesLease:
    """The right to write, as a lease; the same port as the lock beside the ledger."""

    def __init__(self, caller: Caller, order: LeaseOrder) -> None:
        self._caller = caller
        self._order = order
        self._held: Lease | None = None

    def acquire(self) -> None:
        """Take the lease at once. Raises LockHeldError saying who has it, CloudError when it cannot be had at all."""
        found = self._get()
        now = self._order.now
        if found is not None and found.holder not in ("", self._order.holder) and not _is_expired(found, now):
            raise LockHeldError(
                f"another run ({found.holder}) is the writer since {_said(found.acquired_at)}, last heard of at "
                f"{_said(found.renewed_at)}; the lease {found.namespace}/{found.name} is free when it ends"
            )
        mine = replace(
            found or Lease(namespace=self._order.namespace, name=self._order.name),
            holder=self._order.holder,
            acquired_at=now,
            renewed_at=now,
            duration_s=self._order.duration_s,
            transitions=0 if found is None else found.transitions + (found.holder != self._order.holder),
        )
        self._held = self._put(mine)
        if self._held is None:
            raise LockHeldError(f"another run took the lease {mine.namespace}/{mine.name} at this moment")

    def renew(self, now: float) -> None:
        """The heartbeat.

        Raises LockLostError when another run has the lease, or when it could not be renewed for so long that another
        may have it; CloudError when it could not be renewed this time.
        """
        if self._held is None:
            raise LockLostError("the lease is not held")
        try:
            self._renew(replace(self._held, renewed_at=now))
        except CloudError as error:
            if now - self._held.renewed_at >= self._held.duration_s:
                raise LockLostError(
                    f"the lease could not be renewed for {self._held.duration_s:g} s: {error}"
                ) from error
            raise

    def release(self) -> None:
        """Let go; twice is harmless. A lease that cannot be let go expires by itself."""
        if self._held is None:
            return
        held, self._held = self._held, None
        try:
            self._put(replace(held, holder="", duration_s=1.0))
        except CloudError as error:
            log.warning("the lease %s/%s was not let go and will expire: %s", held.namespace, held.name, error)

    def _renew(self, mine: Lease) -> None:
        """A lease that changed since it was read is read again: an answer of ours may have been lost."""
        self._held = self._put(mine) or self._again(mine)

    def _again(self, mine: Lease) -> Lease:
        found = self._get()
        if found is None or found.holder != mine.holder:
            who = f"{found.holder or 'nobody'} holds it" if found is not None else "it was deleted"
            raise LockLostError(f"the lease {mine.namespace}/{mine.name} was lost: {who}")
        renewed = self._put(replace(mine, version=found.version))
        if renewed is None:
            raise CloudError(f"the lease {mine.namespace}/{mine.name} changes faster than it can be renewed")
        return renewed

    def _get(self) -> Lease | None:
        order = self._order
        answer = self._caller.call(
            Call(method="GET", url=lease_url(order.base_url, order.namespace, order.name), label="lease")
        )
        return None if _status(answer) == 404 else self._decoded(answer)

    def _put(self, lease: Lease) -> Lease | None:
        """The lease as it stands now, or None when it was changed since it was read."""
        answer = self._caller.call(
            Call(
                method="PUT" if lease.version else "POST",
                url=lease_url(self._order.base_url, lease.namespace, lease.name if lease.version else ""),
                lane=Lane.WRITE,
                body=encode_lease(lease),
                label="lease",
            )
        )
        return None if _status(answer) == 409 else self._decoded(answer)

    def _decoded(self, answer: Answer) -> Lease:
        response = answer.result
        if not isinstance(response, Response) or not response.ok:
            lease = f"{self._order.namespace}/{self._order.name}"
            raise CloudError(
                f"the lease {lease} cannot be used: {describe(answer)}; the identity needs "
                "get, create and update on leases of coordination.k8s.io in this namespace"
            )
        return decode_lease(response.body)


def _is_expired(lease: Lease, now: float) -> bool:
    return now > lease.renewed_at + lease.duration_s + SKEW_S


def _status(answer: Answer) -> int | None:
    return answer.result.status if isinstance(answer.result, Response) else None


def _said(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
