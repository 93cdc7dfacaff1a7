"""A list that lost most of what it had a moment ago is not believed at once (user ask T13c)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SHRINK_SHARE: Final = 0.5
SHRINK_COUNT: Final = 10
"""More than this share, and more than so many, of the machines that are known vanish from one list."""
CONFIRM_S: Final = 120.0
"""After so long a list that still says the same is believed."""
FLAG: Final = "shrunk: "
"""What the ledger's flags of doubted lists begin with; the value is when it was doubted first."""


@dataclass(slots=True)
class Doubts:
    """Which lists are doubted now, and since when; `before` is what earlier cycles doubted."""

    now: float
    before: Mapping[str, float]
    since: dict[str, float] = field(default_factory=dict)
    """List → when it was doubted first. Kept while it still says the same, believed or not."""

    def doubt(self, name: str, known: Collection[str], shown: Collection[str]) -> str:
        """Why the list is not to be believed now; empty when it is."""
        missing = len(set(known).difference(shown))
        if missing <= SHRINK_COUNT or missing <= SHRINK_SHARE * len(known):
            return ""
        since = self.since[name] = self.before.get(name, self.now)
        if self.now - since > CONFIRM_S:
            return ""
        return f"{missing:,} of {len(known):,} known machines are missing from it at once"
