"""One bad bucket takes itself out of the configuration, not the fleet (user ask T29c).

A mistake inside an entry of `buckets` takes out the entry. A mistake in a setting of a node array that only says what
new machines are like, or how many there may be, makes the node array *not enabled*: its machines go on working, and no
new one is made. A mistake in anything that says which machines are a node array's own (its name, pool, region,
priority class, zones, placement groups, or a key that is not known) is none of the kind: with it the program would
look for them in the wrong place, so that the whole file is refused. So is one with a mistake anywhere else.

Machines of what was left out are never deleted (`reconcile.sparing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from autoscale_aks.config.findings import Document, Finding, Path

_WHOSE: Final = frozenset(
    {"agent_pool", "location", "spot", "zones", "placement_group_scope", "placement_groups", "new_placement_groups"}
)
"""Keys of a node array that say which machines are its own."""
_AMOUNTS: Final = ("min_nodes", "headroom")
"""Keys of a node array that ask for machines by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """A document without what is wrong in it."""

    document: Document
    nodearrays: frozenset[str]
    """Those that are not enabled for it."""
    of_buckets: frozenset[str]
    """Those that lack a bucket."""

    def agrees_with(self, findings: Iterable[Finding]) -> bool:
        """Whether nothing is wrong any more, but that node arrays may be left without any bucket."""
        emptied = {("nodearrays", name, "buckets") for name in self.of_buckets}
        return all(finding.path in emptied for finding in findings)


def leave_out(document: Document, findings: Iterable[Finding], known: frozenset[str]) -> Reduced | None:
    """The document without what the findings concern; None when one concerns more than a bucket or a node array.

    `known` holds the keys that node arrays may have.
    """
    places = [_place(finding.path, known) for finding in findings]
    if None in places:
        return None
    taken: dict[str, dict[str, set[int]]] = {}
    for place in places:
        if place is not None:
            name, key, index = place
            entry = taken.setdefault(name, {}).setdefault(key, set())
            if index is not None:
                entry.add(index)
    arrays = {
        name: _without(array, taken[name]) if name in taken else array for name, array in document["nodearrays"].items()
    }
    return Reduced(
        document={**document, "nodearrays": arrays},
        nodearrays=frozenset(name for name, keys in taken.items() if set(keys) != {"buckets"}),
        of_buckets=frozenset(name for name, keys in taken.items() if "buckets" in keys),
    )


def _place(path: Path, known: frozenset[str]) -> tuple[str, str, int | None] | None:
    """Node array, key, and the bucket's index where the key is `buckets`; None: more than those is concerned."""
    if len(path) < 3 or path[0] != "nodearrays":
        return None
    name, key = str(path[1]), str(path[2])
    if key == "buckets":
        return (name, key, path[3]) if len(path) > 3 and isinstance(path[3], int) else None
    return None if key in _WHOSE or key not in known else (name, key, None)


def _without(array: dict[str, Any], keys: dict[str, set[int]]) -> dict[str, Any]:
    """The node array without those keys and entries, and not enabled where a key of its own is among them."""
    kept = {key: value for key, value in array.items() if key == "buckets" or key not in keys}
    out = keys.get("buckets", set())
    kept["buckets"] = [bucket for index, bucket in enumerate(array["buckets"]) if index not in out]
    if set(keys) != {"buckets"}:
        kept = {key: value for key, value in kept.items() if key not in _AMOUNTS}
        kept["enabled"] = False
    return kept
