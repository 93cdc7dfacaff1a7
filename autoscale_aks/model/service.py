"""What a look at the cloud service itself shows (`azaks doctor`)."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rights:
    """One grant of an identity: actions it may do, with `*` for any text, less those it may not."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def allow(self, action: str) -> bool:
        """Whether this grant holds an action; letter case does not count."""
        return _covers(self.actions, action) and not _covers(self.not_actions, action)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """The cluster as the service describes it. `…trouble` is a sentence when a question was not answered."""

    trouble: str = ""
    """Of the question for the cluster itself."""
    location: str | None = None
    state: str | None = None
    power: str | None = None
    """`Running`, or `Stopped`."""
    kubernetes_version: str | None = None
    skew_s: float | None = None
    """Our clock less the service's, in seconds; exact to about one."""
    pools_trouble: str = ""
    machines_trouble: str = ""
    machines_tried: bool = False
    """Whether there was a pool to list the machines of."""
    rights: tuple[Rights, ...] | None = None
    """What the identity may do on the cluster; None: it could not be read."""

    def missing(self, actions: tuple[str, ...]) -> tuple[str, ...]:
        """Those actions that no grant holds; none when the rights are not known."""
        if self.rights is None:
            return ()
        return tuple(action for action in actions if not any(grant.allow(action) for grant in self.rights))


def _covers(patterns: tuple[str, ...], action: str) -> bool:
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) is not None for pattern in patterns
    )
