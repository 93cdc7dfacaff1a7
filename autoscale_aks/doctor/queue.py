"""Checks of the scheduler and of what wakes the loop."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from autoscale_aks.errors import SchedulerError
from autoscale_aks.reports.doctor import fail, ok, skipped, warn
from autoscale_aks.schedulers.port import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.doctor.site import Site
    from autoscale_aks.reports.doctor import Finding

_SHOWN: Final = 3


@runtime_checkable
class Hooked(Protocol):
    """A driver that can say what of ours its scheduler calls."""

    def hooks(self) -> tuple[str, ...]:
        """One text each. Raises SchedulerError when it cannot be asked."""
        ...


def check_hook(site: Site) -> Iterator[Finding]:
    """Whether the scheduler calls one of our hooks, where it can be asked (user ask T36)."""
    driver, kind = site.scheduler, site.config.scheduler.type
    if not isinstance(driver, Hooked):
        yield skipped("hook", f"{kind} cannot be asked whether it calls one")
        return
    try:
        found = driver.hooks()
    except SchedulerError as error:
        yield skipped("hook", f"{kind} does not tell: {error}")
        return
    if found:
        yield ok("hook", "; ".join(found))
    elif site.config.loop.wake_socket is not None:
        says = f"loop.wake_socket is set and {kind} calls no hook of ours: nothing wakes the loop"
        yield warn("hook", says, "install it (docs/hooks.md)")
    else:
        yield skipped("hook", f"{kind} calls none of ours: the interval alone decides when a cycle comes")


def check_scheduler(site: Site) -> Iterator[Finding]:
    """It answers, we can read the answer, and its version is known."""
    kind = site.config.scheduler.type
    version = version_of(site.scheduler)
    state = site.queue
    waiting = sum(job.runnable for job in state.jobs)
    nodes = "nodes are not reported" if state.nodes is None else f"{len(state.nodes):,} nodes"
    says = f"{kind} {version}".strip() + f": {len(state.jobs):,} job records ({waiting:,} may run), {nodes}"
    if not state.complete:
        fix = "look at the scheduler's own commands; until then nothing is deleted"
        yield warn("scheduler", f"{says}; part of its answer is missing", fix)
    else:
        yield ok("scheduler", says)
    if state.problems:
        shown = "; ".join(str(problem) for problem in state.problems[:_SHOWN])
        more = f" and {len(state.problems) - _SHOWN} more" if len(state.problems) > _SHOWN else ""
        fix = "these records are left out or only partly understood; see azaks demand"
        yield warn("scheduler", f"{len(state.problems)} records could not be read whole: {shown}{more}", fix)


def check_wake_up(site: Site) -> Iterator[Finding]:
    """Whether a hook's message would be heard (user ask T36)."""
    path = site.config.loop.wake_socket
    if path is None:
        yield skipped("wake-up", "loop.wake_socket is not set: the interval alone decides when a cycle comes")
        return
    fix = "start azaks run, which listens there, or leave the hooks to start cycles themselves (docs/hooks.md)"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        yield warn("wake-up", f"nobody listens at {path}", fix)
        return
    except OSError as error:
        yield fail("wake-up", f"{path}: {error.strerror}", "let this user reach the socket's directory")
        return
    if stat.S_ISSOCK(mode):
        yield ok("wake-up", f"{path} is a socket")
    else:
        yield fail("wake-up", f"{path} is no socket", "remove that file; azaks run makes its own socket")
