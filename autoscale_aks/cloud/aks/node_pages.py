"""Every page of the cluster's nodes (aks-machine-api.md §7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscale_aks.cloud.aks.caller import Call
from autoscale_aks.cloud.aks.kubernetes import decode_nodes, nodes_url
from autoscale_aks.cloud.aks.pages import describe
from autoscale_aks.cloud.aks.transport import Response
from autoscale_aks.errors import CloudError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from autoscale_aks.cloud.aks.caller import Answer, Caller
    from autoscale_aks.model.launch import ClusterNode


def read_nodes(
    caller: Caller,
    base_url: str,
    pools: Sequence[str],
    until: float,
    check_refusal: Callable[[Answer, Caller], None],
) -> tuple[ClusterNode, ...]:
    """The nodes of these pools, ready or not; a list that expired between two pages is begun anew, once.

    Raises CloudError when it cannot be read whole; `check_refusal` may raise what is more exact.
    """
    restarts = 0
    nodes: dict[str, ClusterNode] = {}
    token = ""
    seen: set[str] = set()
    while True:
        answer = caller.call(Call(method="GET", url=nodes_url(base_url, pools, token), label="nodes"), until)
        response = answer.result
        if isinstance(response, Response) and response.status == 410 and token and restarts < 1:
            restarts, token, nodes, seen = restarts + 1, "", {}, set()
            continue
        if not isinstance(response, Response) or not response.ok or response.truncated:
            check_refusal(answer, caller)
            raise CloudError(f"the nodes cannot be listed: {describe(answer)}")
        page = decode_nodes(response.body)
        nodes.update((node.name, node) for node in page.nodes if node.pool in pools)
        token = page.next_token
        if not token:
            return tuple(nodes.values())
        if token in seen:
            raise ProtocolError("the pages of the node list go round in circles")
        seen.add(token)
