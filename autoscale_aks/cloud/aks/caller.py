"""One call: token, rate budget, transport, and the only retries there are (batching.md B8).

==========================================  ======================  =========================================
Result of an attempt                        a write                 a read (`repeatable`)
==========================================  ======================  =========================================
429                                         again, at most 5 attempts in total, after 1, 2, 4, 8 s + ≤ 10 %,
                                            or after `Retry-After` where that is longer and patience allows
401, the first                              again at once with a fresh token
no byte was sent                            again, as for 429, unless the transport says it is final
time-out, reset                             final: unknown          again, as for 429
408, 5xx                                    final                   again, as for 429
anything else                               final                   final
==========================================  ======================  =========================================

All attempts and pauses of a call lie before its deadline: a pause that would pass it makes the result at hand final,
and an attempt under way at the deadline ends there, its outcome unknown.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from frozendict import frozendict

from autoscale_aks.access.connections import DIRECT, Route
from autoscale_aks.cloud.aks.budget import Lane, RateBudget, parse_retry_after
from autoscale_aks.cloud.aks.effects import Effects, jittered
from autoscale_aks.cloud.aks.transport import REQUEST_CAP_S, Request, Response, SendFailure, Sent, Transport
from autoscale_aks.cloud.aks.wire import encode_json
from autoscale_aks.errors import DeadlineError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.access.tokens import TokenSource

log = logging.getLogger(__name__)

BACKOFF_S: Final = (1.0, 2.0, 4.0, 8.0)
MAX_ATTEMPTS: Final = len(BACKOFF_S) + 1
_LEAST_TIMEOUT_S: Final = 0.05
"""A time-out of nothing is not a time-out: getting the token may have used up what was left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to ask. `label` is the chunk id or the like, for the log (B6)."""

    method: str
    url: str
    lane: Lane = Lane.READ
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=frozendict)
    label: str = ""

    @property
    def repeatable(self) -> bool:
        """Whether asking twice changes nothing."""
        return self.lane is Lane.READ


@dataclass(frozen=True, slots=True)
class Answer:
    """The last attempt's result, and how many there were."""

    result: Response | SendFailure
    attempts: int

    @property
    def is_throttled(self) -> bool:
        """Whether the service said 429 to the end."""
        return isinstance(self.result, Response) and self.result.status == 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one call may take: each attempt, and all waiting for the service's throttle together."""

    timeout_s: float = REQUEST_CAP_S
    throttle_s: float = 120.0


class Caller:
    """Calls to one service. Thread-safe: the workers of a client share one."""

    def __init__(
        self,
        transport: Transport,
        tokens: TokenSource,
        budget: RateBudget,
        *,
        patience: Patience | None = None,
        route: Route = DIRECT,
        effects: Effects | None = None,
    ) -> None:
        self._transport = transport
        self._tokens = tokens
        self.budget = budget
        self._patience = patience or Patience()
        self._route = route
        self._effects = effects or Effects()

    def call(self, call: Call, deadline: float = math.inf) -> Answer:
        """Ask until there is a final result, or until `deadline` (seconds since the epoch).

        Raises AuthError when there is no token to send, ThrottledError when the budget forbids even the first
        attempt, DeadlineError when the time is over before it; in all cases nothing was sent.
        """
        body = None if call.body is None else encode_json(call.body)
        patience_s = self._patience.throttle_s
        refused: str | None = None
        answer: Answer | None = None
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                self.budget.wait(call.lane, max(patience_s, 0.0), deadline)
            except DeadlineError:
                if answer is None:
                    raise
                break
            token = self._tokens.token()
            result = self._send(call, body, token, attempt, deadline)
            answer = Answer(result, attempt)
            delay_s = self._retry_delay(call, result, attempt)
            if isinstance(result, Response) and result.status == 401 and refused is None:
                self._tokens.invalidate(token)
                refused, delay_s = token, 0.0
            if delay_s is None or attempt == MAX_ATTEMPTS or delay_s > patience_s:
                break
            pause_s = jittered(delay_s, self._effects)
            if self._effects.now() + pause_s >= deadline:
                break
            patience_s -= delay_s
            self._effects.sleep(pause_s)
        if answer is None:
            raise DeadlineError("nothing was sent")
        return answer

    def _send(
        self, call: Call, body: bytes | None, token: str, attempt: int, deadline: float
    ) -> Response | SendFailure:
        request_id = self._effects.new_id()
        headers = {**call.headers, "x-ms-client-request-id": request_id, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        started = self._effects.now()
        result = self._transport.send(
            Request(
                method=call.method,
                url=call.url,
                token=token,
                headers=frozendict(headers),
                body=body,
                timeout_s=max(_LEAST_TIMEOUT_S, min(self._patience.timeout_s, REQUEST_CAP_S, deadline - started)),
                route=self._route,
            )
        )
        now = self._effects.now()
        outcome = result.status if isinstance(result, Response) else f"{result.sent.value}: {result.detail}"
        log.log(
            logging.DEBUG if isinstance(result, Response) and result.ok else logging.INFO,
            "%s %s %s -> %s in %.3f s, attempt %d, request %s, correlation %s",
            call.label or "-",
            call.method,
            urlsplit(call.url).path,
            outcome,
            now - started,
            attempt,
            request_id,
            result.headers.get("x-ms-correlation-request-id", "-") if isinstance(result, Response) else "-",
        )
        if isinstance(result, Response):
            self._learn(call.lane, result, now)
        return result

    def _learn(self, lane: Lane, response: Response, now: float) -> None:
        self.budget.observe(lane, response.headers)
        wait_s = parse_retry_after(response.headers.get("retry-after"), now)
        if response.status == 429 and wait_s is not None:
            self.budget.hold(lane, now + wait_s)

    def _retry_delay(self, call: Call, result: Response | SendFailure, attempt: int) -> float | None:
        """Seconds before the next attempt; None when this result is final."""
        backoff_s = BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1]
        if isinstance(result, SendFailure):
            again = not result.is_final and (result.sent is Sent.NOT_SENT or call.repeatable)
            return backoff_s if again else None
        again = result.status == 429 or (call.repeatable and (result.status == 408 or result.status >= 500))
        if not again:
            return None
        asked_s = parse_retry_after(result.headers.get("retry-after"), self._effects.now())
        return max(backoff_s, asked_s or 0.0)


def throttled(answer: Answer, caller: Caller, lane: Lane, now: float) -> ThrottledError:
    """The error for a call that was answered 429 to the end."""
    retry_at = caller.budget.not_before.get(lane.value, now + BACKOFF_S[-1])
    return ThrottledError(f"throttled after {answer.attempts} attempts", retry_at)
