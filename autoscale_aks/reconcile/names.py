"""Machine names: ownership mark, node array, number (aks-machine-api.md §2.6, batching.md B7).

The configuration keeps owners to 8 and node array names to 16 characters, so that `OWNER-NODEARRAY-NUMBER` stays
within the service's 34.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from autoscale_aks.model.launch import OWNER_TAG

if TYPE_CHECKING:
    from autoscale_aks.model.launch import Machine

LONGEST_NAME: Final = 34
"""Longest usable machine name (§2.6)."""

NODEARRAY_TAG: Final = "azaks-nodearray"
GROUP_TAG: Final = "azaks-placement-group"
PLAN_TAG: Final = "azaks-plan"

_NUMBER = re.compile(r"-(\d{1,18})\Z")


def machine_prefix(owner: str, nodearray: str) -> str:
    """`OWNER-NODEARRAY-`: what a number is put behind."""
    return f"{owner}-{nodearray}-"


def is_ours(machine: Machine, owner: str) -> bool:
    """By its tag; by its name where the header form lost the tag. Somebody else's tag is the last word (B7)."""
    mark = machine.tags.get(OWNER_TAG)
    return mark == owner or (mark is None and machine.name.startswith(f"{owner}-"))


def number_of_name(name: str) -> int | None:
    """The number at the end of one of our names; None when there is none."""
    match = _NUMBER.search(name)
    return int(match.group(1)) if match else None
