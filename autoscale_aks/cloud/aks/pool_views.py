"""Agent pools as an operator handles them: all of them with their states, and one deleted to the end (§1.1, §2.1).

Only pools in Machines mode are deleted, and their machines with them; absent is success.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from autoscale_aks.cloud.aks.budget import Lane
from autoscale_aks.cloud.aks.caller import Call
from autoscale_aks.cloud.aks.pages import describe, walk
from autoscale_aks.cloud.aks.pool import failure, get_pool, is_lost
from autoscale_aks.cloud.aks.transport import Response
from autoscale_aks.cloud.aks.wire import decode_pool_item
from autoscale_aks.errors import CloudError, ProtocolError

if TYPE_CHECKING:
    from autoscale_aks.cloud.aks.caller import Caller
    from autoscale_aks.cloud.aks.effects import Effects
    from autoscale_aks.cloud.aks.endpoints import AksEndpoints
    from autoscale_aks.model.launch import PoolView

log = logging.getLogger(__name__)

_TRIES: Final = 6
_PAUSE_S: Final = 10.0
_LONGEST_POLL_S: Final = 10.0


def list_pool_views(caller: Caller, endpoints: AksEndpoints, effects: Effects) -> tuple[PoolView, ...]:
    """Every agent pool of the cluster, in any mode. Raises CloudError when the list cannot be read whole."""
    found = walk(caller, endpoints.pools_url(), "pools")
    if found.refusal is not None:
        raise failure(found.refusal, caller, Lane.READ, effects.now())
    if found.detail:
        raise CloudError(f"the agent pools cannot be listed: {found.detail}")
    pools = tuple(decode_pool_item(item) for item in found.items)
    if not all(view.name for view in pools):
        raise ProtocolError("an agent pool without a name")
    return pools


def delete_pool_to_the_end(
    caller: Caller, endpoints: AksEndpoints, pool: str, *, wait_s: float, effects: Effects
) -> bool:
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
        _delete(caller, endpoints, pool, effects)
    deadline = effects.now() + wait_s
    pause_s = 0.5
    while (view := get_pool(caller, endpoints, pool, effects)) is not None and effects.now() < deadline:
        effects.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_POLL_S)
    return view is None


def _delete(caller: Caller, endpoints: AksEndpoints, pool: str, effects: Effects) -> None:
    """Another operation on the cluster (409) is waited for, a lost answer looked after."""
    call = Call(method="DELETE", url=endpoints.pool_url(pool), lane=Lane.WRITE, label=f"delete pool {pool}")
    for attempt in range(1, _TRIES + 1):
        answer = caller.call(call)
        response = answer.result
        if isinstance(response, Response) and (response.ok or response.status == 404):
            return
        if not isinstance(response, Response) or response.status != 409 or attempt == _TRIES:
            if is_lost(answer) and _is_leaving(get_pool(caller, endpoints, pool, effects)):
                return
            raise failure(answer, caller, Lane.WRITE, effects.now())
        log.info("pool %s: another operation is running: %s", pool, describe(answer))
        effects.sleep(_PAUSE_S)


def _is_leaving(view: PoolView | None) -> bool:
    return view is None or view.provisioning_state == "Deleting"
