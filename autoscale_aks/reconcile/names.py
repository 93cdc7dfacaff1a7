"""Names on AKS: machines (ownership mark, node array, number) and the agent pool of each bucket.

Machine names follow aks-machine-api.md §2.6 and batching.md B7, pool names §2.1.

The configuration keeps owners to 8 and node array names to 16 characters, so that `OWNER-NODEARRAY-NUMBER` stays
within the service's 34.
"""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from autoscale_aks.model.launch import GROUP_TAG, OWNER_TAG
from autoscale_aks.model.node_names import machine_prefix

if TYPE_CHECKING:
    from autoscale_aks.config import Config
    from autoscale_aks.model.bucket import Bucket
    from autoscale_aks.model.launch import Machine

__all__ = [
    "GROUP_TAG",
    "LONGEST_NAME",
    "NODEARRAY_TAG",
    "PLAN_TAG",
    "group_pool",
    "is_ours",
    "machine_prefix",
    "number_of_name",
    "pool_of",
]

LONGEST_NAME: Final = 34
"""Longest usable machine name (§2.6)."""

NODEARRAY_TAG: Final = "azaks-nodearray"
PLAN_TAG: Final = "azaks-plan"

_NUMBER = re.compile(r"-(\d{1,18})\Z")


def is_ours(machine: Machine, owner: str) -> bool:
    """By its tag; by its name where the header form lost the tag. Somebody else's tag is the last word (B7)."""
    mark = machine.tags.get(OWNER_TAG)
    return mark == owner or (mark is None and machine.name.startswith(f"{owner}-"))


def number_of_name(name: str) -> int | None:
    """The number at the end of one of our names; None when there is none."""
    match = _NUMBER.search(name)
    return int(match.group(1)) if match else None


def pool_of(config: Config, bucket: Bucket) -> str:
    """The agent pool of a bucket: its node array's, or its placement group's own where groups are pools."""
    nodearray = config.nodearrays[bucket.array.name]
    if bucket.placement_group is None or nodearray.placement_group_scope != "pool":
        return bucket.array.agent_pool
    return group_pool(config.aks.owner, bucket.array.name, bucket.placement_group)


def group_pool(owner: str, nodearray: str, group: str) -> str:
    """A placement group's agent pool: `g`, three letters of the node array, 40 bits of a hash of all three names.

    The same in every run and on every host. Whose a pool really is stands in the tags and labels of its machines.
    """
    stem = re.sub("[^a-z0-9]", "", nodearray)[:3]
    digest = sha256(f"{owner}\0{nodearray}\0{group}".encode()).digest()
    return f"g{stem}{b32encode(digest[:5]).decode('ascii').lower()}"
