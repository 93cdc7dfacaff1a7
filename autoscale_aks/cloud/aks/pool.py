"""An agent pool in Machines mode (aks-machine-api.md §2.1).

A pool that exists in this mode is usable in any state but three: `Creating` is waited for, `Failed` gets one more
PUT, `Deleting` is an error. `Updating` and `Scaling` do not keep machines out.

Only pools in Machines mode are ever changed. Deleting one takes its machines with it, and absent is success.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Literal

from autoscale_aks.cloud.aks.budget import Lane
from autoscale_aks.cloud.aks.caller import Call, throttled
from autoscale_aks.cloud.aks.endpoints import check_pool_name
from autoscale_aks.cloud.aks.faults import is_absent_pool, parse_fault
from autoscale_aks.cloud.aks.pages import describe, walk
from autoscale_aks.cloud.aks.transport import Response, Sent
from autoscale_aks.cloud.aks.wire import decode_pool, decode_pool_item, encode_pool
from autoscale_aks.errors import AuthError, CloudError, ProtocolError

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.caller import Answer, Caller
    from autoscale_aks.cloud.aks.effects import Effects
    from autoscale_aks.cloud.aks.endpoints import AksEndpoints
    from autoscale_aks.model.launch import PoolView

log = logging.getLogger(__name__)

_TRIES: Final = 6
_PAUSE_S: Final = 10.0
_LONGEST_POLL_S: Final = 10.0


def ensure_pool(caller: Caller, endpoints: AksEndpoints, pool: str, *, wait_s: float, effects: Effects) -> None:
    """Idempotent. Raises CloudError when the pool has another mode, cannot be made, or is not there in time."""
    try:
        check_pool_name(pool)
    except ValueError as error:
        raise CloudError(str(error)) from error
    view = get_pool(caller, endpoints, pool, effects)
    if view is None or (view.takes_machines and view.provisioning_state == "Failed"):
        _change(caller, endpoints, "PUT", pool, effects)
        view = get_pool(caller, endpoints, pool, effects)
    deadline = effects.now() + wait_s
    pause_s = 0.5
    while not (view is not None and _is_usable(view, pool)):
        if effects.now() >= deadline:
            raise CloudError(f"pool {pool} is not there after {wait_s:g} s")
        effects.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_POLL_S)
        view = get_pool(caller, endpoints, pool, effects)


def get_pool(caller: Caller, endpoints: AksEndpoints, pool: str, effects: Effects) -> PoolView | None:
    """The pool, or None when it is absent. Raises CloudError when the question is not answered."""
    answer = caller.call(Call(method="GET", url=endpoints.pool_url(pool), label=f"pool {pool}"))
    response = answer.result
    if isinstance(response, Response) and response.ok:
        return decode_pool(response.body)
    if isinstance(response, Response) and _is_absent(response):
        return None
    raise _failure(answer, caller, Lane.READ, effects.now())


def list_pools(caller: Caller, endpoints: AksEndpoints, effects: Effects) -> tuple[PoolView, ...]:
    """Every agent pool of the cluster, in any mode. Raises CloudError when the list cannot be read whole."""
    found = walk(caller, endpoints.pools_url(), "pools")
    if found.refusal is not None:
        raise _failure(found.refusal, caller, Lane.READ, effects.now())
    if found.detail:
        raise CloudError(f"the agent pools cannot be listed: {found.detail}")
    pools = tuple(decode_pool_item(item) for item in found.items)
    if not all(view.name for view in pools):
        raise ProtocolError("an agent pool without a name")
    return pools


def delete_pool(caller: Caller, endpoints: AksEndpoints, pool: str, *, wait_s: float, effects: Effects) -> bool:
    """Delete a pool and its machines, and wait up to `wait_s` until it is gone; 0: do not wait. Whether it is gone.

    Raises CloudError for a pool in another mode, and when the service refuses or leaves no trace of a delete.
    """
    view = get_pool(caller, endpoints, pool, effects)
    if view is None:
        return True
    if not view.takes_machines:
        raise CloudError(
            f"pool {pool} is in mode {view.mode or 'unknown'!r}, and only pools in Machines mode are deleted here: "
            f"use `az aks nodepool delete --name {pool}`"
        )
    if view.provisioning_state != "Deleting":
        _change(caller, endpoints, "DELETE", pool, effects)
    deadline = effects.now() + wait_s
    pause_s = 0.5
    while (view := get_pool(caller, endpoints, pool, effects)) is not None and effects.now() < deadline:
        effects.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_POLL_S)
    return view is None


def _change(
    caller: Caller, endpoints: AksEndpoints, method: Literal["PUT", "DELETE"], pool: str, effects: Effects
) -> None:
    """Create or delete a pool. Another operation on the cluster (409) is waited for, a lost answer looked after."""
    body = encode_pool() if method == "PUT" else None
    call = Call(method=method, url=endpoints.pool_url(pool), lane=Lane.WRITE, body=body, label=f"pool {pool}")
    for attempt in range(1, _TRIES + 1):
        answer = caller.call(call)
        response = answer.result
        if isinstance(response, Response) and (response.ok or (method == "DELETE" and _is_absent(response))):
            return
        if not isinstance(response, Response) or response.status != 409 or attempt == _TRIES:
            if _is_lost(answer) and _is_done(method, get_pool(caller, endpoints, pool, effects)):
                return
            raise _failure(answer, caller, Lane.WRITE, effects.now())
        log.info("pool %s: another operation is running: %s", pool, describe(answer))
        effects.sleep(_PAUSE_S)


def _is_lost(answer: Answer) -> bool:
    """No answer, or one that does not say whether anything was done."""
    if isinstance(answer.result, Response):
        return answer.result.status >= 500 or answer.result.status == 408
    return answer.result.sent is Sent.UNKNOWN


def _is_done(method: str, view: PoolView | None) -> bool:
    return view is not None if method == "PUT" else view is None or view.provisioning_state == "Deleting"


def _is_absent(response: Response) -> bool:
    return is_absent_pool(response.status, parse_fault(response.status, response.body))


def _is_usable(view: PoolView, pool: str) -> bool:
    if not view.takes_machines:
        raise CloudError(
            f"pool {pool} exists in mode {view.mode or 'unknown'!r}, not 'Machines', and a pool's mode cannot be "
            "changed: use another pool name"
        )
    if view.provisioning_state in {"Failed", "Canceled", "Deleting"}:
        raise CloudError(f"pool {pool} is in state {view.provisioning_state}")
    return view.provisioning_state not in {"Creating", ""}


def _failure(answer: Answer, caller: Caller, lane: Lane, now: float) -> CloudError:
    status = answer.result.status if isinstance(answer.result, Response) else 0
    if status in {401, 403}:
        return AuthError(describe(answer))
    if status == 429:
        return throttled(answer, caller, lane, now)
    return CloudError(describe(answer))
