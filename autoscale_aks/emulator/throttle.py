"""Token buckets: ARM's (§6.1), the provider's (§6.2) and one of its own for batch PUTs.

Buckets refill in emulated time, so a fast clock refills them faster.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoscale_aks.emulator.problems import RefusalError

if TYPE_CHECKING:
    from autoscale_aks.emulator.settings import BucketSpec, ThrottleSettings

_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes", "PUT": "writes", "PATCH": "writes"}
_RP_LIMITED = ("cluster.", "pool.", "machine.", "operation.")


class TokenBucket:
    """Starts full; `take` says how many seconds are missing, 0 when a token was taken."""

    def __init__(self, burst: float, per_s: float, now: float) -> None:
        self.burst = burst
        self.per_s = per_s
        self.tokens = burst
        self._at = now

    def refill(self, now: float) -> None:
        """Bring the tokens up to `now`."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self._at) * self.per_s)
        self._at = now

    def wait_s(self) -> float:
        """Seconds until a token is there; 0 when there is one."""
        if self.tokens >= 1:
            return 0.0
        return (1 - self.tokens) / self.per_s if self.per_s else math.inf


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose budget a request draws on."""

    subscription: str
    location: str
    cluster: str = ""
    pool: str = ""


class Throttle:
    """All buckets of one emulator."""

    def __init__(self, settings: ThrottleSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, ...], TokenBucket] = {}

    def take(self, method: str, operation: str, caller: Caller, now: float) -> dict[str, str]:
        """Spend one token of every bucket that applies; returns the remaining-quota headers.

        Raises `RefusalError` (429) and spends nothing when one is empty.
        """
        with self._lock:
            arm = self._arm_buckets(method, caller, now)
            rp = self._rp_buckets(operation, caller, now)
            for bucket in arm.values():
                if wait := bucket.wait_s():
                    raise self._arm_refusal(wait, caller)
            for handler, bucket in rp:
                if wait := bucket.wait_s():
                    raise self._rp_refusal(handler, method, wait, caller)
            for bucket in (*arm.values(), *(bucket for _, bucket in rp)):
                bucket.tokens -= 1
            if not self._settings.remaining_headers:
                return {}
            return {name: str(math.floor(bucket.tokens)) for name, bucket in arm.items()}

    def refusal(self, wait: float, caller: Caller, operation: str) -> RefusalError:
        """A 429 made to order (fault `throttle`)."""
        return self._rp_refusal(operation, "PUT", wait, caller)

    def _arm_buckets(self, method: str, caller: Caller, now: float) -> dict[str, TokenBucket]:
        if not self._settings.arm:
            return {}
        kind = _KINDS.get(method, self._settings.post_counts_as)
        spec: BucketSpec = getattr(self._settings, f"arm_{kind}")
        factor = self._settings.arm_global_factor
        prefix = "x-ms-ratelimit-remaining-subscription"
        narrow = ("arm", kind, caller.subscription, caller.location)
        wide = ("arm-global", kind, caller.subscription)
        return {
            f"{prefix}-{kind}": self._bucket(narrow, spec.burst, spec.per_s, now),
            f"{prefix}-global-{kind}": self._bucket(wide, spec.burst * factor, spec.per_s * factor, now),
        }

    def _rp_buckets(self, operation: str, caller: Caller, now: float) -> list[tuple[str, TokenBucket]]:
        handler, spec, scope = self._rp_limit(operation, caller)
        if spec is None or not operation.startswith(_RP_LIMITED):
            return []
        return [(handler, self._bucket((handler, *scope), spec.burst, spec.per_s, now))]

    def _rp_limit(self, operation: str, caller: Caller) -> tuple[str, BucketSpec | None, tuple[str, ...]]:
        """Handler, bucket (None = unlimited) and scope of a provider call (§6.2)."""
        settings, subscription = self._settings, (caller.subscription,)
        if operation == "machine.batch_put":
            return "BatchPutMachineHandler", settings.batch, subscription
        limits: dict[str, tuple[str, BucketSpec, tuple[str, ...]]] = {
            "pool.put": ("PutAgentPoolHandler", settings.rp_pool_put, (*subscription, caller.cluster, caller.pool)),
            "cluster.get": ("GetManagedClusterHandler", settings.rp_cluster_get, (*subscription, caller.cluster)),
            "operation.get": ("GetOperationStatusHandler", settings.rp_operation_get, subscription),
            "operation.result": ("GetOperationStatusHandler", settings.rp_operation_get, subscription),
        }
        handler, spec, scope = limits.get(operation, ("MachineHandler", settings.rp_other, subscription))
        return handler, spec if settings.rp else None, scope

    def _bucket(self, key: tuple[str, ...], burst: float, per_s: float, now: float) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(burst, per_s, now)
        bucket.refill(now)
        return bucket

    def _arm_refusal(self, wait: float, caller: Caller) -> RefusalError:
        headers = {"x-ms-failure-cause": "gateway", **self._retry_after(wait)}
        message = (
            f"Number of requests for subscription '{caller.subscription}' exceeded the limit. "
            f"Please try again after '{_seconds(wait)}' seconds."
        )
        return RefusalError(429, "SubscriptionRequestsThrottled", message, wrapped=True, headers=headers)

    def _rp_refusal(self, handler: str, method: str, wait: float, caller: Caller) -> RefusalError:
        message = (
            f"The {handler}.{method} request limit has been exceeded for SubID='{caller.subscription}', "
            f"please retry again in {_seconds(wait)} seconds"
        )
        return RefusalError(429, "Throttled", message, headers=self._retry_after(wait))

    def _retry_after(self, wait: float) -> dict[str, str]:
        return {"Retry-After": str(_seconds(wait))} if self._settings.retry_after else {}


def _seconds(wait: float) -> int:
    return 3600 if math.isinf(wait) else max(1, math.ceil(wait))
