"""What a look at the service itself tells a site's operator: reachable, which versions, which rights, whose clock.

Only GETs: the cluster, its pools, one pool's machines, and the caller's own rights
(`Microsoft.Authorization/permissions`, which anybody may ask).
"""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from autoscale_aks.cloud.aks.caller import Call
from autoscale_aks.cloud.aks.faults import parse_object
from autoscale_aks.cloud.aks.pages import describe
from autoscale_aks.cloud.aks.transport import Response
from autoscale_aks.cloud.aks.wire import at
from autoscale_aks.model.service import Rights, ServiceView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.cloud.aks.caller import Answer, Caller
    from autoscale_aks.cloud.aks.effects import Effects
    from autoscale_aks.cloud.aks.endpoints import AksEndpoints

PERMISSIONS_VERSION: Final = "2022-04-01"


def examine(
    caller: Caller, endpoints: AksEndpoints, effects: Effects, pool: str | None, deadline: float = math.inf
) -> ServiceView:
    """Ask for everything once. What cannot be had is a sentence in the view; only a missing token raises AuthError.

    `pool` is an agent pool that exists, to try the version for machines on; None: that version is not tried.
    """
    cluster = caller.call(Call(method="GET", url=endpoints.cluster_url(), label="cluster"), deadline)
    now = effects.now()
    found = _object(cluster)
    pools = caller.call(Call(method="GET", url=endpoints.pools_url(), label="pools"), deadline)
    machines = None
    if pool is not None:
        machines = caller.call(Call(method="GET", url=endpoints.machines_url(pool), label="machines"), deadline)
    return ServiceView(
        trouble=_trouble(cluster),
        location=_text(found, "location"),
        state=_text(found, "properties", "provisioningState"),
        power=_text(found, "properties", "powerState", "code"),
        kubernetes_version=_text(found, "properties", "currentKubernetesVersion"),
        skew_s=_skew(cluster, now),
        pools_trouble=_trouble(pools),
        machines_trouble="" if machines is None else _trouble(machines),
        machines_tried=machines is not None,
        rights=_rights(caller, endpoints, deadline),
    )


def _rights(caller: Caller, endpoints: AksEndpoints, deadline: float) -> tuple[Rights, ...] | None:
    """The caller's rights on the cluster; None when they cannot be read."""
    base = endpoints.cluster_url().partition("?")[0]
    url = f"{base}/providers/Microsoft.Authorization/permissions?{urlencode({'api-version': PERMISSIONS_VERSION})}"
    rows = at(_object(caller.call(Call(method="GET", url=url, label="rights"), deadline)), "value")
    if not isinstance(rows, list):
        return None
    return tuple(Rights(actions=_names(row, "actions"), not_actions=_names(row, "notActions")) for row in rows)


def _names(row: object, key: str) -> tuple[str, ...]:
    names = at(row, key)
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _object(answer: Answer) -> Mapping[str, Any]:
    response = answer.result
    if not isinstance(response, Response) or not response.ok:
        return {}
    return parse_object(response.body)


def _trouble(answer: Answer) -> str:
    return "" if isinstance(answer.result, Response) and answer.result.ok else describe(answer)


def _text(found: Mapping[str, Any], *path: str) -> str | None:
    value = at(found, *path)
    return value if isinstance(value, str) else None


def _skew(answer: Answer, now: float) -> float | None:
    """Our clock less the service's, in seconds; its `Date` has whole seconds."""
    if not isinstance(answer.result, Response):
        return None
    try:
        return now - parsedate_to_datetime(answer.result.headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        return None
