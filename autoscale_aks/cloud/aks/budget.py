"""One rate budget for everything a client sends: a token bucket a lane, and the service's own "not before".

==============================================  ====================================================
From the service                                Effect on the lane
==============================================  ====================================================
429 with `Retry-After` (seconds or HTTP date)   nothing more goes out before that moment
`x-ms-ratelimit-remaining-*-reads|writes`       the bucket never holds more than the smallest of them
==============================================  ====================================================

The defaults are ARM's published buckets (aks-machine-api.md §6.1). `not_before` can be read and given back to a new
budget, so that the next run keeps away as well.
"""

from __future__ import annotations

import enum
import math
import re
import threading
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from autoscale_aks.cloud.aks.effects import Effects, jittered
from autoscale_aks.errors import DeadlineError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_RETRY_AFTER_S: Final = 3600.0
"""A longer `Retry-After` is cut to this: a mistaken header must not stop a site for good."""

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_REMAINING = re.compile(r"x-ms-ratelimit-remaining-[a-z-]*(reads|writes)")
_SLACK_S: Final = 1e-3


class Lane(enum.Enum):
    """What is counted together. `deleteMachines` is a POST and counts as a write (§6.1)."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: how many at once, and how many come back each second."""

    burst: float
    per_s: float


ARM_READS: Final = Rate(250, 25)
ARM_WRITES: Final = Rate(200, 10)


@dataclass(slots=True)
class _Bucket:
    rate: Rate
    tokens: float
    filled_at: float
    not_before: float = 0.0

    def take(self, now: float) -> float:
        """Reserve one token; the moment it may be used."""
        self.tokens = min(self.rate.burst, self.tokens + max(0.0, now - self.filled_at) * self.rate.per_s)
        self.filled_at = now
        self.tokens -= 1.0
        return now + max(0.0, -self.tokens / self.rate.per_s)


def _start(rate: Rate, now: float) -> _Bucket:
    """A full bucket, a hundredth short of the service's.

    The service's begins to refill when our first request arrives, ours when it leaves: without the difference the
    first request after the burst would come a moment too early, and a 429 holds the whole lane for a second.
    """
    rate = Rate(rate.burst - rate.burst // 100, rate.per_s)
    return _Bucket(rate, rate.burst, now)


class RateBudget:
    """Shared by all workers of a client (batching.md B4). Thread-safe."""

    def __init__(
        self,
        *,
        reads: Rate = ARM_READS,
        writes: Rate = ARM_WRITES,
        not_before: Mapping[str, float] | None = None,
        effects: Effects | None = None,
    ) -> None:
        self._effects = effects or Effects()
        self._lock = threading.Lock()
        now = self._effects.now()
        self._buckets = {lane: _start(rate, now) for lane, rate in ((Lane.READ, reads), (Lane.WRITE, writes))}
        for lane, bucket in self._buckets.items():
            until = (not_before or {}).get(lane.value, 0.0)
            bucket.not_before = min(until, now + LONGEST_RETRY_AFTER_S)

    @property
    def not_before(self) -> dict[str, float]:
        """Per lane, the moment before which the service wants nothing; lanes that are free are left out."""
        now = self._effects.now()
        with self._lock:
            return {lane.value: bucket.not_before for lane, bucket in self._buckets.items() if bucket.not_before > now}

    def wait(self, lane: Lane, patience_s: float, deadline: float = math.inf) -> None:
        """Sleep until one request may go out.

        Raises ThrottledError, without having slept, when the service asked to stay away for longer than `patience_s`,
        and DeadlineError, as soon as that is known, when it could only go out after `deadline`.
        """
        bucket = self._buckets[lane]
        with self._lock:
            ready_at = bucket.take(self._effects.now())
        give_up_at = self._effects.now() + patience_s
        while True:
            with self._lock:
                not_before = bucket.not_before
            now = self._effects.now()
            if not_before > max(give_up_at, now):
                with self._lock:
                    bucket.tokens += 1.0
                raise ThrottledError(f"the service wants no {lane.value}s before {not_before:.0f}", not_before)
            if max(now, ready_at, not_before) >= deadline:
                with self._lock:
                    bucket.tokens += 1.0
                raise DeadlineError(f"the time was over before a {lane.value} could be sent")
            if not_before > now + _SLACK_S:
                self._effects.sleep(jittered(not_before - now, self._effects))
            elif ready_at > now + _SLACK_S:
                self._effects.sleep(ready_at - now)
            else:
                return

    def hold(self, lane: Lane, until: float) -> None:
        """Send nothing on this lane before `until`; never shortens an earlier hold."""
        with self._lock:
            bucket = self._buckets[lane]
            bucket.not_before = max(bucket.not_before, until)

    def observe(self, lane: Lane, headers: Mapping[str, str]) -> None:
        """Learn from the remaining-requests headers of an answer (lower-case names)."""
        suffix = f"{lane.value}s"
        remaining = [
            int(value)
            for name, value in headers.items()
            if (match := _REMAINING.fullmatch(name)) and match[1] == suffix and value.isascii() and value.isdigit()
        ]
        if remaining:
            with self._lock:
                bucket = self._buckets[lane]
                bucket.tokens = min(bucket.tokens, float(min(remaining)))


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait from a `Retry-After` header in either form; None when absent or unreadable."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        return None
    return min(max(0.0, moment.timestamp() - now), LONGEST_RETRY_AFTER_S)
