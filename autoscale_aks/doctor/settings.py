"""Checks of the configuration itself."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from autoscale_aks.errors import AutoscaleError
from autoscale_aks.model.policy import Objective
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.reconcile.catalogue import known_offline
from autoscale_aks.reports.buckets import list_buckets
from autoscale_aks.reports.doctor import ok, skipped, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.doctor.site import Site
    from autoscale_aks.errors import Problem
    from autoscale_aks.model.bucket import NodeArray
    from autoscale_aks.reports.doctor import Finding


def check_configuration(site: Site) -> Iterator[Finding]:
    """It was read and every rule of the schema held, or there would be no site."""
    config = site.config
    sizes = {offering.vm_size for array in config.arrays for offering in array.offerings}
    says = f"{config.source}: {len(config.arrays)} node arrays, {len(sizes)} VM sizes, owner {config.aks.owner}"
    yield ok("configuration", says)
    for array in config.arrays:
        if not array.enabled:
            yield warn(
                "configuration",
                f"node array {array.name} is switched off: no machine of it is made",
                f"set nodearrays.{array.name}.enabled, or take it out when its machines are gone",
            )


def check_solver(site: Site) -> Iterator[Finding]:
    """Plans by price are refined by HiGHS, an extra; without it the best of simple rules is taken."""
    policy = site.config.policy
    if policy.objective is not Objective.COST or not policy.optimize_work:
        yield skipped("plans by price", "policy.objective and policy.optimize_seconds ask for no search")
    elif find_spec("highspy") is None:
        yield warn(
            "plans by price",
            "HiGHS is not installed: the best of simple rules is taken, and the bound is some percent low",
            "pip install 'autoscale_aks[optimize]'",
        )
    else:
        yield ok("plans by price", "HiGHS is installed")


def check_default_resources(site: Site) -> Iterator[Finding]:
    """Entries that no bucket can ever use are mistakes, or leftovers (matching.md D1)."""
    unused = _unused(site, known_offline(site.config).arrays)
    if unused:  # a size may have what the packaged table does not know of it
        with suppress(AutoscaleError):
            unused = _unused(site, site.look.world.config.arrays)
    for problem in unused:
        yield warn("default_resources", str(problem), "take the entry out, or mend its select")
    if not unused:
        yield ok("default_resources", f"{len(site.config.default_resources)} entries, all of use")


def _unused(site: Site, arrays: tuple[NodeArray, ...]) -> tuple[Problem, ...]:
    config = site.config
    snapshot = Snapshot(
        now=site.now,
        nodearrays=arrays,
        default_resources=config.default_resources,
        disable_default_resources=config.disable_default_resources,
        limits=config.limits,
        shared_resources=config.shared_resources,
    )
    return tuple(list_buckets(snapshot, config.policy).warnings)
