"""All agent pools of the cluster: which there are, whether one more can be made, and deleting one (§1.1, §2.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.cloud.aks.budget import Lane
from autoscale_aks.cloud.aks.caller import Call
from autoscale_aks.cloud.aks.faults import parse_object
from autoscale_aks.cloud.aks.pages import describe, walk
from autoscale_aks.cloud.aks.pool import MODE, failure
from autoscale_aks.cloud.aks.transport import Response
from autoscale_aks.cloud.aks.wire import at
from autoscale_aks.errors import CloudError, PoolLimitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.cloud.aks.caller import Caller
    from autoscale_aks.cloud.aks.effects import Effects
    from autoscale_aks.cloud.aks.endpoints import AksEndpoints

MAX_POOLS: Final = 100
"""Agent pools in a cluster, where it does not say otherwise itself (`maxAgentPools`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """The cluster's pools by name, each with its mode in lower case."""

    caller: Caller
    endpoints: AksEndpoints
    effects: Effects

    def modes(self, deadline: float) -> Mapping[str, str]:
        """Every pool. Raises CloudError when the list cannot be read whole."""
        found = walk(self.caller, self.endpoints.pools_url(), "list pools", deadline)
        if found.refusal is not None:
            raise failure(found.refusal, self.caller, Lane.READ, self.effects.now())
        if found.detail:
            raise CloudError(f"the agent pools cannot be listed: {found.detail}")
        modes = {at(item, "name"): at(item, "properties", "mode") for item in found.items}
        return frozendict({str(name): str(mode or "").lower() for name, mode in modes.items() if name})

    def of_machines(self, deadline: float) -> tuple[str, ...]:
        """The names of the pools in Machines mode."""
        return tuple(name for name, mode in self.modes(deadline).items() if mode == MODE)

    def check_room(self, pool: str, deadline: float) -> None:
        """Raise PoolLimitError when the cluster has all the pools it can have, and `pool` is none of them."""
        modes, most = self.modes(deadline), self._most(deadline)
        if pool not in modes and len(modes) >= most:
            raise PoolLimitError(
                f"the cluster has {len(modes)} agent pools, the most it can have: no room for {pool}; delete a pool "
                'that is not needed, or let placement groups share one ("placement_group_scope": "label" or "zone")'
            )

    def delete(self, pool: str, deadline: float) -> None:
        """Ask for the deletion of a pool with everything in it; absent is success. Raises CloudError when refused."""
        call = Call(method="DELETE", url=self.endpoints.pool_url(pool), lane=Lane.WRITE, label=f"delete pool {pool}")
        answer = self.caller.call(call, deadline)
        response = answer.result
        if not isinstance(response, Response) or not (response.ok or response.status == 404):
            raise failure(answer, self.caller, Lane.WRITE, self.effects.now())

    def _most(self, deadline: float) -> int:
        call = Call(method="GET", url=self.endpoints.cluster_url(), label="cluster")
        answer = self.caller.call(call, deadline)
        if not isinstance(answer.result, Response) or not answer.result.ok:
            raise CloudError(f"the cluster cannot be read: {describe(answer)}")
        most = at(parse_object(answer.result.body), "properties", "maxAgentPools")
        return most if isinstance(most, int) and most > 0 else MAX_POOLS
