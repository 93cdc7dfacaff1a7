"""The read-only facts of a node, written `node.NAME` (contract matching.md §3)."""

from __future__ import annotations

import difflib
from typing import Final

STATIC_PROPERTIES: Final = frozenset(
    {"arch", "bucket_id", "colocated", "cores_per_socket", "gpu_count", "gpu_model", "infiniband", "location",
     "memory", "nodearray", "pcpu_count", "placement_group", "price", "priority", "spot", "vcpu_count", "version",
     "vm_family", "vm_size", "zone"}
)  # fmt: skip
"""Known before a machine exists: the bucket's facts."""

LIVE_PROPERTIES: Final = frozenset(
    {"create_time", "create_time_remaining", "create_time_unix", "delete_time", "delete_time_unix", "exists",
     "hostname", "hostname_or_uuid", "instance_id", "keep_alive", "last_match_time", "last_match_time_unix",
     "name", "private_ip", "state"}
)  # fmt: skip
"""Only a live node has them; on an empty node they are null (P4), `exists` and `keep_alive` are false."""

PATH_PROPERTIES: Final = ("resources.", "vm_capabilities.", "software_configuration.")
"""Properties that take a further name."""


def is_live(name: str) -> bool:
    """Whether a constraint on this property must be judged node by node (P4)."""
    return name in LIVE_PROPERTIES


def check_property(name: str) -> str | None:
    """None when `node.NAME` is a property, else what is wrong with it and the nearest name."""
    if name in STATIC_PROPERTIES or name in LIVE_PROPERTIES:
        return None
    for prefix in PATH_PROPERTIES:
        if name.startswith(prefix) and len(name) > len(prefix):
            return None
    known = sorted(STATIC_PROPERTIES | LIVE_PROPERTIES)
    close = difflib.get_close_matches(name, [*known, *(prefix + "NAME" for prefix in PATH_PROPERTIES)], n=1)
    hint = f'; did you mean "node.{close[0]}"?' if close else ""
    return f'"node.{name}" is not a node property{hint}'
