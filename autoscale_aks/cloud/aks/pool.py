"""An agent pool in Machines mode (aks-machine-api.md §2.1).

A pool that exists in this mode is usable in any state but three: `Creating` is waited for, `Failed` gets one more
PUT, `Deleting` is an error. `Updating` and `Scaling` do not keep machines out.
"""

from __future__ import annotations

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from autoscale_aks.cloud.aks.budget import Lane
from autoscale_aks.cloud.aks.caller import Call, throttled
from autoscale_aks.cloud.aks.endpoints import check_pool_name
from autoscale_aks.cloud.aks.faults import is_absent_pool, parse_fault
from autoscale_aks.cloud.aks.pages import describe
from autoscale_aks.cloud.aks.transport import Response, Sent
from autoscale_aks.cloud.aks.wire import decode_pool, encode_pool
from autoscale_aks.errors import AuthError, CloudError, DeadlineError, PoolRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autoscale_aks.cloud.aks.caller import Answer, Caller
    from autoscale_aks.cloud.aks.effects import Effects
    from autoscale_aks.cloud.aks.endpoints import AksEndpoints
    from autoscale_aks.model.launch import PoolView

log = logging.getLogger(__name__)

MODE: Final = "machines"
_PUT_TRIES: Final = 6
_AT_ONCE: Final = 20
"""Pools that are made at the same time: they are waited for, and asked about now and then."""
_PUT_PAUSE_S: Final = 10.0
_LONGEST_POLL_S: Final = 10.0


def ensure_pool(caller: Caller, endpoints: AksEndpoints, pool: str, *, deadline: float, effects: Effects) -> None:
    """Idempotent. Raises CloudError when the pool has another mode, cannot be made, or is not there in time."""
    started_at = effects.now()
    try:
        check_pool_name(pool)
    except ValueError as error:
        raise CloudError(str(error)) from error
    view = get_pool(caller, endpoints, pool, effects, deadline)
    if view is None or (view.mode.lower() == MODE and view.provisioning_state == "Failed"):
        _put_pool(caller, endpoints, pool, effects, deadline)
        view = get_pool(caller, endpoints, pool, effects, deadline)
    pause_s = 0.5
    while not (view is not None and _is_usable(view, pool)):
        if effects.now() + pause_s >= deadline:
            raise DeadlineError(f"pool {pool} is not there after {effects.now() - started_at:.0f} s")
        effects.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_POLL_S)
        view = get_pool(caller, endpoints, pool, effects, deadline)


def get_pool(
    caller: Caller, endpoints: AksEndpoints, pool: str, effects: Effects, deadline: float = math.inf
) -> PoolView | None:
    """The pool, or None when it is absent. Raises CloudError when the question is not answered in time."""
    answer = caller.call(Call(method="GET", url=endpoints.pool_url(pool), label=f"pool {pool}"), deadline)
    response = answer.result
    if isinstance(response, Response) and response.ok:
        return decode_pool(response.body)
    if isinstance(response, Response) and is_absent_pool(response.status, parse_fault(response.status, response.body)):
        return None
    raise failure(answer, caller, Lane.READ, effects.now())


def _put_pool(caller: Caller, endpoints: AksEndpoints, pool: str, effects: Effects, deadline: float) -> None:
    """PUT the pool; another operation on the cluster (409) is waited for, and a lost answer looked after."""
    call = Call(method="PUT", url=endpoints.pool_url(pool), lane=Lane.WRITE, body=encode_pool(), label=f"pool {pool}")
    for attempt in range(1, _PUT_TRIES + 1):
        answer = caller.call(call, deadline)
        response = answer.result
        if isinstance(response, Response) and response.ok:
            return
        if (
            not isinstance(response, Response)
            or response.status != 409
            or attempt == _PUT_TRIES
            or _is_late(effects, deadline)
        ):
            if is_lost(answer) and get_pool(caller, endpoints, pool, effects, deadline) is not None:
                return
            raise _refusal(answer, caller, effects.now())
        log.info("pool %s: another operation is running: %s", pool, describe(answer))
        effects.sleep(_PUT_PAUSE_S)


def _refusal(answer: Answer, caller: Caller, now: float) -> CloudError:
    error = failure(answer, caller, Lane.WRITE, now)
    is_refusal = type(error) is CloudError and isinstance(answer.result, Response) and answer.result.status < 500
    return PoolRefusedError(str(error)) if is_refusal else error


def is_lost(answer: Answer) -> bool:
    """Whether there is no answer, or one that does not say whether anything was done: then one has to look (§11)."""
    if isinstance(answer.result, Response):
        return answer.result.status >= 500 or answer.result.status == 408
    return answer.result.sent is Sent.UNKNOWN


def _is_late(effects: Effects, deadline: float) -> bool:
    return effects.now() + _PUT_PAUSE_S >= deadline


def _is_usable(view: PoolView, pool: str) -> bool:
    if view.mode.lower() != MODE:
        raise CloudError(
            f"pool {pool} exists in mode {view.mode or 'unknown'!r}, not 'Machines', and a pool's mode cannot be "
            "changed: use another pool name"
        )
    if view.provisioning_state in {"Failed", "Canceled", "Deleting"}:
        raise CloudError(f"pool {pool} is in state {view.provisioning_state}")
    return view.provisioning_state not in {"Creating", ""}


def failure(answer: Answer, caller: Caller, lane: Lane, now: float) -> CloudError:
    """What to raise for an answer that was no success."""
    status = answer.result.status if isinstance(answer.result, Response) else 0
    if status in {401, 403}:
        return AuthError(describe(answer))
    if status == 429:
        return throttled(answer, caller, lane, now)
    return CloudError(describe(answer))


def ensure_all(ensure: Callable[[str], None], pools: Sequence[str]) -> Mapping[str, CloudError]:
    """Every pool's turn at once; the errors of those that failed. One is made without another thread."""
    if len(pools) < 2:
        found = [_error_of(ensure, pool) for pool in pools]
    else:
        with ThreadPoolExecutor(min(len(pools), _AT_ONCE), thread_name_prefix="pools") as executor:
            found = list(executor.map(lambda pool: _error_of(ensure, pool), pools))
    return {pool: error for pool, error in zip(pools, found, strict=True) if error is not None}


def _error_of(ensure: Callable[[str], None], pool: str) -> CloudError | None:
    try:
        ensure(pool)
    except CloudError as error:
        return error
    return None
