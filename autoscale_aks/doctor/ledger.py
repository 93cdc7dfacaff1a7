"""Checks of what is remembered between runs, and of who writes it."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Final

from autoscale_aks.ledger.lock import holder
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.reconcile.observed import KEPT_S as OBSERVED_S
from autoscale_aks.reconcile.observed import shown_sizes
from autoscale_aks.reconcile.sizes import ENOUGH, KEPT_S, read_found
from autoscale_aks.reports.doctor import fail, ok, skipped, warn
from autoscale_aks.reports.sentences import render_time
from autoscale_aks.reports.sizes import propose_default_resources, rule_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.doctor.site import Site
    from autoscale_aks.ledger.guards import SmallSize
    from autoscale_aks.reports.doctor import Finding

_OLD_INTENT_S: Final = 900.0
"""An intent this old was not settled by the two cycles that should have done it."""
_OLD_CYCLE_S: Final = 900.0
_OLD_HEARTBEAT_S: Final = 300.0
_PASTE: Final = "put before the other entries of default_resources: "


def check_ledger(site: Site) -> Iterator[Finding]:
    """The file is there, whole, private, and has nothing unsettled in it."""
    path = site.config.ledger.path
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        yield ok("ledger", f"{path} does not exist yet; the first cycle begins it")
        return
    except OSError as error:
        yield fail("ledger", f"{path}: {error.strerror}", "run doctor as the user that runs the autoscaler")
        return
    records = site.ledger.machines()
    yield ok("ledger", f"{path}: {len(records):,} machines")
    if mode & 0o077:
        yield warn("ledger", f"{path} can be read by others ({mode:03o})", f"chmod 600 {path}")
    unsettled = [
        record.name
        for record in records
        if record.state in {MachineState.INTENDED, MachineState.UNKNOWN} and site.now - record.asked_at > _OLD_INTENT_S
    ]
    if unsettled:
        says = f"{len(unsettled)} machines were asked for and never settled: {', '.join(unsettled[:3])}"
        yield warn("ledger", says, "run azaks autoscale: a whole list of their pools settles them")


def check_writer(site: Site) -> Iterator[Finding]:
    """Who holds the right to write, and whether it still lives."""
    found = holder(site.config.ledger.path)
    if found is None:
        yield ok("writer", "nobody is writing now")
        return
    who = f"{found.get('owner')}, process {found.get('pid')} on {found.get('host')}"
    beat = found.get("heartbeat_at")
    age = site.now - beat if isinstance(beat, int | float) else None
    if age is not None and age > _OLD_HEARTBEAT_S:
        fix = "look whether that process hangs; when it ends its lock is taken over by itself"
        yield warn("writer", f"{who} holds the lock and gave no sign of life for {age:.0f} s", fix)
    else:
        yield ok("writer", f"{who} holds the lock")


def check_last_cycle(site: Site) -> Iterator[Finding]:
    """When something was last done, and how it ended."""
    cycles = site.ledger.cycles(limit=1)
    if not cycles:
        yield skipped("last cycle", "there was none yet")
        return
    last = cycles[0]
    age = site.now - last.started_at
    says = f"{last.status} at {render_time(last.started_at)}, {age:.0f} s ago"
    if last.ended_at is None and age > _OLD_CYCLE_S:
        yield warn("last cycle", f"{says}; it never ended", "nothing is lost: the next cycle settles what it left")
    elif age > _OLD_CYCLE_S:
        yield warn("last cycle", says, "see that cron or azaks run still starts cycles")
    else:
        yield ok("last cycle", says)


def check_promises(site: Site) -> Iterator[Finding]:
    """Machines that had less than `default_resources` promised (user ask T18): what to write there."""
    grouped: dict[tuple[str, str, str], list[SmallSize]] = {}
    for one in site.ledger.small_sizes(site.now - KEPT_S):
        grouped.setdefault((one.nodearray, one.vm_size, one.resource), []).append(one)
    for (array, size, resource), seen in grouped.items():
        says = (
            f"{len(seen)} machines of {array}/{size} have {resource} {seen[-1].found} where {seen[-1].promised} was "
            f"promised" + ("; new ones are planned with less" if len(seen) >= ENOUGH else "")
        )
        select = {"node.nodearray": array, "node.vm_size": size}
        entry = rule_for(select, resource, (read_found(one.found) for one in seen))
        yield warn("promised sizes", says, f"{_PASTE}{json.dumps(entry)}")
    told = {(size, resource) for _, size, resource in grouped}
    shown = shown_sizes(site.ledger.observed_sizes(site.now - OBSERVED_S))
    for entry in propose_default_resources(shown):
        size, resource = entry["select"]["node.vm_size"], entry["name"]
        if (size, resource) not in told:
            told.add((size, resource))
            says = f"machines of {size} have another {resource} than was promised: {entry['value']}"
            yield warn("promised sizes", says, f"{_PASTE}{json.dumps(entry)}")
    if not told:
        yield ok("promised sizes", "every machine that joined had what was promised")
