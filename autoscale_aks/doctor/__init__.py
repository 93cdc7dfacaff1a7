"""`azaks doctor`: one look at everything a cycle depends on, before it depends on it. Changes nothing anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.doctor import cluster, ledger, queue, reference, serving, settings
from autoscale_aks.errors import AutoscaleError
from autoscale_aks.reports.doctor import fail, skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from autoscale_aks.doctor.site import Site
    from autoscale_aks.reports.doctor import Finding

CHECKS: Final[tuple[tuple[str, Callable[[Site], Iterable[Finding]]], ...]] = (
    ("configuration", settings.check_configuration),
    ("plans by price", settings.check_solver),
    ("default_resources", settings.check_default_resources),
    ("scheduler", queue.check_scheduler),
    ("wake-up", queue.check_wake_up),
    ("hook", queue.check_hook),
    ("ledger", ledger.check_ledger),
    ("writer", ledger.check_writer),
    ("last cycle", ledger.check_last_cycle),
    ("promised sizes", ledger.check_promises),
    ("cluster", cluster.check_cluster),
    ("clock", cluster.check_clock),
    ("API versions", cluster.check_versions),
    ("rights", cluster.check_rights),
    ("agent pools", cluster.check_pools),
    ("batch header", cluster.check_batch_header),
    ("nodes", cluster.check_nodes),
    ("Azure's lists", reference.check_sources),
    ("sizes", reference.check_sizes),
    ("prices", reference.check_prices),
    ("quota", reference.check_quota),
    ("subnet addresses", reference.check_subnets),
    ("metrics", serving.check_metrics),
)
"""Every check in the order of its line."""


def examine(site: Site) -> Iterator[Finding]:
    """Every check, each on its own: what one cannot use is a line of its own and stops no other.

    A trouble that several checks run into is shown once; the others point at it.
    """
    seen: dict[str, str] = {}
    for name, check in CHECKS:
        try:
            yield from check(site)
        except AutoscaleError as error:
            first = seen.setdefault(str(error), name)
            if first == name:
                yield fail(name, str(error), "mend what the message names, then run doctor again")
            else:
                yield skipped(name, f"not looked at, because of the trouble of: {first}")
